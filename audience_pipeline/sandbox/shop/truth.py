"""What is true of each customer: latent parameters, real identifiers, real value."""

from __future__ import annotations

import numpy as np
import polars as pl

from audience_pipeline.sandbox.population import population
from audience_pipeline.sandbox.shop.draws import BLOCK, Bools, Floats, Ints, Stage, generator, pick
from audience_pipeline.sandbox.shop.frames import customer_ids, times
from audience_pipeline.sandbox.shop.latent import CHANNELS, DEVICES, Latent
from audience_pipeline.sandbox.shop.lines import Lines
from audience_pipeline.sandbox.shop.orders import Orders
from audience_pipeline.sandbox.shop.parameters import FUTURE_DAYS, ShopParameters
from audience_pipeline.sandbox.shop.people import draw_people

LTV_DAYS = 365


def customers_truth(
    parameters: ShopParameters,
    latent: Latent,
    orders: Orders,
    lines: Lines,
    people: pl.DataFrame,
    advertising: pl.Series,
) -> pl.DataFrame:
    """One row a customer: everything that the model is not told. Money in minor units, net of returns."""
    who = orders.customer[lines.order]
    first = latent.start.astype(np.int64)
    past = lines.day < parameters.days
    ordered = orders.day < parameters.days
    last = np.zeros(BLOCK, dtype=np.int64)
    np.maximum.at(last, orders.customer[ordered], orders.day[ordered])
    gone = np.where(orders.gone < parameters.days + FUTURE_DAYS, orders.gone, 0.0)
    return pl.DataFrame(
        {
            "number": latent.number,
            "customer_id": customer_ids(latent.number),
            "first_order": times(parameters, first * 86_400).cast(pl.Date),
            "last_order": times(parameters, last * 86_400).cast(pl.Date),
            "dropped_out": times(parameters, gone.astype(np.int64) * 86_400).cast(pl.Date),
            "orders": np.bincount(orders.customer[ordered], minlength=BLOCK),
            "observed_minor": _sums(who, lines.amount, past),
            "ltv_12m_minor": _sums(who, lines.amount, lines.day < first[who] + LTV_DAYS),
            "next_12m_minor": _sums(who, lines.amount, ~past),
            "loyalty": latent.loyalty,
            "spending": latent.spending,
            "orders_per_year": latent.rate,
            "drop_out_probability": latent.drop_out,
            "gap_shape": latent.shape,
            "season_month": latent.phase,
            "median_order": np.exp(latent.log_value),
            "is_business": latent.business,
            "acquisition_channel": pick(CHANNELS, latent.channel),
            "device": pick(DEVICES, latent.device),
            "advertising": advertising,
            **{
                name: people[name]
                for name in (
                    "household", "first_name", "last_name", "country", "postal_code", "email", "phone",
                    "email_typed", "phone_typed", "shares_email", "shares_phone", "in_crm",
                )
            },
        }
    ).with_columns(dropped_out=pl.when(pl.Series(gone > 0)).then("dropped_out"))  # fmt: skip


def draw_population(parameters: ShopParameters, block: int, people: pl.DataFrame) -> pl.DataFrame:
    """The people of one block as the platforms know them, and strangers; ``number`` tells who goes along."""
    draw = generator(parameters.seed, block, Stage.POPULATION)
    shares = {"meta": parameters.on_meta, "google": parameters.on_google, "tiktok": parameters.on_tiktok}
    own = people.with_columns(
        email=pl.when(~pl.col("shares_email")).then("email"),
        phone=pl.when(~pl.col("shares_phone")).then("phone"),
    )
    known = population(own, draw.random((BLOCK, 4)), keep=("number",), **shares)

    companion = np.repeat(people["number"].to_numpy(), draw.poisson(parameters.strangers, BLOCK))
    size = len(companion)
    room = int(BLOCK * (2.0 * parameters.strangers + 1.0))
    nobody = np.zeros(size, dtype=np.bool_)
    strangers = draw_people(draw, block * room + 1 + np.arange(size), nobody, nobody, customers=False)
    strangers = strangers.with_columns(
        number=pl.Series(companion),
        email=pl.col("mail_name") + "@" + pl.col("mail_domain"),
        phone="+" + pl.col("calling") + pl.col("national"),
    )
    unknown = population(strangers, draw.random((size, 4)), keep=("number",), **shares)
    return pl.concat([known, unknown]).sort("number", maintain_order=True)


def _sums(who: Ints, amount: Ints, counted: Bools) -> Ints:
    """Sums of the counted amounts per customer; exact, since cents stay far below 2**53."""
    weights: Floats = amount[counted].astype(np.float64)
    return np.bincount(who[counted], weights=weights, minlength=BLOCK).astype(np.int64)
