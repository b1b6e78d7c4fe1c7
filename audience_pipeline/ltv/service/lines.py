"""Transactions of requests as the arrays that orders and features are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar

import numpy as np

from audience_pipeline.customers.arrays import ABOVE, NONE, Ints
from audience_pipeline.customers.order_rows import Lines
from audience_pipeline.customers.orders import MOST_UNITS
from audience_pipeline.features.orders import Orders
from audience_pipeline.ltv.service.requests import Customer

EPOCH = 719_163
"""1 January 1970, counted from the year 1."""
_MILLI = 1000

Given = TypeVar("Given")


def orders_of(customers: Sequence[Customer]) -> Orders:
    """What ``customers.orders`` makes of the same lines in a file; customers are numbered from 0 on."""
    lines = [line for customer in customers for line in customer.lines if line[2]]
    who = [number for number, customer in enumerate(customers) for line in customer.lines if line[2]]
    day, at, amount, category, order_id, pieces, _currency, channel, discount = zip(*lines, strict=True)
    places, categories = _places(category)
    channel_places, channels = _places(channel)
    # Lines without an order id share the order of their day.
    ids = [given if given is not None else one.isoformat() for given, one in zip(order_id, day, strict=True)]
    met = {text: number for number, text in enumerate(dict.fromkeys(ids))}
    numbers = _ints([met[text] for text in ids])
    units, units_known = _known(pieces, _units)
    discounts, discount_known = _known(discount, int)
    hours, hour_known = _known(at, lambda one: one.hour)
    return Orders.of_lines(
        Lines(
            customer=_ints(who),
            day=_ints([one.toordinal() - EPOCH for one in day]),
            amount=_ints(amount),
            hour=np.where(hour_known, hours, ABOVE),
            category=places,
            channel=channel_places,
            units=units,
            units_known=units_known,
            discount=discounts,
            discount_known=discount_known,
            order_numbers=numbers.__getitem__,
        ),
        channels=channels,
        categories=categories,
    )


def _ints(values: Sequence[int]) -> Ints:
    return np.array(values, dtype=np.int64)


def _known(values: Sequence[Given | None], number: Callable[[Given], int | None]) -> tuple[Ints, Ints]:
    """A number for each value, 0 where there is none, and 1 or 0 for whether there is one."""
    if values.count(None) == len(values):
        nothing = np.zeros(len(values), dtype=np.int64)
        return nothing, nothing
    numbers = [None if value is None else number(value) for value in values]
    return _ints([one or 0 for one in numbers]), _ints([one is not None for one in numbers])


def _places(texts: Sequence[str | None]) -> tuple[Ints, list[str | None]]:
    names = sorted({text for text in texts if text is not None})
    places: dict[str | None, int] = {name: at for at, name in enumerate(names)} | {None: NONE}
    return _ints([places[text] for text in texts]), [*names, None]


def _units(pieces: Decimal) -> int | None:
    """Thousandths, where the number is credible."""
    return int(abs(pieces) * _MILLI) if abs(pieces) <= MOST_UNITS else None
