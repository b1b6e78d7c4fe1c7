"""How honest stated probabilities and bounds are, and how much could have been known at all."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from audience_pipeline.ltv.evaluation import Judge, Ranking
from audience_pipeline.ltv.matrix import Floats

BINS = 10
COVERAGES = tuple(round(0.05 * step, 2) for step in range(1, 21))
"""Shares of the customers at which risk-coverage curves are read."""
ORDER_GROUPS = (1, 2, 3, 5)
"""Least numbers of orders of the groups 1, 2, 3 to 4, 5 and more."""
_LOG_WIDTH = math.log(1.3 / 0.7)


def reliability_table(probability: Floats, came_true: Floats, bins: int = BINS) -> pl.DataFrame:
    """Stated beside realised probability in bins of equal width.

    Returns:
        ``low, high`` (bounds of the bin), ``customers``, mean ``stated`` and share ``realised``; bins
        without customers have no row.
    """
    frame = pl.DataFrame(
        {"bin": _bin(probability, bins), "stated": probability, "realised": came_true.astype(np.float64)}
    )
    return (
        frame.group_by("bin")
        .agg(pl.len().cast(pl.Int64).alias("customers"), pl.col("stated", "realised").mean())
        .sort("bin")
        .select(
            (pl.col("bin") / bins).round(6).alias("low"),
            ((pl.col("bin") + 1) / bins).round(6).alias("high"),
            "customers",
            "stated",
            "realised",
        )
    )


def reliability(probability: Floats, came_true: Floats, bins: int = BINS) -> float:
    """Expected calibration error (Naeini, Cooper and Hauskrecht 2015).

    The gap between stated and realised share, averaged over bins of equal width, weighted by customers.
    """
    if not len(probability):
        return 0.0
    gap = np.bincount(_bin(probability, bins), weights=probability - came_true, minlength=bins)
    return float(np.abs(gap).sum() / len(probability))


def reliability_by_chance(probability: Floats, bins: int = BINS) -> float:
    """The calibration error that probabilities show on so few customers although all of them are right.

    In each bin the gap is then nearly normal around nothing, and its mean size ``sqrt(2 / pi)`` deviations.
    """
    if not len(probability):
        return 0.0
    variance = np.bincount(_bin(probability, bins), weights=probability * (1 - probability), minlength=bins)
    return float(math.sqrt(2 / math.pi) * np.sqrt(variance).sum() / len(probability))


def tails(actual: Floats, p10: Floats, p90: Floats) -> tuple[float, float]:
    """Shares of actual values above ``p90`` and below ``p10``."""
    return float((actual > p90).mean()), float((actual < p10).mean())


def hits(forecast: Floats, actual: Floats, tolerance: float = 0.3) -> Floats:
    """1 where the forecast lies within a share of the actual value, else 0."""
    return (np.abs(forecast - actual) <= tolerance * np.abs(actual)).astype(np.float64)


def skill(share: float, naive: float) -> float | None:
    """What part of the misses of a naive forecast is avoided; None where there are none to avoid."""
    return (share - naive) / (1 - naive) if naive < 1 else None


def risk_coverage(confidence: Floats, hit: Floats, shares: tuple[float, ...] = COVERAGES) -> Floats:
    """Share of hits among the given shares of customers, the most confident first.

    Customers of equal confidence are taken in random order: the expectation over it is returned.
    """
    points = np.array(shares)
    found = Judge(hit).gain(Ranking.of(confidence)).sums_at(points)[0]
    return np.asarray(found / (points * len(hit)))


def confidence_by_orders(orders: Floats, hit: Floats) -> Floats:
    """The share of hits in each customer's group by number of orders: 1, 2, 3 to 4, 5 and more.

    Measured on the very customers that it is used for, which flatters this ordering.
    """
    group = np.clip(np.searchsorted(ORDER_GROUPS, orders, side="right") - 1, 0, None)
    size = np.bincount(group, minlength=len(ORDER_GROUPS))
    share = np.bincount(group, weights=hit, minlength=len(ORDER_GROUPS)) / np.maximum(size, 1)
    return np.asarray(share[group])


def ceiling(log_sd: float) -> float:
    """The greatest share within 30 % that any forecast can reach where truth is log-normal around it.

    A point p hits where the truth lies in [p / 1.3, p / 0.7], which is ``log(1.3 / 0.7)`` wide in logs; the
    best interval of that width around a normal law of deviation ``log_sd`` holds ``2 Phi(width / 2 sd) - 1``.
    """
    return math.erf(_LOG_WIDTH / (2 * math.sqrt(2) * log_sd)) if log_sd > 0 else 1.0


def future_value(observed: Floats, predicted: Floats, actual: Floats) -> dict[str, float | None]:
    """What is still to come, of customers who do return: how spread it is around its forecast.

    Returns:
        ``returners`` (share of customers with more to come), ``future_log_sd`` (deviation of the logarithm
        of what came over what was forecast), ``future_ceiling`` (see :func:`ceiling`) and
        ``future_within_30`` (reached by the best multiple of the forecast, chosen in hindsight).
    """
    came, forecast = actual - observed, predicted - observed
    back = came > 0
    usable = back & (forecast > 0)
    none: dict[str, float | None] = {
        "returners": float(back.mean()) if len(back) else None,
        "future_log_sd": None,
        "future_ceiling": None,
        "future_within_30": None,
    }
    if usable.sum() < 2:
        return none
    deviation = float(np.log(came[usable] / forecast[usable]).std())
    return none | {
        "future_log_sd": deviation,
        "future_ceiling": ceiling(deviation),
        "future_within_30": best_multiple(forecast[usable], came[usable])[1],
    }


def best_multiple(base: Floats, actual: Floats) -> tuple[float, float]:
    """The multiple of ``base`` that lies within 30 % of most actual values, chosen in hindsight.

    Returns:
        The multiple and the share of customers that it hits; no constant multiple hits more.
    """
    some = base != 0
    ratio = actual[some] / base[some]
    always = float((actual[~some] == 0).sum())
    if not len(ratio):
        return 1.0, always / max(len(actual), 1)
    low, high = np.sort(ratio - 0.3 * np.abs(ratio)), np.sort(ratio + 0.3 * np.abs(ratio))
    inside = np.arange(1, len(low) + 1) - np.searchsorted(high, low, side="left")
    best = int(np.argmax(inside))
    return float(low[best]), float((inside[best] + always) / len(actual))


def _bin(probability: Floats, bins: int) -> Floats:
    return np.clip((probability * bins).astype(np.int64), 0, bins - 1)
