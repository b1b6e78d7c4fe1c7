"""Orders and returns from transaction lines, as arrays: for whole files and for a handful of lines alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audience_pipeline.customers.arrays import (
    ABOVE,
    Ints,
    by_runs,
    first_of_greatest,
    lengths,
    ordered,
    running,
    starts,
)


@dataclass(frozen=True, slots=True)
class Lines:
    """Landed transaction lines, none of them of zero; one row each."""

    customer: Ints
    """A number for each customer."""
    day: Ints
    """Since 1970."""
    amount: Ints
    """Minor units; negative is a return."""
    hour: Ints
    """``ABOVE`` where unknown."""
    category: Ints
    """Place of the name among those in their order; ``NONE`` where there is none."""
    channel: Ints
    """Likewise."""
    units: Ints
    """Thousandths; 0 where unknown."""
    units_known: Ints
    """1 or 0."""
    discount: Ints
    """Minor units; 0 where unknown."""
    discount_known: Ints
    """1 or 0."""
    order_numbers: Callable[[Ints], Ints]
    """For some of the rows, a number for each order id that is the same where the id is (or, where
    there is none, the day)."""


@dataclass(frozen=True, slots=True)
class OrderRows:
    """One row per customer, order, day and kind."""

    line: Ints
    """One of its lines: customer, order id, day and kind are those of that line."""
    amount: Ints
    lines: Ints
    hour: Ints
    """The earliest; ``ABOVE`` where none is known."""
    channel: Ints
    """The first by name; ``ABOVE`` where there is none."""
    top_category: Ints
    """With the greatest amount, whatever its sign; ``NONE`` where there is none."""
    category: Ints
    """The different ones of each row, after one another."""
    category_ends: Ints
    """Where those of each row begin in ``category``, and where the last end."""
    units: Ints
    """Sum of the known ones."""
    units_known: Ints
    """1 where a line has units."""
    discount: Ints
    """Sum of the known ones."""
    discount_known: Ints
    """1 where a line has a discount."""


def order_rows(lines: Lines) -> OrderRows:
    """Orders and returns, sorted by customer, day and kind; returns before the first order are left out."""
    is_return = (lines.amount < 0).astype(np.int64)
    order = ordered(lines.customer, lines.day, is_return)
    order = order[~_before_first_order(lines.customer[order], lines.day[order], is_return[order])]
    keys = [lines.customer[order], lines.day[order], is_return[order]]
    keys.append(_order_numbers(lines, order, keys))
    category = lines.category[order]
    again = ordered(*keys, category)
    order, category, keys = order[again], category[again], [key[again] for key in keys]
    begins = starts(*keys)
    amount = lines.amount[order]

    def total(values: Ints) -> Ints:
        return by_runs(np.add, values[order], begins)

    def known(values: Ints) -> Ints:
        return by_runs(np.maximum, values[order], begins)

    def least(values: Ints) -> Ints:
        return by_runs(np.minimum, values[order], begins)

    # One row for each order and category in it.
    parts = starts(*keys, category)
    place = category[parts]
    begin_parts = np.searchsorted(parts, begins)
    named = place >= 0
    ends = running(named.astype(np.int64))
    return OrderRows(
        line=order[begins],
        amount=by_runs(np.add, amount, begins),
        lines=lengths(begins, len(order)),
        hour=least(lines.hour),
        channel=least(np.where(lines.channel < 0, ABOVE, lines.channel)),
        top_category=first_of_greatest(place, np.abs(by_runs(np.add, amount, parts)), begin_parts),
        category=place[named],
        category_ends=np.append(ends[begin_parts], ends[-1]),
        units=total(lines.units),
        units_known=known(lines.units_known),
        discount=total(lines.discount),
        discount_known=known(lines.discount_known),
    )


def _before_first_order(customer: Ints, day: Ints, is_return: Ints) -> npt.NDArray[np.bool_]:
    """Of lines sorted by customer, those of returns before any order."""
    begins = starts(customer)
    first = by_runs(np.minimum, np.where(is_return, ABOVE, day), begins)
    before: npt.NDArray[np.bool_] = day < np.repeat(first, lengths(begins, len(customer)))
    return before


def _order_numbers(lines: Lines, order: Ints, keys: list[Ints]) -> Ints:
    """Numbers that tell the orders of one customer, day and kind apart, for sorted lines."""
    count = lengths(starts(*keys), len(order))
    number = np.zeros(len(order), dtype=np.int64)
    several = np.flatnonzero(np.repeat(count > 1, count))
    if len(several):
        number[several] = lines.order_numbers(order[several])
    return number
