"""Orders and returns of each customer, each on its own day, from landed transaction lines."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from audience_pipeline.customers.arrays import (
    ABOVE,
    Ints,
    Numbers,
    by_runs,
    first_of_greatest,
    named,
    nullable,
    ordered,
    ranks,
    running,
    starts,
)

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
    (pl.col("amount_minor") < 0).cast(pl.Int64).alias("is_return"),
    pl.col("transaction_at").dt.hour().cast(pl.Int64).fill_null(int(ABOVE)).alias("hour"),
)


def _with_known(values: pl.Expr, name: str) -> tuple[pl.Expr, pl.Expr]:
    return values.fill_null(0).alias(name), values.is_not_null().cast(pl.Int64).alias(f"{name}_known")


def _no(name: str) -> tuple[pl.Expr, pl.Expr]:
    return pl.lit(0, dtype=pl.Int64).alias(name), pl.lit(0, dtype=pl.Int64).alias(f"{name}_known")


_PIECES = pl.col("quantity").abs()
_UNITS = _with_known(
    pl.when(_PIECES <= MOST_UNITS).then((_PIECES * 1000).cast(pl.Int64)),
    "units_milli",
)
_DISCOUNT = _with_known(pl.col("discount_minor"), "discount_minor")


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
        *(_UNITS if "quantity" in given else _no("units_milli")),
        *(_DISCOUNT if "discount_minor" in given else _no("discount_minor")),
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
    amount, day, is_return = (lines[name].to_numpy() for name in ("amount_minor", "day", "is_return"))
    customer = Numbers()(lines["customer_id"])
    order = ordered(customer, day, is_return)
    order = order[~_before_first_order(customer[order], day[order], is_return[order])]
    if not len(order):
        return ORDERS_SCHEMA.to_frame()
    category, categories = ranks(lines["product_category"])
    channel, channels = ranks(lines["channel"])
    keys = [customer[order], day[order], is_return[order]]
    keys.append(_order_numbers(lines["order_id"], order, keys))
    again = ordered(*keys, category[order])
    order, keys = order[again], [key[again] for key in keys]
    begins = starts(*keys)

    def total(name: str) -> pl.Series:
        """Sum over the lines that have a value; null where none has."""
        known = by_runs(np.maximum, lines[f"{name}_known"].to_numpy()[order], begins)
        return nullable(by_runs(np.add, lines[name].to_numpy()[order], begins), known > 0)

    hour = by_runs(np.minimum, lines["hour"].to_numpy()[order], begins)
    channel = np.where(channel < 0, ABOVE, channel)[order]
    chosen, top_category = _categories(categories, category[order], amount[order], keys, begins)
    first = order[begins]
    columns = {
        "customer_id": lines["customer_id"][first],
        "order_id": lines["order_id"][first],
        "order_date": lines["transaction_date"][first],
        "kind": _KINDS[is_return[first]],
        "amount_minor": pl.Series(by_runs(np.add, amount[order], begins)),
        "lines": pl.Series(np.diff(np.append(begins, len(order)))),
        "hour": nullable(hour, hour < ABOVE),
        "categories": chosen,
        "top_category": top_category,
        "channel": named(channels, by_runs(np.minimum, channel, begins)),
        "units_milli": total("units_milli"),
        "discount_minor": total("discount_minor"),
    }
    table = (
        columns["customer_id"]
        .to_frame()
        .hstack([columns[name].cast(dtype).alias(name) for name, dtype in ORDERS_SCHEMA.items()][1:])
    )
    if table["order_id"].null_count():
        table = table.with_columns(pl.col("order_id").fill_null(_day_as_text("order_date")))
    return table


def _before_first_order(customer: Ints, day: Ints, is_return: Ints) -> npt.NDArray[np.bool_]:
    """Of lines sorted by customer, those of returns before any order."""
    begins = starts(customer)
    first = by_runs(np.minimum, np.where(is_return, ABOVE, day), begins)
    before: npt.NDArray[np.bool_] = day < np.repeat(first, np.diff(np.append(begins, len(customer))))
    return before


def _order_numbers(order_id: pl.Series, order: Ints, keys: list[Ints]) -> Ints:
    """Numbers that tell the orders of one customer, day and kind apart, for sorted lines."""
    begins = starts(*keys)
    count = np.diff(np.append(begins, len(order)))
    number = np.zeros(len(order), dtype=np.int64)
    several = np.flatnonzero(np.repeat(count > 1, count))
    if len(several):
        ids = order_id[order[several]]
        if ids.null_count():
            days = pl.Series("day", keys[1][several], dtype=pl.Int32).cast(pl.Date).to_frame()
            ids = days.select(pl.coalesce(ids, _day_as_text("day"))).to_series()
        number[several] = Numbers()(ids)
    return number


def _day_as_text(name: str) -> pl.Expr:
    return pl.col(name).dt.to_string("%Y-%m-%d")


def _categories(
    names: list[str | None], category: Ints, amount: Ints, keys: list[Ints], begins: Ints
) -> tuple[pl.Series, pl.Series]:
    """Of each order: its categories by name, and the one with the greatest amount, whatever its sign."""
    parts = starts(*keys, category)
    place = category[parts]
    weight = np.abs(by_runs(np.add, amount, parts))
    begins = np.searchsorted(parts, begins)
    top = named(names, first_of_greatest(place, weight, begins))
    known = place >= 0
    ends = running(known.astype(np.int64))
    offsets = np.append(ends[begins], ends[-1])
    texts = named(names, place[known]).to_arrow()
    return pl.Series(pl.from_arrow(pa.LargeListArray.from_arrays(offsets, texts))), top
