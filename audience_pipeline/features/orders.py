"""The orders that features are made of, as arrays: from the orders table, or from a handful of lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from audience_pipeline.customers.arrays import ABOVE, NONE, Ints, Numbers, ranks
from audience_pipeline.customers.order_rows import Lines, order_rows

READ = (
    pl.col("customer_id", "order_id", "categories", "top_category", "channel"),
    pl.col("order_date").to_physical().cast(pl.Int64).alias("day"),
    (pl.col("kind") == "order").alias("is_order"),
    pl.col("amount_minor", "lines"),
    pl.col("hour").cast(pl.Int64).fill_null(int(ABOVE)),
    pl.col("categories").list.len().fill_null(0).cast(pl.Int64).alias("category_count"),
    pl.col("units_milli").fill_null(0).alias("units"),
    pl.col("units_milli").is_not_null().cast(pl.Int64).alias("units_known"),
    pl.col("discount_minor").fill_null(NONE).alias("discount"),
    pl.col("order_id").hash().alias("order_hash"),
)
"""What is read of the orders table."""

LATER = ("units_milli", "discount_minor")
"""Columns that orders tables of earlier versions do not have."""


@dataclass(frozen=True, slots=True)
class Orders:
    """Rows of the orders table; names are places in lists that are in their order and end with None."""

    customer: Ints
    """A number for each customer."""
    is_order: npt.NDArray[np.bool_]
    day: Ints
    """Since 1970."""
    amount: Ints
    """Minor units."""
    lines: Ints
    hour: Ints
    """``ABOVE`` where unknown."""
    units: Ints
    """Thousandths; 0 where unknown."""
    units_known: Ints
    """1 or 0."""
    discount: Ints
    """Minor units; ``NONE`` where unknown."""
    channel: Ints
    """``ABOVE`` where there is none."""
    channels: list[str | None]
    top_category: Ints
    """``NONE`` where there is none."""
    top_categories: list[str | None]
    category: Ints
    """The different ones of each row, after one another."""
    category_count: Ints
    """How many of them are of each row."""
    categories: list[str | None]
    order_hash: npt.NDArray[np.uint64]
    """Equal for equal order ids, and for hardly any others."""
    order_numbers: Callable[[Ints], Ints]
    """For some of the rows, a number for each order id that is the same where the id is."""

    @classmethod
    def of_table(cls, table: pl.DataFrame, customer: Ints) -> Self:
        """From :data:`READ` of the orders table and a number for the customer of each row."""
        channel, channels = ranks(table["channel"])
        top_category, top_categories = ranks(table["top_category"])
        category, categories = ranks(table["categories"].explode(empty_as_null=False, keep_nulls=False))
        numbers = ("day", "lines", "hour", "units", "units_known", "discount", "category_count", "order_hash")
        return cls(
            customer=customer,
            is_order=table["is_order"].to_numpy(),
            amount=table["amount_minor"].to_numpy(),
            channel=np.where(channel < 0, ABOVE, channel),
            channels=channels,
            top_category=top_category,
            top_categories=top_categories,
            category=category,
            categories=categories,
            order_numbers=lambda rows: Numbers()(table["order_id"][rows]),
            **{name: table[name].to_numpy() for name in numbers},
        )

    @classmethod
    def of_lines(
        cls, lines: Lines, *, channels: list[str | None], categories: list[str | None]
    ) -> Self:  # fmt: skip
        """What the orders table holds of some lines.

        Args:
            lines: All lines of some customers.
            channels: Names in their order, ended by None.
            categories: Likewise.
        """
        rows = order_rows(lines)
        number = lines.order_numbers(rows.line)
        return cls(
            customer=lines.customer[rows.line],
            is_order=rows.amount > 0,
            day=lines.day[rows.line],
            amount=rows.amount,
            lines=rows.lines,
            hour=rows.hour,
            units=rows.units,
            units_known=rows.units_known,
            discount=np.where(rows.discount_known > 0, rows.discount, NONE),
            channel=rows.channel,
            channels=channels,
            top_category=rows.top_category,
            top_categories=categories,
            category=rows.category,
            category_count=np.diff(rows.category_ends),
            categories=categories,
            order_hash=number.astype(np.uint64),
            order_numbers=number.__getitem__,
        )
