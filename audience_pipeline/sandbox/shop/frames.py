"""The columns of the raw files, and the texts that several of them share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import polars as pl

from audience_pipeline.sandbox.shop.draws import Ints
from audience_pipeline.sandbox.shop.parameters import ShopParameters

TRANSACTIONS = (
    "customer_id", "transaction_date", "transaction_amount", "product_category", "order_id", "quantity",
    "currency", "channel", "discount",
)  # fmt: skip
CRM = (
    "customer_id", "email", "phone", "first_name", "last_name", "country", "postal_code", "city", "state",
    "birth_date", "gender", "updated_at",
)  # fmt: skip
WEB = (
    "event_at", "event", "customer_id", "anonymous_id", "category", "device", "channel", "utm_source",
    "utm_medium", "utm_campaign", "click_id", "order_id",
)  # fmt: skip
ENGAGEMENT = ("event_at", "customer_id", "event", "campaign", "channel")
CONSENT = (
    "event_at", "customer_id", "email", "phone", "status", "purpose", "platform", "source", "legal_basis",
)  # fmt: skip

LINKED: Mapping[str, tuple[str, ...]] = {
    "transactions": ("coupon", "loyalty_id"),
    "crm": ("loyalty_id", "anonymous_id"),
    "web_events": ("gpc",),
    "engagement_events": ("email",),
}
"""Columns after those above, which tie the records of a person together."""

MOMENT = "%Y-%m-%d %H:%M:%S"


def times(parameters: ShopParameters, seconds: Ints) -> pl.Series:
    """Moments from seconds since the shop opened."""
    start = (parameters.first_day - date(1970, 1, 1)).days * 86_400
    return pl.Series((seconds + start) * 1_000_000).cast(pl.Datetime("us"))


def moments(parameters: ShopParameters, seconds: Ints) -> pl.Series:
    """Moments as the files write them."""
    return times(parameters, seconds).dt.to_string(MOMENT)


def customer_ids(numbers: Ints) -> pl.Series:
    """The shop's ids of those customer numbers."""
    return pl.select("C" + pl.Series(numbers).cast(pl.String).str.zfill(7)).to_series()


def order_ids(numbers: Ints, sequences: Ints) -> pl.Series:
    """The shop's order ids: customer number and place among the customer's orders."""
    return pl.select(pl.format("O{}-{}", pl.Series(numbers), pl.Series(sequences))).to_series()
