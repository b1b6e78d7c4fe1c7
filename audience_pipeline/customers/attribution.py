"""Which channel, campaign and platform brought an order, and a customer with the first of them.

The rules, in this order:

1. A coupon of the order that the workspace has mapped to a campaign decides (``coupon``): of the order's
   lines, else of a web event that carries the order's id; of several the first by name.
2. Else what brought the visit in which the order was placed: the last web event that carries the order's id
   and did not come directly. It may be logged some minutes after the order, on the same day.
3. Else the last web event of the customer within the lookback that did not come directly. Browsers count
   that are known to be the customer's, also what they did before anybody logged in. Time decides where it is
   known: on the day of an order whose hour is known, events up to the end of that hour count.

Of the event, a click id says the platform by its form, else ``utm_source`` does (``click_id``); without one,
``utm_source`` does (``utm``). If it has neither, the order's own channel decides, else the channel of the
event, and of both rather one that is not direct (``channel``). Otherwise nothing is known (``none``).

Meta appends its click id to every link, paid for or not: such a visit counts as Meta's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from audience_pipeline.customers.attribution_events import (
    carrying,
    coupons_of,
    last_before,
    last_of,
    telling_events,
)
from audience_pipeline.customers.attribution_touches import indirect
from audience_pipeline.customers.mapped import mapped

ORDER_ATTRIBUTION = pl.Schema(
    {
        "customer_id": pl.String(),
        "order_id": pl.String(),
        "order_date": pl.Date(),
        **dict.fromkeys(("platform", "channel", "campaign", "how"), pl.String()),
        "touched_at": pl.Datetime("us"),
    }
)
"""Columns of the attribution of orders, in order; ``how`` is one of :data:`HOW`."""

HOW = ("coupon", "click_id", "utm", "channel", "none")
_COUPON_SAYS = ("coupon", "coupon_platform", "coupon_channel", "coupon_campaign")
_NO_IDENTITIES = pl.LazyFrame(schema={"source_id": pl.String, "customer_id": pl.String})


@dataclass(frozen=True, slots=True)
class CouponCampaign:
    """What a coupon code stands for."""

    campaign: str
    platform: str | None = None
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class AttributionRules:
    """What a workspace has said about attribution."""

    coupons: Mapping[str, CouponCampaign] = field(default_factory=dict)
    """By code, in upper case."""
    lookback_days: int = 30
    """Whole days before the day of the order."""


def order_attribution(
    orders: pl.LazyFrame,
    transactions: pl.LazyFrame,
    web_events: pl.LazyFrame,
    as_of: date,
    *,
    identities: pl.LazyFrame | None = None,
    rules: AttributionRules | None = None,
) -> pl.DataFrame:
    """Channel, campaign and platform of every order up to a day, by the rules of this module.

    Args:
        orders: orders of customers: ``customer_id, order_id, order_date, kind, hour, channel``.
        transactions: landed lines, by source id: ``customer_id, order_id, transaction_date, amount_minor,
            coupon``.
        web_events: landed events, by source id: ``customer_id, anonymous_id, event_at, event_date, channel,
            utm_source, utm_medium, utm_campaign, click_id, order_id, coupon``.
        as_of: nothing dated later is read.
        identities: ``source_id, customer_id``: whose each source id is.
        rules: coupons and lookback.

    Returns:
        :data:`ORDER_ATTRIBUTION`, one row per customer and order id, sorted by them. ``order_date`` is the
        order's first day; ``touched_at`` is when the event happened that decided, null where none did.
    """
    rules = rules or AttributionRules()
    known = _NO_IDENTITIES if identities is None else identities
    sold = _sold(orders, as_of)
    coupons = _coupons(rules)
    codes = coupons["coupon"].to_list()
    events, said = telling_events(web_events, known, sold, codes, as_of)
    carried = carrying(events, sold)
    decided = (
        sold.lazy()
        .join(_coupons_of_lines(transactions, known, codes, as_of), on=_ORDER, how="left")
        .join(coupons_of(carried), on="row", how="left")
        .join(last_of(carried), on="row", how="left")
        .join(last_before(events, sold, rules.lookback_days), on="row", how="left")
        .with_columns(
            coupon=pl.coalesce("coupon", "web_coupon"),
            what=pl.coalesce("carried_what", "last_what"),
            at=pl.when(pl.col("carried_what").is_null()).then("last_at").otherwise("carried_at"),
        )
        .join(said.lazy(), on="what", how="left")
        .join(coupons.lazy(), on="coupon", how="left", coalesce=True)
    )
    return decided.select(_decision()).sort("customer_id", "order_id").collect(engine="streaming")


def acquisition(attributed: pl.LazyFrame) -> pl.LazyFrame:
    """What brought each customer: the attribution of the first order (of several on a day, the first by id).

    Args:
        attributed: what :func:`order_attribution` returns.

    Returns:
        ``customer_id, acquired_platform, acquired_channel, acquired_campaign, acquired_how``.
    """
    said = ("platform", "channel", "campaign", "how")
    return (
        attributed.sort("customer_id", "order_date", "order_id")
        .unique("customer_id", keep="first", maintain_order=True)
        .select("customer_id", *(pl.col(name).alias(f"acquired_{name}") for name in said))
    )


_ORDER = ["customer_id", "order_id", "order_date"]
_DAY = pl.duration(days=1, microseconds=-1)
_HOUR = pl.duration(hours=1, microseconds=-1)


def _sold(orders: pl.LazyFrame, as_of: date) -> pl.DataFrame:
    """One row per order, on its first day: until when events count, and a number for each customer."""
    midnight = pl.col("order_date").cast(pl.Datetime("us"))
    until = (
        pl.when(pl.col("hour").is_null())
        .then(midnight + _DAY)
        .otherwise(midnight + pl.duration(hours=pl.col("hour")) + _HOUR)
    )
    return (
        orders.filter(pl.col("kind") == "order", pl.col("order_date") <= as_of)
        .filter(pl.col("order_date") == pl.col("order_date").min().over("customer_id", "order_id"))
        .select(*_ORDER, pl.col("channel").alias("own_channel"), until.alias("until"))
        .collect(engine="streaming")
        .with_columns(pl.col("customer_id").rank("dense").alias("who"))
        .with_row_index("row")
    )


def _coupons(rules: AttributionRules) -> pl.DataFrame:
    rows = [
        (code.upper(), stands_for.platform, stands_for.channel, stands_for.campaign)
        for code, stands_for in rules.coupons.items()
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(_COUPON_SAYS, pl.String), orient="row")


def _coupons_of_lines(
    transactions: pl.LazyFrame, identities: pl.LazyFrame, codes: list[str], as_of: date
) -> pl.LazyFrame:
    lines = transactions.filter(
        pl.col("transaction_date") <= as_of,
        pl.col("amount_minor") > 0,
        pl.col("coupon").is_in(codes),
    ).select(
        "customer_id",
        pl.coalesce("order_id", pl.col("transaction_date").dt.to_string("%Y-%m-%d")),
        pl.col("transaction_date").alias("order_date"),
        "coupon",
    )
    return mapped(lines, identities).group_by(_ORDER).agg(pl.col("coupon").min())


def _decision() -> list[pl.Expr]:
    """The columns of :data:`ORDER_ATTRIBUTION` from what was found for an order."""
    by_coupon = pl.col("coupon").is_not_null()
    by_event = pl.col("how").is_in(["click_id", "utm"]).fill_null(value=False)
    own = indirect("own_channel")
    channel = pl.coalesce(own, "channel", "own_channel")
    of_event = by_event | (own.is_null() & pl.col("what").is_not_null())
    decision = {
        "platform": pl.when(by_coupon)
        .then("coupon_platform")
        .when(by_event)
        .then("platform")
        .otherwise(None),
        "channel": pl.when(by_coupon)
        .then(pl.coalesce("coupon_channel", "own_channel"))
        .when(by_event)
        .then(pl.coalesce("channel", "own_channel"))
        .otherwise(channel),
        "campaign": pl.when(by_coupon)
        .then("coupon_campaign")
        .when(by_event)
        .then("campaign")
        .otherwise(None),
        "how": pl.when(by_coupon)
        .then(pl.lit("coupon"))
        .when(by_event)
        .then("how")
        .when(channel.is_not_null())
        .then(pl.lit("channel"))
        .otherwise(pl.lit("none")),
        "touched_at": pl.when(~by_coupon & of_event).then("at").otherwise(None),
    }
    return [
        *(pl.col(name) for name in _ORDER),
        *(value.cast(ORDER_ATTRIBUTION[name]).alias(name) for name, value in decision.items()),
    ]
