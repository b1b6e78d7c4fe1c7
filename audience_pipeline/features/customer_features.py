"""Features of customers as of a date: one function for training, batch and a single customer.

Sums are integer sums and every choice has a total order, so that neither the order of rows, nor the
engine, nor the other customers in the table can change a digit.
"""

from __future__ import annotations

import math
from datetime import date

import polars as pl

from audience_pipeline.features.activity import activity_features
from audience_pipeline.features.catalogue import ACTIVITY_FEATURES, FEATURES_SCHEMA, ORDER_WINDOWS

_HIGH = 2**62
"""Above any amount in minor units."""
_SINE_OF_WEEKDAY = {day: math.sin(2 * math.pi * day / 7) for day in range(1, 8)}
_COSINE_OF_WEEKDAY = {day: math.cos(2 * math.pi * day / 7) for day in range(1, 8)}
_SINE_OF_MONTH = {month: math.sin(2 * math.pi * month / 12) for month in range(1, 13)}
_COSINE_OF_MONTH = {month: math.cos(2 * math.pi * month / 12) for month in range(1, 13)}

_AMOUNT = pl.col("amount_minor")
_IS_ORDER = pl.col("kind") == "order"


def customer_features(
    orders: pl.LazyFrame, as_of: date | pl.LazyFrame, activity: pl.LazyFrame | None = None
) -> pl.LazyFrame:
    """What each customer looked like at the end of a day; nothing dated later is read.

    Args:
        orders: The orders table (``customers.orders``), of all customers or of any of them.
        as_of: One day for all, or a frame ``customer_id, as_of`` with any number of distinct days for
            each customer.
        activity: ``customer_id, activity_date, activity, events``; without it its columns are null.

    Returns:
        ``FEATURES_SCHEMA``, unsorted: a row for each customer (and day) whose first order is on or
        before the day. Money in minor units.
    """
    if isinstance(as_of, date):
        keys = ["customer_id"]
        rows = orders.filter(pl.col("order_date") <= as_of).with_columns(pl.lit(as_of).alias("as_of"))
    else:
        keys = ["customer_id", "as_of"]
        rows = orders.join(as_of.select(keys), on="customer_id").filter(
            pl.col("order_date") <= pl.col("as_of")
        )
    rows = rows.with_columns(_days("order_date", "as_of").alias("days_ago"))
    totals = _totals(rows, keys)
    table = (
        totals.join(_order_values(rows, keys), on=keys)
        .join(_rhythm(rows, keys), on=keys)
        .join(_first_day(rows, totals, keys), on=keys)
        .join(_categories(rows, keys), on=keys, how="left")
    )
    if isinstance(as_of, date):
        table = table.with_columns(pl.lit(as_of).alias("as_of"))
    if activity is None:
        table = table.with_columns(pl.lit(None, dtype=f.dtype).alias(f.name) for f in ACTIVITY_FEATURES)
    else:
        table = table.join(activity_features(activity, as_of), on=keys, how="left").with_columns(
            pl.col(f.name).fill_null(0) for f in ACTIVITY_FEATURES if f.unit == "count"
        )
    return table.with_columns(_derived()).select(
        pl.col(name).cast(dtype) for name, dtype in FEATURES_SCHEMA.items()
    )


def _days(earlier: str, later: str) -> pl.Expr:
    return pl.col(later).cast(pl.Int32) - pl.col(earlier).cast(pl.Int32)


def _totals(rows: pl.LazyFrame, keys: list[str]) -> pl.LazyFrame:
    order_date = pl.col("order_date")
    return rows.group_by(keys).agg(
        pl.when(_IS_ORDER).then(order_date).min().alias("first_order"),
        pl.when(_IS_ORDER).then(order_date).max().alias("last_order"),
        _AMOUNT.sum().alias("observed_minor"),
        pl.when(_IS_ORDER).then(_AMOUNT).otherwise(0).sum().alias("sales_minor"),
        pl.when(_IS_ORDER).then(0).otherwise(_AMOUNT).sum().alias("returns_minor"),
        (~_IS_ORDER).sum().alias("returns"),
        *(
            pl.when(pl.col("days_ago") < days).then(_AMOUNT).otherwise(0).sum().alias(f"net_{days}d_minor")
            for days in ORDER_WINDOWS
        ),
    ).filter(pl.col("first_order").is_not_null())  # fmt: skip


def _order_values(rows: pl.LazyFrame, keys: list[str]) -> pl.LazyFrame:
    """Per customer over whole orders: an order that spans two days counts once, on the first."""
    whole = (
        rows.filter(_IS_ORDER)
        .group_by(*keys, "order_id")
        .agg(
            _AMOUNT.sum().alias("value"), pl.col("order_date").min().cast(pl.Int32), pl.col("days_ago").max()
        )
    )
    value, wide = pl.col("value"), pl.col("value").cast(pl.Int128)
    # The latest order, and of several on one day the greatest: day above value in one integer.
    latest = (pl.col("order_date").cast(pl.Int128) * _HIGH + wide).max() % _HIGH
    return whole.group_by(keys).agg(
        pl.len().cast(pl.Int64).alias("orders"),
        (wide * wide).sum().alias("squares"),
        value.max().alias("order_value_max_minor"),
        latest.cast(pl.Int64).alias("order_value_last_minor"),
        *((pl.col("days_ago") < days).sum().alias(f"orders_{days}d") for days in ORDER_WINDOWS),
    )


