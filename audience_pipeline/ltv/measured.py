"""Held-out predictions measured, beside the naive forecasts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from audience_pipeline.ltv.comparison import compare
from audience_pipeline.ltv.evaluation import Judge, Ranking, group_numbers, groups
from audience_pipeline.ltv.held import HeldOut
from audience_pipeline.ltv.intervals import (
    COVERAGES,
    best_multiple,
    confidence_by_orders,
    future_value,
    hits,
    reliability,
    reliability_by_chance,
    reliability_table,
    risk_coverage,
    skill,
    tails,
)
from audience_pipeline.ltv.matrix import Floats
from audience_pipeline.ltv.quintiles import QUINTILES
from audience_pipeline.ltv.report_tables import (
    CONSTANT,
    GAIN_SHARES,
    GAINS,
    HEADLINE_AGE,
    HIGH,
    LAST_12M,
    MEDIUM,
    MOST_MONTHS,
    PURCHASE_MODEL,
    RULE,
    RULE_FACTOR,
    TABLES,
    Tables,
    table_of,
)


def measure(held: HeldOut, *, seed: int = 7) -> Tables:
    """Measure held-out predictions of both targets, one row a customer and age.

    Args:
        held: See :data:`audience_pipeline.ltv.held.HELD_SCHEMA`.
        seed: Of the bootstrap.
    """
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    ages = sorted(held.ltv["age_days"].unique().to_list())
    headline = min(ages, key=lambda age: (abs(age - HEADLINE_AGE), age), default=HEADLINE_AGE)
    for age in ages:
        at = held.ltv.filter(pl.col("age_days") == age).sort("customer_id")
        _money(rows, "ltv", age, at, {"predicted_ltv": "predicted", "likely_ltv": "likely"}, seed)
        _probabilities(rows, age, at)
        _quintiles(rows, age, at)
        if age == headline:
            _months(rows, age, at)
    if held.next_12m.height:
        at = held.next_12m.sort("customer_id")
        _money(rows, "next_12m", None, at, {"next_12m_value": "predicted"}, seed)
        known = at.filter(pl.col("repeat_probability").is_not_null() & pl.col("repeated").is_not_null())
        bins = reliability_table(_floats(known, "repeat_probability"), _floats(known, "repeated"))
        rows["reliability"] += _with(bins, probability="repeat_probability", age_days=None)
    return Tables(**{name: table_of(name, rows[name]) for name in TABLES})


def repeat_calibration(held: HeldOut) -> dict[str, float]:
    """Share of customers who came again, as predicted and as it was, and the calibration error."""
    known = held.next_12m.filter(
        pl.col("repeat_probability").is_not_null() & pl.col("repeated").is_not_null()
    )
    if known.is_empty():
        return {}
    stated, again = _floats(known, "repeat_probability"), _floats(known, "repeated")
    return {
        "repeat_share": float(again.mean()),
        "repeat_predicted": float(stated.mean()),
        "repeat_calibration_error": reliability(stated, again),
    }


def _money(
    rows: dict[str, list[dict[str, Any]]],
    target: str,
    age: int | None,
    at: pl.DataFrame,
    columns: Mapping[str, str],
    seed: int,
) -> None:
    """Figures, differences, deciles and gain curves of the forecasts of one target at one age."""
    actual, keys = _floats(at, "actual"), {"target": target, "age_days": age}
    naive = {
        RULE: RULE_FACTOR * _floats(at, "observed_value"),
        LAST_12M: _floats(at, "last_12m"),
        PURCHASE_MODEL: _floats(at, "purchase_model"),
        CONSTANT: _floats(at, "global_mean"),
    }
    forecasts = {name: _floats(at, column) for name, column in columns.items()}
    compared = compare(forecasts, {k: v for k, v in naive.items() if np.isfinite(v).all()}, actual, seed=seed)
    rows["metrics"] += [keys | {"customers": at.height} | row for row in compared.figures]
    rows["differences"] += [keys | row for row in compared.differences]
    deciles = groups(forecasts[next(iter(columns))], actual).rename({"group": "decile"})
    rows["deciles"] += _with(deciles, **keys)
    judge, shares = Judge(actual), np.array(GAIN_SHARES)
    curves = {name: _floats(at, column) for name, column in GAINS.items()}
    curves = {
        name: judge.gain(Ranking.of(score)).at(shares)[0]
        for name, score in curves.items()
        if np.isfinite(score).all()
    }
    if actual.sum() > 0:
        rows["gain"] += [
            keys | {"share": share} | {name: float(curve[place]) for name, curve in curves.items()}
            for place, share in enumerate(GAIN_SHARES)
        ]


def _probabilities(rows: dict[str, list[dict[str, Any]]], age: int, at: pl.DataFrame) -> None:
    actual, stated = _floats(at, "actual"), _floats(at, "within_30_probability")
    observed = _floats(at, "observed_value")
    hit = hits(_floats(at, "likely"), actual)
    rule = float(hits(RULE_FACTOR * observed, actual).mean())
    above, below = tails(actual, _floats(at, "p10"), _floats(at, "p90"))
    surest = risk_coverage(stated, hit)
    grouped = risk_coverage(confidence_by_orders(_floats(at, "orders"), hit), hit)
    multiple, multiple_hits = best_multiple(observed, actual)
    levels = {
        "high": stated >= HIGH,
        "medium": (stated >= MEDIUM) & (stated < HIGH),
        "low": stated < MEDIUM,
    }
    rows["probabilities"].append(
        {
            "age_days": age,
            "customers": at.height,
            "window_days": int(at["days"].min() or 0),  # type: ignore[arg-type]
            "within_30_stated": float(stated.mean()),
            "within_30_realised": float(hit.mean()),
            "within_30_rule": rule,
            "skill": skill(float(hit.mean()), rule),
            "calibration_error": reliability(stated, hit),
            "calibration_error_by_chance": reliability_by_chance(stated),
            "above_p90": above,
            "below_p10": below,
            **{f"{name}_share": float(inside.mean()) for name, inside in levels.items()},
            **{
                f"{name}_within_30": float(hit[inside].mean()) if inside.any() else None
                for name, inside in levels.items()
            },
            "coverage": float(surest.mean()),
            "coverage_by_orders": float(grouped.mean()),
            "best_multiple": multiple,
            "best_multiple_within_30": multiple_hits,
            **future_value(observed, _floats(at, "predicted"), actual),
        }
    )
    bins = reliability_table(stated, hit)
    rows["reliability"] += _with(bins, probability="within_30_probability", age_days=age)
    rows["coverage"] += [
        {
            "age_days": age,
            "share": share,
            "most_confident_first": float(surest[place]),
            "by_number_of_orders": float(grouped[place]),
        }
        for place, share in enumerate(COVERAGES)
    ]


def _quintiles(rows: dict[str, list[dict[str, Any]]], age: int, at: pl.DataFrame) -> None:
    actual, likely = _floats(at, "actual"), _floats(at, "likely")
    value = np.clip(actual, 0, None)
    table = (
        at.select("predicted", "actual")
        .with_columns(
            pl.Series("ltv_quintile", group_numbers(_floats(at, "predicted"), QUINTILES)),
            pl.Series("within_30", hits(likely, actual)),
            pl.Series("within_20", hits(likely, actual, 0.2)),
            pl.Series("value_within_30", hits(likely, actual) * value),
            pl.Series("value", value),
        )
        .group_by("ltv_quintile")
        .agg(pl.len().alias("customers"), pl.exclude("ltv_quintile").mean())
        .sort("ltv_quintile")
    )
    for row in table.to_dicts():
        spent, weight = row.pop("actual"), row.pop("value")
        predicted, valued = row.pop("predicted"), row.pop("value_within_30")
        rows["quintiles"].append(
            row
            | {
                "age_days": age,
                "predicted_ltv": predicted,
                "actual_ltv": spent,
                "total_ratio": predicted / spent if spent > 0 else None,
                "value_within_30": valued / weight if weight > 0 else None,
            }
        )


def _months(rows: dict[str, list[dict[str, Any]]], age: int, at: pl.DataFrame) -> None:
    table = (
        at.with_columns(
            pl.col("first_order").dt.to_string("%Y-%m").alias("month"),
            pl.Series("within_30", hits(_floats(at, "likely"), _floats(at, "actual"))),
        )
        .group_by("month")
        .agg(
            pl.len().alias("customers"),
            pl.col("predicted").mean().alias("predicted_ltv"),
            pl.col("actual").mean().alias("actual_ltv"),
            pl.col("within_30").mean(),
        )
        .sort("month")
    )
    rows["months"] += _with(table.tail(MOST_MONTHS), age_days=age)


def _with(table: pl.DataFrame, **keys: Any) -> list[dict[str, Any]]:
    return [keys | row for row in table.to_dicts()]


def _floats(frame: pl.DataFrame, column: str) -> Floats:
    """A column as numbers, null as NaN."""
    return frame[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()
