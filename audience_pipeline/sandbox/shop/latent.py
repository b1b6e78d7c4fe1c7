"""Who the customers are underneath: rhythm, survival, spending, and the signs that show it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from audience_pipeline.sandbox.shop.draws import BLOCK, Bools, Floats, Ints, Stage, choose, generator
from audience_pipeline.sandbox.shop.parameters import ShopParameters
from audience_pipeline.sandbox.shop.seasons import PHASES, calendar

CHANNELS = ("organic", "paid_search", "paid_social", "email", "referral")
_CHANNEL_SHARES = (0.30, 0.25, 0.25, 0.08, 0.12)
_CHANNEL_LOYALTY = np.array([0.4, 0.0, -1.0, 0.6, 1.0])

DEVICES = ("mobile", "desktop", "app")
_DEVICE_SHARES = (0.52, 0.36, 0.12)
_DEVICE_LOYALTY = np.array([-0.5, 0.2, 1.2])
_DEVICE_SPENDING = np.array([-0.4, 0.6, 0.0])

DAYTIMES = ("day", "evening", "night")
_DAYTIME_SHARES = (0.42, 0.5, 0.08)
_DAYTIME_LOYALTY = np.array([0.3, 0.2, -1.5])
_DAYTIME_BUSINESS = np.array([8.0, 0.0, 0.0])

CATEGORIES = (
    "dresses", "shoes", "basics", "outdoor", "home", "beauty", "toys", "jewellery", "garden", "gifts",
)  # fmt: skip
_CATEGORY_SHARES = (0.16, 0.15, 0.15, 0.09, 0.12, 0.1, 0.07, 0.04, 0.05, 0.07)
_CATEGORY_LOYALTY = np.array([0.0, 0.2, 0.8, 1.0, 0.2, 0.7, -0.6, -0.8, 0.3, -1.6])
_CATEGORY_SPENDING = np.array([0.2, 0.5, -1.0, 1.0, 0.2, -0.7, -0.4, 1.5, 0.6, -0.6])

_GRID = np.linspace(-6.0, 6.0, 2_401)


@dataclass(frozen=True, slots=True)
class Latent:
    """One block of customers; every array has one row a customer."""

    number: Ints
    """Customer number, from 1."""
    start: Floats
    """Time of the first order, in days since the shop opened."""
    loyalty: Floats
    spending: Floats
    """Standard normal: how much more than others the customer spends on an order."""
    rate: Floats
    """Orders in a year."""
    drop_out: Floats
    """Probability after each order that it was the last."""
    shape: Floats
    """Shape of the gamma-distributed gaps: 1 is Poisson, more is more regular."""
    phase: Ints
    business: Bools
    log_value: Floats
    """Logarithm of the median order in major units, on the first day."""
    channel: Ints
    device: Ints
    daytime: Ints
    discount: Floats
    """Probability of a discount on an order."""
    lines: Floats
    """Mean number of lines of an order beyond the first."""
    tastes: Floats
    """(n, categories): cumulative shares of the categories."""


def draw_latent(parameters: ShopParameters, block: int) -> Latent:
    """Draw one block of customers."""
    days = calendar(parameters)
    draw = generator(parameters.seed, block, Stage.LATENT)
    start_day = np.minimum(np.searchsorted(days.new_customers, draw.random(BLOCK)), days.days - 1)
    start = start_day + draw.random(BLOCK)
    penalty = parameters.signal(parameters.peak_cohort_penalty)
    loyalty = draw.standard_normal(BLOCK) - penalty * days.peak[start_day]

    common = np.sqrt(parameters.loyalty_share)
    own = np.sqrt(1.0 - parameters.loyalty_share)
    eagerness = common * loyalty + own * draw.standard_normal(BLOCK)
    staying = common * loyalty + own * draw.standard_normal(BLOCK)
    together = parameters.rate_value_correlation
    spending = together * eagerness + np.sqrt(1.0 - together**2) * draw.standard_normal(BLOCK)
    rates, drop_outs = _quantiles(parameters)
    business = draw.random(BLOCK) < parameters.business_share
    log_value = (
        np.log(parameters.median_order)
        + parameters.order_value_between * spending
        + np.where(business, np.log(10.0) * (1.0 + draw.random(BLOCK)), 0.0)
    )
    seasonal = draw.random(BLOCK) < parameters.personal_season_share
    phase = np.where(seasonal, draw.integers(1, PHASES, BLOCK), 0)
    shape = 1.0 + parameters.regularity * draw.standard_exponential(BLOCK)

    draw = generator(parameters.seed, block, Stage.SIGNS)
    signal = parameters.signal
    channel = choose(
        draw, _CHANNEL_SHARES, signal(parameters.channel_signal) * loyalty[:, None] * _CHANNEL_LOYALTY
    )
    device = choose(
        draw,
        _DEVICE_SHARES,
        signal(parameters.device_signal)
        * (loyalty[:, None] * _DEVICE_LOYALTY + spending[:, None] * _DEVICE_SPENDING),
    )
    daytime = choose(
        draw,
        _DAYTIME_SHARES,
        signal(parameters.hour_signal)
        * (loyalty[:, None] * _DAYTIME_LOYALTY + business[:, None] * _DAYTIME_BUSINESS),
    )
    tastes = np.exp(
        np.log(_CATEGORY_SHARES)
        + parameters.taste * draw.standard_normal((BLOCK, len(CATEGORIES)))
        + 2.0
        * signal(parameters.category_signal)
        * (loyalty[:, None] * _CATEGORY_LOYALTY + spending[:, None] * _CATEGORY_SPENDING)
    )
    share = parameters.discount_share
    odds: Floats = (share / max(1.0 - share, 1e-9)) * np.exp(
        0.8 * draw.standard_normal(BLOCK) - 2.0 * signal(parameters.discount_signal) * loyalty
    )
    breadth = signal(parameters.basket_signal)
    return Latent(
        number=np.arange(block * BLOCK + 1, (block + 1) * BLOCK + 1),
        start=start,
        loyalty=loyalty,
        spending=spending,
        rate=np.interp(eagerness, _GRID, rates),
        drop_out=np.interp(-staying, _GRID, drop_outs),
        shape=shape,
        phase=phase,
        business=business,
        log_value=log_value,
        channel=channel,
        device=device,
        daytime=daytime,
        discount=odds / (1.0 + odds),
        lines=parameters.lines_mean * np.exp(breadth * loyalty - 0.5 * breadth**2),
        tastes=np.cumsum(tastes / tastes.sum(axis=1, keepdims=True), axis=1),
    )


@lru_cache(maxsize=4)
def _quantiles(parameters: ShopParameters) -> tuple[Floats, Floats]:
    """Gamma rates and beta drop-out probabilities on a grid of standard normal values."""
    from scipy.special import betaincinv, gammaincinv, ndtr

    level = ndtr(_GRID)
    spread = parameters.rate_spread
    rates = np.full_like(_GRID, parameters.orders_per_year)
    if spread > 0:
        rates = gammaincinv(1.0 / spread, level) * spread * parameters.orders_per_year
    mean = parameters.drop_out
    drop_outs = np.full_like(_GRID, mean)
    if parameters.drop_out_spread > 0 and mean > 0:
        weight = 1.0 / parameters.drop_out_spread - 1.0
        drop_outs = betaincinv(mean * weight, (1.0 - mean) * weight, level)
    return np.maximum(rates, 1e-6), drop_outs
