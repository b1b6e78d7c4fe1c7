"""What may be expected of a model's figures, in plain words, and what must be said loudly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from audience_pipeline.ltv.report_tables import PURCHASE_MODEL, RULE, Tables
from audience_pipeline.ltv.wording import count

PROMISED = 0.7
"""Users are promised that this share of customers is within 30 percent."""
YEAR = 365
FEW_CUSTOMERS = 1000
FEW_HIGH = 30
WRONG_SUM = 0.1
WRONG_PROBABILITY = 0.05
LONG_TAIL = 0.13


def expected_accuracy(tables: Tables) -> pl.DataFrame:
    """What a user may expect, by age.

    Returns:
        ``age_days, customers, within_30`` of the likely value with ``standard_error``, ``rule`` (the same of
        1.29 x spend so far), ``better_by`` and ``better_by_error`` (paired), ``high_share`` and
        ``high_within_30`` of the customers of high confidence, and ``thousand_within_20`` (share of random
        groups of 1,000 customers whose predicted total is within 20 %).
    """
    at_ages = pl.col("target") == "ltv"
    likely = tables.metrics.filter(at_ages & (pl.col("forecast") == "likely_ltv"))
    mean = tables.metrics.filter(at_ages & (pl.col("forecast") == "predicted_ltv"))
    paired = tables.differences.filter(
        at_ages & (pl.col("forecast") == "likely_ltv") & (pl.col("baseline") == RULE)
    )
    return (
        likely.select("age_days", "customers", "within_30", pl.col("within_30_se").alias("standard_error"))
        .join(
            tables.probabilities.select(
                "age_days", pl.col("within_30_rule").alias("rule"), "high_share", "high_within_30"
            ),
            on="age_days",
        )
        .join(
            paired.select(
                "age_days",
                pl.col("within_30").alias("better_by"),
                pl.col("within_30_se").alias("better_by_error"),
            ),
            on="age_days",
            how="left",
        )
        .join(mean.select("age_days", "thousand_within_20"), on="age_days", how="left")
        .select(
            "age_days", "customers", "within_30", "standard_error", "rule", "better_by", "better_by_error",
            "high_share", "high_within_30", "thousand_within_20",
        )
        .sort("age_days")
    )  # fmt: skip


def promise_day(ages: Sequence[int], shares: Sequence[float], promised: float = PROMISED) -> int | None:
    """From how many days after the first order on the promised share holds; None where it never does.

    Between the ages that were measured it is interpolated in a straight line.
    """
    held = [share >= promised for share in shares]
    if not held or not held[-1]:
        return None
    start = max((place for place, enough in enumerate(held) if not enough), default=-1) + 1
    if start == 0:
        return ages[0]
    before, after = shares[start - 1], shares[start]
    part = (promised - before) / (after - before)
    return math.ceil(ages[start - 1] + part * (ages[start] - ages[start - 1]) - 1e-9)


def headlines(tables: Tables) -> list[str]:
    """What the figures mean, a sentence each."""
    expected = expected_accuracy(tables)
    if expected.is_empty():
        return []
    age = tables.headline_age
    row = expected.row(by_predicate=pl.col("age_days") == age, named=True)
    day = promise_day(expected["age_days"].to_list(), expected["within_30"].to_list())
    likely, rule = _of_100(row["within_30"]), _of_100(row["rule"])
    first = (
        f"Of 100 customers {_seen(age)}, the likely value is within 30 % of what they spend in their first "
        f"{_window(tables)} for {likely} ({_give_or_take(row['standard_error'])}1.29 x spend so far: {rule})."
    )
    said = [first, _promise(expected, day)]
    said.append(_of_high(row, age))
    if row["thousand_within_20"] is not None:
        said.append(
            f"The predicted total of 1,000 such customers is within 20 % of the actual one for "
            f"{_of_100(row['thousand_within_20'])} of 100 random groups of 1,000"
            f"{_drawn_from(row['customers'])}."
        )
    ranking = tables.differences.filter(
        (pl.col("target") == "ltv")
        & (pl.col("age_days") == age)
        & (pl.col("forecast") == "predicted_ltv")
        & (pl.col("baseline") == PURCHASE_MODEL)
    )
    if ranking.height and ranking["gini"][0] is not None:
        better = ranking["gini"][0] - 2 * (ranking["gini_se"][0] or 0)
        worse = ranking["gini"][0] + 2 * (ranking["gini_se"][0] or 0)
        word = "better than" if better > 0 else "worse than" if worse < 0 else "as well as"
        said.append(f"Customers are ranked by value {word} by BG/NBD + Gamma-Gamma (normalised Gini).")
    return said


def _drawn_from(customers: int) -> str:
    if customers >= FEW_CUSTOMERS:
        return ""
    return f", drawn with repetition from {count(customers, 'checked customer')}"


def _of_high(row: dict[str, Any], age: int) -> str:
    high = round(row["high_share"] * row["customers"])
    if high < FEW_HIGH:
        return f"{high or 'No'} of {row['customers']:,} customers {_seen(age)} are marked as high confidence."
    return (
        f"{_percent(row['high_share'])} of these customers are marked as high confidence; "
        f"{_percent(row['high_within_30'])} of those were within 30 %."
    )


def alarms(tables: Tables) -> list[str]:
    """What is wrong with the sums, the probabilities and the ranges, a sentence each."""
    return _biased(tables) + _dishonest(tables)


def warnings(tables: Tables) -> list[str]:
    """What a reader must not overlook, a sentence each."""
    expected = expected_accuracy(tables)
    if expected.is_empty():
        return ["No customer has been observed long enough to measure anything."]
    age = tables.headline_age
    row = expected.row(by_predicate=pl.col("age_days") == age, named=True)
    found: list[str] = []
    if _window(tables) != "year":
        found.append(
            "Too few customers have been seen for a year: everything here was measured on their first "
            f"{_window(tables)}. Values of a whole year are extrapolated and have not been checked."
        )
    if row["customers"] < FEW_CUSTOMERS:
        found.append(
            f"Only {count(row['customers'], 'customer')} could be checked: each share can be off by "
            f"{2 * 100 * (row['standard_error'] or 0):.0f} points by chance. More history makes it surer."
        )
    better, error = row["better_by"], row["better_by_error"]
    if better is not None and error is not None and better <= 2 * error:
        word = "better than" if better < -2 * error else "as good as"
        found.append(
            f"For the share within 30 %, the rule of thumb 1.29 x spend so far is {word} the model "
            f"{_after(age)} (model minus rule {100 * better:+.1f} points, give or take {200 * error:.1f}). "
            "What the model adds is for whom it will be right, the range, and the ranking."
        )
    return found + alarms(tables)


def _biased(tables: Tables) -> list[str]:
    means = tables.metrics.filter(pl.col("forecast").is_in(["predicted_ltv", "next_12m_value"]))
    wrong = [
        f"{'next-12-month value' if row['age_days'] is None else _after(row['age_days'])} "
        f"{100 * (row['total_ratio'] - 1):+.0f} %"
        for row in means.to_dicts()
        if row["total_ratio"] is not None
        and abs(row["total_ratio"] - 1) > max(WRONG_SUM, 2 * (row["total_ratio_se"] or 0))
    ]
    return [f"Predicted totals are off: {', '.join(wrong)}."] if wrong else []


def _dishonest(tables: Tables) -> list[str]:
    rows = tables.probabilities.to_dicts()
    gaps = [
        f"{_after(row['age_days'])} by {100 * row['calibration_error']:.0f} points"
        for row in rows
        if row["calibration_error"] > max(WRONG_PROBABILITY, 2 * (row["calibration_error_by_chance"] or 0))
    ]
    narrow = [
        f"{_after(row['age_days'])} {_percent(row['above_p90'])} above, {_percent(row['below_p10'])} below"
        for row in rows
        if row["above_p90"] > LONG_TAIL or row["below_p10"] > LONG_TAIL
    ]
    return [
        *([f"Stated probabilities are off on average: {', '.join(gaps)}."] if gaps else []),
        *(
            [f"The 80 % range is too narrow, with customers outside it: {'; '.join(narrow)}."]
            if narrow
            else []
        ),
    ]


def _promise(expected: pl.DataFrame, day: int | None) -> str:
    if day is None:
        oldest, best = expected["age_days"][-1], expected["within_30"].max()
        return (
            f"70 of 100 are not reached at any age up to {oldest} days (at best {_of_100(float(best))}); "  # type: ignore[arg-type]
            "later, when the first year is over, the value is known."
        )
    youngest = ", the youngest age looked at," if day == expected["age_days"][0] > 0 else ""
    since = "From the first order" if day == 0 else f"From day {day}{youngest}"
    return f"{since} on it holds for at least 70 of 100."


def _window(tables: Tables) -> str:
    days = int(tables.probabilities["window_days"].min() or YEAR)  # type: ignore[arg-type]
    return "year" if days >= YEAR else f"{days} days"


def _seen(age: int) -> str:
    return "of whom only the first day is known" if age == 0 else f"seen for {age} days"


def _after(age: int) -> str:
    return "on the first day" if age == 0 else f"on day {age}"


def _of_100(share: float) -> str:
    return f"{100 * share:.0f}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _give_or_take(error: float | None) -> str:
    return f"give or take {max(200 * error, 1):.0f}; " if error else ""
