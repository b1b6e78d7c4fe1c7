"""The predictive distribution of 12-month LTV: what is observed, plus nothing, plus what orders bring.

With the probability of the hurdle model a customer orders again, and then the logarithm of what follows
is the predicted one plus a residual; the residuals are those of similar customers that no model had seen.
From this mixture come the value that is most probably within 30 % of the truth, that probability, and
the bounds that one customer in ten passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from audience_pipeline.ltv.calibration import AGE_BUCKETS, Odds
from audience_pipeline.ltv.matrix import Bools, Floats, Ints
from audience_pipeline.ltv.tables import FEW_ROWS, LEVELS, Residuals, Tables

TOLERANCE = 0.3
RULE = 1.29
"""Times the spend so far: hard to beat where data say little, so another multiple must earn its place.

Not 1.3, which floating point would count as a miss for customers who never return.
"""
MULTIPLES = np.array(
    [1.0, 1.05, 1.1, 1.15, 1.2, 1.25, RULE, 1.35, 1.4, 1.5, 1.6, 1.7, 1.85, 2.0, 2.2, 2.4, 2.7, 3.0, 3.5,
     4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 14.5, 17.0, 20.0, 24.0, 29.0, 35.0,
     42.0, 50.0, 60.0, 72.0, 86.0, 100.0]
)  # fmt: skip
_LOW, _HIGH = MULTIPLES / (1 + TOLERANCE) - 1.0, MULTIPLES / (1 - TOLERANCE) - 1.0
"""What may follow, as a share of the observed value, for a multiple to be within 30 %."""
_LOG_LOW = np.where(_LOW > 0, np.log(np.maximum(_LOW, 1e-12)), -np.inf)
_LOG_HIGH = np.log(_HIGH)
_RULE = int(np.flatnonzero(MULTIPLES == RULE)[0])
MARGINS = (0.01, 0.02, 0.03, 0.05, 0.08, 0.12)
"""Gains in stated probability for which another multiple than the rule's may be chosen."""
_SURELY = 0.15
"""A gain that calibrated probabilities do not mistake: then another multiple is always chosen."""
_NEVER = 9.0
_SURENESS = 2.0
"""Standard errors by which a margin's gain on held-out customers must exceed nothing."""
_LIKE = 3
"""Groups of customers by their probability of ordering again, within an age."""
_ROWS_A_TABLE = 150
_ROWS_OF_IDLE = 30
_ROWS_AT_ONCE = 2000
"""So many are looked up together: what is computed of them stays near the processor."""
_LEAST = -60.0
"""Residual of orders whose value came back whole."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Row by row, in minor units: the most likely value, its bounds and its probability."""

    likely: Floats
    p10: Floats
    p90: Floats
    within_30: Floats


@dataclass(frozen=True, slots=True)
class Prospects:
    """What the distribution is made from, row by row; money in minor units."""

    bucket: Ints
    """Age bucket."""
    observed: Floats
    again: Floats
    """Probability of another order in the window."""
    log_value: Floats
    """Predicted logarithm of what follows if there is one."""

    def take(self, rows: Any) -> Prospects:
        """Some of the rows."""
        return Prospects(self.bucket[rows], self.observed[rows], self.again[rows], self.log_value[rows])


