"""What some customers bought and returned, day by day, summed so that any stretch is a subtraction away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from audience_pipeline.customers.arrays import (
    Ints,
    by_runs,
    first_of_greatest,
    greatest,
    lengths,
    ordered,
    running,
    starts,
)
from audience_pipeline.features.orders import Orders

WEEK = 7
_EPOCH_WEEKDAY = 3
"""1 January 1970 was a Thursday, Monday being 0."""
_BITS = 32
_LOW = np.int64(2**_BITS - 1)
FIRST_DAY = 2**31
"""Added to a day, so that days before 1970 are no negative number."""
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""Spreads small numbers over all bits."""


def day_key(customer: Ints, day: Ints | int) -> Ints:
    """Customer and day in one number that sorts by both; a day more is one more."""
    return (customer << _BITS) + day + FIRST_DAY


def customer_and_day(key: Ints) -> tuple[Ints, Ints]:
    """The inverse of :func:`day_key`."""
    return key >> _BITS, (key & _LOW) - FIRST_DAY


@dataclass(frozen=True, slots=True)
class Categories:
    """One row for each order and category in it, in the order of the purchase days."""

    names: list[str | None]
    """In their order, ended by None."""
    begins: Ints
    """Row at which each purchase day begins, and the number of rows."""
    different: Ints
    """Running number of the rows whose category was new to the customer."""
    times: Ints
    """How often the customer had bought the category, this time included, above its place from the end."""

    def most(self, begin: Ints, end: Ints) -> tuple[Ints, Ints]:
        """The most that any category was bought between two rows, and the first by name of those."""
        bought = np.flatnonzero(end > begin)
        top = np.zeros(len(begin), dtype=np.int64)
        if len(bought):
            top[bought] = greatest(self.times, begin[bought], end[bought])
        return top >> _BITS, len(self.names) - 1 - (top & _LOW)


@dataclass(frozen=True, slots=True)
class Purchases:
    """One row for each customer and day with an order, sorted by both."""

    customers: Ints
    """Row of the orders table with the id of each customer, by number."""
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
    """The earliest; ``ABOVE`` where unknown."""
    channel: Ints
    """The first by name, as its place in ``channels``."""
    channels: list[str | None]
    category: Ints
    """Of the order with the greatest amount, of several the first by name, as its place."""
    category_names: list[str | None]
    value: Ints
    """The greatest value that an order with lines on this day has reached."""
    latest: Ints
    """Of the orders with lines on this day: the day of the beginning above the place in ``values``."""
    values: Ints
    """Order values, each once, ascending."""
    grown: tuple[Ints, Ints]
    """Per row of the orders table: what its order is worth with it, and without it."""
    rows: Ints
    """Row of the orders table, sorted alike, at which each purchase day begins, and the number of rows."""
    weekdays: npt.NDArray[np.int64]
    """Running number of rows on each day of the week, one column each."""
    categories: Categories
    sums: Mapping[str, Ints]
    """Running sums by name; see :meth:`sum`."""

    def sum(self, name: str, begin: Ints, end: Ints) -> Ints:
        """Sum of what is called ``name`` over the rows from ``begin`` to before ``end``."""
        running_sum = self.sums[name]
        return running_sum[end] - running_sum[begin]

    def value_of_latest(self, begin: Ints, end: Ints) -> Ints:
        """Value of the order begun last; of several on one day, of the greatest."""
        found: Ints = self.values[greatest(self.latest, begin, end) & _LOW]
        return found

    def sum_of_squares(self, begin: Ints, end: Ints) -> pl.Series:
        """Of order values: Int128."""
        now, then = (pl.Series(values).cast(pl.Int128) for values in self.grown)
        total = (now * now - then * then).cum_sum().extend(pl.Series([0], dtype=pl.Int128))
        return total[self.rows[end] - 1] - total[np.where(begin > 0, self.rows[begin], len(total)) - 1]


@dataclass(frozen=True, slots=True)
class Returns:
    """One row for each return, sorted by customer and day."""

    key: Ints
    """:func:`day_key` of each row."""
    amount: Ints
    """Running sum."""


