"""Which rows land: repeats inside the file and rows that earlier files brought are left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from audience_pipeline.sources.contract import LANDED, LINE, Kind, day_column
from audience_pipeline.sources.engine import one, parquet
from audience_pipeline.sources.report import RepeatedDay

_FEWEST_LINES = 3
"""Distinct lines that a day needs before its repetition is one, and not people buying the same twice."""
_SURELY_NOT = 1.6
"""Lines per distinct line below which a day cannot be repeated; the estimate is a few percent off."""


def drop_repeated_days(connection: Any, staged: str) -> tuple[RepeatedDay, ...]:
    """Find the days that the file holds several times over, and fill ``repeated_rows`` with the surplus.

    A day is repeated when each of its distinct lines, with all columns of the file, occurs a multiple of
    the same number (two or more) of times. Its lines are kept that many times less often.

    Args:
        connection: a DuckDB connection; the temporary table ``repeated_rows (row)`` is made in it.
        staged: SQL of the staged transactions.
    """
    connection.execute("CREATE TEMP TABLE repeated_rows (row BIGINT)")
    candidates = [
        day
        for (day,) in connection.execute(
            f"SELECT transaction_date FROM {staged} WHERE transaction_date IS NOT NULL GROUP BY 1 "
            f"HAVING count(*) >= {2 * _FEWEST_LINES} "
            f"AND count(*) >= {_SURELY_NOT} * approx_count_distinct(whole_line)"
        ).fetchall()
    ]
    if not candidates:
        return ()
    connection.execute("CREATE TEMP TABLE candidate_days (day DATE)")
    connection.executemany("INSERT INTO candidate_days VALUES (?)", [[day] for day in candidates])
    counted = (
        f"SELECT transaction_date AS day, whole_line, count(*) AS times FROM {staged} "
        "WHERE transaction_date IN (SELECT day FROM candidate_days) GROUP BY ALL"
    )
    connection.execute("CREATE TEMP TABLE repeated_days (day DATE, copies BIGINT)")
    found = []
    for day, different, times, lines in connection.execute(
        f"SELECT day, count(*), list(DISTINCT times), sum(times) FROM ({counted}) GROUP BY day ORDER BY day"
    ).fetchall():
        copies = math.gcd(*times)
        if copies >= 2 and different >= _FEWEST_LINES:
            found.append(RepeatedDay(day, copies, int(lines) - int(lines) // copies))
            connection.execute("INSERT INTO repeated_days VALUES (?, ?)", [day, copies])
    if found:
        same = "PARTITION BY transaction_date, whole_line"
        connection.execute(
            "INSERT INTO repeated_rows SELECT row FROM ("
            f"SELECT row, row_number() OVER ({same} ORDER BY row) AS number, "
            f"count(*) OVER ({same}) // copies AS kept "
            f"FROM {staged} s JOIN repeated_days r ON s.transaction_date = r.day) WHERE number > kept"
        )
    return tuple(found)


def drop_known(connection: Any, kind: Kind, good: str, earlier: Sequence[Path]) -> None:
    """Fill ``known_days`` and ``known_rows`` with what earlier files brought already.

    Between files the multiplicity of a row is the maximum, not the sum: of a row that this file has five
    times and the lake twice, three are new. Days on which file and lake hold the same are known as a
    whole; only days that differ are compared row by row.

    Args:
        connection: a DuckDB connection; both temporary tables are made in it.
        kind: the kind of file.
        good: SQL of the staged rows that could land.
        earlier: landed Parquet files that can hold rows of the same days.
    """
    connection.execute("CREATE TEMP TABLE known_days (day DATE)")
    connection.execute("CREATE TEMP TABLE known_rows (row BIGINT)")
    if not earlier:
        return
    day = f"CAST({day_column(kind)} AS DATE)"
    columns = _compared(kind, earlier)
    landed = parquet(*earlier)
    first, last = one(connection, f"SELECT min({day}), max({day}) FROM ({good})")
    near = f"({day} BETWEEN DATE '{first}' AND DATE '{last}' OR {day} IS NULL)" if first else "true"
    prints = f"count(*) AS n, sum(CAST(hash({', '.join(columns)}) AS HUGEINT)) AS total"
    connection.execute(
        "CREATE TEMP TABLE met AS SELECT f.day, f.n = l.n AND f.total = l.total AS same "
        f"FROM (SELECT {day} AS day, {prints} FROM ({good}) GROUP BY 1) f "
        f"JOIN (SELECT {day} AS day, {prints} FROM {landed} WHERE {near} GROUP BY 1) l "
        "ON f.day IS NOT DISTINCT FROM l.day"
    )
    connection.execute("INSERT INTO known_days SELECT day FROM met WHERE same AND day IS NOT NULL")
    # A day that is null is no key of a join, and rows without a date are few.
    differ = (
        f"({day} IN (SELECT day FROM met WHERE NOT same) "
        f"OR ({day} IS NULL AND EXISTS (SELECT 1 FROM met WHERE day IS NULL)))"
    )
    names = ", ".join(columns)
    matched = " AND ".join(f"f.{name} IS NOT DISTINCT FROM l.{name}" for name in columns)
    connection.execute(
        "INSERT INTO known_rows SELECT f.row FROM ("
        f"SELECT row, {names}, row_number() OVER (PARTITION BY {names} ORDER BY row) AS number "
        f"FROM ({good}) WHERE {differ}) f "
        f"JOIN (SELECT {names}, count(*) AS times FROM {landed} WHERE {differ} GROUP BY ALL) l "
        f"ON {matched} WHERE f.number <= l.times"
    )


def _compared(kind: Kind, earlier: Sequence[Path]) -> list[str]:
    """The columns by which rows are the same.

    A file that landed before a column existed says nothing of it, so its rows come again with a value there.
    """
    known = set(LANDED[kind]).intersection(*(pq.read_schema(path).names for path in earlier))
    return [name for name in LANDED[kind] if name in known and name != LINE]


def fresh(connection: Any, kind: Kind, good: str) -> tuple[str, bool]:
    """SQL of the rows that land, and whether rows are left out (which loses the order of the file)."""
    day = f"coalesce(CAST({day_column(kind)} AS DATE), DATE '0001-01-01')"
    where = [
        f"{key} NOT IN (SELECT {column} FROM {table})"
        for table, column, key in (("known_days", "day", day), ("known_rows", "row", "row"))
        if one(connection, f"SELECT count(*) FROM {table}")[0]
    ]
    return (f"SELECT * FROM ({good}) WHERE {' AND '.join(where)}", True) if where else (good, False)