@dataclass(frozen=True)
class Distribution:
    """Residuals by age, and how the choice is made from them."""

    residuals: tuple[Residuals, ...]
    """One for each age bucket."""
    odds: Odds
    """Calibration of the probability."""
    margins: tuple[float, ...]
    """For each age bucket the gain in stated probability that another multiple than the rule's needs."""

    @cached_property
    def _tables(self) -> Tables:
        return Tables.of(self.residuals)

    @classmethod
    def fit(cls, prospects: Prospects, remaining: Floats, ordered: Bools, fold: Ints) -> Self:
        """From held-out prospects and what happened.

        Args:
            prospects: Of models that did not see the customers.
            remaining: What followed in the window, minor units.
            ordered: Whether there was an order in it.
            fold: Rows of one customer share a fold; margin and probabilities are measured across folds.
        """
        at = np.flatnonzero(prospects.observed > 0)
        some = prospects.take(at)
        followed, bought = remaining[at], ordered[at]
        stated = np.zeros((len(at), len(MULTIPLES)))
        for number in np.unique(fold[at]):
            out = fold[at] == number
            others = ~out if not out.all() else out
            residuals = _fit(some.take(others), followed[others], bought[others])
            stated[out] = _stated(Tables.of(residuals), some.take(out))
        right = _hits(some.observed, followed)
        gains = _choices(stated, right)
        margins = tuple(_margin(gains[some.bucket == number]) for number in range(AGE_BUCKETS))
        best = _best(stated, np.asarray(margins)[some.bucket])
        rows = np.arange(len(best))
        odds = Odds.fit(stated[rows, best], right[rows, best], some.bucket)
        return cls(tuple(_fit(some, followed, bought)), odds, margins)

    def predict(self, prospects: Prospects) -> Forecast:
        """The forecast of each row."""
        observed = prospects.observed
        stated = _stated(self._tables, prospects)
        low, high = _quantiles_of(self._tables, prospects, self._tables.bounds[:, prospects.bucket])
        best = _best(stated, np.asarray(self.margins)[prospects.bucket])
        probability = self.odds.applied(stated[np.arange(len(best)), best], prospects.bucket)
        positive = observed > 0
        likely = np.where(positive, observed * MULTIPLES[best], observed)
        # Nothing is 30 % of nothing: only those who stay as they are can be told.
        within = np.where(positive, probability, 1.0 - prospects.again)
        return Forecast(likely=likely, p10=low, p90=high, within_30=within)

    def by_rule(self) -> Distribution:
        """The same with the rule's multiple alone: gains in shorter windows prove none in a year."""
        return replace(self, margins=(_NEVER,) * AGE_BUCKETS)

    def as_json(self) -> dict[str, Any]:
        """For the model folder."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of :meth:`as_json`."""
        residuals = tuple(
            Residuals(
                centres=tuple(one["centres"]),
                ordered=tuple(tuple(group) for group in one["ordered"]),
                idle=tuple(one["idle"]),
                low=one["low"],
                high=one["high"],
            )
            for one in data["residuals"]
        )
        return cls(residuals, Odds.from_json(data["odds"]), tuple(data["margins"]))


def _fit(prospects: Prospects, remaining: Floats, ordered: Bools) -> list[Residuals]:
    lost = np.clip(remaining / np.maximum(prospects.observed, 1.0), -1.0, 0.0)
    fitted = []
    for number in range(AGE_BUCKETS):
        at_age = prospects.bucket == number
        of_buyers = at_age if (at_age & ordered).sum() >= _ROWS_A_TABLE else np.ones_like(at_age)
        of_idle = at_age if (at_age & ~ordered).sum() >= _ROWS_OF_IDLE else np.ones_like(at_age)
        idle = _quantiles(lost[of_idle & ~ordered])
        buyers = of_buyers & ordered
        residuals = _residuals(prospects.take(buyers), remaining[buyers], idle)
        judged = at_age if at_age.sum() >= _ROWS_A_TABLE else np.ones_like(at_age)
        fitted.append(_tails(residuals, prospects.take(judged), remaining[judged]))
    return fitted


