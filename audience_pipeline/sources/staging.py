"""A file's rows, parsed and without personal values, as one Parquet file in the order of the source."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from audience_pipeline.sources import currencies, dates
from audience_pipeline.sources.contacts import Depersonaliser
from audience_pipeline.sources.contract import CONTRACTS, LINE, Kind
from audience_pipeline.sources.csv_files import csv_table
from audience_pipeline.sources.currencies import Money
from audience_pipeline.sources.engine import connect, one, parquet
from audience_pipeline.sources.erased import marked
from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.faults import Fault
from audience_pipeline.sources.json_files import json_table
from audience_pipeline.sources.options import ReadOptions, ShopFacts
from audience_pipeline.sources.parquet_files import parquet_table
from audience_pipeline.sources.plan import Plan, plan
from audience_pipeline.sources.survey import Survey
from audience_pipeline.sources.table import IrregularTextError, TextTable
from audience_pipeline.sources.tombstones import Tombstones

Progress = Callable[[str, int], None]
"""Called with what is being done and how many rows it has done."""

BATCH = 100_000
_ASK_FROM_SHARE = 0.01
"""Up to this share of dates in an ambiguous format are stray rows, and go to quarantine."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A file's rows as ``path`` (columns of the plan, and ``row``, the number of the record from 0)."""

    path: Path
    rows: int
    table: TextTable
    plan: Plan
    money: Money
    cleaned: Depersonaliser

    @property
    def relation(self) -> str:
        """SQL to read it."""
        return parquet(self.path)


def stage(
    file: Survey,
    kind: Kind,
    options: ReadOptions,
    facts: ShopFacts,
    landed_currency: str | None,
    *,
    scratch: Path,
    work: Path,
    progress: Progress,
    tombstones: Tombstones | None = None,
) -> Staged:
    """Read, parse and depersonalise a file.

    Args:
        file: the surveyed file.
        kind: its contract.
        options: how it is written.
        facts: about the shop.
        landed_currency: currency of the files that landed before.
        scratch: private folder outside the lake; only here may raw values be written.
        work: folder for the staged file.
        progress: told the rows as they come.
        tombstones: whose rows are at fault; None where nobody was ever erased.

    Raises:
        SourceError: the file cannot be landed as it is.
    """
    with connect(scratch / "spill") as connection:
        for repaired in (False, True):
            try:
                table = _table(file, kind, options, scratch, repaired=repaired)
                money = _money(file, kind, table, facts, landed_currency, connection)
                statement = plan(kind, table, options, facts)
                cleaned = Depersonaliser(kind, facts, options.hashed)
                path = work / "staged.parquet"
                clean = _cleaning(kind, cleaned, tombstones)
                rows = _write(connection, statement, table, clean, path, progress)
            except IrregularTextError:
                if repaired or file.format == "parquet":
                    raise SourceError(
                        file.name, "the file cannot be read as a table", "export it again as CSV in UTF-8"
                    ) from None
                progress("repairing", 0)
            else:
                break
        staged = Staged(path, rows, table, statement, money, cleaned)
        _ask_about_dates(staged, file.name, kind, options, connection)
    if money.foreign and facts.rates is not None:
        converted = work / "converted.parquet"
        with connect(work / "spill") as connection:
            currencies.convert(connection, staged.relation, converted, money, facts.rates, file.name)
        converted.replace(path)
    return staged


def _table(file: Survey, kind: Kind, options: ReadOptions, scratch: Path, *, repaired: bool) -> TextTable:
    match file.format:
        case "parquet":
            return parquet_table(file, kind, options, scratch)
        case "json":
            return json_table(file, kind, options, scratch, repaired=repaired)
        case _:
            return csv_table(file, kind, options, scratch, repaired=repaired)


def _cleaning(
    kind: Kind, cleaned: Depersonaliser, tombstones: Tombstones | None
) -> Callable[[pl.DataFrame], pl.DataFrame]:
    if tombstones is None:
        return cleaned
    return lambda batch: marked(kind, cleaned(batch), tombstones)


def _money(
    file: Survey,
    kind: Kind,
    table: TextTable,
    facts: ShopFacts,
    landed: str | None,
    connection: duckdb.DuckDBPyConnection,
) -> Money:
    if kind is not Kind.TRANSACTIONS:
        return Money(None)
    found: list[str] = []
    if "currency" in table.columns:
        query = f"SELECT DISTINCT upper(trim(currency)) AS code FROM ({table.relation}) LIMIT 1000"
        rows = None
        with contextlib.suppress(duckdb.Error):
            rows = connection.execute(query).fetchall()
        if rows is None:
            raise IrregularTextError
        found = [code for (code,) in rows if code]
    return currencies.decide(file.name, found, facts, landed)


def _write(
    connection: duckdb.DuckDBPyConnection,
    statement: Plan,
    table: TextTable,
    clean: Callable[[pl.DataFrame], pl.DataFrame],
    path: Path,
    progress: Progress,
) -> int:
    """Write the staged file; the number of rows in it.

    Raises:
        IrregularTextError: the source cannot be read to its end, or not each of its records is a row.
    """
    seen = kept = 0
    writer: pq.ParquetWriter | None = None
    try:
        for batch in _batches(connection, statement.sql):
            frame = pl.DataFrame(pl.from_arrow(batch)).with_row_index("row", offset=seen)
            seen += frame.height
            frame = frame.filter(~pl.col("blank")).drop("blank")
            kept += frame.height
            lines = table.line_map.lines(frame["row"].cast(pl.Int64).to_numpy())
            frame = clean(frame.with_columns(pl.col("row").cast(pl.Int64), pl.Series(LINE, lines)))
            arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
            if writer is None:
                writer = pq.ParquetWriter(
                    path, arrow.schema, use_dictionary=_few_values(frame), write_statistics=False
                )
            writer.write_table(arrow)
            progress("reading", seen)
    finally:
        if writer is not None:
            writer.close()
    if table.records is not None and seen != table.records:
        raise IrregularTextError
    return kept


def _batches(connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[pa.RecordBatch]:
    # What DuckDB says about a text repeats it: its messages end here, and are no context of another one.
    batches = None
    with contextlib.suppress(duckdb.Error):
        batches = connection.sql(sql).to_arrow_reader(BATCH)
    while batches is not None:
        batch, ended = None, False
        with contextlib.suppress(duckdb.Error, OSError):
            batch = next(batches, None)
            ended = batch is None
        if ended:
            return
        if batch is None:
            break
        yield batch
    raise IrregularTextError


def _few_values(frame: pl.DataFrame) -> list[str]:
    """Text columns that repeat their values; a dictionary of ids would cost more than it saves."""
    return [name for name, dtype in frame.schema.items() if dtype == pl.String and not name.endswith("_id")]


def _ask_about_dates(
    staged: Staged, file: str, kind: Kind, options: ReadOptions, connection: duckdb.DuckDBPyConnection
) -> None:
    column = CONTRACTS[kind].day
    if options.date_format is not None or not staged.rows or column not in staged.table.columns:
        return
    fault = f"fault_{column}"
    ambiguous_dates = f"{fault} = {Fault.AMBIGUOUS_DATE}"
    ambiguous, given, first = one(
        connection,
        f"SELECT count(*) FILTER ({ambiguous_dates}), count(*) FILTER ({fault} <> {Fault.EMPTY}), "
        f"coalesce(min(row) FILTER ({ambiguous_dates}), 0) FROM {staged.relation}",
    )
    if ambiguous > given * _ASK_FROM_SHARE:
        raise dates.ask(file, column, connection, staged.table.relation, staged.table.line(first))
