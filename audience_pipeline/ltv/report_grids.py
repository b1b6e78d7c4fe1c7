"""The tables of the report for people: figures as text, columns in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from audience_pipeline.ltv.expectations import expected_accuracy
from audience_pipeline.ltv.report_tables import CONSTANT, Tables


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of text; the first cell of a row names it."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def quintile_grid(tables: Tables, unit: str, age: int | None = None) -> Grid:
    """Predicted and actual spend of the quintiles, side by side."""
    age = tables.headline_age if age is None else age
    return Grid(
        f"LTV quintiles, predicted {when(age)}: means in {unit}",
        ["quintile", "customers", "predicted LTV", "actual LTV", "predicted / actual", "within 30 %",
         "within 20 %", "of the value within 30 %"],
        [
            [
                _QUINTILE.get(row["ltv_quintile"], str(row["ltv_quintile"])),
                count(row["customers"]),
                money(row["predicted_ltv"]),
                money(row["actual_ltv"]),
                ratio(row["total_ratio"]),
                share(row["within_30"]),
                share(row["within_20"]),
                share(row["value_within_30"]),
            ]
            for row in tables.quintile_table(age).to_dicts()
        ],
    )  # fmt: skip


def expected_grid(tables: Tables) -> Grid:
    """What may be expected, by the days for which a customer was seen."""
    return Grid(
        "Expected accuracy by days since the first order",
        ["days", "customers", "within 30 %", "give or take", "1.29 x spend so far", "model minus rule",
         "give or take", "high confidence", "of those within 30 %", "thousands within 20 %"],
        [
            [
                str(row["age_days"]),
                count(row["customers"]),
                share(row["within_30"]),
                points(row["standard_error"], 2),
                share(row["rule"]),
                points(row["better_by"], sign=True),
                points(row["better_by_error"], 2),
                share(row["high_share"]),
                share(row["high_within_30"]),
                share(row["thousand_within_20"]),
            ]
            for row in expected_accuracy(tables).to_dicts()
        ],
        "Within 30 %: the share of customers whose likely value is. Give or take: two standard errors, in "
        "percentage points; the difference to the rule is paired. Thousands within 20 %: the share of random "
        "groups of 1,000 customers whose predicted total is within 20 % of the actual one.",
    )  # fmt: skip


def beside_grid(tables: Tables, unit: str, target: str, age: int | None) -> Grid:
    """Figures of the forecasts of one target at one age beside the naive ones."""
    chosen = (pl.col("target") == target) & pl.col("age_days").eq_missing(pl.lit(age, dtype=pl.Int64))
    what = "Next-12-month value" if target == "next_12m" else f"12-month LTV, predicted {when(age or 0)}"
    return Grid(
        f"{what}: amounts in {unit}",
        ["forecast", "RMSE", "MAE", "R2", "within 30 %", "within 20 %", "of the value within 30 %",
         "Gini", "Spearman", "error per decile", "sum, predicted / actual", "top tenth catches",
         "thousands within 20 %"],
        [
            [
                str(row["forecast"]),
                money(row["rmse"]),
                money(row["mae"]),
                number(row["r2"]),
                share(row["within_30"]),
                share(row["within_20"]),
                share(row["value_within_30"]),
                # A constant ranks nobody; what its folds differ by is no skill.
                number(None if row["forecast"] == CONSTANT else row["gini"]),
                number(None if row["forecast"] == CONSTANT else row["spearman"]),
                share(None if row["forecast"] == CONSTANT else row["decile_mape"]),
                ratio(row["total_ratio"]),
                share(row["top_decile_capture"]),
                share(row["thousand_within_20"]),
            ]
            for row in tables.metrics.filter(chosen).to_dicts()
        ],
    )  # fmt: skip


def differences_grid(tables: Tables) -> Grid:
    """The model's forecasts minus the naive ones, at the headline age and for the next 12 months."""
    at = pl.col("age_days").eq_missing(tables.headline_age) | pl.col("age_days").is_null()
    return Grid(
        "Differences to the naive forecasts",
        ["forecasts", "Gini", "Spearman", "within 30 %, points", "MAE"],
        [
            [
                f"{row['forecast']} minus {row['baseline']}",
                plus_minus(row["gini"], row["gini_se"]),
                plus_minus(row["spearman"], row["spearman_se"]),
                plus_minus(row["within_30"], row["within_30_se"], 100, 1),
                plus_minus(row["mae"], row["mae_se"], digits=2),
            ]
            for row in tables.differences.filter(at & (pl.col("baseline") != CONSTANT)).to_dicts()
        ],
        "Paired differences, give or take two standard errors (bootstrap over customers).",
    )


