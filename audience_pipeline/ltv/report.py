"""What training found out about the model: tables small enough to read, plot and keep."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from audience_pipeline.ltv.boosters import PARAMETERS, ROUNDS, TWEEDIE_POWER
from audience_pipeline.ltv.distribution import RULE, Forecast
from audience_pipeline.ltv.evaluation import groups, metrics
from audience_pipeline.ltv.intervals import reliability
from audience_pipeline.ltv.matrix import Floats
from audience_pipeline.ltv.model import LtvModel
from audience_pipeline.ltv.quintiles import QUINTILES
from audience_pipeline.ltv.snapshots import AGES

HEADLINE_AGE = 30
"""Days after the first order of the figures that are shown first."""
_MAJOR = 0.01


@dataclass(frozen=True, slots=True)
class Held:
    """Rows predicted by a model that never saw the customer; money in minor units."""

    age: Floats
    observed: Floats
    predicted: Floats
    actual: Floats
    fold: Floats
    spend_so_far: Floats

    def where(self, inside: Floats) -> Held:
        """Some of the rows."""
        return Held(
            self.age[inside], self.observed[inside], self.predicted[inside],
            self.actual[inside], self.fold[inside], self.spend_so_far[inside],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Report:
    """Quality of a model on customers it never saw; money in major units."""

    summary: dict[str, Any]
    """JSON-safe: what was trained on what, and the headline figures."""
    metrics: pl.DataFrame
    """``target, age_days, forecast, customers`` and the figures of ``evaluation.metrics``; the forecasts
    are ``predicted_ltv`` and ``likely_ltv`` (or ``next_12m_value``) and the naive ones beside them."""
    probabilities: pl.DataFrame
    """By ``age_days``: stated and realised ``within_30``, ``calibration_error``, the tails of the 80 %
    interval, and the customers of high confidence."""
    quintiles: pl.DataFrame
    """``age_days, ltv_quintile, customers, predicted_ltv, actual_ltv`` (means), quintile 1 on top."""
    deciles: pl.DataFrame
    """``target, age_days, decile, customers, predicted, actual`` (means), decile 1 on top."""
    importances: pl.DataFrame
    """``model, feature, gain`` (share of the model's total gain), greatest first."""

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON-safe values."""
        tables = ("metrics", "probabilities", "quintiles", "deciles", "importances")
        return {"summary": self.summary} | {name: getattr(self, name).to_dicts() for name in tables}

    def as_json(self) -> str:
        """The same as text, stable from run to run."""
        return json.dumps(self.as_dict(), indent=1, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Report:
        """The report that :meth:`as_dict` gave."""
        tables = ("metrics", "probabilities", "quintiles", "deciles", "importances")
        frames = {name: pl.DataFrame(values[name], infer_schema_length=None) for name in tables}
        return cls(summary=dict(values["summary"]), **frames)

    def quintile_table(self, age_days: int = HEADLINE_AGE) -> pl.DataFrame:
        """The quintiles at one age, without the age."""
        return self.quintiles.filter(pl.col("age_days") == age_days).drop("age_days")


def build_report(
    *,
    as_of: date,
    first: pl.DataFrame,
    first_year: Held,
    forecast: Forecast,
    next_12m: Held,
    repeat: tuple[Floats, Floats],
    snapshot: date,
    model: LtvModel,
    rows: int,
    customers: int,
    seed: int,
) -> Report:
    """Measure held-out predictions; only customers whose windows are over take part."""
    tables: dict[str, list[pl.DataFrame]] = {
        "metrics": [],
        "probabilities": [],
        "quintiles": [],
        "deciles": [],
    }
    for age in AGES:
        at = first_year.age == age
        held = first_year.where(at)
        if not len(held.age):
            continue
        likely = forecast.likely[at]
        tables["metrics"].append(
            _compare("ltv", age, {"predicted_ltv": held.predicted, "likely_ltv": likely}, held)
        )
        tables["probabilities"].append(_probabilities(age, held, _at(forecast, at)))
        fifths = groups(held.predicted * _MAJOR, held.actual * _MAJOR, QUINTILES)
        tables["quintiles"].append(
            fifths.select(
                pl.lit(age, dtype=pl.Int64).alias("age_days"),
                pl.col("group").alias("ltv_quintile"),
                "customers",
                pl.col("predicted").alias("predicted_ltv"),
                pl.col("actual").alias("actual_ltv"),
            )
        )
        tables["deciles"].append(_deciles("ltv", age, held))
    tables["metrics"].append(_compare("next_12m", None, {"next_12m_value": next_12m.predicted}, next_12m))
    tables["deciles"].append(_deciles("next_12m", None, next_12m))
    frames = {name: pl.concat(parts) for name, parts in tables.items()}
    probability, again = repeat
    summary = {
        "as_of": as_of.isoformat(),
        "first_order": str(first["first_order"].min()),
        "customers": first.height,
        "training_customers": customers,
        "training_rows": rows,
        "evaluated_customers": int((first_year.age == HEADLINE_AGE).sum()),
        "next_12m_snapshot": snapshot.isoformat(),
        "repeat_share": float(again.mean()),
        "repeat_predicted": float(probability.mean()),
        "repeat_calibration_error": reliability(probability, again),
        "headline_age_days": HEADLINE_AGE,
        "parameters": {**PARAMETERS, "rounds": ROUNDS, "tweedie_variance_power": TWEEDIE_POWER, "seed": seed},
    }
    return Report(summary=summary, importances=_importances(model), **frames)


def _compare(target: str, age: int | None, forecasts: dict[str, Floats], held: Held) -> pl.DataFrame:
    others = forecasts | {
        f"spend so far x {RULE}": RULE * held.spend_so_far,
        "last 12 months": held.observed,
        "global mean": _mean_of_others(held),
    }
    return pl.DataFrame(
        [
            {"target": target, "age_days": age, "forecast": name, "customers": len(held.age)}
            | metrics(predicted * _MAJOR, held.actual * _MAJOR)
            for name, predicted in others.items()
        ],
        schema_overrides={"age_days": pl.Int64, "r2": pl.Float64, "gini": pl.Float64, "spearman": pl.Float64,
                          "decile_mape": pl.Float64, "total_ratio": pl.Float64},
    )  # fmt: skip


def _mean_of_others(held: Held) -> Floats:
    """The mean of the other folds: what a model without features would say."""
    mean = np.zeros(len(held.fold))
    for number in np.unique(held.fold):
        out = held.fold == number
        others = held.actual[~out] if (~out).any() else held.actual
        mean[out] = others.mean()
    return mean


def _probabilities(age: int, held: Held, forecast: Forecast) -> pl.DataFrame:
    hit = (np.abs(forecast.likely - held.actual) <= 0.3 * np.abs(held.actual)).astype(np.float64)
    high = forecast.within_30 >= 0.7
    return pl.DataFrame(
        {
            "age_days": [age],
            "customers": [len(hit)],
            "within_30_stated": [float(forecast.within_30.mean())],
            "within_30_realised": [float(hit.mean())],
            "calibration_error": [reliability(forecast.within_30, hit)],
            "above_p90": [float((held.actual > forecast.p90).mean())],
            "below_p10": [float((held.actual < forecast.p10).mean())],
            "high_share": [float(high.mean())],
            "high_within_30": [float(hit[high].mean()) if high.any() else None],
        },
        schema_overrides={"age_days": pl.Int64, "customers": pl.Int64, "high_within_30": pl.Float64},
    )


def _at(forecast: Forecast, at: Floats) -> Forecast:
    return Forecast(forecast.likely[at], forecast.p10[at], forecast.p90[at], forecast.within_30[at])


def _deciles(target: str, age: int | None, held: Held) -> pl.DataFrame:
    return groups(held.predicted * _MAJOR, held.actual * _MAJOR).select(
        pl.lit(target).alias("target"),
        pl.lit(age, dtype=pl.Int64).alias("age_days"),
        pl.col("group").alias("decile"),
        "customers",
        "predicted",
        "actual",
    )


def _importances(model: LtvModel) -> pl.DataFrame:
    parts = []
    for name, part in (
        ("predicted_ltv", model.remaining),
        ("next_12m_value", model.next_12m),
        ("repeat_probability", model.repeat),
    ):
        booster = part.booster
        if booster is None:
            continue
        gain = booster.feature_importance("gain")
        parts.append(
            pl.DataFrame(
                {"feature": model.encoder.names, "gain": gain / max(float(gain.sum()), 1e-12)}
            ).select(pl.lit(name).alias("model"), "feature", "gain")
        )
    schema = {"model": pl.String, "feature": pl.String, "gain": pl.Float64}
    table = pl.concat(parts) if parts else pl.DataFrame(schema=schema)
    return table.sort(["model", "gain", "feature"], descending=[False, True, False])
