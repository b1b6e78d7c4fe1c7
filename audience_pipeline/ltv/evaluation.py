"""How good forecasts are, each beside what anybody could have said without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from audience_pipeline.ltv.matrix import Floats

Ints = npt.NDArray[np.int64]

GROUPS = 10
FIGURES = (
    "mae", "rmse", "r2", "gini", "spearman", "decile_mape", "total_ratio", "within_30", "within_20",
    "value_within_30", "value_within_20", "top_decile_share", "top_decile_capture",
)  # fmt: skip
"""Names of the figures of one forecast, in the order in which they are shown; see :class:`Judge`."""
THOUSAND = 1000
"""Customers in the groups whose total users are promised to know within 20 percent."""
_ALMOST_NOTHING = 1e-12


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rows in the order of a score, the greatest first; equal scores are a block and share what it holds."""

    order: Ints
    """The rows, the greatest score first."""
    starts: Ints
    """Where in ``order`` each block of equal scores begins."""
    block: Ints
    """The block of each row."""

    @classmethod
    def of(cls, score: Floats) -> Ranking:
        """Rank rows by a score."""
        order = np.argsort(-score, kind="stable")
        ordered = score[order]
        new = np.r_[True, ordered[1:] != ordered[:-1]]
        block = np.empty(len(score), dtype=np.int64)
        block[order] = np.cumsum(new) - 1
        return cls(order, np.flatnonzero(new), block)

    def sums(self, values: Floats) -> Floats:
        """Sums within each block: (samples, rows) to (samples, blocks)."""
        return np.add.reduceat(values[:, self.order], self.starts, axis=1)


class Judge:
    """Judges forecasts of the same actual values, over all customers or over weighted samples of them.

    Figures, each of shape (samples,), NaN where one has no meaning (nobody spent anything, one customer):

    * ``mae, rmse`` in the unit of the values, ``r2`` the share of the variance that is explained;
    * ``gini`` the normalised Gini of Wang, Liu and Miao 2019: twice the area between the gain curve and the
      diagonal, over the same of a perfect order; equal forecasts share their value, so that a constant
      scores 0 whatever the order of the rows;
    * ``spearman`` the rank correlation, equal values at their mean rank;
    * ``decile_mape`` the mean over deciles of the forecast of ``|mean forecast - mean actual| / mean actual``
      (deciles that spent nothing net are left out; a forecast of fewer than ten values has no deciles);
    * ``total_ratio`` the sum of forecasts over the sum of actual values;
    * ``within_30, within_20`` the share of customers with ``|forecast - actual| <= 0.3 |actual|`` (0.2);
    * ``value_within_30, value_within_20`` the same, each customer weighted by its actual value (a customer
      whose returns exceed its orders by 0);
    * ``top_decile_share`` the share of all actual value that the tenth of the customers with the greatest
      forecasts brought; ``top_decile_capture`` that over what the tenth with the greatest actual values did.
    """

    def __init__(self, actual: Floats, weights: Floats | None = None) -> None:
        """Args:
        actual: What was really spent, (rows,).
        weights: How often each row is in each sample, (samples, rows); every row once without it.
        """
        self.actual = actual
        self.weights = np.ones((1, len(actual))) if weights is None else weights

    def figures(self, forecast: Floats) -> dict[str, Floats]:
        """All of :data:`FIGURES` of one forecast, (rows,)."""
        if not len(self.actual):
            return {name: np.full(len(self.weights), np.nan) for name in FIGURES}
        error = np.abs(forecast - self.actual)
        ranking = Ranking.of(forecast)
        gain = self.gain(ranking)
        hits = [(error <= tolerance * np.abs(self.actual)).astype(np.float64) for tolerance in (0.3, 0.2)]
        value = np.clip(self.actual, 0, None)
        columns = [error, error**2, forecast, *hits, *(hit * value for hit in hits), value]
        mae, mse, mean, within_30, within_20, right_30, right_20, worth = self._means(columns)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = gain.at(np.array([0.1]))[:, 0]
            return {
                "mae": mae,
                "rmse": np.sqrt(mse),
                "r2": np.where(self._variance > 0, 1 - mse / self._variance, np.nan),
                "gini": np.where(self._best.area > _ALMOST_NOTHING, gain.area / self._best.area, np.nan),
                "spearman": self._spearman(ranking),
                "decile_mape": self._decile_mape(ranking, gain, forecast),
                "total_ratio": np.where(self._total > 0, mean / self._total, np.nan),
                "within_30": within_30,
                "within_20": within_20,
                "value_within_30": right_30 / worth,
                "value_within_20": right_20 / worth,
                "top_decile_share": share,
                "top_decile_capture": share / self._best.at(np.array([0.1]))[:, 0],
            }

    @cached_property
    def _size(self) -> Floats:
        return np.asarray(self.weights.sum(axis=1))

    @cached_property
    def _total(self) -> Floats:
        """Mean actual value; the total but for a factor."""
        return np.asarray(self._means([self.actual])[0])

    @cached_property
    def _variance(self) -> Floats:
        # Not mean of squares minus square of mean: of great equal values that leaves rounding.
        centred = self.actual - self.actual.mean()
        mean, square = self._means([centred, centred**2])
        return np.asarray(square - mean**2)

    @cached_property
    def _ranking(self) -> Ranking:
        return Ranking.of(self.actual)

    @cached_property
    def _best(self) -> Gain:
        return self.gain(self._ranking)

    def _means(self, columns: Sequence[Floats]) -> Floats:
        """Means of columns: (columns, samples)."""
        return np.asarray((self.weights @ np.column_stack(columns)).T) / self._size

    def gain(self, ranking: Ranking, values: Floats | None = None) -> Gain:
        """The gain curve of an order: of the actual values, or of others."""
        values = self.actual if values is None else values
        customers = np.cumsum(ranking.sums(self.weights), axis=1) / self._size[:, None]
        value = np.cumsum(ranking.sums(self.weights * values), axis=1)
        start = np.zeros((len(self.weights), 1))
        return Gain(np.hstack([start, customers]), np.hstack([start, value]))

    def _ranks(self, ranking: Ranking) -> Floats:
        """Mean ranks of equal scores, counted from the middle: (samples, rows)."""
        size = ranking.sums(self.weights)
        middle = np.cumsum(size, axis=1) - size / 2
        return np.asarray((self._size[:, None] / 2 - middle)[:, ranking.block])

    @cached_property
    def _actual_ranks(self) -> Floats:
        return self._ranks(self._ranking)

    @cached_property
    def _actual_spread(self) -> Floats:
        return np.asarray((self.weights * self._actual_ranks**2).sum(axis=1))

    def _spearman(self, ranking: Ranking) -> Floats:
        weighted = self.weights * (ranks := self._ranks(ranking))
        spread = (weighted * ranks).sum(axis=1) * self._actual_spread
        with np.errstate(divide="ignore", invalid="ignore"):
            found = (weighted * self._actual_ranks).sum(axis=1) / np.sqrt(spread)
        return np.where(spread > _ALMOST_NOTHING, found, np.nan)

    def _decile_mape(self, ranking: Ranking, gain: Gain, forecast: Floats) -> Floats:
        if len(ranking.starts) < GROUPS:
            return np.full(len(self.weights), np.nan)
        edges = np.linspace(0, 1, GROUPS + 1)
        actual = np.diff(gain.sums_at(edges), axis=1)
        stated = np.diff(self.gain(ranking, forecast).sums_at(edges), axis=1)
        gap = np.where(actual > 0, np.abs(stated - actual) / actual, np.nan)
        known = np.isfinite(gap)
        return np.asarray(np.where(known, gap, 0).sum(axis=1) / known.sum(axis=1))


