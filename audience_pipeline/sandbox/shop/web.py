"""What customers do on the website: visits at leisure, research before an order, the order itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from audience_pipeline.sandbox.shop.draws import (
    BLOCK,
    Bools,
    Ints,
    Stage,
    choose_plain,
    generator,
    pick,
    scramble,
)
from audience_pipeline.sandbox.shop.frames import WEB, customer_ids, moments, order_ids
from audience_pipeline.sandbox.shop.latent import CATEGORIES, DEVICES, Latent
from audience_pipeline.sandbox.shop.lines import Lines, categories
from audience_pipeline.sandbox.shop.orders import Orders, interest
from audience_pipeline.sandbox.shop.parameters import ShopParameters

EVENTS = ("page_view", "product_view", "search", "add_to_cart", "checkout", "purchase")
_PAGE, _PRODUCT, _SEARCH, _CART, _CHECKOUT, _PURCHASE = range(len(EVENTS))
_LEISURE, _RESEARCH, _ORDER, _STRANGER = range(4)
_APP = DEVICES.index("app")

_CHANNELS = ("organic", "paid_search", "paid_social", "email", "referral", "direct")
_VISIT_SHARES = (0.35, 0.06, 0.06, 0.22, 0.03, 0.28)
_SOURCES = (None, "google", None, "newsletter", "partner-blog", None)
_SOCIAL = ("facebook", "instagram", "tiktok")
_SOCIAL_SHARES = (0.45, 0.3, 0.25)
_MEDIA = (None, "cpc", "paid_social", "email", "referral", None)
_PAID_SEARCH, _PAID_SOCIAL = 1, 2
_CLICKS = {"google": "gclid", "facebook": "fbclid", "instagram": "fbclid", "tiktok": "ttclid"}
_COOKIE_DAYS = 240


@dataclass(frozen=True, slots=True)
class _Visits:
    """Visits of one block."""

    customer: Ints
    kind: Ints
    second: Ints
    """Seconds since the shop opened; of the purchase, for the visit of an order."""
    order: Ints
    """Row of the order, -1 for other visits."""
    before_first: Bools


def draw_web_events(
    parameters: ShopParameters, block: int, latent: Latent, orders: Orders, lines: Lines
) -> pl.DataFrame:
    """The web events of one block up to the last day, by time; columns of ``WEB`` and ``number``."""
    draw = generator(parameters.seed, block, Stage.WEB)
    visits = _draw_visits(parameters, draw, latent, orders)
    size = len(visits.customer)
    channel = choose_plain(draw, _VISIT_SHARES, size)
    ordering = visits.kind == _ORDER
    channel = np.where(ordering, lines.order_channel[visits.order], channel)
    usual = latent.device[visits.customer]
    device = np.where(draw.random(size) < 0.8, usual, choose_plain(draw, (0.7, 0.3), size))
    logged_in = (draw.random(size) < 0.4) & ~visits.before_first & (visits.kind != _STRANGER)
    logged_in |= ordering | ((device == _APP) & ~visits.before_first & (visits.kind != _STRANGER))
    source = np.where(
        channel == _PAID_SOCIAL, len(_SOURCES) + choose_plain(draw, _SOCIAL_SHARES, size), channel
    )
    discounted = ordering & lines.discounted[visits.order]
    identity = scramble(visits.customer.astype(np.uint64), block * 8 + parameters.seed * 1_000_003)
    cookie = _cookies(visits, identity, device)
    click = scramble(identity + visits.second.astype(np.uint64), 3) % np.uint64(10**9)

    visit, step, event = _events_of(draw, visits)
    pace = draw.integers(15, 120, len(visit))
    second = visits.second[visit] + np.where(ordering[visit], -90 * (3 - step), step * pace)
    category = categories(latent, visits.customer[visit], draw.random(len(visit)))
    shows = (event == _PRODUCT) | (event == _CART)
    customer = visits.customer[visit]
    frame = pl.DataFrame(
        {
            "number": latent.number[customer],
            "second": second,
            "event_at": moments(parameters, second),
            "event": pick(EVENTS, event),
            "customer_id": customer_ids(latent.number[customer]),
            "anonymous_id": pl.Series(cookie[visit]).cast(pl.String),
            "category": pick((*CATEGORIES, None), np.where(shows, category, len(CATEGORIES))),
            "device": pick(DEVICES, device[visit]),
            "channel": pick(_CHANNELS, channel[visit]),
            "utm_source": pick((*_SOURCES, *_SOCIAL), source[visit]),
            "utm_medium": pick(_MEDIA, channel[visit]),
            "order_id": order_ids(latent.number[customer], orders.sequence[visits.order[visit]]),
            "_click": click[visit],
            "_logged_in": logged_in[visit],
            "_sold": event == _PURCHASE,
            "_sale": discounted[visit],
            "_in_app": (device == _APP)[visit] & logged_in[visit],
        }
    )
    within = (second >= 0) & (second < parameters.days * 86_400)
    return (
        frame.filter(pl.Series(within))
        .with_columns(
            customer_id=pl.when("_logged_in").then("customer_id"),
            anonymous_id=pl.when(~pl.col("_in_app")).then("anonymous_id"),
            order_id=pl.when("_sold").then("order_id"),
            utm_campaign=_campaign(),
            click_id=pl.col("utm_source").replace_strict(_CLICKS, default=None)
            + "."
            + pl.col("_click").cast(pl.String),
        )
        .sort("second", "number", "event", maintain_order=True)
        .select("number", *WEB)
    )


def _draw_visits(
    parameters: ShopParameters, draw: np.random.Generator, latent: Latent, orders: Orders
) -> _Visits:
    """Leisure visits, research before orders, recorded orders, and visits of people who never order."""
    attraction = parameters.signal(parameters.web_signal)
    pull = attraction * (0.7 * latent.loyalty + 0.4 * latent.spending) + 0.5 * draw.standard_normal(BLOCK)
    open_years = (parameters.days - latent.start) / 365.25
    many = draw.poisson(parameters.visits_per_year * open_years * np.exp(pull - 0.15))
    leisure = np.repeat(np.arange(BLOCK), many)
    at = latent.start[leisure] + draw.random(len(leisure)) * (parameters.days - latent.start[leisure])
    still = interest(
        orders.gone[leisure], orders.last_order[leisure], at, min(1.0, parameters.signal(parameters.lapse))
    )
    there = draw.random(len(leisure)) < still
    leisure, at = leisure[there], at[there]

    rows = len(orders.customer)
    research = np.repeat(np.arange(rows), draw.poisson(parameters.signal(parameters.research_visits), rows))
    ahead = draw.uniform(0.05, 14.0, len(research))
    research_at = orders.seconds[research] / 86_400 - ahead
    recorded = np.flatnonzero(draw.random(rows) < parameters.tracked_orders)
    strangers = draw.poisson(
        parameters.strangers_visits * (len(leisure) + len(research) + len(recorded)) / BLOCK, BLOCK
    )
    stranger = np.repeat(np.arange(BLOCK), strangers)
    stranger_at = draw.random(len(stranger)) * parameters.days

    parts = [leisure, orders.customer[research], orders.customer[recorded], stranger]
    kind = np.repeat(np.arange(4), [len(part) for part in parts])
    seconds = [
        (at * 86_400).astype(np.int64),
        (research_at * 86_400).astype(np.int64),
        orders.seconds[recorded],
        (stranger_at * 86_400).astype(np.int64),
    ]
    order = np.full(len(kind), -1)
    order[kind == _ORDER] = recorded
    first = np.zeros(len(kind), dtype=bool)
    first[kind == _RESEARCH] = orders.sequence[research] == 1
    return _Visits(np.concatenate(parts), kind, np.concatenate(seconds), order, first)


def _events_of(draw: np.random.Generator, visits: _Visits) -> tuple[Ints, Ints, Ints]:
    """Visit, place in the visit and event of each event."""
    ordering = visits.kind == _ORDER
    length = np.where(ordering, 4, 1 + draw.poisson(0.6, len(ordering)))
    visit = np.repeat(np.arange(len(length)), length)
    step = np.arange(len(visit)) - np.repeat(np.cumsum(length) - length, length)
    browsing = choose_plain(draw, (0.25, 0.6, 0.1, 0.05), len(visit))
    last = step == length[visit] - 1
    keen = (visits.kind[visit] == _RESEARCH) & last & (draw.random(len(visit)) < 0.4)
    event = np.where(keen, _CART, browsing)
    return visit, step, np.where(ordering[visit], _PRODUCT + step + (step > 0), event)


def _cookies(visits: _Visits, identity: npt.NDArray[np.uint64], device: Ints) -> npt.NDArray[np.uint64]:
    """The anonymous id of each visit: one per customer, device and life of a cookie."""
    offset = identity % np.uint64(_COOKIE_DAYS)
    life = (np.maximum(visits.second, 0) // 86_400).astype(np.uint64) + offset
    strange = np.where(visits.kind == _STRANGER, 1 + visits.second, 0).astype(np.uint64)
    key = identity + device.astype(np.uint64) + np.uint64(16) * (life // np.uint64(_COOKIE_DAYS))
    return np.uint64(10**12) + scramble(key + np.uint64(4_096) * strange, 1) % np.uint64(9 * 10**12)


def _campaign() -> pl.Expr:
    """The campaign of a visit that came from one: the quarter's, or the month's newsletter."""
    quarter = (
        pl.col("event_at").str.slice(0, 4)
        + "q"
        + ((pl.col("event_at").str.slice(5, 2).cast(pl.Int8) + 2) // 3).cast(pl.String)
    )
    month = pl.col("event_at").str.slice(0, 7)
    return (
        pl.when("_sale", pl.col("utm_source").is_not_null())
        .then("sale_" + quarter)
        .when(pl.col("channel") == "email")
        .then("news_" + month)
        .when(pl.col("channel").is_in(["paid_search", "paid_social"]))
        .then(pl.col("channel") + "_" + quarter)
    )
