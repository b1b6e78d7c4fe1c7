"""What customers order: amounts, lines, categories, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audience_pipeline.sandbox.shop.draws import BLOCK, Bools, Floats, Ints, Stage, generator
from audience_pipeline.sandbox.shop.latent import CATEGORIES, CHANNELS, Latent
from audience_pipeline.sandbox.shop.orders import Orders
from audience_pipeline.sandbox.shop.parameters import ShopParameters
from audience_pipeline.sandbox.shop.seasons import calendar

_RETURNING_CHANNELS = (0.4, 0.1, 0.05, 0.4, 0.05)
_KEEPS_CHANNEL = 0.35
_LEAST_RETURN_DAYS = 3
_MEAN_RETURN_DAYS = 12.0


@dataclass(frozen=True, slots=True)
class Lines:
    """Transaction lines of one block; ``order`` points into the orders of the block."""

    order: Ints
    day: Ints
    second: Ints
    amount: Ints
    """Minor units; negative for a return."""
    category: Ints
    quantity: Ints
    order_channel: Ints
    """Per order, not per line."""
    discounted: Bools
    """Per order, not per line."""
    discount: Ints
    """Minor units that the line was reduced by; 0 for a return."""


def draw_lines(parameters: ShopParameters, block: int, latent: Latent, orders: Orders) -> Lines:
    """Fill the orders of a block: sales first, in the order of the orders, then returns."""
    draw = generator(parameters.seed, block, Stage.LINES)
    who = orders.customer
    size = len(who)
    discounted = draw.random(size) < latent.discount[who]
    percent = np.where(discounted, draw.uniform(0.1, 0.3, size), 0.0)
    years = orders.day / 365.25
    value = np.exp(latent.log_value[who] + parameters.order_value_within * draw.standard_normal(size))
    value = value * (1.0 - percent) * (1.0 + parameters.price_growth) ** years
    count = 1 + draw.poisson(latent.lines[who] * np.where(latent.business[who], 3.0, 1.0))
    cents = np.maximum(np.rint(100.0 * value).astype(np.int64), count)

    order = np.repeat(np.arange(size), count)
    amount = _split(cents, count, order, draw.standard_gamma(3.0, len(order)))
    reduction = np.rint(amount * (percent / (1.0 - percent))[order]).astype(np.int64)
    category = categories(latent, who[order], draw.random(len(order)))
    business = latent.business[who][order]
    quantity = 1 + draw.poisson(np.where(business, 30.0, 0.25))
    channel = np.searchsorted(np.cumsum(_RETURNING_CHANNELS), draw.random(size))
    channel = np.minimum(channel, len(CHANNELS) - 1)
    first = (orders.sequence == 1) | (draw.random(size) < _KEEPS_CHANNEL)
    channel = np.where(first, latent.channel[who], channel)

    draw = generator(parameters.seed, block, Stage.RETURNS)
    spread = parameters.return_spread
    share = parameters.return_share * np.exp(spread * draw.standard_normal(BLOCK) - 0.5 * spread**2)
    later = _LEAST_RETURN_DAYS + draw.standard_gamma(2.0, len(order)) * _MEAN_RETURN_DAYS / 2.0
    return_day = orders.day[order] + later.astype(np.int64)
    part = np.where((quantity > 1) & (draw.random(len(order)) < 0.5), draw.random(len(order)), 1.0)
    back = np.clip(np.rint(part * quantity).astype(np.int64), 1, quantity)
    refund = amount * back // quantity
    returned = (
        (draw.random(len(order)) < share[who[order]])
        & (return_day < calendar(parameters).horizon)
        & (refund > 0)
    )
    second = 8 * 3_600 + draw.integers(0, 10 * 3_600, len(order))
    return Lines(
        order=np.concatenate([order, order[returned]]),
        day=np.concatenate([orders.day[order], return_day[returned]]),
        second=np.concatenate([orders.second[order], second[returned]]),
        amount=np.concatenate([amount, -refund[returned]]),
        category=np.concatenate([category, category[returned]]),
        quantity=np.concatenate([quantity, -back[returned]]),
        order_channel=channel,
        discounted=discounted,
        discount=np.concatenate([reduction, np.zeros(np.count_nonzero(returned), dtype=np.int64)]),
    )


def categories(latent: Latent, customer: Ints, uniform: Floats) -> Ints:
    """One category by the tastes of each customer named; ``uniform`` holds a draw for each."""
    chosen = (uniform[:, None] > latent.tastes[customer]).sum(axis=1)
    found: Ints = np.minimum(chosen, len(CATEGORIES) - 1)
    return found


def _split(cents: Ints, count: Ints, order: Ints, weight: Floats) -> Ints:
    """Split the totals of orders into lines of at least one cent that add up exactly."""
    ends = np.cumsum(count)
    running = np.cumsum(weight)
    before = np.concatenate([[0.0], running[ends[:-1] - 1]])
    share = (running - before[order]) / (running[ends - 1] - before)[order]
    place = np.arange(len(order)) - (ends - count)[order] + 1
    spare = (cents - count)[order]
    edge = np.rint(share * spare).astype(np.int64) + place
    edge[ends - 1] = cents
    previous = np.concatenate([[0], edge[:-1]])
    previous[ends - count] = 0
    parts: Ints = edge - previous
    return parts
