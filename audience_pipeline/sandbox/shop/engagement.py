"""Newsletters and text messages: what was sent, opened and clicked, and who had enough of them."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl

from audience_pipeline.sandbox.shop.draws import BLOCK, Bools, Floats, Ints, Stage, generator, pick
from audience_pipeline.sandbox.shop.frames import ENGAGEMENT, customer_ids, moments
from audience_pipeline.sandbox.shop.latent import Latent
from audience_pipeline.sandbox.shop.orders import Orders, interest
from audience_pipeline.sandbox.shop.parameters import ShopParameters

EVENTS = ("email_sent", "email_open", "email_click", "unsubscribe", "sms_sent", "sms_click")
_SENT, _OPEN, _CLICK, _UNSUBSCRIBE, _TEXT_SENT, _TEXT_CLICK = range(len(EVENTS))
_TEXT_MONTHS = (6, 11, 12)
SEND_HOUR = 9
_HAZARD = 0.004


def campaigns(parameters: ShopParameters) -> tuple[list[int], list[str], list[bool]]:
    """Day, name, and whether a text message goes along, of every mailing; by day."""
    mailings: list[tuple[date, str, bool]] = []
    first, last = parameters.first_day, parameters.last_day
    for month in range(first.year * 12 + first.month - 1, last.year * 12 + last.month):
        year, number = month // 12, month % 12 + 1
        tuesday = date(year, number, 10) - timedelta(days=(date(year, number, 10).weekday() - 1) % 7)
        mailings.append((tuesday, f"news_{year}-{number:02}", number in _TEXT_MONTHS))
        if number == 11:
            mailings.append((date(year, 11, 26), f"black_friday_{year}", False))
        if number == 12:
            mailings.append((date(year, 12, 14), f"christmas_{year}", False))
    kept = [mailing for mailing in mailings if first <= mailing[0] <= last]
    return [(day - first).days for day, _, _ in kept], [name for _, name, _ in kept], [t for _, _, t in kept]


def draw_engagement(parameters: ShopParameters, block: int, latent: Latent, orders: Orders) -> pl.DataFrame:
    """The engagement events of one block up to the last day, by time; ``ENGAGEMENT`` and ``number``."""
    draw = generator(parameters.seed, block, Stage.ENGAGEMENT)
    days, names, texts = campaigns(parameters)
    shape = (BLOCK, len(days))
    day = np.asarray(days, dtype=np.float64)
    attachment = parameters.signal(parameters.engagement_signal) * latent.loyalty
    lapse = min(1.0, parameters.signal(parameters.lapse))
    still = interest(orders.gone[:, None], orders.last_order[:, None], day[None, :], lapse)

    reader = draw.random(BLOCK) < parameters.newsletter_share
    since = latent.start[:, None] < day[None, :]
    openness = -0.9 + 0.8 * draw.standard_normal(BLOCK) + attachment
    opens = draw.random(shape) < still / (1.0 + np.exp(-openness))[:, None]
    clicks = opens & (draw.random(shape) < 0.2)
    weary = _HAZARD * np.exp(-attachment)[:, None] * (1.0 + 8.0 * (1.0 - still))
    leaves = reader[:, None] & since & (draw.random(shape) < weary)
    before: Bools = np.cumsum(leaves, axis=1) - leaves == 0
    sent = reader[:, None] & since & before
    texted = (
        (draw.random(BLOCK) < parameters.sms_share)[:, None] & since & np.asarray(texts, dtype=np.bool_)[None]
    )
    taps = texted & (draw.random(shape) < 0.15 * still)

    delay = draw.standard_exponential(shape) * 6.0 * 3_600
    parts = [
        _events(_SENT, sent, np.zeros(shape)),
        _events(_OPEN, sent & opens, 60 + delay),
        _events(_CLICK, sent & clicks, 90 + delay),
        _events(_UNSUBSCRIBE, sent & leaves, 120 + delay),
        _events(_TEXT_SENT, texted, np.full(shape, 7_200.0)),
        _events(_TEXT_CLICK, taps, 7_260 + delay),
    ]
    customer, campaign, event, after = (np.concatenate(column) for column in zip(*parts, strict=True))
    second = np.asarray(days, dtype=np.int64)[campaign] * 86_400 + SEND_HOUR * 3_600 + after
    frame = pl.DataFrame(
        {
            "number": latent.number[customer],
            "second": second,
            "_event": event,
            "event_at": moments(parameters, second),
            "customer_id": customer_ids(latent.number[customer]),
            "event": pick(EVENTS, event),
            "campaign": pick(names, campaign),
            "channel": pick(("email", "sms"), (event >= _TEXT_SENT).astype(np.int64)),
        }
    )
    return (
        frame.filter(pl.Series(second < parameters.days * 86_400))
        .sort("second", "number", "_event")
        .select("number", *ENGAGEMENT)
    )


def _events(event: int, happened: Bools, delay: Floats) -> tuple[Ints, Ints, Ints, Ints]:
    """Customer, campaign, event and seconds after the mailing."""
    customer, campaign = np.nonzero(happened)
    return customer, campaign, np.full(len(customer), event), delay[customer, campaign].astype(np.int64)
