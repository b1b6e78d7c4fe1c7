"""What was predicted and what came of it, by month of the first order."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import polars as pl

from audience_pipeline.customers.mapped import mapped_once
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.identities import customers_orders
from audience_pipeline.defs.lake import write_json
from audience_pipeline.defs.pictures import picture, small_table
from audience_pipeline.defs.storage import LANDING_SEQUENCE, landing_sequence, table_path
from audience_pipeline.ltv.drift import Calibration
from audience_pipeline.ltv.scoring import PREDICTIONS_SCHEMA
from audience_pipeline.results.charts import cohort_chart
from audience_pipeline.results.cohorts import RECENT_DAYS, cohorts, earliest, recent_calibration
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind

YEARS = 3
"""How far back predictions are read; older ones are of cohorts that were checked long ago."""
AS_PREDICTED = "customers_spend_as_predicted"


def calibration_note(settings: Settings, as_of: date) -> Path:
    """Whether customers spend as predicted, on a date: what the drift sensor reads."""
    return settings.lake / "ltv_drift" / f"{as_of}.calibration.json"


def cohort_asset(settings: Settings, calendar: AsOfCalendar) -> dg.AssetsDefinition:
    """ltv_cohorts, by as-of date."""

    @dg.asset(
        group_name="results",
        partitions_def=calendar.daily,
        deps=["ltv_predictions", Kind.TRANSACTIONS.dataset],
        kinds={"polars", "parquet"},
        owners=["team:analytics"],
        check_specs=[
            dg.AssetCheckSpec(
                AS_PREDICTED,
                asset="ltv_cohorts",
                description=f"Customers whose first year ended in the last {RECENT_DAYS} days spent what was "
                "predicted, within 10 % or the noise of a bootstrap.",
            )
        ],
    )
    def ltv_cohorts(
        context: dg.AssetExecutionContext, orders: pl.LazyFrame, identities: pl.LazyFrame
    ) -> Iterator[dg.MaterializeResult[pl.DataFrame]]:
        """Predicted against actual 12-month LTV by month of the first order: what was predicted on the dates
        up to this one, and what those customers have spent since. One row per month; money in the shop's
        currency.
        """
        as_of = date.fromisoformat(context.partition_key)
        files = held_predictions(settings, as_of)
        predictions = pl.scan_parquet(files) if files else pl.LazyFrame(schema=PREDICTIONS_SCHEMA)
        customers = earliest(
            mapped_once(predictions, identities, "prediction_date"),
            customers_orders(settings, orders, identities),
            as_of,
        )
        table = cohorts(customers)
        recent = recent_calibration(customers, as_of)
        write_json(calibration_note(settings, as_of), recent.as_dict() | {"act": recent.off})
        yield dg.MaterializeResult(
            value=table,
            metadata={
                LANDING_SEQUENCE: landing_sequence(settings.lake, context.partition_key, "ltv_predictions"),
                "cohorts": table.height,
                "customers_with_a_complete_year": int(table["complete_customers"].sum()),
                "dates_of_predictions": len(files),
                **({"actual_over_predicted": recent.ratio} if recent.ratio is not None else {}),
                "predicted_against_actual": picture("predicted against actual", cohort_chart(table)),
                "by_month_of_first_order": small_table(table.tail(36)),
            },
            check_results=[_check(recent)],
        )

    return ltv_cohorts


def held_predictions(settings: Settings, as_of: date) -> list[Path]:
    """Files of predictions of dates up to ``as_of``: the last date of each week, and that day itself."""
    folder = table_path(settings.lake, "ltv_predictions", as_of.isoformat()).parent
    oldest = as_of - timedelta(days=YEARS * 365)
    by_week: dict[tuple[int, int], Path] = {}
    for path in sorted(folder.glob("*.parquet")):
        day = date.fromisoformat(path.stem)
        if oldest <= day <= as_of:
            year, week, _ = day.isocalendar()
            by_week[year, week] = path
    return list(by_week.values())


def _check(recent: Calibration) -> dg.AssetCheckResult:
    if recent.ratio is None or recent.low is None or recent.high is None:
        said = f"No predicted customer's first year ended in the last {RECENT_DAYS} days."
    else:
        said = (
            f"{recent.customers:,} customers whose first year ended in the last {RECENT_DAYS} days spent "
            f"{recent.ratio:.2f} times what had been predicted of them first (95 % interval {recent.low:.2f} "
            f"to {recent.high:.2f})"
            + (": off by more than 10 % and beyond noise. Train a new model." if recent.off else ".")
        )
    return dg.AssetCheckResult(
        check_name=AS_PREDICTED,
        passed=not recent.off,
        severity=dg.AssetCheckSeverity.WARN,
        description=said,
        metadata={key: value for key, value in recent.as_dict().items() if value is not None},
    )
