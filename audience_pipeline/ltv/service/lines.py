"""Transactions of requests as the arrays that orders and features are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

import numpy as np

from audience_pipeline.customers.arrays import ABOVE, NONE, Ints
from audience_pipeline.customers.order_rows import Lines
from audience_pipeline.customers.orders import MOST_UNITS
from audience_pipeline.features.orders import Orders
from audience_pipeline.ltv.service.requests import Customer

EPOCH = 719_163
"""1 January 1970, counted from the year 1."""
_MILLI = 1000


def orders_of(customers: Sequence[Customer]) -> Orders:
    """What ``customers.orders`` makes of the same lines in a file; customers are numbered from 0 on."""
    lines = [line for customer in customers for line in customer.lines if line[2]]
    who = [number for number, customer in enumerate(customers) for line in customer.lines if line[2]]
    day, at, amount, category, order_id, pieces, _currency, channel, discount = zip(*lines, strict=True)
    places, categories = _places(category)
    channel_places, channels = _places(channel)
    # Lines without an order id share the order of their day.
    ids = [given if given is not None else one.isoformat() for given, one in zip(order_id, day, strict=True)]
    met: dict[str, int] = {}
    numbers = _ints(met.setdefault(text, len(met)) for text in ids)
    units = [_units(one) for one in pieces]
    return Orders.of_lines(
        Lines(
            customer=_ints(who),
            day=_ints(one.toordinal() - EPOCH for one in day),
            amount=_ints(amount),
            hour=_ints(int(ABOVE) if one is None else one.hour for one in at),
            category=places,
            channel=channel_places,
            units=_ints(one or 0 for one in units),
            units_known=_ints(one is not None for one in units),
            discount=_ints(one or 0 for one in discount),
            discount_known=_ints(one is not None for one in discount),
            order_numbers=numbers.__getitem__,
        ),
        channels=channels,
        categories=categories,
    )


def _ints(values: Iterable[int]) -> Ints:
    return np.array(list(values), dtype=np.int64)


def _places(texts: Sequence[str | None]) -> tuple[Ints, list[str | None]]:
    names = sorted({text for text in texts if text is not None})
    places: dict[str | None, int] = {name: at for at, name in enumerate(names)} | {None: NONE}
    return _ints(map(places.__getitem__, texts)), [*names, None]


def _units(pieces: Decimal | None) -> int | None:
    """Thousandths, where the number is credible."""
    if pieces is None or abs(pieces) > MOST_UNITS:
        return None
    return int(abs(pieces) * _MILLI)
