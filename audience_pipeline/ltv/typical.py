"""The typical customer that reasons compare with, as the purchase model sees it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from audience_pipeline.ltv.calibration import AGE_BUCKETS, age_bucket
from audience_pipeline.ltv.matrix import Bools, Floats
from audience_pipeline.ltv.snapshots import LAST_AGE

if TYPE_CHECKING:
    from audience_pipeline.ltv.outlook import Expectation

_LEAST_ROWS = 100
"""Fewer rows of customers whose first year is over are no base; all ages stand in."""
_LEAST_ORDERS = 1e-12


@dataclass(frozen=True, slots=True)
class Typical:
    """Medians, over the training rows, of what the purchase model expects at an ordinary time of the year.

    The rest of the first year has a median for each age, as customers become rarer buyers and windows
    shorter; the next year has one for the whole base.
    """

    ages: tuple[float, ...]
    """Days, ascending; between them medians are interpolated."""
    daily_orders: tuple[float, ...]
    """Logarithm of the expected orders in a day of the rest of the first year, at each age."""
    order_value: tuple[float, ...]
    """Logarithm of the expected order value in minor units, at each age."""
    next_daily_orders: float
    """The same in the next year, of customers whose first year is over."""
    next_order_value: float

    @classmethod
    def fit(
        cls, expected: Expectation, days: Floats, age: Floats, first_window: Bools, season: Floats
    ) -> Self:
        """Learn from training rows.

        Args:
            expected: Of each row in its window.
            days: Length of the windows.
            age: Days since the first order.
            first_window: Whether the window is the rest of the first year.
            season: How much more or less is ordered in the windows than at an ordinary time of the year.

        Raises:
            ValueError: There are no rows.
        """
        if not len(days):
            raise ValueError("a typical customer needs training rows; there are none")
        orders = np.maximum(expected.orders / season, _LEAST_ORDERS)
        daily, value = np.log(orders) - np.log(np.maximum(days, 1.0)), np.log(expected.order_value + 1.0)
        bucket = age_bucket(age)
        young = [first_window & (bucket == number) for number in range(AGE_BUCKETS)]
        knots = [rows for rows in young if rows.any()] or [np.ones(len(days), dtype=bool)]
        later = ~first_window & (age >= LAST_AGE)
        if later.sum() < _LEAST_ROWS:
            later = ~first_window if (~first_window).any() else knots[-1]
        return cls(
            ages=tuple(float(age[rows].mean()) for rows in knots),
            daily_orders=tuple(float(np.median(daily[rows])) for rows in knots),
            order_value=tuple(float(np.median(value[rows])) for rows in knots),
            next_daily_orders=float(np.median(daily[later])),
            next_order_value=float(np.median(value[later])),
        )

    def money(self, age: Floats, days: Floats, first_window: Bools) -> tuple[Floats, Floats]:
        """Logarithms of the expected net revenue of a typical customer, and of its order value.

        Args:
            age: Days since the first order of those who are compared with it.
            days: Length of the windows.
            first_window: Whether the window is the rest of the first year.

        Returns:
            Both in minor units, one cent added, as the purchase model's are.
        """
        daily = np.where(first_window, np.interp(age, self.ages, self.daily_orders), self.next_daily_orders)
        value = np.where(first_window, np.interp(age, self.ages, self.order_value), self.next_order_value)
        money: Floats = np.logaddexp(daily + np.log(days) + value, 0.0)
        return money, value

    def as_json(self) -> dict[str, Any]:
        """For the model folder."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of :meth:`as_json`."""
        knots = {name: tuple(data[name]) for name in ("ages", "daily_orders", "order_value")}
        return cls(
            **knots,
            next_daily_orders=data["next_daily_orders"],
            next_order_value=data["next_order_value"],
        )