def confidence_grid(tables: Tables) -> Grid:
    """The levels of confidence and the tails of the range, by age."""
    levels = ("high", "medium", "low")
    return Grid(
        "Levels of confidence and the 80 % range, by days since the first order",
        ["days", *(f"{level}: {what}" for level in levels for what in ("share", "within 30 %")),
         "stated on average", "calibration error", "by chance alone", "above the range", "below the range"],
        [
            [
                str(row["age_days"]),
                *(share(row[f"{level}_{what}"]) for level in levels for what in ("share", "within_30")),
                share(row["within_30_stated"]),
                points(row["calibration_error"]),
                points(row["calibration_error_by_chance"]),
                share(row["above_p90"]),
                share(row["below_p10"]),
            ]
            for row in tables.probabilities.to_dicts()
        ],
        "One customer in ten should end above the range and at most one in ten below it.",
    )  # fmt: skip


def reliability_grids(tables: Tables) -> list[Grid]:
    """Stated and realised probabilities: of being within 30 % at the headline age, and of another order."""
    found = []
    for name, age, where in (
        ("within_30_probability", tables.headline_age, when(tables.headline_age)),
        ("repeat_probability", None, "of the base"),
    ):
        chosen = (pl.col("probability") == name) & pl.col("age_days").eq_missing(pl.lit(age, dtype=pl.Int64))
        rows = [
            [f"{row['low']:.0%} to {row['high']:.0%}", count(row["customers"]), share(row["stated"]),
             share(row["realised"])]
            for row in tables.reliability.filter(chosen).to_dicts()
        ]  # fmt: skip
        if rows:
            columns = ["stated", "customers", "stated, mean", "came true"]
            found.append(Grid(f"Reliability of {name}, {where}", columns, rows))
    return found


def coverage_grid(tables: Tables) -> Grid:
    """Share of hits among the surest customers, at the headline age."""
    age = tables.headline_age
    shown = pl.col("share").round(2).is_in([0.1, 0.25, 0.5, 0.75, 1.0])
    return Grid(
        f"Within 30 % among the surest customers, predicted {when(age)}",
        ["share of customers", "most confident first", "grouped by number of orders"],
        [
            [f"{row['share']:.0%}", share(row["most_confident_first"]), share(row["by_number_of_orders"])]
            for row in tables.coverage.filter((pl.col("age_days") == age) & shown).to_dicts()
        ],
    )


def decile_grid(tables: Tables, unit: str, target: str, age: int | None) -> Grid:
    """Mean forecast and mean actual value of each tenth of the customers."""
    chosen = (pl.col("target") == target) & pl.col("age_days").eq_missing(pl.lit(age, dtype=pl.Int64))
    what = "next-12-month value" if target == "next_12m" else f"12-month LTV, predicted {when(age or 0)}"
    return Grid(
        f"Deciles of {what}: means in {unit}",
        ["decile", "customers", "predicted", "actual"],
        [
            [str(row["decile"]), count(row["customers"]), money(row["predicted"]), money(row["actual"])]
            for row in tables.deciles.filter(chosen).to_dicts()
        ],
    )


def ceiling_grid(tables: Tables) -> Grid:
    """How much of what is missing to certainty could have been known."""
    return Grid(
        "Ceilings of the share within 30 %",
        ["days", "within 30 %", "skill", "ceiling by the model's own distribution",
         "best multiple in hindsight", "customers who return", "of those, what is to come: within 30 %",
         "the most that a log-normal spread allows"],
        [
            [
                str(row["age_days"]),
                share(row["within_30_realised"]),
                number(row["skill"]),
                share(row["within_30_stated"]),
                share(row["best_multiple_within_30"]),
                share(row["returners"]),
                share(row["future_within_30"]),
                share(row["future_ceiling"]),
            ]
            for row in tables.probabilities.to_dicts()
        ],
    )  # fmt: skip


def when(age: int) -> str:
    """An age in words."""
    return "on the day of the first order" if age == 0 else f"{age} days after the first order"


def count(value: int) -> str:
    """A whole number."""
    return f"{value:,}"


def money(value: float | None) -> str:
    """An amount."""
    return "-" if value is None else f"{value:,.2f}"


def number(value: float | None, digits: int = 3) -> str:
    """A figure without a unit."""
    return "-" if value is None else f"{value:.{digits}f}"


def ratio(value: float | None) -> str:
    """Predicted over actual."""
    return number(value, 2)


def share(value: float | None) -> str:
    """A share in percent."""
    return "-" if value is None else f"{100 * value:.1f} %"


def points(value: float | None, times: int = 1, *, sign: bool = False) -> str:
    """A difference of shares in percentage points."""
    return "-" if value is None else f"{100 * times * value:{'+' if sign else ''}.1f}"


def plus_minus(value: float | None, error: float | None, scale: float = 1, digits: int = 3) -> str:
    """A difference, give or take two standard errors."""
    if value is None or error is None:
        return "-"
    return f"{scale * value:+,.{digits}f} ± {2 * scale * error:,.{digits}f}"


_QUINTILE: Mapping[Any, str] = {1: "1 (top 20 %)", 5: "5 (bottom 20 %)"}
