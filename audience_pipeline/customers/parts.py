"""Many transactions, worked through some customers at a time: in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, cast

import polars as pl

from audience_pipeline.customers.orders import LINES_AT_ONCE, orders

Item = TypeVar("Item")


def orders_in_parts(transactions: pl.LazyFrame, folder: Path, lines: int) -> Iterator[pl.DataFrame]:
    """Orders of some customers after others, each with all of their orders.

    Args:
        transactions: As in :func:`~audience_pipeline.customers.orders.orders`.
        folder: Where the lines of each part wait for their turn; what is written there is removed.
        lines: How many there are, or a little more.

    Yields:
        ``ORDERS_SCHEMA``, never empty; which customers come together is nobody's business.
    """
    count = -(-lines // LINES_AT_ONCE)
    if count <= 1:
        yield from _some(transactions)
        return
    part = (pl.col("customer_id").hash() % count).alias("part")
    files = folder / "lines"
    transactions.sink_parquet(
        pl.PartitionBy(files, key=part, include_key=False, approximate_bytes_per_file=None),
        mkdir=True,
        compression="lz4",
        statistics=False,
        maintain_order=False,
    )
    for file in sorted(files.rglob("*.parquet")):
        yield from _some(pl.scan_parquet(file, hive_partitioning=False))
        file.unlink()


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items; while one is worked on, another thread makes the next."""
    end = object()
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(next, items, end)
        while (item := waiting.result()) is not end:
            waiting = thread.submit(next, items, end)
            yield cast("Item", item)


def _some(transactions: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    table = orders(transactions).collect()
    if table.height:
        yield table
