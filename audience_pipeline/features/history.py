"""What some customers bought and returned, day by day, summed so that any stretch is a subtraction away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from audience_pipeline.customers.arrays import (
    ABOVE,
    NONE,
    Ints,
    Numbers,
    by_runs,
    first_of_greatest,
    greatest,
    named,
    ordered,
    ranks,
    running,
    starts,
    whole,
)

WEEK = 7
_EPOCH_WEEKDAY = 3
"""1 January 1970 was a Thursday, Monday being 0."""
_BITS = 32
_LOW = np.int64(2**_BITS - 1)
_FIRST_DAY = np.int64(2**31)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""Spreads small numbers over all bits."""


def day_key(customer: Ints, day: Ints | int) -> Ints:
    """Customer and day in one number that sorts by both; a day more is one more."""
    return (customer << _BITS) + day + _FIRST_DAY


@dataclass(frozen=True, slots=True)
class Categories:
    """One row for each order and category in it, in the order of the purchase days."""

    names: pl.Series
    begins: Ints
    """Row at which each purchase day begins, and the number of rows."""
    different: Ints
    """Running sum of the rows whose category was new to the customer."""
    times: Ints
    """How often the customer had bought the category, this time included, above its place from the end."""

    def most(self, begin: Ints, end: Ints) -> tuple[Ints, pl.Series]:
        """The most that any category was bought between two rows, and the first by name of those."""
        bought = end > begin
        where = np.flatnonzero(bought)
        top = np.zeros(len(begin), dtype=np.int64)
        if len(where):
            top[where] = greatest(self.times, begin[where], end[where])
        return top >> _BITS, named(self.names, np.where(bought, len(self.names) - (top & _LOW), NONE))


@dataclass(frozen=True, slots=True)
class Purchases:
    """One row for each customer and day with an order, sorted by both."""

    customers: pl.Series
    """The id of each customer, by number."""
    first: Ints
    """Row of each customer's first purchase day."""
    key: Ints
    """:func:`day_key` of each row."""
    day: Ints
    """Days since 1970."""
    gap: Ints
    """Days since the purchase day before; 0 for the first."""
    most_categories: Ints
    """In one order."""
    hour: Ints
    """The earliest; above 23 where unknown."""
    channel: pl.Series
    category: pl.Series
    """Of the order with the greatest amount; of several, the first by name."""
    value: Ints
    """The greatest value that an order with lines on this day has reached."""
    latest: Ints
    """Of the orders with lines on this day: the day of the beginning above the place in ``values``."""
    values: Ints
    """Order values, each once, ascending."""
    squares: pl.Series
    """Running sum of squared order values: Int128."""
    weekdays: npt.NDArray[np.int64]
    """Running number of rows on each day of the week, one column each."""
    categories: Categories
    sums: Mapping[str, Ints]
    """Running sums by name; see :meth:`sum`."""

    def sum(self, name: str, begin: Ints, end: Ints) -> Ints:
        """Sum of what is called ``name`` over the rows from ``begin`` to before ``end``."""
        running_sum = self.sums[name]
        return running_sum[end] - running_sum[begin]

    def sum_of_squares(self, begin: Ints, end: Ints) -> pl.Series:
        """Of order values; Int128."""
        return self.squares.gather(end) - self.squares.gather(begin)

    def value_of_latest(self, begin: Ints, end: Ints) -> Ints:
        """Value of the order begun last; of several on one day, of the greatest."""
        return self.values[greatest(self.latest, begin, end) & _LOW]


@dataclass(frozen=True, slots=True)
class Returns:
    """One row for each return, sorted by customer and day."""

    key: Ints
    """:func:`day_key` of each row."""
    amount: Ints
    """Running sum."""


