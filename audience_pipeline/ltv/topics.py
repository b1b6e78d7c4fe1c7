"""The columns of the model in words, and as topics: those that say the same speak for a customer as one."""

from __future__ import annotations

from dataclasses import dataclass

from audience_pipeline.features.catalogue import FEATURES, ORDER_WINDOWS, WEB_WINDOWS


@dataclass(frozen=True, slots=True)
class Topic:
    """Columns that tell one story."""

    name: str
    """For tables; never changes."""
    columns: tuple[str, ...]
    """Features, and columns of :data:`audience_pipeline.ltv.outlook.WINDOW_COLUMNS`."""
    one_order: str = ""
    """The topic that it belongs to where a customer has bought on one day only; empty for itself."""


ORDERS, ORDER_VALUE = "orders", "order value"

TOPICS: tuple[Topic, ...] = (
    Topic(
        ORDERS,
        (
            "orders", "purchase_days", *(f"orders_{days}d" for days in ORDER_WINDOWS), "recency_days",
            "expected_orders", "alive", "expected_value",
        ),
    ),
    Topic(
        ORDER_VALUE,
        (
            "order_value_mean_minor", "order_value_std_minor", "order_value_max_minor",
            "order_value_last_minor", "first_order_minor", "expected_order_value",
        ),
    ),
    Topic(
        "rhythm",
        (
            "days_between_orders_mean", "days_between_orders_std", "recency_ratio", "days_to_second_order",
            "longest_gap_days", "gap_variation", "recency_to_longest_gap",
        ),
        one_order=ORDERS,
    ),
    Topic(
        "spending",
        (
            "observed_minor", "first_year_minor", "sales_minor",
            *(f"net_{days}d_minor" for days in ORDER_WINDOWS),
        ),
        one_order=ORDER_VALUE,
    ),
    Topic("trend", ("late_orders_share", "late_sales_share"), one_order=ORDERS),
    Topic("basket", ("first_order_lines", "lines_mean", "units_mean")),
    Topic(
        "categories",
        (
            "first_category", "last_category", "top_category", "categories", "top_category_share",
            "first_order_categories",
        ),
    ),
    Topic("returns", ("returns", "returns_minor", "return_share", "days_since_return")),
    Topic("discounts", ("first_order_discount_share", "discount_share", "discounted_share")),
    Topic("channel", ("channel",)),
    Topic(
        "visits",
        (
            *(f"web_events_{days}d" for days in WEB_WINDOWS), "product_views_90d", "carts_90d",
            "days_since_visit",
        ),
    ),
    Topic("e-mail", ("email_opens_90d", "email_clicks_90d")),
    Topic("age", ("age_days", "window_days")),
    Topic(
        "season of the first order",
        (
            "first_order_month_sin", "first_order_month_cos", "first_order_quarter_sin",
            "first_order_quarter_cos",
        ),
    ),
    Topic(
        "weekday",
        ("first_order_weekday_sin", "first_order_weekday_cos", "favourite_weekday_share"),
    ),
    Topic("hour", ("first_order_hour",)),
    Topic(
        "season now",
        ("as_of_month_sin", "as_of_month_cos", "as_of_quarter_sin", "as_of_quarter_cos"),
    ),
)  # fmt: skip
"""In the order in which equal effects are told."""


_DESCRIPTIONS = {feature.name: feature.description for feature in FEATURES} | {
    "window_days": "Days of the time that is predicted",
    "expected_orders": "Orders that the purchase model expects in that time",
    "alive": "Probability that the customer has not gone for good, by the purchase model",
    "expected_order_value": "Value of an order that the purchase model expects",
    "expected_value": "Net revenue that the purchase model expects in that time",
}


def described(column: str) -> str:
    """What a column of the model is; empty where nobody has said it."""
    return _DESCRIPTIONS.get(column, "")


def topics_of(columns: tuple[str, ...]) -> tuple[tuple[Topic, tuple[int, ...]], ...]:
    """Topics with the positions of their columns; a column that no topic names is one of its own."""
    at = {name: position for position, name in enumerate(columns)}
    named = {name for topic in TOPICS for name in topic.columns}
    alone = tuple(Topic(name.replace("_", " "), (name,)) for name in columns if name not in named)
    return tuple((topic, tuple(at[name] for name in topic.columns if name in at)) for topic in TOPICS + alone)
