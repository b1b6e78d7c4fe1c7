"""Segments: found monthly, assigned daily."""

from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl

from audience_pipeline.customers.mapped import merged_activity
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.identities import LANDED, customers_orders, resolved_as_of
from audience_pipeline.defs.lake import last_order_day
from audience_pipeline.defs.pictures import picture, small_table
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.defs.storage import LANDING_SEQUENCE, landing_sequence
from audience_pipeline.features.customer_features import customer_features as features_as_of
from audience_pipeline.segments import model as segment_models
from audience_pipeline.segments.charts import segment_sizes
from audience_pipeline.segments.discovery import discover
from audience_pipeline.segments.scorecards import scorecards
from audience_pipeline.settings import Settings

NOT_YET = "Not segmented yet"


def _models(settings: Settings) -> Path:
    return settings.lake / "segment_model"


def segments_known_on(
    settings: Settings, calendar: AsOfCalendar, as_of: date
) -> segment_models.SegmentModel | None:
    """The newest segments that were found from data up to ``as_of`` and no later; None before the first."""
    found = [
        path for path in sorted(_models(settings).glob("*.json")) if calendar.month_end(path.stem) <= as_of
    ]
    return segment_models.load(found[-1]) if found else None


def segment_assets(settings: Settings, calendar: AsOfCalendar) -> list[dg.AssetsDefinition]:
    """segment_model by month; customer_segments and segment_scorecards by as-of date."""

    @dg.asset(
        group_name="segments",
        partitions_def=calendar.monthly,
        deps=LANDED,
        kinds={"scikitlearn", "polars"},
        owners=["team:analytics"],
        pool=None if settings.in_process else "training",
    )
    def segment_model(
        context: dg.AssetExecutionContext,
        orders: pl.LazyFrame,
        customer_activity: pl.LazyFrame,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult:
        """Groups of customers who behave alike, found by k-means as of the last day of the month. As many
        as bootstrap samples find again.
        """
        as_of = min(calendar.month_end(context.partition_key), last_order_day(orders))
        with ledger.open() as opened:
            identities = resolved_as_of(settings, opened, as_of).identities.lazy()
        features = features_as_of(
            customers_orders(settings, orders, identities),
            as_of,
            activity=merged_activity(customer_activity, identities),
        ).collect(engine="streaming")
        if features.is_empty():
            raise dg.Failure(f"no customer had ordered by {as_of}: choose a later month", allow_retries=False)
        model = discover(features)
        _models(settings).mkdir(parents=True, exist_ok=True)
        segment_models.save(model, _models(settings) / f"{context.partition_key}.json")
        return dg.MaterializeResult(
            metadata={
                "as_of": as_of.isoformat(),
                "segments": len(model.segments),
                "customers": model.customers,
                "stability": round(model.stability.get(len(model.segments), 0.0), 4),
                "by_segment": small_table(
                    pl.DataFrame(
                        {
                            "segment": [segment.name for segment in model.segments],
                            "share": [segment.share for segment in model.segments],
                        }
                    )
                ),
            }
        )

    @dg.asset(
        group_name="segments",
        partitions_def=calendar.daily,
        deps=[segment_model],
        kinds={"polars", "parquet"},
        owners=["team:analytics"],
    )
    def customer_segments(
        context: dg.AssetExecutionContext, customer_features: pl.DataFrame
    ) -> dg.MaterializeResult[pl.DataFrame]:
        """The segment of each customer on the as-of date: the group whose centre is nearest."""
        as_of = date.fromisoformat(context.partition_key)
        model = segments_known_on(settings, calendar, as_of)
        seen = landing_sequence(settings.lake, context.partition_key, "customer_features")
        if model is not None:
            assigned = segment_models.assign(model, customer_features)
            return dg.MaterializeResult(
                value=assigned, metadata={LANDING_SEQUENCE: seen, "segments": len(model.segments)}
            )
        nobody_yet = customer_features.select(
            "customer_id", pl.lit("s0").alias("segment_id"), pl.lit(NOT_YET).alias("segment")
        ).sort("customer_id")
        return dg.MaterializeResult(
            value=nobody_yet,
            metadata={
                LANDING_SEQUENCE: seen,
                "segments": 0,
                "notice": f"No segments were found from data up to {as_of}. Materialise segment_model for a "
                "month that ends by then, then this date again.",
            },
        )

    @dg.asset(
        group_name="segments",
        partitions_def=calendar.daily,
        kinds={"polars", "parquet"},
        owners=["team:analytics"],
    )
    def segment_scorecards(
        customer_segments: pl.DataFrame, customer_features: pl.DataFrame, ltv_predictions: pl.DataFrame
    ) -> dg.MaterializeResult[pl.DataFrame]:
        """How many customers each segment has, what they do and are worth. One row per segment."""
        cards = scorecards(customer_segments, customer_features, ltv_predictions)
        return dg.MaterializeResult(
            value=cards,
            metadata={
                "segments": cards.height,
                "largest_share": cards.select(pl.col("share").max()).item() or 0.0,
                "sizes": picture("segment sizes", segment_sizes(cards)),
                "by_segment": small_table(cards.drop("segment_id")),
            },
        )

    return [segment_model, customer_segments, segment_scorecards]
