"""Training rows: customers as they stood on past days, beside what they spent afterwards."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta

import polars as pl

from audience_pipeline.features.customer_features import customer_features

HORIZON_DAYS = 365
"""Days of the first-year window and of the next-12-months window."""
AGES = (0, 30, 60, 90, 180, 270, 330)
"""Days after the first order at which every customer with a complete first year is looked at."""
CALENDAR_STEP_DAYS = 91
CALENDAR_SNAPSHOTS = 4
"""Days on which the whole base is looked at: a year before the end, and each a quarter earlier."""
LAST_AGE = HORIZON_DAYS - 1
"""The last day of the first-year window: from its evening on, 12-month LTV is a fact."""


def first_orders(orders: pl.LazyFrame, as_of: date) -> pl.DataFrame:
    """``customer_id, first_order`` of everybody who had bought by ``as_of``, sorted."""
    bought = orders.filter((pl.col("kind") == "order") & (pl.col("order_date") <= as_of))
    first = bought.group_by("customer_id").agg(pl.col("order_date").min().alias("first_order"))
    return first.sort("customer_id").collect(engine="streaming")


def snapshot_days(first: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """The days on which each customer is looked at, all of them with a label that is over by ``as_of``.

    Args:
        first: ``customer_id, first_order``.
        as_of: The last day whose data may be used.

    Returns:
        ``customer_id, as_of``, sorted and unique: every customer with a complete first year at
        :data:`AGES`, and everybody known on each of the calendar days.
    """
    complete = first.filter(pl.col("first_order") <= as_of - timedelta(days=LAST_AGE))
    days = [
        complete.select("customer_id", (pl.col("first_order") + pl.duration(days=age)).alias("as_of"))
        for age in AGES
    ]
    for day in calendar_days(first, as_of):
        known = first.filter(pl.col("first_order") <= day)
        days.append(known.select("customer_id", pl.lit(day).alias("as_of")))
    return pl.concat(days).unique().sort("customer_id", "as_of")


def calendar_days(first: pl.DataFrame, as_of: date) -> list[date]:
    """Days with a complete following year by ``as_of`` and some base before them, newest first."""
    newest = as_of - timedelta(days=HORIZON_DAYS)
    days = [newest - timedelta(days=CALENDAR_STEP_DAYS * step) for step in range(CALENDAR_SNAPSHOTS)]
    counts = {day: first.filter(pl.col("first_order") <= day).height for day in days}
    least = max(1, counts[newest] // 5)
    return [day for day in days if counts[day] >= least]


def training_rows(
    orders: pl.LazyFrame, days: pl.DataFrame, as_of: date, activity: pl.LazyFrame | None = None
) -> pl.DataFrame:
    """Features of each snapshot and, beside them, what happened afterwards.

    Args:
        orders: The orders table.
        days: ``customer_id, as_of`` of the snapshots.
        as_of: The last day whose data may be used; a label that reaches beyond it is null.
        activity: As in :func:`customer_features`.

    Returns:
        The features and ``remaining_minor`` (net revenue from the day after the snapshot to the end of
        the first year), ``next_12m_minor`` and ``orders_again`` (net revenue, and whether there is any
        order, in the 365 days after the snapshot); sorted by customer and day.
    """
    features = customer_features(orders, days.lazy(), activity).collect(engine="streaming")
    keys = ["customer_id", "as_of"]
    after = (
        orders.filter(pl.col("order_date") <= as_of)
        .join(features.lazy().select(*keys, "first_order"), on="customer_id")
        .filter(pl.col("order_date") > pl.col("as_of"))
    )
    amount, ordered = pl.col("amount_minor"), pl.col("order_date")
    first_year = ordered <= pl.col("first_order") + pl.duration(days=LAST_AGE)
    next_year = ordered <= pl.col("as_of") + pl.duration(days=HORIZON_DAYS)
    labels = after.group_by(keys).agg(
        pl.when(first_year).then(amount).otherwise(0).sum().alias("remaining_minor"),
        pl.when(next_year).then(amount).otherwise(0).sum().alias("next_12m_minor"),
        (next_year & (pl.col("kind") == "order")).any().alias("orders_again"),
    )
    first_year_over = pl.col("first_order") + pl.duration(days=LAST_AGE) <= as_of
    next_year_over = pl.col("as_of") + pl.duration(days=HORIZON_DAYS) <= as_of
    predictable = first_year_over & (pl.col("age_days") < LAST_AGE)
    return (
        features.join(labels.collect(engine="streaming"), on=keys, how="left")
        .with_columns(
            pl.when(predictable).then(pl.col("remaining_minor").fill_null(0)),
            pl.when(next_year_over).then(pl.col("next_12m_minor").fill_null(0)),
            pl.when(next_year_over).then(pl.col("orders_again").fill_null(value=False)),
        )
        .sort(keys)
    )


def folds(customer_ids: pl.Series, count: int, seed: int) -> pl.Series:
    """A number below ``count`` for each customer that never depends on who else is in the table."""
    distinct = customer_ids.unique()
    numbers = [
        int.from_bytes(hashlib.blake2b(f"{seed}:{customer}".encode(), digest_size=8).digest(), "big") % count
        for customer in distinct.to_list()
    ]
    return customer_ids.replace_strict(distinct, pl.Series(numbers, dtype=pl.Int64), return_dtype=pl.Int64)
