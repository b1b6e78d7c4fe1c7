"""Two forecasts of the same customers, with the noise of their difference: a paired bootstrap by customer."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from audience_pipeline.ltv.evaluation import Judge, Ranking
from audience_pipeline.ltv.matrix import Floats
from audience_pipeline.ltv.resampling import counts, interval, resampled_sums
from audience_pipeline.ltv.verdict import Figure, Order

POWER = 1.5
_FLOOR = 0.01
"""Least forecast, as a share of the mean actual value: the deviance of a forecast of 0 is infinite."""
_USUAL = 0.99
"""Values above this quantile of the actual ones are cut there, forecasts as well as actual ones, in the
figure that rules and in no other: whether a customer brings 5,000 or 30,000 is luck."""
_SURE = 1e-3


def compare(rows: pl.DataFrame, said: pl.DataFrame) -> tuple[Figure, ...]:
    """Figures of both models with paired bootstrap intervals; the one that rules comes first.

    Args:
        rows: Held-out predictions of the challenger (``customer_id, predicted, likely,
            within_30_probability, actual``).
        said: The champion's ``predicted_ltv, likely_ltv, within_30_probability`` of the same rows.
    """
    numbers, customer = np.unique(rows["customer_id"].to_numpy(), return_inverse=True)
    customers = len(numbers)
    actual = _floats(rows, "actual")
    forecasts = [
        (_floats(said, "predicted_ltv"), _floats(said, "likely_ltv"), _floats(said, "within_30_probability")),
        (_floats(rows, "predicted"), _floats(rows, "likely"), _floats(rows, "within_30_probability")),
    ]
    cap = max(float(np.quantile(actual, _USUAL)), 1e-6)
    floor = min(max(_FLOOR * float(np.clip(actual, 0.0, cap).mean()), 1e-6), cap)
    losses = np.column_stack(
        [loss for forecast in forecasts for loss in _losses(*forecast, actual, (floor, cap))]
        + [np.ones(len(actual))]
    )
    sums = np.zeros((customers, losses.shape[1]))
    np.add.at(sums, customer, losses)
    drawn = resampled_sums(sums)
    means, now = drawn[:, :-1] / drawn[:, -1:], losses[:, :-1].mean(axis=0)
    ginis, gini_now = _ginis([forecast[0] for forecast in forecasts], actual, customer, customers)
    named: list[tuple[str, Order]] = [
        ("Tweedie deviance of predicted_ltv", "lower"),
        ("mean absolute error of predicted_ltv", "lower"),
        ("likely_ltv within 30 %", "higher"),
        ("log score of within_30_probability", "lower"),
    ]
    count = len(named)
    figures = [
        _figure(name, better, now[at], now[at + count], means[:, at + count] - means[:, at], rules=at == 0)
        for at, (name, better) in enumerate(named)
    ]
    current, new = gini_now
    gini = _figure("normalised Gini of predicted_ltv", "higher", current, new, ginis[:, 1] - ginis[:, 0])
    return (figures[0], gini, *figures[1:])


def _figure(
    name: str, better: Order, champion: float, challenger: float, samples: Floats, *, rules: bool = False
) -> Figure:
    low, high = interval(samples)
    return Figure(
        name, better, float(champion), float(challenger), float(challenger - champion), low, high, rules
    )


def _losses(
    predicted: Floats, likely: Floats, probability: Floats, actual: Floats, bounds: tuple[float, float]
) -> tuple[Floats, ...]:
    hit = np.abs(likely - actual) <= 0.3 * np.abs(actual)
    sure = np.clip(probability, _SURE, 1 - _SURE)
    return (
        tweedie_deviance(np.clip(predicted, *bounds), np.clip(actual, 0.0, bounds[1])),
        np.abs(predicted - actual),
        hit.astype(np.float64),
        -np.where(hit, np.log(sure), np.log1p(-sure)),
    )


def tweedie_deviance(predicted: Floats, actual: Floats, power: float = POWER) -> Floats:
    """Unit deviance of each forecast (Jørgensen 1987), 0 where it is right.

    Args:
        predicted: Above 0.
        actual: 0 or above.
        power: Between 1 and 2.
    """
    one, two = 1 - power, 2 - power
    return 2 * (actual**two / (one * two) - actual * predicted**one / one + predicted**two / two)


def _ginis(
    scores: list[Floats], actual: Floats, customer: Any, customers: int
) -> tuple[Floats, tuple[float, ...]]:
    """Normalised Gini of each score: in bootstrap samples, shape ``(draws, scores)``, and as observed."""
    blocks = [
        np.column_stack([_gini(score, actual, block[:, customer].astype(np.float64)) for score in scores])
        for block in counts(customers)
    ]
    once = np.ones((1, len(actual)))
    return np.concatenate(blocks), tuple(float(_gini(score, actual, once)[0]) for score in scores)


def _gini(score: Floats, actual: Floats, weights: Floats) -> Floats:
    """Of each row of ``weights``; 0 where nothing was spent."""
    judge = Judge(actual, weights)
    best = judge.gain(Ranking.of(actual)).area
    found = judge.gain(Ranking.of(score)).area / np.where(best > 0, best, np.inf)
    return np.nan_to_num(found)


def _floats(frame: pl.DataFrame, name: str) -> Floats:
    return frame[name].cast(pl.Float64).to_numpy()
