"""The profile of every customer as of a date."""

import dagster as dg
import polars as pl

from audience_pipeline.audiences.profile import customer_profile as profile_of
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.storage import LANDING_SEQUENCE, landing_sequence
from audience_pipeline.settings import Settings

PROFILE_INPUTS = ("customer_features", "ltv_predictions", "customer_segments", "identifiers", "consent")


def profile_asset(settings: Settings, calendar: AsOfCalendar) -> dg.AssetsDefinition:
    """customer_profile, one partition per as-of date."""

    @dg.asset(
        group_name="audiences",
        partitions_def=calendar.daily,
        kinds={"polars", "parquet"},
        owners=["team:growth"],
    )
    def customer_profile(
        context: dg.AssetExecutionContext,
        customer_features: pl.LazyFrame,
        ltv_predictions: pl.LazyFrame,
        customer_segments: pl.LazyFrame,
        identifiers: pl.LazyFrame,
        consent: pl.LazyFrame,
    ) -> dg.MaterializeResult[pl.LazyFrame]:
        """Everything an audience may ask of a customer, one row each: value, rhythm, categories, website
        and e-mail behaviour, segment, consent. Money in the shop's currency.
        """
        seen = landing_sequence(settings.lake, context.partition_key, *PROFILE_INPUTS)
        profile = profile_of(customer_features, ltv_predictions, customer_segments, identifiers, consent)
        return dg.MaterializeResult(value=profile, metadata={LANDING_SEQUENCE: seen})

    return customer_profile