@dataclass(frozen=True, slots=True)
class Gain:
    """Gain curves (samples, points): the share of customers, best first, and the value that they brought."""

    customers: Floats
    value: Floats

    @property
    def area(self) -> Floats:
        """Twice the area between the curve and the diagonal; NaN where nothing net was spent."""
        total = self.value[:, -1]
        steps = np.diff(self.customers, axis=1) * (self.value[:, 1:] + self.value[:, :-1])
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(total > 0, steps.sum(axis=1) / total - 1, np.nan)

    def at(self, shares: Floats) -> Floats:
        """Share of the value at shares of the customers; NaN where nothing net was spent."""
        total = self.value[:, -1:]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(total > 0, self.sums_at(shares) / total, np.nan)

    def sums_at(self, shares: Floats) -> Floats:
        """The value at shares of the customers, (samples, shares)."""
        pairs = zip(self.customers, self.value, strict=True)
        return np.array([np.interp(shares, customers, value) for customers, value in pairs])


def metrics(forecast: Floats, actual: Floats) -> dict[str, float | None]:
    """:data:`FIGURES` of one forecast over one group of customers (see :class:`Judge`); None for NaN."""
    return {
        name: float(value[0]) if np.isfinite(value[0]) else None
        for name, value in Judge(actual).figures(forecast).items()
    }


def gain(score: Floats, actual: Floats, shares: Floats) -> Floats:
    """Share of all actual value that the given shares of the customers brought, the greatest score first."""
    return np.asarray(Judge(actual).gain(Ranking.of(score)).at(shares)[0])


def groups(forecast: Floats, actual: Floats, count: int = GROUPS) -> pl.DataFrame:
    """``group`` (1 is the greatest forecast), ``customers``, mean ``predicted`` and ``actual``.

    Equal forecasts are parted in the order of the rows.
    """
    return (
        pl.DataFrame({"group": group_numbers(forecast, count), "predicted": forecast, "actual": actual})
        .group_by("group")
        .agg(pl.len().cast(pl.Int64).alias("customers"), pl.col("predicted", "actual").mean())
        .sort("group")
    )


def group_numbers(forecast: Floats, count: int = GROUPS) -> Ints:
    """The group of each row: 1 holds the greatest forecasts; equal ones are parted in the order of rows."""
    number = np.empty(len(forecast), dtype=np.int64)
    number[np.argsort(-forecast, kind="stable")] = np.arange(len(forecast)) * count // max(len(forecast), 1)
    return number + 1


def random_totals(
    forecasts: Mapping[str, Floats], actual: Floats, *, draws: int = 1000, seed: int = 7
) -> dict[str, Floats]:
    """Sum of forecasts over sum of actual values of random groups of 1,000 customers.

    Args:
        forecasts: Each (rows,); all are judged on the same groups.
        actual: What was really spent, (rows,).
        draws: Number of groups, drawn with replacement: other customers like these.
        seed: Of the groups.

    Returns:
        By forecast, (draws,); NaN for a group that spent nothing net.
    """
    if not len(actual):
        return {name: np.full(draws, np.nan) for name in forecasts}
    chosen = np.random.default_rng(seed).integers(0, len(actual), (draws, THOUSAND))
    total = actual[chosen].sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            name: np.where(total > 0, values[chosen].sum(axis=1) / total, np.nan)
            for name, values in forecasts.items()
        }