def purchases(bought: pl.DataFrame, customer: Ints) -> Purchases:
    """Purchase days of some customers.

    Args:
        bought: At least one row of the orders table, all of kind ``order``.
        customer: The number of each row's customer; all numbers from 0 on occur.
    """
    day = whole(bought["order_date"].to_physical())
    order = ordered(customer, day)
    customer, day = customer[order], day[order]
    begins = starts(customer, day)
    ends = np.append(begins[1:], len(day))
    amount = whole(bought["amount_minor"])[order]
    begun, value, before = _whole_orders(bought["order_id"], order, customer, day, amount)
    levels, place = np.unique(value, return_inverse=True)
    on, of = day[begins], customer[begins]
    first = starts(of)
    gap = np.diff(on, prepend=on[:1])
    gap[first] = 0
    channel, channels = ranks(bought["channel"])
    category, categories = ranks(bought["top_category"])

    def column(name: str, missing: int = 0) -> Ints:
        return whole(bought[name], missing)[order]

    def total(values: Ints) -> Ints:
        return running(by_runs(np.add, values, begins))

    def least(values: Ints) -> Ints:
        return by_runs(np.minimum, values, begins)

    discount = column("discount_minor", NONE)
    discount_known, units_known = discount >= 0, whole(bought["units_milli"].is_not_null())[order]
    discount = np.where(discount_known, discount, 0)
    return Purchases(
        customers=bought["customer_id"].gather(order[begins[first]]),
        first=first,
        key=day_key(of, on),
        day=on,
        gap=gap,
        most_categories=by_runs(np.maximum, whole(bought["categories"].list.len())[order], begins),
        hour=least(column("hour", int(ABOVE))),
        channel=named(channels, least(np.where(channel < 0, ABOVE, channel)[order])),
        category=named(categories, first_of_greatest(category[order], amount, begins)),
        value=by_runs(np.maximum, value, begins),
        latest=by_runs(np.maximum, ((day[begun] - day.min()) << _BITS) | place, begins),
        values=levels,
        squares=_running_squares(value, before, ends),
        weekdays=_running_weekdays(on),
        categories=_categories(bought["categories"], order, customer, begins),
        sums={
            "sales": total(amount),
            "lines": total(column("lines")),
            "orders": total((begun == np.arange(len(day))).astype(np.int64)),
            "units": total(column("units_milli")),
            "units_known": total(units_known),
            "discount": total(discount),
            "discounted": total((discount > 0).astype(np.int64)),
            "discount_known": total(discount_known.astype(np.int64)),
            "discountable": total(np.where(discount_known, amount + discount, 0)),
            "gap_squares": running(gap * gap),
        },
    )


def returns(returned: pl.DataFrame, customer: Ints) -> Returns:
    """Returns of some customers: rows of the orders table, all of kind ``return``."""
    key = day_key(customer, whole(returned["order_date"].to_physical()))
    order = np.argsort(key, kind="stable")
    return Returns(key[order], running(whole(returned["amount_minor"])[order]))


def _whole_orders(
    order_id: pl.Series, order: Ints, customer: Ints, day: Ints, amount: Ints
) -> tuple[Ints, Ints, Ints]:
    """Rows of one order belong together, whatever their day.

    Returns:
        The row with which the order of each row begins, what the order is worth with that row, and
        without it.
    """
    begun, value, before = np.arange(len(day)), amount.copy(), np.zeros_like(amount)
    # Rows of one order share the hash, and hardly any others: only they are compared as texts.
    alike = _repeated(order_id.hash().to_numpy()[order] ^ (customer.astype(np.uint64) * _SPREAD))
    if len(alike):
        ids = Numbers()(order_id.gather(order[alike]))
        together = ordered(customer[alike], ids)
        first = starts(customer[alike][together], ids[together])
        rows = alike[together]
        count = np.diff(np.append(first, len(rows)))
        total = np.cumsum(amount[rows])
        begun[rows] = np.repeat(rows[first], count)
        value[rows] = total - np.repeat(total[first] - amount[rows[first]], count)
        before[rows] = value[rows] - amount[rows]
    return begun, value, before


def _repeated(values: npt.NDArray[np.uint64]) -> Ints:
    """Positions of the values that occur more than once, ascending."""
    order = np.argsort(values)
    ordered_values = values[order]
    same = ordered_values[1:] == ordered_values[:-1]
    if not same.any():
        return np.empty(0, dtype=np.int64)
    return np.sort(order[np.append(same, False) | np.append(False, same)])


def _running_squares(value: Ints, before: Ints, ends: Ints) -> pl.Series:
    now, then = (pl.Series(values).cast(pl.Int128) for values in (value, before))
    added = (now * now - then * then).cum_sum().gather(ends - 1)
    return pl.concat([pl.Series([0], dtype=pl.Int128), added])


def _running_weekdays(day: Ints) -> npt.NDArray[np.int64]:
    counts = np.zeros((len(day) + 1, WEEK), dtype=np.int64)
    counts[np.arange(1, len(day) + 1), (day + _EPOCH_WEEKDAY) % WEEK] = 1
    return np.cumsum(counts, axis=0, out=counts)


def _categories(lists: pl.Series, order: Ints, customer: Ints, begins: Ints) -> Categories:
    lists = lists.gather(order)
    counts = whole(lists.list.len())
    place, names = ranks(lists.explode(empty_as_null=False, keep_nulls=False))
    who = np.repeat(customer, counts)
    rows = np.arange(len(place))
    together = ordered(who, place)
    first = starts(who[together], place[together])
    began = np.repeat(first, np.diff(np.append(first, len(rows))))
    times = np.empty(len(rows), dtype=np.int64)
    times[together] = rows - began + 1
    return Categories(
        names=names,
        begins=np.append(running(counts)[begins], len(rows)),
        different=running((times == 1).astype(np.int64)),
        times=(times << _BITS) | (len(names) - place),
    )
