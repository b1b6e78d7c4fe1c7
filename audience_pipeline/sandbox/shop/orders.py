"""When customers order: gaps on a seasonal clock, and a chance after each order that it was the last."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audience_pipeline.sandbox.shop.draws import BLOCK, Floats, Ints, Stage, generator
from audience_pipeline.sandbox.shop.latent import Latent
from audience_pipeline.sandbox.shop.parameters import ShopParameters
from audience_pipeline.sandbox.shop.seasons import calendar

_DAY_HOURS = (
    (9.0, 17.5),
    (17.0, 23.0),
    (0.0, 5.0),
)
"""Hours of the customers of the day, the evening and the night."""

_OTHER_HOURS = 0.25
_MOST_ORDERS = 4_000


@dataclass(frozen=True, slots=True)
class Orders:
    """One block's orders of history and future, by customer and time."""

    customer: Ints
    """Row of the customer in the block."""
    sequence: Ints
    """1 for the first order."""
    day: Ints
    second: Ints
    """Second of the day."""
    last_order: Floats
    """Per customer: time of the last order before dropping out."""
    gone: Floats
    """Per customer: when the next order would have come of one who dropped out; infinite for others."""

    @property
    def seconds(self) -> Ints:
        """Seconds since the shop opened."""
        return self.day * 86_400 + self.second


def draw_orders(parameters: ShopParameters, block: int, latent: Latent) -> Orders:
    """Simulate the orders of a block up to a year beyond the last day."""
    days = calendar(parameters)
    draw = generator(parameters.seed, block, Stage.ORDERS)
    customers: list[Ints] = []
    times: list[Floats] = []
    active = np.arange(BLOCK)
    time = latent.start
    last_order = latent.start.copy()
    gone = np.full(BLOCK, np.inf)
    while len(active) and len(times) < _MOST_ORDERS:
        customers.append(active)
        times.append(time)
        last_order[active] = time
        leaving = draw.random(len(active)) < latent.drop_out[active]
        shape = latent.shape[active]
        gap = draw.standard_gamma(shape) / (shape * latent.rate[active])
        phase = latent.phase[active]
        following = days.when(phase, days.elapsed(phase, time) + gap)
        gone[active[leaving]] = following[leaving]
        going_on = ~leaving & (following < days.horizon)
        active, time = active[going_on], following[going_on]

    customer = np.concatenate(customers)
    sequence = np.repeat(np.arange(1, len(customers) + 1), [len(part) for part in customers])
    when = np.concatenate(times)
    order = np.lexsort((sequence, customer))
    customer, sequence, when = customer[order], sequence[order], when[order]

    hours = np.array(_DAY_HOURS)[latent.daytime[customer]]
    usual = hours[:, 0] + (hours[:, 1] - hours[:, 0]) * draw.beta(2.0, 2.0, len(when))
    hour = np.where(draw.random(len(when)) < _OTHER_HOURS, 7.0 + 16.0 * draw.random(len(when)), usual)
    return Orders(
        customer=customer,
        sequence=sequence,
        day=when.astype(np.int64),
        second=(hour * 3_600).astype(np.int64),
        last_order=last_order,
        gone=gone,
    )


def interest(gone: Floats, last_order: Floats, time: Floats, lapse: float) -> Floats:
    """1 while a customer stays, fading to 1 - lapse between the last order and dropping out."""
    staying = np.isinf(gone)
    until = np.where(staying, last_order + 1.0, gone)
    left = np.clip((until - time) / np.maximum(until - last_order, 1e-9), 0.0, 1.0)
    return 1.0 - lapse * (1.0 - np.where(staying, 1.0, left))
