"""Parquet files as text tables."""

from __future__ import annotations

from pathlib import Path

import duckdb

from audience_pipeline.sources import header
from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.engine import one
from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.lines import LineMap
from audience_pipeline.sources.options import ReadOptions
from audience_pipeline.sources.survey import Survey
from audience_pipeline.sources.table import TextTable, quoted


def parquet_table(file: Survey, kind: Kind, options: ReadOptions, scratch: Path) -> TextTable:
    """The relation of a Parquet file. Positions are row numbers.

    Raises:
        SourceError: damaged, empty, or its columns do not fit the contract.
    """
    link = scratch / "source"
    if not link.is_symlink():
        link.symlink_to(file.text.resolve())
    source = f"read_parquet({quoted(str(link))}, hive_partitioning=false)"
    with duckdb.connect() as connection:
        try:
            described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
            (rows,) = one(connection, f"SELECT count(*) FROM {source}")
        except duckdb.Error:
            raise SourceError(
                file.name, "the Parquet file is cut off or damaged", "copy or export it again"
            ) from None
    if not rows:
        raise SourceError(file.name, "the file has columns and no rows", "export it again, with its rows")
    names = [name for name, *_ in described]
    positions = header.match(file.name, kind, names, options)
    chosen = "".join(
        f"{_as_text(names[position], described[position][1])} AS {name}, "
        for name, position in positions.items()
    )
    everything = ", ".join(_identifier(name) for name in names)
    relation = (
        f"SELECT {chosen}hash({everything}) AS whole_line, false AS malformed, false AS blank FROM {source}"
    )
    columns = {name: names[position] for name, position in positions.items()}
    return TextTable(relation, columns, rows, LineMap(), unit="row")


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _as_text(name: str, dtype: str) -> str:
    column = _identifier(name)
    if dtype in {"DOUBLE", "FLOAT"}:
        # A column of whole numbers with gaps comes out of pandas as floats.
        whole = f"CAST(CAST({column} AS HUGEINT) AS VARCHAR)"
        return (
            f"CASE WHEN isnan({column}) THEN NULL WHEN abs({column}) < 1e15 AND {column} = trunc({column}) "
            f"THEN {whole} ELSE CAST({column} AS VARCHAR) END"
        )
    return f"CAST({column} AS VARCHAR)"
