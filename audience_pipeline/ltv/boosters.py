"""The boosted trees: money still to come, and the probability of another order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from audience_pipeline.ltv.matrix import Floats
from audience_pipeline.ltv.snapshots import HORIZON_DAYS, LAST_AGE

ROUNDS = 50
PARAMETERS: dict[str, Any] = {
    "learning_rate": 0.08,
    "num_leaves": 15,
    # A customer brings some ten rows: leaves need many of them to know more than one customer.
    "min_data_in_leaf": 300,
    "extra_trees": True,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.4,
    "bagging_freq": 1,
    "max_bin": 63,
    "cat_smooth": 20,
    "deterministic": True,
    "force_row_wise": True,
    # Several boosters grow at once, each on one thread: two threads in one booster wait for each other
    # at every split, which takes ten times as long where other processes share the cores.
    "num_threads": 1,
    "verbosity": -1,
}
TWEEDIE_POWER = 1.5
WINSORISED_AT = 0.995
OUTLIER_TIMES = 10
"""A label this many times above the 99.5 % quantile does not count in totals either."""
AGE_EDGES = (15, 45, 75, 135, 225, 300)
"""Days that part the ages for calibration."""


def age_bucket(age_days: Floats) -> Any:
    """The number of the age bucket of each row."""
    return np.searchsorted(AGE_EDGES, age_days, side="right")


def remaining_share(age_days: Floats) -> Floats:
    """The part of the first year that is still to come, 0 once it is over."""
    return np.clip(LAST_AGE - age_days, 0, None) / HORIZON_DAYS


@dataclass(frozen=True, slots=True)
class Start:
    """Where trees start from: a share of what was spent, so that large customers scale linearly."""

    share: float
    floor: float
    ceiling: float

    @classmethod
    def fit(cls, spent: Floats) -> Start:
        """From minor units spent; bounded, so that a giant order bends nothing."""
        positive = np.clip(spent, 0, None)
        high = float(np.quantile(positive, WINSORISED_AT))
        level = float(np.minimum(positive, high).mean())
        return cls(share=0.5, floor=max(0.2 * level, 1.0), ceiling=max(OUTLIER_TIMES * high, 1.0))

    def log(self, spent: Floats) -> Floats:
        """The logarithm of the starting value."""
        return np.log(self.share * np.clip(spent, 0, self.ceiling) + self.floor)


@dataclass(frozen=True, slots=True)
class MoneyModel:
    """Expected net revenue in minor units: Tweedie trees on a yearly rate, times a calibration."""

    start: Start
    booster: Any | None
    """None where nobody in training spent anything more."""
    factors: tuple[float, ...] = (1.0,) * (len(AGE_EDGES) + 1)
    """Calibration by age bucket: makes totals match."""

    @classmethod
    def fit(
        cls,
        matrix: Floats,
        spent: Floats,
        label: Floats,
        exposure: Floats,
        categorical: list[int],
        *,
        seed: int,
    ) -> MoneyModel:
        """Grow trees on winsorised labels.

        Args:
            matrix: Features.
            spent: Minor units to start from.
            label: Minor units that followed; negative ones count as nothing here.
            exposure: Length of the label's window in years; its inverse makes a yearly rate.
            categorical: Positions of category columns.
            seed: Of the row and column samples.
        """  # fmt: skip
        import lightgbm

        start = Start.fit(spent)
        rate = label / exposure
        rate = np.clip(rate, 0, max(float(np.quantile(rate, WINSORISED_AT)), 0.0))
        if not rate.any():
            return cls(start, None)
        data = lightgbm.Dataset(
            matrix, rate, weight=exposure, init_score=start.log(spent), categorical_feature=categorical
        )
        parameters = PARAMETERS | {
            "objective": "tweedie",
            "tweedie_variance_power": TWEEDIE_POWER,
            "seed": seed,
        }
        return cls(start, _portable(lightgbm.train(parameters, data, ROUNDS)))

    def predict(self, matrix: Floats, spent: Floats, exposure: Floats, age_days: Floats) -> Floats:
        """Expected minor units in the window, never negative."""
        if self.booster is None or not len(spent):
            return np.zeros(len(spent))
        raw = self.booster.predict(matrix, raw_score=True) + self.start.log(spent)
        expected: Floats = np.exp(raw) * exposure * self.factor(age_days)
        return expected

    def factor(self, age_days: Floats) -> Floats:
        """The calibration of each row."""
        factors: Floats = np.asarray(self.factors)[age_bucket(age_days)]
        return factors

    def calibrated(self, factors: tuple[float, ...]) -> MoneyModel:
        """The same trees with other factors."""
        return replace(self, factors=factors)


@dataclass(frozen=True, slots=True)
class RepeatModel:
    """Probability of at least one more order in the next 365 days."""

    booster: Any | None
    constant: float
    """The share in training; the answer where there are no trees."""

    @classmethod
    def fit(cls, matrix: Floats, again: Floats, categorical: list[int], *, seed: int) -> RepeatModel:
        """Grow trees on 1 (ordered again) and 0."""
        import lightgbm

        share = float(again.mean())
        if share in (0.0, 1.0):
            return cls(None, share)
        data = lightgbm.Dataset(matrix, again, categorical_feature=categorical)
        parameters = PARAMETERS | {"objective": "binary", "seed": seed}
        return cls(_portable(lightgbm.train(parameters, data, ROUNDS)), share)

    def predict(self, matrix: Floats) -> Floats:
        """Probabilities."""
        if self.booster is None or not len(matrix):
            return np.full(len(matrix), self.constant)
        probability: Floats = self.booster.predict(matrix)
        return probability


def calibration(label: Floats, predicted: Floats, age_days: Floats, *, by_age: bool) -> tuple[float, ...]:
    """Factors by age bucket (or the same for all) that make held-out predictions sum to what happened.

    Labels far above all others are cut: one giant order must not raise everybody's prediction.
    """
    high = OUTLIER_TIMES * max(float(np.quantile(label, WINSORISED_AT)), 0.0)
    label = np.clip(label, -high, high)
    buckets = age_bucket(age_days)
    overall = _factor(label.sum(), predicted.sum())
    factors = []
    for bucket in range(len(AGE_EDGES) + 1):
        inside = buckets == bucket
        enough = by_age and inside.sum() >= 200
        factors.append(_factor(label[inside].sum(), predicted[inside].sum()) if enough else overall)
    return tuple(factors)


def _factor(actual: float, predicted: float) -> float:
    return float(np.clip(actual / predicted, 0.25, 4.0)) if predicted > 0 else 1.0


def _portable(booster: Any) -> Any:
    """The booster as it will be read back from its text, so that a stored model answers the same."""
    import lightgbm

    return lightgbm.Booster(model_str=booster.model_to_string(num_iteration=-1))
