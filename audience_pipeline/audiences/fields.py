"""What an audience may ask of a customer: the fields of the profile, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from audience_pipeline.customers.attribution import HOW
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.sources.kept import safe_name

FieldType = Literal["integer", "number", "text", "boolean", "date"]
DTYPES: Mapping[FieldType, pl.DataType] = {
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "text": pl.String(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
}
WINDOWS = (7, 30, 90, 365)
"""Days of the windows over what customers do; each ends with the as-of date and includes it."""
DAYPARTS = ("night", "morning", "afternoon", "evening")
"""Six hours each, from midnight on, in the shop's time zone."""
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CHURN_RISKS = ("new", "active", "at_risk", "lost")
RFM_GROUPS = (
    "champion", "loyal", "promising", "new", "needs_attention", "about_to_sleep", "at_risk", "cannot_lose",
    "hibernating", "lost",
)  # fmt: skip
"""Names of groups of recency, frequency and monetary scores; ``rfm.GROUPS`` says which is which."""
CRM_PREFIX = "crm_"


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


def _made(name: str, type_: FieldType, unit: str, meaning: str, example: str, *allowed: str) -> Field:
    return Field(name, type_, unit, meaning, "customer_profile", example, allowed)


def _sale(name: str, type_: FieldType, unit: str, meaning: str, example: str) -> Field:
    return Field(name, type_, unit, meaning, "order_attribution", example)


def _did(name: str, type_: FieldType, unit: str, meaning: str, example: str, *allowed: str) -> Field:
    return Field(name, type_, unit, meaning, "customer_activity", example, allowed)


def _person(name: str, type_: FieldType, unit: str, meaning: str, example: str, *allowed: str) -> Field:
    return Field(name, type_, unit, meaning, "identifiers", example, allowed)


def _may(name: str, meaning: str, example: str = "true") -> Field:
    return Field(name, "boolean", "", meaning, "consent", example)


MONEY = "shop currency"
_COUNTED_BY_FEATURES = frozenset({
    "web_events_7d", "web_events_30d", "web_events_90d", "product_views_90d", "carts_90d", "email_opens_90d",
    "email_clicks_90d",
})  # fmt: skip
_COUNTS: Sequence[tuple[str, str, str, str]] = (
    ("visits", "days", "days with a visit to the website", "2"),
    ("web_events", "events", "events on the website", "12"),
    ("product_views", "events", "products viewed", "14"),
    ("carts", "events", "products put into the cart", "2"),
    ("searches", "events", "searches on the website", "1"),
    ("checkouts", "events", "checkouts begun", "1"),
    ("emails_sent", "e-mails", "e-mails sent to the customer", "6"),
    ("email_opens", "e-mails", "e-mails opened", "4"),
    ("email_clicks", "e-mails", "e-mails clicked", "1"),
    ("unsubscribes", "events", "times that the customer unsubscribed", "0"),
    ("sms_sent", "messages", "text messages sent to the customer", "2"),
    ("sms_clicks", "messages", "text messages clicked", "0"),
)
_RATES = (
    ("email_open_rate", "e-mails opened by e-mails sent; empty where none was sent", "0.35"),
    ("email_click_rate", "e-mails clicked by e-mails sent; empty where none was sent", "0.05"),
)


def _windows() -> Iterator[Field]:
    for days in WINDOWS:
        for stem, unit, meaning, example in _COUNTS:
            name = f"{stem}_{days}d"
            make = _shop if name in _COUNTED_BY_FEATURES else _did
            yield make(name, "integer", unit, f"{meaning} in the last {days} days", example)
        for stem, meaning, example in _RATES:
            yield _did(f"{stem}_{days}d", "number", "0 to 1", f"{meaning}, last {days} days", example)


