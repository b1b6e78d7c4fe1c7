"""The bars of accuracy, measured on hold-outs of customers and on a later period."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import t as student

from audience_pipeline.ltv.held import HeldOut
from audience_pipeline.ltv.measured import measure
from audience_pipeline.ltv.report_tables import BASELINES, CONSTANT, RULE, Tables

AGES = (0, 30, 90, 180)
HELD_SHARE = 0.25
WORSE_THAN_RULE = -0.005
HIGH_RIGHT = 0.7
CALIBRATION = 0.03
ABOVE, BELOW = (0.08, 0.12), 0.12
BIAS = 0.1
_RANKED = tuple(name for name in BASELINES if name != CONSTANT)
"""A constant ranks nobody."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One thing that must hold."""

    what: str
    data: str
    age_days: int | None
    value: float | None
    least: float | None
    most: float | None
    met: bool | None
    """None where it does not apply, such as for customers of high confidence where there is none."""
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe."""
        return asdict(self)


def lower_bound(differences: Sequence[float]) -> float | None:
    """One-sided lower 95 % bound of a mean over hold-outs; None for a single figure.

    Student's t with the variance of repeated hold-outs, which have customers in common (Nadeau and Bengio
    2003, "Inference for the generalization error").
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        return None
    shared = 1 / len(values) + HELD_SHARE / (1 - HELD_SHARE)
    error = float(values.std(ddof=1)) * math.sqrt(shared)
    return float(values.mean() - student.ppf(0.95, len(values) - 1) * error)


def mean_error(errors: Sequence[float], shared: float = HELD_SHARE) -> float:
    """Standard error of the mean of figures whose hold-outs have a share of their customers in common."""
    count = len(errors)
    single = math.sqrt(float(np.mean(np.square(errors))))
    return single * math.sqrt((1 + (count - 1) * shared) / count)


def pooled(parts: Sequence[HeldOut]) -> HeldOut:
    """All hold-outs as one table; a customer that was held out twice counts as two."""
    numbered = [
        [
            table.with_columns(pl.format("{}#{}", pl.lit(number), "customer_id").alias("customer_id"))
            for table in both
        ]
        for number, both in enumerate((part.ltv, part.next_12m) for part in parts)
    ]
    return HeldOut(*(pl.concat(tables) for tables in zip(*numbered, strict=True)))


def hold_out_bars(name: str, parts: Sequence[HeldOut], signal: float | None) -> tuple[list[Bar], Tables]:
    """Everything that is measured on hold-outs of customers.

    Args:
        name: Of the data.
        parts: One for each seed.
        signal: Strength of the signals that the rule cannot see; None for real data.
    """
    each = [measure(part) for part in parts]
    all_tables = measure(pooled(parts))
    bars: list[Bar] = []
    for row in all_tables.probabilities.to_dicts():
        age = row["age_days"]
        at = [table.probabilities.row(by_predicate=pl.col("age_days") == age, named=True) for table in each]
        gains = [one["within_30_realised"] - one["within_30_rule"] for one in at]
        bars += [
            _against_rule(name, age, gains, signal),
            Bar("high confidence within 30 %", name, age, row["high_within_30"], HIGH_RIGHT, None,
                None if row["high_within_30"] is None else row["high_within_30"] >= HIGH_RIGHT,
                _of_high(row)),
            Bar("surest first above grouping by orders", name, age,
                row["coverage"] - row["coverage_by_orders"], 0.0, None,
                row["coverage"] >= row["coverage_by_orders"] - 1e-9),
            Bar("calibration error", name, age, row["calibration_error"], None, CALIBRATION,
                row["calibration_error"] <= CALIBRATION,
                f"{math.sqrt(len(parts)) * row['calibration_error_by_chance']:.3f} by chance in one"),
            Bar("above p90", name, age, row["above_p90"], *ABOVE, ABOVE[0] <= row["above_p90"] <= ABOVE[1]),
            Bar("below p10", name, age, row["below_p10"], None, BELOW, row["below_p10"] <= BELOW),
        ]  # fmt: skip
    bars += _ranking_bars(name, each)
    return bars, all_tables