def _rhythm(rows: pl.LazyFrame, keys: list[str]) -> pl.LazyFrame:
    """Number, sum and sum of squares of the days between purchase days."""
    days = rows.filter(_IS_ORDER).group_by(keys).agg(pl.col("order_date").cast(pl.Int64).alias("gap"))
    gaps = days.with_columns(pl.col("gap").list.sort().list.diff()).explode("gap")
    gap = pl.col("gap")
    return gaps.group_by(keys).agg(
        (gap > 0).sum().cast(pl.Int64).alias("gaps"),
        gap.sum().alias("gap_days"),
        (gap * gap).sum().alias("gap_squares"),
    )


def _first_day(rows: pl.LazyFrame, totals: pl.LazyFrame, keys: list[str]) -> pl.LazyFrame:
    """What was bought on the first day, and the net revenue of the first 365 days."""
    dated = rows.join(totals.select(*keys, "first_order", "last_order"), on=keys)
    first = _IS_ORDER & (pl.col("order_date") == pl.col("first_order"))
    last = _IS_ORDER & (pl.col("order_date") == pl.col("last_order"))
    # The least text is the greatest amount, then the first name: a total order that streams.
    greatest = (pl.lit(_HIGH) - _AMOUNT).cast(pl.String).str.zfill(19) + pl.col("top_category")
    return dated.group_by(keys).agg(
        pl.when(_days("first_order", "order_date") < 365)
        .then(_AMOUNT)
        .otherwise(0)
        .sum()
        .alias("first_year_minor"),
        pl.when(first).then(_AMOUNT).otherwise(0).sum().alias("first_order_minor"),
        pl.when(first).then(pl.col("lines")).otherwise(0).sum().alias("first_order_lines"),
        pl.when(first).then(pl.col("categories").list.len()).max().alias("first_order_categories"),
        pl.when(first).then(greatest).min().str.slice(19).alias("first_category"),
        pl.when(last).then(greatest).min().str.slice(19).alias("last_category"),
        pl.when(first).then(pl.col("channel")).min().alias("channel"),
        pl.when(first).then(pl.col("hour")).min().alias("first_order_hour"),
    )


def _categories(rows: pl.LazyFrame, keys: list[str]) -> pl.LazyFrame:
    bought = rows.filter(_IS_ORDER).select(*keys, "categories").explode("categories").drop_nulls("categories")
    times = bought.group_by(*keys, "categories").agg(pl.len().cast(pl.Int64).alias("times"))
    most = (pl.lit(10**9) - pl.col("times")).cast(pl.String).str.zfill(10) + pl.col("categories")
    return times.group_by(keys).agg(
        most.min().str.slice(10).alias("top_category"),
        pl.len().alias("categories"),
        pl.col("times").max().alias("top_times"),
        pl.col("times").sum().alias("all_times"),
    )


def _derived() -> list[pl.Expr]:
    """Every floating-point feature: one operation on exact integers, at the end."""
    orders, gaps = pl.col("orders"), pl.col("gaps")
    first_order = pl.col("first_order")
    weekday, month = first_order.dt.weekday(), first_order.dt.month()
    gap_mean = pl.when(gaps > 0).then(_ratio(pl.col("gap_days"), gaps))
    return [
        _days("first_order", "as_of").alias("age_days"),
        _days("last_order", "as_of").alias("recency_days"),
        _ratio(-pl.col("returns_minor"), pl.col("sales_minor")).alias("return_share"),
        _ratio(pl.col("sales_minor"), orders).alias("order_value_mean_minor"),
        _deviation(orders, pl.col("sales_minor"), pl.col("squares")).alias("order_value_std_minor"),
        (gaps + 1).alias("purchase_days"),
        gap_mean.alias("days_between_orders_mean"),
        _deviation(gaps, pl.col("gap_days"), pl.col("gap_squares")).alias("days_between_orders_std"),
        (_days("last_order", "as_of").cast(pl.Float64) / gap_mean).alias("recency_ratio"),
        pl.col("categories").fill_null(0),
        _ratio(pl.col("top_times"), pl.col("all_times")).alias("top_category_share"),
        _lookup(weekday, _SINE_OF_WEEKDAY).alias("first_order_weekday_sin"),
        _lookup(weekday, _COSINE_OF_WEEKDAY).alias("first_order_weekday_cos"),
        _lookup(month, _SINE_OF_MONTH).alias("first_order_month_sin"),
        _lookup(month, _COSINE_OF_MONTH).alias("first_order_month_cos"),
    ]


def _ratio(above: pl.Expr, below: pl.Expr) -> pl.Expr:
    return above.cast(pl.Float64) / below.cast(pl.Float64)


def _deviation(count: pl.Expr, total: pl.Expr, squares: pl.Expr) -> pl.Expr:
    """Sample standard deviation from exact sums; null below two values."""
    n, s, s2 = (e.cast(pl.Int128) for e in (count, total, squares))
    variance = (n * s2 - s * s).cast(pl.Float64) / (n * (n - 1)).cast(pl.Float64)
    return pl.when(count > 1).then(variance.sqrt())


def _lookup(number: pl.Expr, values: dict[int, float]) -> pl.Expr:
    return number.replace_strict(list(values), list(values.values()), return_dtype=pl.Float64)