_ALL = (
    _ltv("ltv_quintile", "integer", "rank", "1 = top fifth by predicted 12-month value", "1", *"12345"),
    _ltv("predicted_ltv", "number", MONEY, "mean net revenue in the 365 days from the first order", "240"),
    _ltv("likely_ltv", "number", MONEY, "12-month value most likely to be right within 30 %", "180"),
    _ltv("ltv_p10", "number", MONEY, "at most one in ten ends below this 12-month value", "95"),
    _ltv("ltv_p90", "number", MONEY, "one in ten ends above this 12-month value", "410"),
    _ltv("next_12m_value", "number", MONEY, "expected net revenue in the next 365 days", "95.5"),
    _ltv("confidence", "text", "", "how sure likely_ltv is", "high", "high", "medium", "low"),
    _ltv("within_30_probability", "number", "0 to 1", "probability that likely_ltv is within 30 %", "0.72"),
    _ltv("repeat_probability", "number", "0 to 1", "probability of an order in the next 365 days", "0.4"),
    _made("recency_score", "integer", "rank", "5 = the fifth who ordered last", "4", *"12345"),
    _made("frequency_score", "integer", "rank", "5 = the fifth with the most orders", "3", *"12345"),
    _made("monetary_score", "integer", "rank", "5 = the fifth with most net revenue", "5", *"12345"),
    _made("rfm_group", "text", "", "group by the three scores (audiences/rfm.py)", "loyal", *RFM_GROUPS),
    _shop("observed_value", "number", MONEY, "net revenue so far", "120"),
    _shop("orders", "integer", "orders", "orders so far", "3"),
    _shop("returns", "integer", "returns", "returns so far", "0"),
    _shop("return_share", "number", "0 to 1", "returned share of the sales so far", "0.1"),
    _shop("days_since_return", "integer", "days", "days since the latest return; empty without one", "12"),
    _shop("average_order_value", "number", MONEY, "mean amount of an order before returns", "45.9"),
    _shop("first_order_value", "number", MONEY, "sales of the first day", "39.9"),
    _shop("last_order_value", "number", MONEY, "amount of the latest order", "59"),
    _shop("greatest_order_value", "number", MONEY, "amount of the greatest order", "129"),
    _shop("days_since_first_order", "integer", "days", "age as a customer", "200"),
    _shop("days_since_last_order", "integer", "days", "days without an order", "35"),
    _shop("days_between_orders", "number", "days", "mean days between orders; empty with one", "41.5"),
    _shop("days_to_second_order", "integer", "days", "days from the first to the second purchase day", "28"),
    _shop("first_order", "date", "", "day of the first order", "2026-01-31"),
    _shop("last_order", "date", "", "day of the last order", "2026-05-04"),
    _shop("orders_30d", "integer", "orders", "orders in the last 30 days", "1"),
    _shop("orders_90d", "integer", "orders", "orders in the last 90 days", "1"),
    _shop("orders_365d", "integer", "orders", "orders in the last 365 days", "4"),
    _shop("revenue_30d", "number", MONEY, "net revenue in the last 30 days", "45.9"),
    _shop("revenue_90d", "number", MONEY, "net revenue in the last 90 days", "45.9"),
    _shop("revenue_365d", "number", MONEY, "net revenue in the last 365 days", "230"),
    _shop("discounted_share", "number", "0 to 1", "share of the orders so far with a discount", "0.25"),
    _shop("categories", "integer", "categories", "different product categories bought", "2"),
    _shop("first_category", "text", "", "category with the greatest amount in the first basket", "shoes"),
    _shop("last_category", "text", "", "category with the greatest amount on the last purchase day", "bags"),
    _shop("top_category", "text", "", "category in the most orders so far", "shoes"),
    _shop("top_category_share", "number", "0 to 1", "share of the most frequent category", "0.6"),
    _shop("channel", "text", "", "channel of the first order", "organic"),
    _sale("last_channel", "text", "", "channel of the latest order", "email"),
    _sale("top_channel", "text", "", "channel of the most orders so far", "organic"),
    _sale("channels", "integer", "channels", "different channels of the orders so far", "2"),
    Field("acquired_platform", "text", "", "ad platform that the first order is attributed to",
          "order_attribution", "meta", tuple(platform.value for platform in Platform)),
    _sale("acquired_channel", "text", "", "channel that the first order is attributed to", "paid_social"),
    _sale("acquired_campaign", "text", "", "campaign that the first order is attributed to", "spring"),
    Field("acquired_how", "text", "", "what the first order is attributed by", "order_attribution",
          "click_id", HOW),
    *_windows(),
    _shop("days_since_visit", "integer", "days", "days since the last event on the website", "3"),
    _did("days_since_email_open", "integer", "days", "days since an e-mail was opened last", "8"),
    _did("days_since_email_click", "integer", "days", "days since an e-mail was clicked last", "21"),
    _did("favourite_category_90d", "text", "", "category of most products viewed in 90 days", "shoes"),
    _did("visit_daypart", "text", "", "part of the day of most visits, last 365 days", "evening", *DAYPARTS),
    _did("visit_weekday", "text", "", "weekday of most visits, last 365 days", "sun", *WEEKDAYS),
    _did("visit_weekend_share", "number", "0 to 1", "share of visits on Saturday or Sunday, 365 days", "0.5"),
    _did("order_daypart", "text", "", "part of the day of most orders so far", "evening", *DAYPARTS),
    _did("order_weekday", "text", "", "weekday of most orders so far", "sat", *WEEKDAYS),
    _did("order_weekend_share", "number", "0 to 1", "share of orders on Saturday or Sunday", "0.33"),
    _did("usual_device", "text", "", "kind of device of most events on the website, 365 days", "mobile"),
    Field("segment", "text", "", "behavioural segment, by name", "customer_segments", "Loyal big spenders"),
    _made("churn_risk", "text", "", "time without an order against the own rhythm (profile.churn_risk)",
          "at_risk", *CHURN_RISKS),
    _person("country", "text", "ISO code", "country of the customer", "DE"),
    _person("region", "text", "", "state or region, as the shop has it", "CA"),
    _person("postal_area", "text", "", "first three characters of the postal code", "100"),
    _person("gender", "text", "", "m or f, where the shop knows it", "f", "m", "f"),
    _person("birth_year", "integer", "year", "year of birth, where the shop knows it", "1985"),
    _person("age", "integer", "years", "age reached in the year of the as-of date", "41"),
    _person("has_email", "boolean", "", "a usable e-mail address is known", "true"),
    _person("has_phone", "boolean", "", "a usable phone number is known", "true"),
    _person("has_device_id", "boolean", "", "a mobile advertising id is known", "false"),
    _person("email_domain_kind", "text", "", "kind of address", "free", "free", "business", "disposable"),
    _person("is_competitor", "boolean", "", "the e-mail address belongs to a competitor", "false"),
    _made("loyalty_member", "boolean", "", "a loyalty card is known", "true"),
    _made("has_ordered", "boolean", "", "has ordered in the shop", "true"),
    _made("newsletter_reader", "boolean", "", "was sent or opened an e-mail in the last 365 days and has not "
          "unsubscribed since", "true"),
    _made("newsletter_only", "boolean", "", "a newsletter reader who has never ordered", "false"),
    _may("advertising_consent", "may be advertised to"),
    *(
        _may(f"advertising_consent_{platform.value}", f"may be advertised to on {platform.value}")
        for platform in Platform
    ),
    _may("personalisation_consent", "offers may be made to fit what the customer does"),
    _may("opted_out", "has said no to advertising", "false"),
)  # fmt: skip

