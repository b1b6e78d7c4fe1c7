"""Customer values: the monthly model, the daily predictions and quintiles."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from audience_pipeline.customers.mapped import mapped_once
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.expectations import PREDICTIONS
from audience_pipeline.defs.identities import customers_orders
from audience_pipeline.defs.lake import write_json
from audience_pipeline.defs.ltv_model import ltv_model_asset, reason_file
from audience_pipeline.defs.ltv_reasons import reasons_asset
from audience_pipeline.defs.pictures import small_table
from audience_pipeline.defs.quality import validate
from audience_pipeline.defs.storage import LANDING_SEQUENCE, landing_sequence, table_path
from audience_pipeline.ltv import registry
from audience_pipeline.ltv.drift import Drift, drift
from audience_pipeline.ltv.scoring import ACTUALS_SCHEMA, actuals, score
from audience_pipeline.ltv.store import prepare
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind

SOUND = "predictions_are_sound"
ALIKE = "customers_look_like_those_of_the_training"


def model_note(settings: Settings, as_of: date) -> Path:
    """Beside the predictions of a date: which model made them, or why there is none."""
    return table_path(settings.lake, "ltv_predictions", as_of.isoformat()).with_suffix(".json")


def drift_note(settings: Settings, as_of: date) -> Path:
    """How far the customers of a date have moved from those of the training: what the drift sensor reads."""
    return settings.lake / "ltv_drift" / f"{as_of}.json"


def ltv_assets(settings: Settings, calendar: AsOfCalendar) -> list[dg.AssetsDefinition]:
    """ltv_model by month; ltv_predictions, ltv_reasons and ltv_quintiles by as-of date."""
    ltv_model = ltv_model_asset(settings, calendar)

    @dg.asset(
        group_name="ltv",
        partitions_def=calendar.daily,
        deps=[ltv_model],
        kinds={"lightgbm", "parquet"},
        owners=["team:analytics"],
        check_specs=[
            dg.AssetCheckSpec(
                SOUND,
                asset="ltv_predictions",
                blocking=True,
                description="Great Expectations: a row per customer, quintiles 1 to 5, probabilities 0 to 1.",
            ),
            dg.AssetCheckSpec(
                ALIKE,
                asset="ltv_predictions",
                description="No feature or prediction has a population stability index of 0.25 or more.",
            ),
        ],
    )
    def ltv_predictions(
        context: dg.AssetExecutionContext, customer_features: pl.DataFrame
    ) -> Iterator[dg.MaterializeResult[pl.DataFrame]]:
        """Predicted 12-month LTV and next-12-month value of every customer, with the range and how sure it
        is. Money in the shop's currency. Made by the champion; for a date before its training, by the newest
        model that had seen nothing later.
        """
        as_of = date.fromisoformat(context.partition_key)
        prepare(settings.mlflow_uri)
        known = registry.known_on(settings.mlflow_uri, settings.models, as_of)
        base = customer_features.sort("customer_id")
        predictions = score(
            known.model if known else None,
            base,
            prediction_date=as_of,
            model_version=known.version if known else None,
        )
        note = {"model_version": known.version, **known.report} if known else _no_model(settings, as_of)
        write_json(model_note(settings, as_of), note)
        moved = drift(known.reference, base, predictions) if known else None
        write_json(drift_note(settings, as_of), _moved(known, moved))
        yield dg.MaterializeResult(
            value=predictions,
            metadata={
                LANDING_SEQUENCE: landing_sequence(settings.lake, context.partition_key, "customer_features"),
                "customers": predictions.height,
                "model_version": known.version if known else "none",
                **(_figures(predictions) if known else {"no_model": str(note["no_model"])}),
            },
            check_results=[validate(predictions, PREDICTIONS, check_name=SOUND), _drift_check(moved)],
        )

    @dg.asset(
        group_name="ltv",
        partitions_def=calendar.daily,
        deps=[Kind.TRANSACTIONS.dataset],
        kinds={"polars", "parquet"},
        owners=["team:analytics"],
    )
    def ltv_quintiles(
        context: dg.AssetExecutionContext,
        ltv_predictions: pl.DataFrame,
        orders: pl.LazyFrame,
        identities: pl.LazyFrame,
    ) -> dg.MaterializeResult[pl.DataFrame]:
        """The base in fifths by predicted 12-month LTV; beside it what was predicted on earlier dates and
        what those customers have really spent since. One row per quintile; money in the shop's currency.
        """
        as_of = date.fromisoformat(context.partition_key)
        checked = _checked(settings, as_of, orders, identities)
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

    return [ltv_model, ltv_predictions, reasons_asset(settings, calendar), ltv_quintiles]


def _moved(known: registry.Known | None, moved: Drift | None) -> dict[str, Any]:
    """JSON-safe; what the sensor compares, and a sentence for people."""
    if known is None or moved is None:
        return {"model_version": None, "act": False, "sentence": "There is no model yet."}
    return {
        "model_version": known.version,
        "model_as_of": known.model.as_of.isoformat(),
        "act": moved.act,
        "sentence": moved.sentence,
        "columns": moved.table.filter(pl.col("state") != "alike").to_dicts(),
    }


def _drift_check(moved: Drift | None) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=ALIKE,
        passed=moved is None or not moved.act,
        severity=dg.AssetCheckSeverity.WARN,
        description=moved.sentence if moved else "There is no model yet.",
        metadata={
            "greatest_psi": float(moved.table["psi"].max() or 0.0),  # type: ignore[arg-type]
            "columns_that_moved_most": small_table(moved.table.head(15)),
        }
        if moved is not None and moved.table.height
        else {},
    )


def _no_model(settings: Settings, as_of: date) -> dict[str, str]:
    path = reason_file(settings)
    if path.is_file():
        return {"no_model": str(json.loads(path.read_text(encoding="utf-8"))["no_model"])}
    return {
        "no_model": f"No model was trained on data up to {as_of}: materialise ltv_model for a month ending "
        "by then."
    }


def _checked(settings: Settings, as_of: date, orders: pl.LazyFrame, identities: pl.LazyFrame) -> pl.DataFrame:
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
    made = pl.scan_parquet(list(last_of_month.values()))
    predictions = mapped_once(made, identities, "prediction_date")
    checked = actuals(predictions, customers_orders(settings, orders, identities), as_of)
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
