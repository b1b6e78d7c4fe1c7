"""What brought each order, as of a date."""

from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from audience_pipeline.customers import attribution
from audience_pipeline.customers.attribution import AttributionRules, CouponCampaign
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.identities import customers_orders
from audience_pipeline.defs.lake import dataset, ensure_dataset
from audience_pipeline.defs.storage import LANDING_SEQUENCE, landing_sequence
from audience_pipeline.defs.warehouse import landings_seen
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind


def attribution_rules(settings: Settings) -> AttributionRules:
    """Coupons and lookback of a workspace: section ``attribution`` of ``audience.yaml``."""
    said = settings.config.attribution
    return AttributionRules(
        coupons={
            code.upper(): CouponCampaign(coupon.campaign, coupon.platform, coupon.channel)
            for code, coupon in said.coupons.items()
        },
        lookback_days=said.lookback_days,
    )


def attribution_asset(settings: Settings, calendar: AsOfCalendar) -> dg.AssetsDefinition:
    """order_attribution, one partition per as-of date."""

    @dg.asset(
        group_name="customers",
        partitions_def=calendar.daily,
        deps=[Kind.TRANSACTIONS.dataset, Kind.WEB.dataset],
        kinds={"polars", "parquet"},
        owners=["team:marketing"],
    )
    def order_attribution(
        context: dg.AssetExecutionContext, orders: pl.LazyFrame, identities: pl.LazyFrame
    ) -> dg.MaterializeResult[pl.DataFrame]:
        """Which channel, campaign and platform brought each order, and how that is known: by a coupon, a
        click id, UTM, or the channel alone. One row per order.
        """
        for kind in (Kind.TRANSACTIONS, Kind.WEB):
            ensure_dataset(settings.lake, kind)
        seen = min(
            landings_seen(settings.lake),
            landing_sequence(settings.lake, context.partition_key, "identities"),
        )
        brought = attribution.order_attribution(
            customers_orders(settings, orders, identities),
            dataset(settings.lake, Kind.TRANSACTIONS),
            dataset(settings.lake, Kind.WEB),
            date.fromisoformat(context.partition_key),
            identities=identities,
            rules=attribution_rules(settings),
        )
        return dg.MaterializeResult(value=brought, metadata={LANDING_SEQUENCE: seen, **_figures(brought)})

    return order_attribution


def _figures(brought: pl.DataFrame) -> dict[str, Any]:
    how = dict(brought["how"].value_counts().iter_rows())
    return {
        "orders": brought.height,
        "orders_of_a_platform": int(brought["platform"].is_not_null().sum()),
        **{f"orders_by_{name}": int(how.get(name, 0)) for name in attribution.HOW},
    }
