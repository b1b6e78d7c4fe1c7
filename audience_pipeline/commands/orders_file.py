"""A file of transactions that a command works on, and the options that name it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from audience_pipeline.commands.console import fail, note

TransactionsOption = Annotated[
    Path, typer.Option("--transactions", metavar="FILE", help="CSV, JSON or Parquet, plain or gzip.")
]
AsOfOption = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d"],
        metavar="DATE",
        help="The last day that may be seen; without it, the last in the file.",
    ),
]


@contextmanager
def order_parts_of(file: Path, said: dict[str, Any]) -> Iterator[tuple[Iterator[pl.DataFrame], date, Path]]:
    """The orders of a file, its last day and a temporary folder; what could not be used is said."""
    from audience_pipeline.customers.parts import orders_in_parts
    from audience_pipeline.sources.errors import SourceError
    from audience_pipeline.sources.options import ReadOptions, ShopFacts
    from audience_pipeline.sources.single import read_transactions

    if not file.is_file():
        fail(f"{file}: there is no such file", 2)
    with tempfile.TemporaryDirectory(prefix="audience-") as name:
        folder = Path(name)
        try:
            lines, report = read_transactions(file.resolve(), ReadOptions(**said), ShopFacts(), folder)
        except SourceError as error:
            fail(str(error))
        note(f"{report.file}: {report.balance}")
        for count in report.quarantine:
            note(f"  {count.field}: {count.reason} ({count.rows:,} rows)")
        for notice in report.notices:
            note(f"  {notice}")
        if report.last_date is None:
            fail(f"{report.file}: no row could be used, for the reasons above")
        yield orders_in_parts(lines, folder, report.landed), report.last_date, folder


@contextmanager
def orders_of(file: Path, said: dict[str, Any]) -> Iterator[tuple[pl.LazyFrame, date]]:
    """The orders of a file, which may be looked at several times, and its last day."""
    from audience_pipeline.customers.orders import ORDERS_SCHEMA

    with order_parts_of(file, said) as (parts, last, folder):
        ORDERS_SCHEMA.to_frame().write_parquet(folder / "orders-none.parquet")
        for number, part in enumerate(parts):
            part.write_parquet(folder / f"orders-{number:05d}.parquet", compression="lz4")
        yield pl.scan_parquet(folder / "orders-*.parquet"), last
