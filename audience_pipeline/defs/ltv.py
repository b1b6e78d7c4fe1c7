"""Customer values: the monthly model, the daily predictions and quintiles."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.expectations import PREDICTIONS
from audience_pipeline.defs.lake import last_order_day
from audience_pipeline.defs.pictures import picture, small_table
from audience_pipeline.defs.quality import validate
from audience_pipeline.defs.storage import LANDING_SEQUENCE, landing_sequence, table_path
from audience_pipeline.ltv import charts, registry
from audience_pipeline.ltv.minimum import TooLittleHistory
from audience_pipeline.ltv.report import Report
from audience_pipeline.ltv.scoring import ACTUALS_SCHEMA, actuals, score
from audience_pipeline.ltv.training import train
from audience_pipeline.settings import Settings

SEED = 7


def model_note(settings: Settings, as_of: date) -> Path:
    """Beside the predictions of a date: which model made them, or why there is none."""
    return table_path(settings.lake, "ltv_predictions", as_of.isoformat()).with_suffix(".json")


def _reason_file(settings: Settings) -> Path:
    return settings.lake / "ltv_model" / "no_model.json"


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value), encoding="utf-8")
    partial.replace(path)


def ltv_assets(settings: Settings, calendar: AsOfCalendar) -> list[dg.AssetsDefinition]:
    """ltv_model by month; ltv_predictions and ltv_quintiles by as-of date."""

    @dg.asset(
        group_name="ltv",
        partitions_def=calendar.monthly,
        kinds={"lightgbm", "mlflow"},
        owners=["team:analytics"],
        pool=None if settings.in_process else "training",
        check_specs=[
            dg.AssetCheckSpec(
                "there_is_enough_history",
                asset="ltv_model",
                description="500 customers, six months, and customers who have been observed for a year.",
            )
        ],
    )
    def ltv_model(
        context: dg.AssetExecutionContext, orders: pl.LazyFrame, customer_activity: pl.LazyFrame
    ) -> dg.MaterializeResult:
        """The model of 12-month LTV and next-12-month value, trained on complete windows only, as of the
        last day of the month. Registered in MLflow, where the newest is the champion.
        """
        as_of = min(calendar.month_end(context.partition_key), last_order_day(orders))
        recipe = registry.recipe_of(orders, as_of, customer_activity, seed=SEED)
        registry.prepare(settings.mlflow_uri)
        known = registry.adopt(settings.mlflow_uri, recipe)
        if known is not None:
            return _trained(
                registry.read(settings.mlflow_uri, settings.models, known.version), as_of, new=False
            )
        try:
            trained = train(
                orders,
                as_of,
                customer_activity,
                seed=SEED,
                threads=settings.threads,
                progress=lambda what, share: context.log.info("%.0f %% %s", 100 * share, what),
            )
        except TooLittleHistory as error:
            _write(_reason_file(settings), {"as_of": as_of.isoformat(), "no_model": str(error)})
            return _untrained(str(error), as_of)
        made = registry.register(
            trained, recipe, tracking_uri=settings.mlflow_uri, artifacts=settings.mlflow_artifacts
        )
        return _trained(registry.read(settings.mlflow_uri, settings.models, made.version), as_of, new=True)

    @dg.asset(
        group_name="ltv",
        partitions_def=calendar.daily,
        deps=[ltv_model],
        kinds={"lightgbm", "parquet"},
        owners=["team:analytics"],
        check_specs=[
            dg.AssetCheckSpec(
                "predictions_are_sound",
                asset="ltv_predictions",
                blocking=True,
                description="Great Expectations: a row per customer, quintiles 1 to 5, probabilities 0 to 1.",
            )
        ],
    )
    def ltv_predictions(
        context: dg.AssetExecutionContext, customer_features: pl.DataFrame
    ) -> Iterator[dg.MaterializeResult[pl.DataFrame]]:
        """Predicted 12-month LTV and next-12-month value of every customer, with the range and how sure it
        is. Money in the shop's currency. Made by the newest model that saw nothing after the as-of date.
        """
        as_of = date.fromisoformat(context.partition_key)
        registry.prepare(settings.mlflow_uri)
        known = registry.known_on(settings.mlflow_uri, settings.models, as_of)
        predictions = score(
            known.model if known else None,
            customer_features,
            prediction_date=as_of,
            model_version=known.version if known else None,
        )
        note = {"model_version": known.version, **known.report} if known else _no_model(settings, as_of)
        _write(model_note(settings, as_of), note)
        yield dg.MaterializeResult(
            value=predictions,
            metadata={
                LANDING_SEQUENCE: landing_sequence(settings.lake, context.partition_key, "customer_features"),
                "customers": predictions.height,
                "model_version": known.version if known else "none",
                **(_figures(predictions) if known else {"no_model": str(note["no_model"])}),
            },
            check_results=[validate(predictions, PREDICTIONS)],
        )

    @dg.asset(
        group_name="ltv",
        partitions_def=calendar.daily,
        kinds={"polars", "parquet"},
        owners=["team:analytics"],
    )
    def ltv_quintiles(
        context: dg.AssetExecutionContext, ltv_predictions: pl.DataFrame, orders: pl.LazyFrame
    ) -> dg.MaterializeResult[pl.DataFrame]:
        """The base in fifths by predicted 12-month LTV; beside it what was predicted on earlier dates and
        what those customers have really spent since. One row per quintile; money in the shop's currency.
        """
        as_of = date.fromisoformat(context.partition_key)
        checked = _checked(settings, as_of, orders)
        table = _quintiles(ltv_predictions, checked)
        return dg.MaterializeResult(
            value=table,
            metadata={
                "by_quintile": small_table(table),
                "checked_customers": checked.height,
                **(
                    {
                        "actual_over_predicted": _mean(checked, "actual_ltv")
                        / _mean(checked, "predicted_ltv"),
                        "within_30_share": _mean(checked, "within_30"),
                    }
                    if checked.height and _mean(checked, "predicted_ltv") > 0
                    else {}
                ),
            },
        )

    return [ltv_model, ltv_predictions, ltv_quintiles]


def _trained(known: registry.Known, as_of: date, *, new: bool) -> dg.MaterializeResult:
    report = Report.from_dict(known.report)
    headline = {
        f"{row['forecast']}_{name}".replace(" ", "_"): float(row[name])
        for row in _accuracy(report).to_dicts()
        for name in ("mae", "gini", "within_30", "decile_mape", "total_ratio")
        if row[name] is not None and row["forecast"] in {"predicted_ltv", "likely_ltv"}
    }
    return dg.MaterializeResult(
        metadata={
            "as_of": as_of.isoformat(),
            "model_version": known.version,
            "trained_anew": new,
            "customers": int(report.summary["customers"]),
            "training_rows": int(report.summary["training_rows"]),
            **headline,
            "calibration": picture("calibration", charts.calibration_chart(report)),
            "quintile_chart": picture("quintiles", charts.quintile_chart(report)),
            "quintiles": small_table(report.quintile_table()),
            "accuracy_beside_naive_forecasts": small_table(_accuracy(report)),
            "accuracy_at_all_ages": small_table(report.metrics),
            "importances": small_table(report.importances.head(30)),
        },
        check_results=[dg.AssetCheckResult(check_name="there_is_enough_history", passed=True)],
    )


def _accuracy(report: Report) -> pl.DataFrame:
    at_headline = (pl.col("target") == "ltv") & (pl.col("age_days") == report.summary["headline_age_days"])
    columns = ("forecast", "mae", "within_30", "gini", "spearman", "decile_mape", "total_ratio")
    return report.metrics.filter(at_headline).select(columns)


def _untrained(reason: str, as_of: date) -> dg.MaterializeResult:
    return dg.MaterializeResult(
        metadata={"as_of": as_of.isoformat(), "no_model": reason},
        check_results=[
            dg.AssetCheckResult(
                check_name="there_is_enough_history",
                passed=False,
                severity=dg.AssetCheckSeverity.WARN,
                description=reason,
            )
        ],
    )


def _no_model(settings: Settings, as_of: date) -> dict[str, str]:
    path = _reason_file(settings)
    if path.is_file():
        return {"no_model": str(json.loads(path.read_text(encoding="utf-8"))["no_model"])}
    return {
        "no_model": f"No model was trained on data up to {as_of}: materialise ltv_model for a month ending "
        "by then."
    }


def _checked(settings: Settings, as_of: date, orders: pl.LazyFrame) -> pl.DataFrame:
    """What was predicted of each customer whose first year is over by now, with what they spent.

    The last date of each month is looked at, and of each customer the first prediction.
    """
    folder = table_path(settings.lake, "ltv_predictions", as_of.isoformat()).parent
    oldest = as_of - timedelta(days=2 * 365)
    last_of_month: dict[str, Path] = {}
    for path in sorted(folder.glob("*.parquet")):
        if oldest <= date.fromisoformat(path.stem) < as_of:
            last_of_month[path.stem[:7]] = path
    if not last_of_month:
        return pl.DataFrame(schema=ACTUALS_SCHEMA)
    checked = actuals(pl.scan_parquet(list(last_of_month.values())), orders, as_of)
    return checked.sort("customer_id", "prediction_date").unique(
        "customer_id", keep="first", maintain_order=True
    )


def _quintiles(predictions: pl.DataFrame, checked: pl.DataFrame) -> pl.DataFrame:
    now = predictions.group_by("ltv_quintile").agg(
        pl.len().cast(pl.Int64).alias("customers"),
        pl.col("predicted_ltv", "observed_value", "next_12m_value").mean(),
    )
    then = checked.group_by("ltv_quintile").agg(
        pl.len().cast(pl.Int64).alias("checked_customers"),
        pl.col("predicted_ltv").mean().alias("predicted_then"),
        pl.col("actual_ltv").mean().alias("actual_since"),
    )
    return now.join(then, on="ltv_quintile", how="left").sort("ltv_quintile")


def _figures(predictions: pl.DataFrame) -> dict[str, Any]:
    high = predictions.select(pl.col("confidence") == "high")
    return {
        "predicted_ltv_mean": _mean(predictions, "predicted_ltv"),
        "next_12m_value_sum": float(predictions["next_12m_value"].sum() or 0.0),
        "high_confidence_share": _mean(high, "confidence"),
    }


def _mean(frame: pl.DataFrame, column: str) -> float:
    return float(frame.select(pl.col(column).cast(pl.Float64).mean()).item() or 0.0)