def purchases(table: Orders, rows: Ints, customer: Ints) -> Purchases:
    """Purchase days of some customers.

    Args:
        table: Rows of the orders table.
        rows: Those of kind ``order``; at least one.
        customer: The number of each row's customer, of the whole table; of the customers of ``rows`` all
            numbers from 0 on occur.
    """
    order = rows[ordered(customer[rows], table.day[rows])]
    customer, day = customer[order], table.day[order]
    begins = starts(customer, day)
    on, of = day[begins], customer[begins]
    first = starts(of)
    gap = np.diff(on, prepend=on[:1])
    gap[first] = 0

    def total(values: Ints) -> Ints:
        return running(by_runs(np.add, values, begins))

    def least(values: Ints) -> Ints:
        return by_runs(np.minimum, values[order], begins)

    amount, counts, discount = table.amount[order], table.category_count[order], table.discount[order]
    begun, value, before = _whole_orders(table, order, customer, amount)
    levels, place = np.unique(value, return_inverse=True)
    discount_known = discount >= 0
    discount = np.where(discount_known, discount, 0)
    return Purchases(
        customers=order[begins[first]],
        first=first,
        key=day_key(of, on),
        day=on,
        gap=gap,
        most_categories=by_runs(np.maximum, counts, begins),
        hour=least(table.hour),
        channel=least(table.channel),
        channels=table.channels,
        category=first_of_greatest(table.top_category[order], amount, begins),
        category_names=table.top_categories,
        value=by_runs(np.maximum, value, begins),
        latest=by_runs(np.maximum, ((day[begun] - day.min()) << _BITS) | place, begins),
        values=levels,
        grown=(value, before),
        rows=np.append(begins, len(order)),
        weekdays=_running_weekdays(on),
        categories=_categories(table, order, customer, counts, begins),
        sums={
            "sales": total(amount),
            "lines": total(table.lines[order]),
            "orders": total((begun == np.arange(len(day))).astype(np.int64)),
            "squares": total(value * value - before * before),
            "units": total(table.units[order]),
            "units_known": total(table.units_known[order]),
            "discount": total(discount),
            "discounted": total((discount > 0).astype(np.int64)),
            "discount_known": total(discount_known.astype(np.int64)),
            "discountable": total(np.where(discount_known, amount + discount, 0)),
            "gap_squares": running(gap * gap),
        },
    )


def returns(table: Orders, rows: Ints, customer: Ints) -> Returns:
    """Returns of some customers; arguments as in :func:`purchases`."""
    key = day_key(customer[rows], table.day[rows])
    order = np.argsort(key, kind="stable")
    return Returns(key[order], running(table.amount[rows[order]]))


def _whole_orders(table: Orders, order: Ints, customer: Ints, amount: Ints) -> tuple[Ints, Ints, Ints]:
    """Rows of one order belong together, whatever their day.

    Returns:
        The row with which the order of each row begins, what the order is worth with that row, and
        without it.
    """
    begun, value, before = np.arange(len(order)), amount.copy(), np.zeros_like(amount)
    # Rows of one order share the hash, and hardly any others: only they are compared as texts.
    alike = _repeated(table.order_hash[order] ^ (customer.astype(np.uint64) * _SPREAD))
    if len(alike):
        ids = table.order_numbers(order[alike])
        together = ordered(customer[alike], ids)
        first = starts(customer[alike][together], ids[together])
        rows = alike[together]
        count = lengths(first, len(rows))
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


def _running_weekdays(day: Ints) -> npt.NDArray[np.int64]:
    counts = np.zeros((len(day) + 1, WEEK), dtype=np.int64)
    counts[np.arange(1, len(day) + 1), (day + _EPOCH_WEEKDAY) % WEEK] = 1
    return np.cumsum(counts, axis=0, out=counts)


def _categories(table: Orders, order: Ints, customer: Ints, counts: Ints, begins: Ints) -> Categories:
    names = table.categories
    ends = running(counts)
    offset = running(table.category_count)[order]
    rows = np.arange(ends[-1])
    place = table.category[rows + np.repeat(offset - ends[:-1], counts)]
    who = np.repeat(customer, counts)
    together = ordered(who, place)
    first = starts(who[together], place[together])
    times = np.empty(len(rows), dtype=np.int64)
    times[together] = rows - np.repeat(first, lengths(first, len(rows))) + 1
    return Categories(
        names=names,
        begins=np.append(ends[begins], len(rows)),
        different=running((times == 1).astype(np.int64)),
        times=(times << _BITS) | (len(names) - 1 - place),
    )
