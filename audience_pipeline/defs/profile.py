"""The profile of every customer as of a date."""

from collections.abc import Sequence
from datetime import date

import dagster as dg
import polars as pl

from audience_pipeline.audiences.profile import Known
from audience_pipeline.audiences.profile import customer_profile as profile_of
from audience_pipeline.customers.mapped import mapped, merged_activity
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.lake import dataset, ensure_dataset, landing_order
from audience_pipeline.defs.numbers import customer_numbers
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.defs.storage import LANDING_SEQUENCE, landing_sequence
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind

PROFILE_INPUTS = (
    "identities",
    "customer_features",
    "ltv_predictions",
    "customer_segments",
    "identifiers",
    "consent",
    "order_attribution",
)


def kept_columns(settings: Settings) -> Sequence[str]:
    """Columns of the CRM files that are fields of the profile."""
    reading = settings.config.sources.get("crm")
    return reading.keep if reading else ()


def profile_asset(settings: Settings, calendar: AsOfCalendar) -> dg.AssetsDefinition:
    """customer_profile, one partition per as-of date."""

    @dg.asset(
        group_name="audiences",
        partitions_def=calendar.daily,
        deps=[Kind.CRM.dataset],
        kinds={"polars", "parquet"},
        owners=["team:growth"],
    )
    def customer_profile(
        context: dg.AssetExecutionContext,
        identities: pl.LazyFrame,
        customer_features: pl.LazyFrame,
        ltv_predictions: pl.LazyFrame,
        customer_segments: pl.LazyFrame,
        identifiers: pl.LazyFrame,
        consent: pl.LazyFrame,
        customer_activity: pl.LazyFrame,
        order_attribution: pl.LazyFrame,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult[pl.LazyFrame]:
        """Everything an audience may ask of a customer, one row each: value, rhythm, categories, website
        and e-mail behaviour, segment, consent. Money in the shop's currency.
        """
        seen = landing_sequence(settings.lake, context.partition_key, *PROFILE_INPUTS)
        ensure_dataset(settings.lake, Kind.CRM)
        with ledger.open() as opened:
            landings = landing_order(opened, Kind.CRM)
        keys = identities.select(pl.col("person_key").unique().sort()).collect()["person_key"]
        columns = kept_columns(settings)
        profile = profile_of(
            Known(
                identities=identities,
                features=customer_features,
                predictions=ltv_predictions,
                segments=customer_segments,
                identifiers=identifiers,
                consent=consent,
                activity=merged_activity(customer_activity, identities),
                attribution=order_attribution,
                contacts=mapped(dataset(settings.lake, Kind.CRM), identities),
            ),
            date.fromisoformat(context.partition_key),
            customer_numbers(settings.lake, keys),
            crm_columns=columns,
            landings=landings,
        )
        return dg.MaterializeResult(
            value=profile,
            metadata={LANDING_SEQUENCE: seen, "customers": len(keys), "crm_columns": len(columns)},
        )

    return customer_profile
