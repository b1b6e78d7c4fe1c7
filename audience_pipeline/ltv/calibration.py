"""Predictions brought to the level of what happened, on customers that the model never saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from audience_pipeline.ltv.matrix import Bools, Floats, Ints

AGE_EDGES = (15, 45, 75, 135, 225, 300)
"""Days that part the ages of customers."""
AGE_BUCKETS = len(AGE_EDGES) + 1
_ROWS_A_BIN = 1000
_MOST_BINS = 8
_PRIOR_ROWS = 300
"""A bin's own level counts as much as the common one when it has so many rows."""
_OUTLIER_TIMES = 10
"""Labels this many times above their 99.5 % quantile are cut: one must not raise everybody's value."""
_LEAST_SLOPE = 0.1
_PULL = 5.0
"""Weight of a prior as so many squared units of log-odds; a few hundred rows outweigh it."""


def age_bucket(age_days: Floats) -> Ints:
    """The number of the age bucket of each row."""
    return np.searchsorted(AGE_EDGES, age_days, side="right")


@dataclass(frozen=True, slots=True)
class Level:
    """A factor that depends on the prediction, piecewise linear between its logarithms; keeps the order."""

    at: tuple[float, ...]
    """Logarithms of predictions, ascending."""
    to: tuple[float, ...]
    """Logarithms of what they become, ascending."""

    @classmethod
    def fit(cls, predicted: Floats, actual: Floats) -> Self:
        """From held-out predictions and what happened, both in minor units."""
        usable = predicted > 0
        predicted, actual = predicted[usable], winsorised(actual[usable])
        if not len(predicted) or actual.sum() <= 0:
            return cls((0.0,), (0.0,))
        common = float(np.clip(actual.sum() / predicted.sum(), 0.1, 10.0))
        bins = int(np.clip(len(predicted) // _ROWS_A_BIN, 1, _MOST_BINS))
        order = np.argsort(predicted, kind="stable")
        at: list[float] = []
        to: list[float] = []
        for part in np.array_split(order, bins):
            mean = float(predicted[part].mean())
            if at and np.log(mean) <= at[-1]:
                continue
            prior = _PRIOR_ROWS * mean
            ratio = (actual[part].sum() + prior * common) / (predicted[part].sum() + prior)
            at.append(float(np.log(mean)))
            to.append(float(np.log(mean * np.clip(ratio, common / 4, common * 4))))
        # Where bins would change places, a small slope keeps the order of predictions.
        rising = to[:1]
        for before, this, value in zip(at, at[1:], to[1:], strict=False):
            rising.append(max(value, rising[-1] + _LEAST_SLOPE * (this - before)))
        fitted = cls(tuple(at), tuple(rising))
        # Between the bins and beyond them the total may have moved.
        again = float(actual.sum() / max(fitted.applied(predicted).sum(), 1e-9))
        return cls(fitted.at, tuple(value + float(np.log(again)) for value in fitted.to))

    def applied(self, predicted: Floats) -> Floats:
        """Calibrated predictions; beyond the outermost bins their factors hold."""
        logs = np.log(np.maximum(predicted, 1e-9))
        moved: Floats = np.exp(logs + self.shift(logs))
        return moved

    def shift(self, logs: Floats) -> Floats:
        """By how much the logarithms of predictions move."""
        at, to = np.array(self.at), np.array(self.to)
        shift: Floats = np.interp(logs, at, to - at)
        return shift


@dataclass(frozen=True, slots=True)
class Odds:
    """Probabilities whose log-odds are moved and stretched (Platt 1999), by age."""

    shift: tuple[float, ...]
    stretch: tuple[float, ...]

    @classmethod
    def fit(cls, probability: Floats, happened: Bools, bucket: Ints) -> Self:
        """Least log loss with a pull towards leaving probabilities as they are; all ages, then each."""
        everybody = _platt(probability, happened, (0.0, 1.0))
        fits = [
            _platt(probability[bucket == number], happened[bucket == number], everybody)
            for number in range(AGE_BUCKETS)
        ]
        return cls(tuple(fit[0] for fit in fits), tuple(fit[1] for fit in fits))

    def applied(self, probability: Floats, bucket: Ints) -> Floats:
        """Calibrated probabilities."""
        shift, stretch = np.asarray(self.shift)[bucket], np.asarray(self.stretch)[bucket]
        calibrated: Floats = 1.0 / (1.0 + np.exp(-(shift + stretch * _log_odds(probability))))
        return calibrated

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """From a dictionary of the fields."""
        return cls(tuple(data["shift"]), tuple(data["stretch"]))


def winsorised(label: Floats) -> Floats:
    """Labels without the giant ones, either way."""
    high = _OUTLIER_TIMES * max(float(np.quantile(label, 0.995)), 0.0) if len(label) else 0.0
    return np.clip(label, -high, high)


def _log_odds(probability: Floats) -> Floats:
    clipped = np.clip(probability, 1e-4, 1.0 - 1e-4)
    return np.log(clipped) - np.log1p(-clipped)


def _platt(probability: Floats, happened: Bools, prior: tuple[float, float]) -> tuple[float, float]:
    """Newton's method on the penalised log loss of two parameters, steps halved where they go too far."""
    if not len(probability):
        return prior
    x, y = _log_odds(probability), happened.astype(np.float64)
    centre = np.array(prior)
    parameters = centre.copy()
    design = np.column_stack([np.ones(len(x)), x])

    def loss(at: Floats) -> float:
        score, moved = design @ at, at - centre
        return float(np.logaddexp(0.0, score).sum() - y @ score + 0.5 * _PULL * (moved @ moved))

    least = loss(parameters)
    for _ in range(30):
        stated = 1.0 / (1.0 + np.exp(-design @ parameters))
        gradient = design.T @ (stated - y) + _PULL * (parameters - centre)
        weight = np.maximum(stated * (1.0 - stated), 1e-6)
        step = np.linalg.solve((design * weight[:, None]).T @ design + _PULL * np.eye(2), gradient)
        while (reached := loss(parameters - step)) > least + 1e-9 * abs(least):
            step = step * 0.5
        parameters, least = parameters - step, reached
        if float(np.abs(step).max()) < 1e-9:
            break
    return float(parameters[0]), float(max(parameters[1], 0.0))