def _residuals(buyers: Prospects, followed: Floats, idle: tuple[float, ...]) -> Residuals:
    """The tables of those who ordered; the levels of the bounds are not yet calibrated."""
    logs = np.log(np.maximum(followed, 1e-9)) - buyers.log_value
    logs = np.where(followed > 0, logs, _LEAST)
    groups = int(np.clip(len(logs) // _ROWS_A_TABLE, 1, _LIKE))
    parts = np.array_split(np.argsort(buyers.again, kind="stable"), groups)
    return Residuals(
        centres=tuple(float(buyers.again[part].mean()) if len(part) else 0.5 for part in parts),
        ordered=tuple(_quantiles(logs[part]) for part in parts),
        idle=idle,
        low=0.1,
        high=0.9,
    )


def _quantiles(values: Floats) -> tuple[float, ...]:
    if not len(values):
        return (0.0,) * len(LEVELS)
    return tuple(np.quantile(values, LEVELS, method="inverted_cdf").tolist())


def _tails(residuals: Residuals, prospects: Prospects, remaining: Floats) -> Residuals:
    """Levels at which at most one in ten ends below the one bound, and one in ten above the other."""
    actual = prospects.observed + remaining
    tables = Tables.of([residuals])
    alike = replace(prospects, bucket=np.zeros_like(prospects.bucket))

    def below(level: float) -> float:
        return float(np.mean(actual < _quantiles_of(tables, alike, np.full(len(actual), level))))

    def within(level: float) -> float:
        return float(np.mean(actual <= _quantiles_of(tables, alike, np.full(len(actual), level))))

    low, _ = _bisected(below, 0.1, 0.01, 0.3)
    _, high = _bisected(within, 0.9, 0.7, 0.99)
    return replace(residuals, low=low, high=high)


def _bisected(share: Callable[[float], float], wanted: float, low: float, high: float) -> tuple[float, float]:
    """Levels close together between which a rising share passes what is wanted."""
    for _ in range(12):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if share(middle) > wanted else (middle, high)
    return low, high


def _stated(tables: Tables, prospects: Prospects) -> Floats:
    """(rows, multiples): probability that each multiple of the observed value is within 30 %."""
    if len(prospects.again) <= FEW_ROWS:
        return _stated_at(tables, prospects.bucket, prospects)
    stated = np.empty((len(prospects.again), len(MULTIPLES)))
    for number in np.flatnonzero(np.bincount(prospects.bucket)):
        rows = np.flatnonzero(prospects.bucket == number)
        for begin in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[begin : begin + _ROWS_AT_ONCE]
            stated[some] = _stated_at(tables, int(number), prospects.take(some))
    return stated


def _stated_at(tables: Tables, bucket: Ints | int, prospects: Prospects) -> Floats:
    again = prospects.again[:, None]
    shift = (np.log(np.maximum(prospects.observed, 1.0)) - prospects.log_value)[:, None]
    low, high = _LOG_LOW + shift, _LOG_HIGH + shift
    within = np.zeros(low.shape)
    for group, share in enumerate(tables.shares(bucket, prospects.again)):
        above = tables.ordered_below(bucket, group, high, inclusive=True)
        above -= tables.ordered_below(bucket, group, low, inclusive=False)
        within += (share * (1.0 / len(LEVELS)))[:, None] * above
    still = tables.idle_below(_HIGH, inclusive=True) - tables.idle_below(_LOW, inclusive=False)
    stated: Floats = (1.0 - again) * (still * (1.0 / len(LEVELS)))[bucket] + again * within
    return stated


def _quantiles_of(tables: Tables, prospects: Prospects, level: Floats) -> Floats:
    """Quantiles of the final value: idle customers first, then those who ordered.

    Args:
        tables: Of the residuals.
        prospects: One row for each customer.
        level: One for each row, or several rows of them.
    """
    bucket, again = prospects.bucket, prospects.again
    idle_share = 1.0 - again
    # Returns alone lie below, orders above "nothing more".
    idle = tables.idle_at(bucket, np.clip(level / np.maximum(idle_share, 1e-9), 0.0, 1.0))
    in_ordered = np.clip((level - idle_share) / np.maximum(again, 1e-9), 0.0, 1.0)
    residual = np.zeros(level.shape)
    for group, share in enumerate(tables.shares(bucket, again)):
        residual += share * tables.ordered_at(bucket, group, in_ordered)
    more = np.where(residual > _LEAST / 2, np.exp(prospects.log_value + residual), 0.0)
    followed = np.where(level > idle_share, more, np.maximum(prospects.observed, 0.0) * idle)
    final: Floats = prospects.observed + followed
    return final


def _hits(observed: Floats, remaining: Floats) -> Bools:
    """(rows, multiples): whether each multiple comes within 30 %."""
    actual = (observed + remaining)[:, None]
    right: Bools = np.abs(MULTIPLES * observed[:, None] - actual) <= TOLERANCE * np.abs(actual)
    return right


def _best(stated: Floats, margin: Floats | float) -> Ints:
    best = stated.argmax(axis=1)
    gain = stated[np.arange(len(best)), best] - stated[:, _RULE]
    return np.where(gain > margin, best, _RULE)


def _choices(stated: Floats, right: Bools) -> Floats:
    """(rows, margins): how many more hits than the rule each margin's choice has, -1, 0 or 1."""
    rows = np.arange(len(stated))
    rule = right[:, _RULE].astype(np.float64)
    return np.column_stack([right[rows, _best(stated, margin)] - rule for margin in MARGINS])


def _margin(gains: Floats) -> float:
    """The margin with the greatest sure gain; one that leaves no doubt where none has one."""
    if not len(gains):
        return _SURELY
    sure = gains.sum(axis=0) - _SURENESS * np.sqrt((gains**2).sum(axis=0))
    best = int(np.argmax(sure))
    return MARGINS[best] if sure[best] > 0 else _SURELY
