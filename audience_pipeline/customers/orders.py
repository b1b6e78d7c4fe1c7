"""Orders and returns of each customer, each on its own day, from landed transaction lines."""

from __future__ import annotations

import polars as pl

ORDERS_SCHEMA = pl.Schema(
    [
        ("customer_id", pl.String()),
        ("order_id", pl.String()),
        ("order_date", pl.Date()),
        ("kind", pl.String()),
        ("amount_minor", pl.Int64()),
        ("lines", pl.Int64()),
        ("hour", pl.Int8()),
        ("categories", pl.List(pl.String())),
        ("top_category", pl.String()),
        ("channel", pl.String()),
    ]
)
"""Columns of the orders table, in order."""

ORDER_KEY = ("customer_id", "order_id", "order_date", "kind")
"""What makes a row of the orders table; an order that spans two days has two rows."""


def orders(transactions: pl.LazyFrame) -> pl.LazyFrame:
    """One row per customer, order, day and kind (``order`` or ``return``), unsorted.

    Args:
        transactions: Landed lines: ``customer_id, transaction_date, transaction_at, amount_minor``
            (minor units, negative for a return), ``product_category, order_id, channel``.

    Returns:
        :data:`ORDERS_SCHEMA`. Lines without an order id share the order of their day; lines of zero
        make no row; returns before the customer's first order are left out, so that a customer who
        never bought has no row at all.
    """
    lines = transactions.filter(pl.col("amount_minor") != 0).select(
        "customer_id",
        pl.col("order_id").fill_null(pl.col("transaction_date").dt.to_string("%Y-%m-%d")),
        pl.col("transaction_date").alias("order_date"),
        pl.when(pl.col("amount_minor") > 0).then(pl.lit("order")).otherwise(pl.lit("return")).alias("kind"),
        "amount_minor",
        pl.col("transaction_at").dt.hour().alias("hour"),
        "product_category",
        "channel",
    )
    by_category = lines.group_by(*ORDER_KEY, "product_category").agg(
        pl.col("amount_minor").sum(),
        pl.len().cast(pl.Int64).alias("lines"),
        pl.col("hour").min(),
        pl.col("channel").min(),
    )
    category = pl.col("product_category")
    named = category.is_not_null()
    rows = by_category.group_by(ORDER_KEY).agg(
        pl.col("amount_minor").sum(),
        pl.col("lines").sum(),
        pl.col("hour").min(),
        category.filter(named).sort().alias("categories"),
        category.filter(named)
        .sort_by(pl.col("amount_minor").filter(named).abs(), category.filter(named), descending=[True, False])
        .first()
        .alias("top_category"),
        pl.col("channel").min(),
    )
    return (
        rows.join(_first_orders(transactions), on="customer_id")
        .filter(pl.col("order_date") >= pl.col("first_order"))
        .select(ORDERS_SCHEMA.names())
    )


def returns_before_first_order(transactions: pl.LazyFrame) -> pl.LazyFrame:
    """What :func:`orders` leaves out, nothing being bought yet: one row, ``lines`` and ``amount_minor``."""
    return (
        transactions.filter(pl.col("amount_minor") < 0)
        .join(_first_orders(transactions), on="customer_id", how="left")
        .filter(pl.col("first_order").is_null() | (pl.col("transaction_date") < pl.col("first_order")))
        .select(pl.len().cast(pl.Int64).alias("lines"), pl.col("amount_minor").sum())
    )


def _first_orders(transactions: pl.LazyFrame) -> pl.LazyFrame:
    bought = transactions.filter(pl.col("amount_minor") > 0)
    return bought.group_by("customer_id").agg(pl.col("transaction_date").min().alias("first_order"))
