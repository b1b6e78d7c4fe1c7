"""What customers are grouped by, on scales where distances mean something, and the words for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

Matrix = npt.NDArray[np.float64]
FARTHEST = 3.0
"""Standard deviations: nobody counts as farther from the average, or a few giants would be a group."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word for much or little of a behaviour, true only where the typical value lies within bounds."""

    text: str
    at_least: float = -math.inf
    at_most: float = math.inf


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One feature that customers are grouped by, and the words for it: the first that is true is used."""

    column: str
    slot: Literal["state", "spend", "trait"]
    """``state`` words stand before, ``spend`` words are the noun of a name, ``trait`` words come after."""
    high: tuple[Word, ...]
    low: tuple[Word, ...] = ()

    def word(self, deviation: float, typical: float) -> str:
        """The word for a group, or nothing.

        Args:
            deviation: standard deviations from the average customer.
            typical: the value itself, in the unit of the feature.
        """
        words = self.high if deviation > 0 else self.low
        return next((word.text for word in words if word.at_least <= typical <= word.at_most), "")


BEHAVIOURS: tuple[Behaviour, ...] = (
    Behaviour(
        "orders",
        "state",
        high=(Word("loyal", at_least=3), Word("repeat", at_least=1.7)),
        low=(Word("one-order", at_most=1.5), Word("occasional")),
    ),
    Behaviour("recency_days", "state", high=(Word("quiet", at_least=60),), low=(Word("active", at_most=60),)),
    Behaviour(
        "age_days",
        "state",
        high=(Word("long-standing", at_least=365), Word("earlier")),
        low=(Word("new", at_most=120), Word("later")),
    ),
    Behaviour("order_value_mean_minor", "spend", high=(Word("big spenders"),), low=(Word("small spenders"),)),
    Behaviour("categories", "trait", high=(Word("many categories"),), low=(Word("few categories"),)),
    Behaviour("return_share", "trait", high=(Word("many returns"),)),
    Behaviour("web_events_90d", "trait", high=(Word("often on the website"),)),
    Behaviour("email_opens_90d", "trait", high=(Word("open e-mails"),)),
)
BY_COLUMN = {behaviour.column: behaviour for behaviour in BEHAVIOURS}


@dataclass(frozen=True, slots=True)
class Scale:
    """How one feature becomes a number of standard deviations from the average customer."""

    column: str
    low: float
    high: float
    mean: float
    deviation: float

    def value(self, standardised: float) -> float:
        """The feature at a number of standard deviations; of a group's centre, its geometric mean."""
        return float(np.expm1(standardised * self.deviation + self.mean))


def fit_scales(features: pl.DataFrame) -> tuple[Scale, ...]:
    """The scales of those behaviours in which the customers differ."""
    scales = []
    for behaviour in BEHAVIOURS:
        values = _logarithm(features, behaviour.column).drop_nulls().to_numpy()
        if not len(values):
            continue
        low, high = (float(bound) for bound in np.quantile(values, [0.01, 0.99]))
        # Where fewer than one in a hundred differ from the others, the quantiles would cut them all off.
        if low == high:
            low, high = float(values.min()), float(values.max())
        clipped = np.clip(values, low, high)
        deviation = float(clipped.std())
        if deviation > 1e-9:
            scales.append(Scale(behaviour.column, low, high, float(clipped.mean()), deviation))
    return tuple(scales)


def standardise(features: pl.DataFrame, scales: Sequence[Scale]) -> Matrix:
    """Customers by behaviours, in standard deviations; an unknown value is an average one.

    Raises:
        ValueError: a column that the scales need is missing.
    """
    missing = [scale.column for scale in scales if scale.column not in features.columns]
    if missing:
        raise ValueError(
            f"the features lack {', '.join(missing)}, which the segments were found by: discover anew"
        )
    matrix = np.zeros((features.height, len(scales)))
    for index, scale in enumerate(scales):
        values = _logarithm(features, scale.column).fill_null(scale.mean).to_numpy()
        standardised = (np.clip(values, scale.low, scale.high) - scale.mean) / scale.deviation
        matrix[:, index] = np.clip(standardised, -FARTHEST, FARTHEST)
    return matrix


def _logarithm(features: pl.DataFrame, column: str) -> pl.Series:
    if column not in features.columns:
        return pl.Series(column, [], dtype=pl.Float64)
    return features[column].cast(pl.Float64).fill_nan(None).clip(lower_bound=0.0).log1p()
