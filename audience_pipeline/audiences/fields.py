"""What an audience may ask of a customer: the fields of the profile, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl

FieldType = Literal["integer", "number", "text", "boolean", "date"]
DTYPES: Mapping[FieldType, pl.DataType] = {
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "text": pl.String(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One column of the profile."""

    name: str
    type: FieldType
    unit: str
    meaning: str
    source: str
    """The table that it comes from."""
    example: str
    allowed: tuple[str, ...] = ()
    """The only values that it takes, where they are known beforehand."""

    @property
    def kind(self) -> str:
        """The kind of value in conditions: integers and decimals compare alike."""
        return "number" if self.type == "integer" else self.type


def _ltv(name: str, type_: FieldType, unit: str, meaning: str, example: str, *allowed: str) -> Field:
    return Field(name, type_, unit, meaning, "ltv_predictions", example, allowed)


def _shop(name: str, type_: FieldType, unit: str, meaning: str, example: str) -> Field:
    return Field(name, type_, unit, meaning, "customer_features", example)


def _person(name: str, type_: FieldType, unit: str, meaning: str, example: str, *allowed: str) -> Field:
    return Field(name, type_, unit, meaning, "identifiers", example, allowed)


MONEY = "shop currency"

_ALL = (
    _ltv("ltv_quintile", "integer", "rank", "1 = top fifth by predicted 12-month value", "1", *"12345"),
    _ltv("predicted_ltv", "number", MONEY, "mean net revenue in the 365 days from the first order", "240"),
    _ltv("likely_ltv", "number", MONEY, "12-month value most likely to be right within 30 %", "180"),
    _ltv("next_12m_value", "number", MONEY, "expected net revenue in the next 365 days", "95.5"),
    _ltv("confidence", "text", "", "how sure likely_ltv is", "high", "high", "medium", "low"),
    _ltv("repeat_probability", "number", "0 to 1", "probability of an order in the next 365 days", "0.4"),
    _shop("observed_value", "number", MONEY, "net revenue so far", "120"),
    _shop("orders", "integer", "orders", "orders so far", "3"),
    _shop("returns", "integer", "returns", "returns so far", "0"),
    _shop("return_share", "number", "0 to 1", "returned share of the sales so far", "0.1"),
    _shop("average_order_value", "number", MONEY, "mean amount of an order before returns", "45.9"),
    _shop("days_since_first_order", "integer", "days", "age as a customer", "200"),
    _shop("days_since_last_order", "integer", "days", "days without an order", "35"),
    _shop("days_between_orders", "number", "days", "mean days between orders; empty with one", "41.5"),
    _shop("first_order", "date", "", "day of the first order", "2026-01-31"),
    _shop("last_order", "date", "", "day of the last order", "2026-05-04"),
    _shop("orders_30d", "integer", "orders", "orders in the last 30 days", "1"),
    _shop("orders_90d", "integer", "orders", "orders in the last 90 days", "1"),
    _shop("orders_365d", "integer", "orders", "orders in the last 365 days", "4"),
    _shop("revenue_90d", "number", MONEY, "net revenue in the last 90 days", "45.9"),
    _shop("revenue_365d", "number", MONEY, "net revenue in the last 365 days", "230"),
    _shop("categories", "integer", "categories", "different product categories bought", "2"),
    _shop("first_category", "text", "", "category with the greatest amount in the first basket", "shoes"),
    _shop("top_category_share", "number", "0 to 1", "share of the most frequent category", "0.6"),
    _shop("channel", "text", "", "channel of the first order", "organic"),
    _shop("web_events_7d", "integer", "events", "events on the website in the last 7 days", "0"),
    _shop("web_events_30d", "integer", "events", "events on the website in the last 30 days", "12"),
    _shop("web_events_90d", "integer", "events", "events on the website in the last 90 days", "30"),
    _shop("product_views_90d", "integer", "events", "products viewed in the last 90 days", "14"),
    _shop("carts_90d", "integer", "events", "products put into the cart in the last 90 days", "2"),
    _shop("days_since_visit", "integer", "days", "days since the last event on the website", "3"),
    _shop("email_opens_90d", "integer", "e-mails", "e-mails opened in the last 90 days", "4"),
    _shop("email_clicks_90d", "integer", "e-mails", "e-mails clicked in the last 90 days", "1"),
    Field("segment", "text", "", "behavioural segment, by name", "customer_segments", "Loyal big spenders"),
    Field("churn_risk", "text", "", "time without an order against the own rhythm (profile.churn_risk)",
          "customer_profile", "at_risk", ("new", "active", "at_risk", "lost")),
    _person("country", "text", "ISO code", "country of the customer", "DE"),
    _person("region", "text", "", "state or region, as the shop has it", "CA"),
    _person("gender", "text", "", "m or f, where the shop knows it", "f", "m", "f"),
    _person("birth_year", "integer", "year", "year of birth, where the shop knows it", "1985"),
    _person("has_email", "boolean", "", "a usable e-mail address is known", "true"),
    _person("has_phone", "boolean", "", "a usable phone number is known", "true"),
    _person("email_domain_kind", "text", "", "kind of address", "free", "free", "business", "disposable"),
    _person("is_competitor", "boolean", "", "the e-mail address belongs to a competitor", "false"),
    Field("advertising_consent", "boolean", "", "may be advertised to", "consent", "true"),
)  # fmt: skip

FIELDS: Mapping[str, Field] = {field.name: field for field in _ALL}
"""Every field of the profile by name, in the order of its columns."""