FIELDS: Mapping[str, Field] = {field.name: field for field in _ALL}
"""Every field of the profile by name, in the order of its columns."""


def crm_field_name(column: str) -> str:
    """The field of a kept CRM column: ``Shoe Size`` becomes ``crm_shoe_size``."""
    return CRM_PREFIX + safe_name(column)


def fields_with(crm_columns: Sequence[str]) -> Mapping[str, Field]:
    """``FIELDS`` and the CRM columns that the workspace keeps, as text fields ``crm_<name>``.

    Args:
        crm_columns: names of columns of the CRM files (``sources: {crm: {keep: [...]}}``).

    Raises:
        ValueError: a name has no letter or digit of the Latin alphabet, or two names become one field.
    """
    added: dict[str, Field] = {}
    named: dict[str, str] = {}
    for column in dict.fromkeys(crm_columns):
        name = crm_field_name(column)
        if name == CRM_PREFIX:
            raise ValueError(
                f"sources.crm.keep: {column!r} has no letter a-z and no digit to make a field of"
            )
        if name in added:
            raise ValueError(f"sources.crm.keep: {named[name]!r} and {column!r} would both become {name}")
        named[name] = column
        meaning = f"column {column} of the CRM: the newest statement"
        added[name] = Field(name, "text", "", meaning, "crm_contacts", "gold")
    return {**FIELDS, **added}
