"""What is known of each customer as of a date."""

from collections.abc import Iterator
from datetime import date

import dagster as dg
import polars as pl

from audience_pipeline.customers import identity
from audience_pipeline.customers.mapped import mapped, merged_activity
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.expectations import CUSTOMER_FEATURES
from audience_pipeline.defs.identities import customers_orders
from audience_pipeline.defs.lake import dataset, ensure_dataset, landing_order, newest_landing
from audience_pipeline.defs.quality import validate
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.defs.storage import LANDING_SEQUENCE, landing_sequence
from audience_pipeline.defs.warehouse import landings_seen
from audience_pipeline.features.customer_features import customer_features as features_as_of
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind


def customer_assets(settings: Settings, calendar: AsOfCalendar) -> list[dg.AssetsDefinition]:
    """Identifiers and customer features, one partition per as-of date."""

    @dg.asset(
        group_name="customers",
        partitions_def=calendar.daily,
        deps=[Kind.CRM.dataset],
        kinds={"polars", "parquet"},
        owners=["team:growth"],
    )
    def identifiers(
        context: dg.AssetExecutionContext, identities: pl.LazyFrame, ledger: LedgerResource
    ) -> dg.MaterializeResult[pl.LazyFrame]:
        """By which hashed e-mail address, phone number and name each platform can know a customer: the newest
        that was said of any of its ids. One row per customer; no raw value.
        """
        ensure_dataset(settings.lake, Kind.CRM)
        with ledger.open() as opened:
            landings = landing_order(opened, Kind.CRM)
            seen = newest_landing(opened)
        as_of = date.fromisoformat(context.partition_key)
        contacts = mapped(dataset(settings.lake, Kind.CRM), identities)
        known = identity.identifiers(contacts, as_of, landings=landings)
        seen = min(seen, landing_sequence(settings.lake, context.partition_key, "identities"))
        return dg.MaterializeResult(value=known, metadata={LANDING_SEQUENCE: seen})

    @dg.asset(
        group_name="customers",
        partitions_def=calendar.daily,
        deps=[Kind.TRANSACTIONS.dataset],
        kinds={"polars", "parquet"},
        owners=["team:analytics"],
        check_specs=[
            dg.AssetCheckSpec(
                "customer_features_are_sound",
                asset="customer_features",
                blocking=True,
                description="Great Expectations: one row per customer, ages and orders possible.",
            )
        ],
    )
    def customer_features(
        context: dg.AssetExecutionContext,
        orders: pl.LazyFrame,
        customer_activity: pl.LazyFrame,
        identities: pl.LazyFrame,
    ) -> Iterator[dg.MaterializeResult[pl.DataFrame]]:
        """What a customer looked like on the as-of date: rhythm, value, categories, website and e-mail
        behaviour. One row per customer with a first order; amounts in minor units.
        """
        seen = min(
            landings_seen(settings.lake),
            landing_sequence(settings.lake, context.partition_key, "identities"),
        )
        as_of = date.fromisoformat(context.partition_key)
        features = features_as_of(
            customers_orders(settings, orders, identities),
            as_of,
            activity=merged_activity(customer_activity, identities),
        )
        frame = features.sort("customer_id").collect(engine="streaming")
        sound = validate(
            frame.select("customer_id", "age_days", "orders", "observed_minor"), CUSTOMER_FEATURES
        )
        yield dg.MaterializeResult(
            value=frame,
            metadata={
                LANDING_SEQUENCE: seen,
                "customers": frame.height,
                "customers_with_repeat_orders": int((frame["orders"] > 1).sum()),
                "observed_value": float(frame["observed_minor"].sum() or 0) * 0.01,
            },
            check_results=[sound],
        )

    return [identifiers, customer_features]
