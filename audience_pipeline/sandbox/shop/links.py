"""What ties the records of a person together: loyalty cards, coupons, browsers, second accounts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from audience_pipeline.sandbox.shop.draws import BLOCK, Bools, Ints, Stage, generator, pick
from audience_pipeline.sandbox.shop.frames import CRM, LINKED, moments, order_ids
from audience_pipeline.sandbox.shop.latent import CHANNELS, Latent
from audience_pipeline.sandbox.shop.lines import Lines
from audience_pipeline.sandbox.shop.orders import Orders
from audience_pipeline.sandbox.shop.parameters import ShopParameters

COUPONS: Mapping[str, tuple[str, ...]] = {
    "organic": ("WELCOME10",),
    "paid_search": ("SEARCH5",),
    "paid_social": ("INSTA10", "TIKTOK15"),
    "email": ("NEWS10",),
    "referral": ("FRIEND20",),
}
"""The codes that are used in orders of each channel."""

_SURE_STYLES = ("plain", "capitals", "blanks")
"""Styles of typing in which an address stays the same for everybody who reads it."""

_CARD_SHOWN = 0.6
_SPREAD, _CARDS = 7_654_321, 100_000_000


def with_links(
    parameters: ShopParameters,
    block: int,
    latent: Latent,
    orders: Orders,
    lines: Lines,
    people: pl.DataFrame,
    advertising: pl.Series,
    frames: Mapping[str, pl.DataFrame],
) -> dict[str, pl.DataFrame]:
    """The files of one block with the columns of ``LINKED``, and CRM rows of second accounts.

    Args:
        parameters: the shop.
        block: which block.
        latent: its customers.
        orders: their orders.
        lines: the lines of those.
        people: the customers as ``draw_contacts`` makes them.
        advertising: the last word of each on advertising.
        frames: ``transactions, future_transactions, crm, web_events`` and others, which stay as they are.
    """
    draw = generator(parameters.seed, block, Stage.LINKS)
    holder = draw.random(BLOCK) < parameters.loyalty_cards
    card = pick([None], np.zeros(BLOCK, dtype=np.int64)).zip_with(pl.Series(~holder), _cards(latent.number))
    sold = _of_orders(parameters, draw, latent, orders, lines, card)
    web = frames["web_events"]
    fills_in = pl.Series(draw.random(BLOCK) < parameters.form_browsers)
    private = pl.Series(draw.random(BLOCK) < parameters.browser_signals)
    signals = private & (people["country"] == "US") & (advertising != "granted")
    crm = _with_cards_and_browsers(
        frames["crm"], web, pl.DataFrame({"number": latent.number, "loyalty_id": card, "_form": fills_in})
    )
    return {
        **frames,
        **{
            name: frames[name].join(sold, on="order_id", how="left", maintain_order="left")
            for name in ("transactions", "future_transactions")
        },
        "crm": _with_second_accounts(parameters, draw, people, crm),
        "web_events": web.with_columns(
            gpc=pl.when(
                pl.col("number").is_in(pl.Series(latent.number).filter(signals).implode()),
                pl.col("device") != "app",
            ).then(pl.lit("true"))
        ),
    }


def has_sure_email(people: pl.DataFrame) -> pl.Series:
    """Whose address in the CRM is theirs alone, and is read as what it is."""
    return people["email"].is_unique() & people["email_typed"].is_in(_SURE_STYLES)


def _cards(number: Ints) -> pl.Series:
    digits = pl.Series(number * _SPREAD % _CARDS).cast(pl.String).str.zfill(8)
    return pl.select("K" + digits).to_series()


def _of_orders(
    parameters: ShopParameters,
    draw: np.random.Generator,
    latent: Latent,
    orders: Orders,
    lines: Lines,
    card: pl.Series,
) -> pl.DataFrame:
    """Coupon and loyalty card of each order: ``order_id, coupon, loyalty_id``."""
    size = len(orders.customer)
    used: Bools = lines.discounted & (draw.random(size) < parameters.coupons)
    names = [name for channel in CHANNELS for name in COUPONS[channel]]
    count = np.array([len(COUPONS[channel]) for channel in CHANNELS])
    first = np.cumsum(count) - count
    channel = lines.order_channel
    code = first[channel] + (draw.random(size) * count[channel]).astype(np.int64)
    shown = pl.Series(draw.random(size) < _CARD_SHOWN)
    cards = card.gather(pl.Series(orders.customer))
    return pl.DataFrame(
        {
            "order_id": order_ids(latent.number[orders.customer], orders.sequence),
            "coupon": pick([*names, None], np.where(used, code, len(names))),
            "loyalty_id": pl.select(pl.when(shown).then(cards)).to_series(),
        }
    )


def _with_cards_and_browsers(crm: pl.DataFrame, web: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """CRM rows with the card, and in some first rows the browser in which the form was filled in."""
    logged_in = web.drop_nulls(["customer_id", "anonymous_id"])
    browser = logged_in.group_by("number", maintain_order=True).agg(pl.col("anonymous_id").first())
    return (
        crm.join(people, on="number", how="left", maintain_order="left")
        .join(browser, on="number", how="left", maintain_order="left")
        .with_columns(
            anonymous_id=pl.when(pl.col("_form"), pl.int_range(pl.len()).over("number") == 0).then(
                "anonymous_id"
            )
        )
        .select("number", *CRM, *LINKED["crm"])
    )


def _with_second_accounts(
    parameters: ShopParameters, draw: np.random.Generator, people: pl.DataFrame, crm: pl.DataFrame
) -> pl.DataFrame:
    """CRM rows and those of accounts that somebody opened again, with the same address, and never used."""
    again = pl.Series(draw.random(BLOCK) < parameters.second_accounts)
    share = pl.Series(draw.random(BLOCK))
    sure = has_sure_email(people)
    opened = pl.DataFrame({"number": people["number"], "_share": share}).filter(again & sure)
    last = crm.group_by("number", maintain_order=True).last().join(opened, on="number")
    at = last["updated_at"].str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us")
    start = pl.lit(parameters.first_day).cast(pl.Datetime("us"))
    second = pl.select((at - start).dt.total_seconds()).to_series()
    left = parameters.days * 86_400 - 1 - second
    later = (second + (last["_share"] * left).cast(pl.Int64)).to_numpy()
    accounts = last.with_columns(
        customer_id=pl.col("customer_id") + "-2",
        updated_at=moments(parameters, later),
        **dict.fromkeys(("phone", *LINKED["crm"]), pl.lit(None, dtype=pl.String)),
    ).select(crm.columns)
    return pl.concat([crm, accounts]).sort("updated_at", maintain_order=True)
