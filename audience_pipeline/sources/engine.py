"""DuckDB as this package uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from audience_pipeline.sources.table import quoted

MEMORY = "700MB"


def connect(spill: Path) -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory that keeps the order of rows and may use ``spill`` for what does not fit."""
    connection = duckdb.connect()
    connection.execute(f"SET temp_directory = {quoted(str(spill))}")
    connection.execute(f"SET memory_limit = '{MEMORY}'")
    connection.execute("SET preserve_insertion_order = true")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    return connection


def one(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    """The only row of a query, fetched to its end: an open result blocks the connection."""
    rows: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
    return rows[0]


def parquet(*paths: Path) -> str:
    """SQL that reads Parquet files; a column that some of them lack is NULL for their rows."""
    by_name = ", union_by_name=true" if len(paths) > 1 else ""
    return f"read_parquet([{', '.join(quoted(str(path)) for path in paths)}]{by_name})"
