"""Readers of the newsletter who are known by their e-mail address alone: some order later, most never do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from audience_pipeline.sandbox.population import population
from audience_pipeline.sandbox.shop.draws import BLOCK, Floats, Ints, Stage, choose_plain, generator, pick
from audience_pipeline.sandbox.shop.engagement import EVENTS, SEND_HOUR, campaigns
from audience_pipeline.sandbox.shop.frames import CONSENT, CRM, ENGAGEMENT, LINKED, moments
from audience_pipeline.sandbox.shop.latent import Latent
from audience_pipeline.sandbox.shop.links import has_sure_email
from audience_pipeline.sandbox.shop.parameters import ShopParameters
from audience_pipeline.sandbox.shop.people import draw_people

SIGN_UP = "newsletter form"
"""``source`` of what readers say about advertising."""

_SENT, _OPEN, _CLICK = (EVENTS.index(event) for event in ("email_sent", "email_open", "email_click"))
_OPENS, _CLICKS = 0.35, 0.15
_LEAST_DAYS_BEFORE = 30.0


@dataclass(frozen=True, slots=True)
class Readers:
    """What the readers of one block leave in the files; each frame with ``number``."""

    crm: pl.DataFrame
    engagement_events: pl.DataFrame
    consent: pl.DataFrame
    population: pl.DataFrame


def draw_readers(parameters: ShopParameters, block: int, latent: Latent, people: pl.DataFrame) -> Readers:
    """Draw the readers of one block.

    Args:
        parameters: the shop.
        block: which block.
        latent: its customers.
        people: the customers as ``draw_contacts`` makes them.

    Returns:
        Rows without ``customer_id``, with an e-mail address: of customers before their first order, and of
        people who never order; ``number`` is that of the customer with whom somebody goes along.
    """
    draw = generator(parameters.seed, block, Stage.READERS)
    sure = people["in_crm"] & has_sure_email(people)
    early = (draw.random(BLOCK) < parameters.readers_before) & (latent.start > 2 * _LEAST_DAYS_BEFORE)
    since = draw.random(BLOCK) * (latent.start - _LEAST_DAYS_BEFORE)
    chosen = np.flatnonzero(early & sure.to_numpy())
    before = people[chosen].select("number", "email", "first_name", "country")

    companion = np.repeat(latent.number, draw.poisson(parameters.readers, BLOCK))
    never = _people(parameters, draw, block, companion)
    named = ["number", "email", "first_name", "country"]
    everybody = pl.concat([before, never.select(named)])
    begin = np.concatenate([since[chosen], draw.random(len(never)) * parameters.days])
    end = np.concatenate([latent.start[chosen], np.full(len(never), float(parameters.days))])
    second = (begin * 86_400).astype(np.int64)
    crm = everybody.select(
        "number",
        *(pl.col(name) if name in named else pl.lit(None, dtype=pl.String).alias(name) for name in CRM[:-1]),
        moments(parameters, second).alias("updated_at"),
        *(pl.lit(None, dtype=pl.String).alias(name) for name in LINKED["crm"]),
    ).filter(pl.Series(second < parameters.days * 86_400))
    shares = {"meta": parameters.on_meta, "google": parameters.on_google, "tiktok": parameters.on_tiktok}
    return Readers(
        crm=crm,
        engagement_events=_mailings(parameters, draw, everybody, begin, end),
        consent=_statements(parameters, draw, never, second[len(before) :]),
        population=population(never, draw.random((len(never), 4)), keep=("number",), **shares),
    )


def _people(
    parameters: ShopParameters, draw: np.random.Generator, block: int, companion: Ints
) -> pl.DataFrame:
    size = len(companion)
    nobody = np.zeros(size, dtype=np.bool_)
    room = int(BLOCK * (2.0 * parameters.readers + 1.0))
    invented = draw_people(draw, block * room + 1 + np.arange(size), nobody, nobody, customers=False)
    return invented.with_columns(
        number=pl.Series(companion),
        email=pl.col("mail_name") + "n@" + pl.col("mail_domain"),
        phone=pl.lit(None, dtype=pl.String),
    )


def _mailings(
    parameters: ShopParameters, draw: np.random.Generator, readers: pl.DataFrame, begin: Floats, end: Floats
) -> pl.DataFrame:
    """Newsletters sent, opened and clicked between sign-up and first order."""
    days, names, _ = campaigns(parameters)
    day = np.asarray(days, dtype=np.float64)
    shape = (len(readers), len(days))
    sent = (begin[:, None] < day) & (day < np.floor(end)[:, None])
    opened = sent & (draw.random(shape) < _OPENS)
    clicked = opened & (draw.random(shape) < _CLICKS)
    delay = (draw.standard_exponential(shape) * 6.0 * 3_600).astype(np.int64)
    parts = []
    for event, happened, after in ((_SENT, sent, 0), (_OPEN, opened, 60), (_CLICK, clicked, 90)):
        reader, campaign = np.nonzero(happened)
        late = delay[reader, campaign] * (event != _SENT) + after
        parts.append((reader, campaign, np.full(len(reader), event), late))
    reader, campaign, what, late = (np.concatenate(column) for column in zip(*parts, strict=True))
    second = np.asarray(days, dtype=np.int64)[campaign] * 86_400 + SEND_HOUR * 3_600 + late
    frame = pl.DataFrame(
        {
            "number": readers["number"].gather(pl.Series(reader)),
            "event_at": moments(parameters, second),
            "customer_id": pl.Series([None], dtype=pl.String).new_from_index(0, len(reader)),
            "event": pick(EVENTS, what),
            "campaign": pick(names, campaign),
            "channel": pl.Series(["email"]).new_from_index(0, len(reader)),
            "email": readers["email"].gather(pl.Series(reader)),
        }
    )
    return frame.filter(pl.Series(second < parameters.days * 86_400)).select(
        "number", *ENGAGEMENT, *LINKED["engagement_events"]
    )


def _statements(
    parameters: ShopParameters, draw: np.random.Generator, readers: pl.DataFrame, second: Ints
) -> pl.DataFrame:
    """What those who never order said about advertising in the form."""
    shares = (parameters.grant, parameters.deny, 1.0 - parameters.grant - parameters.deny)
    said = pick(("granted", "denied", None), choose_plain(draw, shares, len(readers)))
    nothing = pl.lit(None, dtype=pl.String)
    return (
        readers.select("number", "email")
        .with_columns(
            event_at=moments(parameters, second),
            status=said,
            customer_id=nothing,
            phone=nothing,
            platform=nothing,
            source=pl.lit(SIGN_UP),
            legal_basis=pl.when(said == "granted").then(pl.lit("consent")).otherwise(pl.lit("opt-out")),
        )
        .filter(said.is_not_null() & pl.Series(second < parameters.days * 86_400))
        .join(pl.DataFrame({"purpose": ["advertising", "personalisation"]}), how="cross")
        .select("number", *CONSENT)
    )
