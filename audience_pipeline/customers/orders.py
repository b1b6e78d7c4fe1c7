"""Orders and returns of each customer, each on its own day, from landed transaction lines."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

from audience_pipeline.customers.arrays import ABOVE, Ints, Numbers, named, nullable, ranks
from audience_pipeline.customers.order_rows import Lines, OrderRows, order_rows

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
        ("units_milli", pl.Int64()),
        ("discount_minor", pl.Int64()),
    ]
)
"""Columns of the orders table, in order."""

ORDER_KEY = ("customer_id", "order_id", "order_date", "kind")
"""What makes a row of the orders table; an order that spans two days has two rows."""

LINES_AT_ONCE = 1_000_000
"""Lines that are worked on together, or a little more: bounds the memory."""

MOST_UNITS = 1_000_000_000
"""A line of more pieces has no credible quantity, and no sum of them may overflow."""

_KINDS = pl.Series(["order", "return"])
_READ = (
    pl.col("customer_id", "order_id", "transaction_date", "amount_minor", "product_category", "channel"),
    pl.col("transaction_date").to_physical().cast(pl.Int64).alias("day"),
    pl.col("transaction_at").dt.hour().cast(pl.Int64).fill_null(int(ABOVE)).alias("hour"),
)


def _with_known(values: pl.Expr, name: str) -> tuple[pl.Expr, pl.Expr]:
    return values.fill_null(0).alias(name), values.is_not_null().cast(pl.Int64).alias(f"{name}_known")


def _no(name: str) -> tuple[pl.Expr, pl.Expr]:
    return pl.lit(0, dtype=pl.Int64).alias(name), pl.lit(0, dtype=pl.Int64).alias(f"{name}_known")


_PIECES = pl.col("quantity").abs()
_UNITS = _with_known(
    pl.when(_PIECES <= MOST_UNITS).then((_PIECES * 1000).cast(pl.Int64)),
    "units",
)
_DISCOUNT = _with_known(pl.col("discount_minor"), "discount")

_ARRAYS = ("day", "hour", "units", "units_known", "discount", "discount_known")


def orders(transactions: pl.LazyFrame) -> pl.LazyFrame:
    """One row per customer, order, day and kind (``order`` or ``return``), unsorted.

    Args:
        transactions: Landed lines: ``customer_id, transaction_date, transaction_at, amount_minor``
            (minor units, negative for a return), ``product_category, order_id, channel`` and, where known,
            ``quantity`` and ``discount_minor``.

    Returns:
        :data:`ORDERS_SCHEMA`. Lines without an order id share the order of their day; lines of zero
        make no row; returns before the customer's first order are left out, so that a customer who
        never bought has no row at all. ``units_milli`` (thousandths) and ``discount_minor`` are sums over
        the lines that have them, null where none does.
    """
    given = transactions.collect_schema()
    lines = transactions.filter(pl.col("amount_minor") != 0).select(
        *_READ,
        *(_UNITS if "quantity" in given else _no("units")),
        *(_DISCOUNT if "discount_minor" in given else _no("discount")),
    )
    return lines.map_batches(_in_parts, schema=ORDERS_SCHEMA)


def returns_before_first_order(transactions: pl.LazyFrame) -> pl.LazyFrame:
    """What :func:`orders` leaves out, nothing being bought yet: one row, ``lines`` and ``amount_minor``."""
    bought = transactions.filter(pl.col("amount_minor") > 0)
    first = bought.group_by("customer_id").agg(pl.col("transaction_date").min().alias("first_order"))
    return (
        transactions.filter(pl.col("amount_minor") < 0)
        .join(first, on="customer_id", how="left")
        .filter(pl.col("first_order").is_null() | (pl.col("transaction_date") < pl.col("first_order")))
        .select(pl.len().cast(pl.Int64).alias("lines"), pl.col("amount_minor").sum())
    )


def _in_parts(lines: pl.DataFrame) -> pl.DataFrame:
    count = -(-lines.height // LINES_AT_ONCE)
    if count <= 1:
        return _orders(lines)
    part = pl.col("customer_id").hash() % count
    return pl.concat(_orders(lines.filter(part == number)) for number in range(count))


def _orders(lines: pl.DataFrame) -> pl.DataFrame:
    """Orders of some customers, all of whose lines are given."""
    category, categories = ranks(lines["product_category"])
    channel, channels = ranks(lines["channel"])

    def order_numbers(rows: Ints) -> Ints:
        ids = lines["order_id"][rows]
        if ids.null_count():
            days = lines["transaction_date"][rows].alias("day").to_frame()
            ids = days.select(pl.coalesce(ids, _day_as_text("day"))).to_series()
        return Numbers()(ids)

    arrays = {name: lines[name].to_numpy() for name in _ARRAYS}
    rows = order_rows(
        Lines(
            customer=Numbers()(lines["customer_id"]),
            amount=lines["amount_minor"].to_numpy(),
            category=category,
            channel=channel,
            order_numbers=order_numbers,
            **arrays,
        )
    )
    return _table(lines, rows, categories, channels)


def _table(
    lines: pl.DataFrame, rows: OrderRows, categories: list[str | None], channels: list[str | None]
) -> pl.DataFrame:
    first = rows.line
    texts = named(categories, rows.category).to_arrow()
    columns = {
        "customer_id": lines["customer_id"][first],
        "order_id": lines["order_id"][first],
        "order_date": lines["transaction_date"][first],
        "kind": _KINDS[(rows.amount < 0).astype(np.int64)],
        "amount_minor": pl.Series(rows.amount),
        "lines": pl.Series(rows.lines),
        "hour": nullable(rows.hour, rows.hour < ABOVE),
        "categories": pl.Series(
            pl.from_arrow(pa.LargeListArray.from_arrays(rows.category_ends, texts)),
        ),
        "top_category": named(categories, rows.top_category),
        "channel": named(channels, rows.channel),
        "units_milli": nullable(rows.units, rows.units_known > 0),
        "discount_minor": nullable(rows.discount, rows.discount_known > 0),
    }
    table = (
        columns["customer_id"]
        .to_frame()
        .hstack([columns[name].cast(dtype).alias(name) for name, dtype in ORDERS_SCHEMA.items()][1:])
    )
    if table["order_id"].null_count():
        table = table.with_columns(pl.col("order_id").fill_null(_day_as_text("order_date")))
    return table


def _day_as_text(name: str) -> pl.Expr:
    return pl.col(name).dt.to_string("%Y-%m-%d")
