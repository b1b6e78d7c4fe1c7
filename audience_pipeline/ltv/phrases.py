"""Reasons in plain words, with the customer's own figures."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Mapping
from typing import Any

from audience_pipeline.features.catalogue import FEATURES, WEB_WINDOWS, Feature
from audience_pipeline.ltv.topics import ORDER_VALUE, ORDERS
from audience_pipeline.ltv.wording import ago, count, day_count, figure, money, percent, times

Row = Mapping[str, Any]
"""One customer: a value for each column of ``FEATURES_SCHEMA``, None where it is missing."""

_CATALOGUE: Mapping[str, Feature] = {feature.name: feature for feature in FEATURES}
_LONG_SILENCE = 1.5
"""Times the usual days between orders."""
_RECENT_VISIT = 30
_NO_WEB = "its visits are not known"
_LONGEST_NAME = 60
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
"""Blanks, line breaks, control characters and those that turn the direction of writing."""


def in_words(topic: str, column: str, row: Row) -> str:
    """What a customer did, as the beginning of a sentence without its subject.

    Args:
        topic: Name of one of :data:`audience_pipeline.ltv.topics.TOPICS`, or of a column alone.
        column: The column that speaks loudest in it.
        row: Features of the customer.
    """
    phrase = _OF_COLUMNS.get(column) or _OF_TOPICS.get(topic)
    if phrase is not None:
        return phrase(row)
    return by_description(column, row)


def by_description(column: str, row: Row) -> str:
    """The catalogue's description with the customer's value: for columns without words of their own."""
    feature = _CATALOGUE.get(column)
    if feature is None:
        return column.replace("_", " ")
    text = feature.description.partition(";")[0].partition(":")[0]
    words = text[0].lower() + text[1:]
    if feature.unit == "cyclic":
        return words
    value = _name(row, column) if feature.unit == "category" else row[column]
    if value is None:
        return f"{words} (unknown)"
    return f"{words} ({_in_its_unit(feature, value)})"


def _in_its_unit(feature: Feature, value: Any) -> str:
    match feature.unit:
        case "minor":
            return money(value)
        case "ratio":
            return f"{value:,.2f}"
        case "days":
            return day_count(value)
        case "hour":
            return f"{value}:00"
        case "category":
            return str(value)
        case _:
            return figure(value)


def _name(row: Row, column: str) -> str | None:
    """A name that the shop gave, short and on one line; None where nothing of it shows."""
    if row[column] is None:
        return None
    name = _BLANKS.sub(" ", row[column]).strip()
    if len(name) > _LONGEST_NAME:
        return f"{name[: _LONGEST_NAME - 1].rstrip()}…"
    return name or None


def _orders(row: Row) -> str:
    since = ago(row["recency_days"])
    if row["purchase_days"] == 1:
        return f"ordered {times(row['orders'])}, {since}"
    for days in (90, 365):
        if row["age_days"] > days and row[f"orders_{days}d"] >= 2:
            return f"ordered {times(row[f'orders_{days}d'])} in {days} days, the last {since}"
    return f"ordered {times(row['orders'])} in {day_count(row['age_days'])}, the last {since}"


def _order_value(row: Row) -> str:
    net = max(row["observed_minor"], 0)
    if row["purchase_days"] == 1 and row["returns"]:
        return f"kept {money(net)} of the {money(row['sales_minor'])} that it ordered"
    if row["returns"]:
        # The purchase model looks at what remains by days with an order.
        return f"its orders are worth {money(net / row['purchase_days'])} on average, less returns"
    if row["orders"] == 1:
        return f"its order was worth {money(row['order_value_mean_minor'])}"
    return f"its orders are worth {money(row['order_value_mean_minor'])} on average"


def _rhythm(row: Row) -> str:
    usual, silent = row["days_between_orders_mean"], row["recency_days"]
    if usual is None:
        return "has bought on one day only"
    if silent > _LONG_SILENCE * usual:
        return f"usually orders every {day_count(usual)}, and has been silent for {day_count(silent)}"
    return f"usually orders every {day_count(usual)}"


def _second_order(row: Row) -> str:
    days = row["days_to_second_order"]
    return "has bought on one day only" if days is None else f"came back after {day_count(days)}"


def _spending(row: Row) -> str:
    so_far, lately = f"spent {money(row['observed_minor'])} so far", row["net_90d_minor"]
    if row["age_days"] <= 90 or lately < 0:
        return so_far
    return f"{so_far}, {money(lately) if lately else 'nothing'} of it in the last 90 days"


def _latest_order(row: Row) -> str:
    if row["purchase_days"] == 1:
        return _order_value(row)
    return f"its latest order was worth {money(row['order_value_last_minor'])}"


def _greatest_order(row: Row) -> str:
    if row["purchase_days"] == 1:
        return _order_value(row)
    return f"its greatest order was worth {money(row['order_value_max_minor'])}"


def _first_order(row: Row) -> str:
    if row["purchase_days"] == 1:
        return _order_value(row)
    return f"spent {money(row['first_order_minor'])} on its first day"


def _trend(row: Row) -> str:
    share = row["late_orders_share"]
    if share is None:
        return "has bought on one day only"
    return f"made {percent(share)} of its orders in the later half of the time so far"


def _late_sales(row: Row) -> str:
    share = row["late_sales_share"]
    if share is None:
        return "has bought on one day only"
    return f"spent {percent(share)} in the later half of the time so far"


def _first_lines(row: Row) -> str:
    return f"first basket held {count(row['first_order_lines'], 'product')}"


def _mean_lines(row: Row) -> str:
    if row["purchase_days"] == 1:
        return _first_lines(row)
    return f"baskets hold {count(row['lines_mean'], 'product')} on average"


def _mean_units(row: Row) -> str:
    value = row["units_mean"]
    return "pieces bought are not known" if value is None else f"buys {count(value, 'piece')} at a time"


def _first_category(row: Row) -> str:
    level = _name(row, "first_category")
    return (
        "category of the first basket is not known" if level is None else f"first basket was mostly {level}"
    )


def _last_category(row: Row) -> str:
    level = _name(row, "last_category")
    if row["purchase_days"] == 1:
        return _first_category(row)
    return (
        "category of its latest order is not known" if level is None else f"latest order was mostly {level}"
    )


def _top_category(row: Row) -> str:
    level = _name(row, "top_category")
    if row["purchase_days"] == 1:
        return _first_category(row)
    return "categories of its orders are not known" if level is None else f"buys {level} most often"


def _channel(row: Row) -> str:
    level = _name(row, "channel")
    return "channel of its first order is not known" if level is None else f"first came through {level}"


def _categories(row: Row) -> str:
    return f"bought from {count(row['categories'], 'category', 'categories')}"


def _first_categories(row: Row) -> str:
    return f"first order spanned {count(row['first_order_categories'], 'category', 'categories')}"


def _category_share(row: Row) -> str:
    share, level = row["top_category_share"], _name(row, "top_category")
    if share is None or level is None:
        return "categories of its orders are not known"
    return f"{level} is {percent(share)} of the categories in its orders"


def _returns(row: Row) -> str:
    if not row["returns"]:
        return "never returned anything"
    share = row["return_share"]
    return "returned something" if share is None else f"returned {percent(share)} of what it bought"


def _last_return(row: Row) -> str:
    if row["days_since_return"] is None:
        return _returns(row)
    return f"{_returns(row)}, the last time {ago(row['days_since_return'])}"


def _discounts(column: str, words: str) -> Callable[[Row], str]:
    def said(row: Row) -> str:
        share = row[column]
        if share is None:
            return "discounts are not known"
        if share == 0:
            return "first bought without a discount" if "first" in column else "never bought at a discount"
        return words.format(percent(share))

    return said


def _visits(row: Row) -> str:
    days = row["days_since_visit"]
    if days is None:
        return _NO_WEB if row["web_events_90d"] is None else "no visit was ever seen"
    return f"visited {ago(days)}" if days <= _RECENT_VISIT else f"no visit for {day_count(days)}"


def _web_events(days: int) -> Callable[[Row], str]:
    def said(row: Row) -> str:
        events = row[f"web_events_{days}d"]
        if events is None:
            return _NO_WEB
        if not events:
            return _visits(row) if row["days_since_visit"] is None else f"no visit in the last {days} days"
        return f"{count(events, 'web event')} in the last {days} days"

    return said


def _in_90_days(column: str, verb: str, one: str) -> Callable[[Row], str]:
    def said(row: Row) -> str:
        number = row[column]
        if number is None:
            return "its e-mails are not known" if one == "e-mail" else _NO_WEB
        what = count(number, one) if number else f"no {one}"
        return f"{verb.format(what)} in the last 90 days"

    return said


def _age(row: Row) -> str:
    days = row["age_days"]
    return "first ordered today" if days == 0 else f"first ordered {day_count(days)} ago"


def _first_month(row: Row) -> str:
    return f"first ordered in {calendar.month_name[row['first_order'].month]}"


def _first_weekday(row: Row) -> str:
    return f"first ordered on a {calendar.day_name[row['first_order'].weekday()]}"


def _favourite_weekday(row: Row) -> str:
    return f"{percent(row['favourite_weekday_share'])} of its purchase days fall on one weekday"


def _hour(row: Row) -> str:
    hour = row["first_order_hour"]
    return "hour of the first order is not known" if hour is None else f"first ordered at {hour}:00 or so"


def _month_now(row: Row) -> str:
    return f"the time of the year is {calendar.month_name[row['as_of'].month]}"


_OF_TOPICS: Mapping[str, Callable[[Row], str]] = {
    ORDERS: _orders,
    ORDER_VALUE: _order_value,
    "rhythm": _rhythm,
    "spending": _spending,
    "trend": _trend,
    "returns": _returns,
    "visits": _visits,
    "age": _age,
    "season of the first order": _first_month,
    "weekday": _first_weekday,
    "season now": _month_now,
}

_OF_COLUMNS: Mapping[str, Callable[[Row], str]] = {
    "order_value_last_minor": _latest_order,
    "order_value_max_minor": _greatest_order,
    "first_order_minor": _first_order,
    "days_to_second_order": _second_order,
    "late_sales_share": _late_sales,
    "first_order_lines": _first_lines,
    "lines_mean": _mean_lines,
    "units_mean": _mean_units,
    "first_category": _first_category,
    "last_category": _last_category,
    "top_category": _top_category,
    "categories": _categories,
    "first_order_categories": _first_categories,
    "top_category_share": _category_share,
    "days_since_return": _last_return,
    "first_order_discount_share": _discounts(
        "first_order_discount_share", "first bought at a discount of {}"
    ),
    "discount_share": _discounts("discount_share", "buys at a discount of {}"),
    "discounted_share": _discounts("discounted_share", "{} of its orders were discounted"),
    "channel": _channel,
    **{f"web_events_{days}d": _web_events(days) for days in WEB_WINDOWS},
    "product_views_90d": _in_90_days("product_views_90d", "viewed {}", "product"),
    "carts_90d": _in_90_days("carts_90d", "put {} into the cart", "product"),
    "email_opens_90d": _in_90_days("email_opens_90d", "opened {}", "e-mail"),
    "email_clicks_90d": _in_90_days("email_clicks_90d", "clicked {}", "e-mail"),
    "favourite_weekday_share": _favourite_weekday,
    "first_order_hour": _hour,
}
"""Columns that say something of their own within their topic."""