def _of_high(row: dict[str, Any]) -> str:
    share, right = row["high_share"], row["high_within_30"]
    if right is None:
        return "nobody is high"
    error = math.sqrt(right * (1 - right) / (share * row["customers"]))
    return f"{share:.1%} are high, ± {error:.3f}"


def _against_rule(name: str, age: int, gains: Sequence[float], signal: float | None) -> Bar:
    mean, low = float(np.mean(gains)), lower_bound(gains)
    note = f"mean {mean:+.4f}"
    if low is None:
        return Bar("within 30 % minus rule", name, age, mean, None, None, None, "one seed says nothing")
    if signal is None:
        return Bar(
            "within 30 % minus rule, lower bound",
            name,
            age,
            low,
            WORSE_THAN_RULE,
            None,
            low >= WORSE_THAN_RULE,
            note,
        )
    if signal > 0:
        return Bar("above the rule where there is signal", name, age, low, 0.0, None, low > 0, note)
    high = 2 * mean - low
    return Bar(
        "no gain without signal", name, age, mean, None, None, low <= 0 <= high or abs(mean) < 0.01, note
    )


def _ranking_bars(name: str, each: Sequence[Tables]) -> list[Bar]:
    bars = []
    keys = ("target", "age_days", "forecast", "baseline")
    chosen = pl.col("forecast").is_in(["predicted_ltv", "next_12m_value"]) & pl.col("baseline").is_in(_RANKED)
    rows = pl.concat([tables.differences.filter(chosen) for tables in each])
    for key, group in rows.group_by(keys, maintain_order=True):
        target, age, _, baseline = key
        for figure in ("gini", "spearman"):
            known = group.filter(pl.col(figure).is_not_null() & pl.col(f"{figure}_se").is_not_null())
            if known.is_empty():
                continue
            mean = float(np.mean(known[figure].to_numpy()))
            error = mean_error(known[f"{figure}_se"].to_list())
            bars.append(
                Bar(f"{figure} of {target} minus {baseline}", name, age, mean, -error, None, mean >= -error,
                    f"± {error:.4f}")
            )  # fmt: skip
    return bars


def period_bars(name: str, held: pl.DataFrame) -> tuple[list[Bar], Tables]:
    """Bias of the sum of ``next_12m_value`` on a later period, and its figures beside the naive ones."""
    tables = measure(HeldOut(ltv=held.clear(), next_12m=held))
    row = tables.metrics.row(by_predicate=pl.col("forecast") == "next_12m_value", named=True)
    bias, error = row["total_ratio"] - 1, row["total_ratio_se"]
    allowed = max(BIAS, 2 * error)
    bars = [
        Bar("bias of the next period's sum", name, None, bias, -allowed, allowed, abs(bias) <= allowed,
            f"± {error:.3f}")
    ]  # fmt: skip
    return bars, tables


def average_bars(bars: Sequence[Bar], periods: Sequence[Tables]) -> list[Bar]:
    """What must hold on average over data sets and ages."""
    found = []
    for figure in ("gini", "spearman"):
        for target in ("ltv", "next_12m"):
            for baseline in _RANKED:
                what = f"{figure} of {target} minus {baseline}"
                values = [bar.value for bar in bars if bar.what == what and bar.value is not None]
                if values:
                    mean = float(np.mean(values))
                    found.append(Bar(f"{what}, on average", "all", None, mean, 0.0, None, mean > 0))
    for baseline in (RULE, *_RANKED[1:]):
        gaps = []
        for tables in periods:
            figures = dict(tables.metrics.select("forecast", "decile_mape").iter_rows())
            if figures.get(baseline) is not None and figures["next_12m_value"] is not None:
                gaps.append(figures["next_12m_value"] - figures[baseline])
        if gaps:
            what = f"decile MAPE of the next period minus {baseline}, on average"
            mean = float(np.mean(gaps))
            found.append(Bar(what, "all", None, mean, None, 0.0, mean < 0))
    return found
