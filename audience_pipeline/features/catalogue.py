"""Every feature by name, unit and meaning: what the profile, the model and the documentation read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

Unit = Literal["date", "days", "hour", "minor", "count", "ratio", "cyclic", "category"]

ORDER_WINDOWS = (30, 60, 90, 180, 365)
"""Days; a window of N days ends with the as-of date and includes it."""

WEB_WINDOWS = (7, 30, 90)
"""Days of the windows over web events."""

_DTYPES: dict[str, type[pl.DataType]] = {
    "date": pl.Date,
    "days": pl.Int64,
    "hour": pl.Int64,
    "minor": pl.Int64,
    "count": pl.Int64,
    "ratio": pl.Float64,
    "cyclic": pl.Float64,
    "category": pl.String,
}


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the customer features."""

    name: str
    unit: Unit
    description: str
    mean: bool = False
    """True for an average or deviation, which is not a whole number of its unit."""

    @property
    def dtype(self) -> type[pl.DataType]:
        """The polars type of the column."""
        return pl.Float64 if self.mean else _DTYPES[self.unit]


ORDER_FEATURES: tuple[Feature, ...] = (
    Feature("first_order", "date", "Day of the first order"),
    Feature("last_order", "date", "Day of the latest order"),
    Feature("age_days", "days", "Days since the first order"),
    Feature("observed_minor", "minor", "Net revenue so far: orders less returns"),
    Feature("first_year_minor", "minor", "Net revenue so far within 365 days of the first order"),
    Feature("orders", "count", "Orders so far"),
    Feature("purchase_days", "count", "Different days with an order so far"),
    Feature("returns", "count", "Days and orders with a return so far"),
    Feature("sales_minor", "minor", "Sum of all orders so far"),
    Feature("returns_minor", "minor", "Sum of all returns so far, negative"),
    Feature("return_share", "ratio", "Returned share of the sales so far"),
    Feature("first_order_minor", "minor", "Sales of the first day"),
    Feature("first_order_lines", "count", "Lines bought on the first day: breadth of the first basket"),
    Feature("first_order_categories", "count", "Most categories in one order of the first day"),
    Feature("first_category", "category", "Category with the greatest amount in the first basket"),
    Feature("last_category", "category", "Category with the greatest amount on the latest purchase day"),
    Feature("top_category", "category", "Category in the most orders so far; of several, the first by name"),
    Feature("channel", "category", "Channel of the first day"),
    Feature(
        "first_order_hour", "hour", "Earliest hour of the first day's orders; null where files hold no times"
    ),
    Feature("first_order_weekday_sin", "cyclic", "Weekday of the first order, sine"),
    Feature("first_order_weekday_cos", "cyclic", "Weekday of the first order, cosine"),
    Feature("first_order_month_sin", "cyclic", "Month of the first order, sine"),
    Feature("first_order_month_cos", "cyclic", "Month of the first order, cosine"),
    Feature("order_value_mean_minor", "minor", "Mean value of an order", mean=True),
    Feature("order_value_std_minor", "minor", "Spread of order values; null with one order", mean=True),
    Feature("order_value_max_minor", "minor", "Greatest order"),
    Feature("order_value_last_minor", "minor", "Latest order"),
    Feature("days_between_orders_mean", "days", "Mean days between purchase days; null with one", mean=True),
    Feature(
        "days_between_orders_std", "days", "Spread of the days between; null with fewer than three", mean=True
    ),
    Feature("recency_days", "days", "Days since the latest order"),
    Feature(
        "recency_ratio", "ratio", "Days since the latest order by the customer's own mean days between orders"
    ),
    *(Feature(f"orders_{days}d", "count", f"Orders begun in the last {days} days") for days in ORDER_WINDOWS),
    *(
        Feature(f"net_{days}d_minor", "minor", f"Net revenue of the last {days} days")
        for days in ORDER_WINDOWS
    ),
    Feature("lines_mean", "count", "Mean lines of an order: breadth of the baskets", mean=True),
    Feature("units_mean", "count", "Mean pieces of an order; null where files hold no quantity", mean=True),
    Feature("days_to_second_order", "days", "Days from the first purchase day to the second; null with one"),
    Feature("longest_gap_days", "days", "Most days between purchase days; null with one"),
    Feature(
        "gap_variation", "ratio", "Spread of the days between purchase days by their mean; 0 is clockwork"
    ),
    Feature("recency_to_longest_gap", "ratio", "Days since the latest order by the most days between"),
    Feature("late_orders_share", "ratio", "Share of the orders begun in the later half of the time so far"),
    Feature("late_sales_share", "ratio", "Share of the sales of the later half of the time so far"),
    Feature("days_since_return", "days", "Days since the latest return; null when there was none"),
    Feature(
        "first_order_discount_share",
        "ratio",
        "Discount on the first day, by the price without it; null where files hold no discounts",
    ),
    Feature("discount_share", "ratio", "Discount on all orders so far, by the price without it"),
    Feature("discounted_share", "ratio", "Share of the orders so far with a discount"),
    Feature("favourite_weekday_share", "ratio", "Share of the purchase days on the most frequent weekday"),
    Feature("first_order_quarter_sin", "cyclic", "Quarter of the first order, sine"),
    Feature("first_order_quarter_cos", "cyclic", "Quarter of the first order, cosine"),
    Feature("as_of_month_sin", "cyclic", "Month of the as-of date, sine"),
    Feature("as_of_month_cos", "cyclic", "Month of the as-of date, cosine"),
    Feature("as_of_quarter_sin", "cyclic", "Quarter of the as-of date, sine"),
    Feature("as_of_quarter_cos", "cyclic", "Quarter of the as-of date, cosine"),
    Feature("categories", "count", "Different categories bought"),
    Feature("top_category_share", "ratio", "Share of the most frequent category among those of all orders"),
)

ACTIVITY_FEATURES: tuple[Feature, ...] = (
    *(Feature(f"web_events_{days}d", "count", f"Web events in the last {days} days") for days in WEB_WINDOWS),
    Feature("product_views_90d", "count", "Products viewed in the last 90 days"),
    Feature("carts_90d", "count", "Products put into the cart in the last 90 days"),
    Feature("days_since_visit", "days", "Days since the last web event; null when there was none"),
    Feature("email_opens_90d", "count", "E-mails opened in the last 90 days"),
    Feature("email_clicks_90d", "count", "E-mails clicked in the last 90 days"),
)

FEATURES: tuple[Feature, ...] = ORDER_FEATURES + ACTIVITY_FEATURES
"""Columns of the customer features after ``customer_id`` and ``as_of``, in order."""

FEATURES_SCHEMA = pl.Schema(
    {"customer_id": pl.String, "as_of": pl.Date} | {feature.name: feature.dtype for feature in FEATURES}
)

MODEL_FEATURES: tuple[Feature, ...] = tuple(feature for feature in FEATURES if feature.unit != "date")
"""What a model may look at: everything but calendar dates, which never come again."""
