"""How much is ordered at which time of the year, where the data have seen two of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Self

import numpy as np
import polars as pl

from audience_pipeline.ltv.matrix import Floats

MONTHS = 12
_LEAST_MONTHS = 24
"""Whole months from which on a season can be told from growth."""
_LEAST_ORDERS = 20
"""Repeat orders a month, on average, below which chance would be taken for a season."""
_LAST_DAY = date(2099, 12, 31).toordinal() - date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Seasons:
    """An index for each calendar month; 1 is an ordinary one."""

    monthly: tuple[float, ...] = (1.0,) * MONTHS

    @classmethod
    def fit(cls, orders: pl.LazyFrame, as_of: date) -> Self:
        """Classical decomposition of the number of repeat orders of a day, month by month.

        The ratio of each month to the centred twelve-month average, averaged over the years (Persons 1919),
        drawn towards the mean of its quarter where years are few. First orders do not count: they show
        when customers are won.

        Args:
            orders: The orders table.
            as_of: The last day whose data may be used.

        Returns:
            Indices of 1 where there are fewer than 24 whole months or too few repeat orders.
        """
        counts = _repeat_orders_a_day(orders, as_of)
        if len(counts) < _LEAST_MONTHS or sum(count for _, count, _ in counts) < _LEAST_ORDERS * len(counts):
            return cls()
        rate = np.array([count / days for _, count, days in counts])
        weights = np.array([0.5] + [1.0] * (MONTHS - 1) + [0.5]) / MONTHS
        trend = np.convolve(rate, weights, mode="valid")
        month = np.array([first.month for first, _, _ in counts])[MONTHS // 2 : -(MONTHS // 2)]
        ratio = rate[MONTHS // 2 : -(MONTHS // 2)] / np.maximum(trend, 1e-9)
        seen = [ratio[month == number] for number in range(1, MONTHS + 1)]
        index = np.array([float(values.mean()) if len(values) else 1.0 for values in seen])
        years = min(len(values) for values in seen)
        quarter = np.repeat(index.reshape(4, 3).mean(axis=1), 3)
        drawn = quarter + (index - quarter) * years / (years + 1.0)
        drawn = np.maximum(drawn, 0.1)
        return cls(tuple((drawn / drawn.mean()).tolist()))

    def ahead(self, day: Floats, days: Floats) -> Floats:
        """Mean index of the ``days`` after each day; exactly 1 for a whole year.

        Args:
            day: Days since 1970-01-01.
            days: Whole days of each window, at least 1.
        """
        if self == Seasons():
            return np.ones(len(day))
        total = _cumulative(self.monthly)
        begin = np.clip(day, 0, _LAST_DAY).astype(np.int64)
        end = np.clip(day + days, 0, _LAST_DAY).astype(np.int64)
        mean = (total[end] - total[begin]) / np.maximum(end - begin, 1)
        ahead: Floats = np.where((days == 365) | (end <= begin), 1.0, mean)
        return ahead

    def as_json(self) -> dict[str, Any]:
        """For the model folder."""
        return {"monthly": list(self.monthly)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of :meth:`as_json`."""
        return cls(tuple(data["monthly"]))


@lru_cache(maxsize=8)
def _cumulative(monthly: tuple[float, ...]) -> Floats:
    days = np.arange(_LAST_DAY + 1).astype("datetime64[D]")
    month = days.astype("datetime64[M]").astype(np.int64) % MONTHS
    return np.cumsum(np.asarray(monthly)[month])


def _repeat_orders_a_day(orders: pl.LazyFrame, as_of: date) -> list[tuple[date, int, int]]:
    """First day, repeat purchase days of customers, and days of each whole month up to ``as_of``."""
    days = (
        orders.filter((pl.col("kind") == "order") & (pl.col("order_date") <= as_of))
        .select("customer_id", "order_date")
        .unique()
        .with_columns(pl.col("order_date").min().over("customer_id").alias("first"))
    )
    table = (
        days.group_by(pl.col("order_date").dt.truncate("1mo").alias("month"))
        .agg((pl.col("order_date") > pl.col("first")).sum().alias("repeats"), pl.col("order_date").min())
        .sort("month")
        .collect(engine="streaming")
    )
    if table.is_empty():
        return []
    counts = dict(zip(table["month"].to_list(), table["repeats"].to_list(), strict=True))
    begin: date = table["order_date"][0]
    month = begin if begin.day == 1 else _next(begin.replace(day=1))
    found = []
    while (following := _next(month)) <= as_of + timedelta(days=1):
        found.append((month, int(counts.get(month, 0)), (following - month).days))
        month = following
    return found


def _next(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)
