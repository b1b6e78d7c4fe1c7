"""Conditions answered by DuckDB over a profile in memory; files and settings are out of their reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl

from audience_pipeline.audiences.criteria import Criterion
from audience_pipeline.audiences.errors import EvaluationError
from audience_pipeline.audiences.fields import FIELDS, Field, FieldType
from audience_pipeline.audiences.masks import Mask


class ProfileTable:
    """A profile that conditions can be asked of. Row n of every mask is row n of the profile."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, profile: pl.LazyFrame, rows: int, missing: Iterable[str]
    ) -> None:
        self.connection = connection
        self.rows = rows
        self._profile = profile
        self._missing = frozenset(missing)

    @cached_property
    def customers(self) -> pl.Series:
        """The ``customer_id`` column; read when it is first asked for."""
        return self._profile.select("customer_id").collect()["customer_id"]

    def matches(self, criterion: Criterion, values: Iterable[str] = ()) -> Mask:
        """The customers for whom a condition is true; unknown counts as not true.

        Args:
            criterion: the condition.
            values: what its question marks stand for.

        Raises:
            EvaluationError: it cannot be computed, or reads a field that the profile does not have.
        """
        if gone := sorted(criterion.fields & self._missing):
            raise EvaluationError(
                f"the profile has no field {', '.join(gone)}: materialise customer_profile again, or take "
                "the field out of the condition"
            )
        mask = np.zeros(self.rows, dtype=np.bool_)
        mask[asked(self.connection, "select _row from profile", criterion, values)] = True
        return mask


def asked(
    connection: duckdb.DuckDBPyConnection, query: str, criterion: Criterion, values: Iterable[str] = ()
) -> npt.NDArray[np.integer]:
    """The one column of a query, where a condition is true.

    Raises:
        EvaluationError: the database cannot compute it.
    """
    try:
        found = connection.execute(f"{query} where ({criterion.sql})", list(values)).fetchnumpy()
    except duckdb.Error as error:
        fields = ", ".join(sorted(criterion.fields))
        # The message of the database may repeat values of the condition.
        raise EvaluationError(
            f"a condition on {fields} could not be computed ({type(error).__name__})"
        ) from None
    [column] = found.values()
    return np.asarray(column)


@contextmanager
def profile_table(
    profile: pl.DataFrame | pl.LazyFrame | Path, needed: Iterable[str], fields: Mapping[str, Field] = FIELDS
) -> Iterator[ProfileTable]:
    """Load fields of a profile into a locked database in memory. NaN counts as empty.

    Args:
        profile: one row per customer: ``customer_id`` and fields; of a file or a lazy table only what is
            needed is read, and of a file nothing is held twice.
        needed: the names of the fields that conditions will read.
        fields: all fields; a column has the type that they say.
    """
    wanted = frozenset(needed)
    table = pl.scan_parquet(profile) if isinstance(profile, Path) else profile.lazy()
    columns = table.collect_schema()
    present = sorted(wanted & set(columns))
    with duckdb.connect(":memory:") as connection:
        if isinstance(profile, Path):
            _load(connection, profile, {name: _type(name, columns[name], fields) for name in present})
        else:
            # What is in memory already is asked where it lies: copying takes longer than some conditions.
            frame = table.with_row_index("_row").select("_row", *present).collect()
            # The newest form of texts is that of polars: it is handed over without a copy.
            connection.register("incoming", frame.to_arrow(compat_level=pl.CompatLevel.newest()))
            typed = (_typed(name, _type(name, columns[name], fields)) for name in present)
            connection.execute(f"create view profile as select {', '.join(['_row', *typed])} from incoming")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        [(rows,)] = connection.execute("select count(*) from profile").fetchall()
        yield ProfileTable(connection, table, rows, wanted - set(columns))


_TYPES: Mapping[FieldType, str] = {
    "integer": "bigint",
    "number": "double",
    "text": "varchar",
    "boolean": "boolean",
    "date": "date",
}


FEW_VALUES = 1_000
"""Texts with so few values are kept as numbers of their values: a sixteenth of the memory, and faster."""


def _load(connection: duckdb.DuckDBPyConnection, path: Path, types: Mapping[str, str]) -> None:
    """Copy columns of a file into the table ``loaded``, and make the view ``profile`` of it."""
    file = "'" + str(path).replace("'", "''") + "'"
    stored, shown = ["file_row_number::uinteger as _row"], ["_row"]
    for number, (name, kind) in enumerate(types.items()):
        column = _quoted(name)
        shown.append(column)
        stored.append(_typed(name, kind))
        if kind != "varchar":
            continue
        values = (
            f"select distinct {column}::varchar as value from read_parquet({file}) where {column} is not null"
        )
        found = connection.execute(f"select count(*) from ({values} limit {FEW_VALUES + 1})").fetchall()
        if 0 < found[0][0] <= FEW_VALUES:
            connection.execute(
                f"create type _values_{number} as enum (select value from ({values}) order by 1)"
            )
            stored[-1] = f"cast({column} as _values_{number}) as {column}"
            shown[-1] = f"cast({column} as varchar) as {column}"
    connection.execute(
        f"create table loaded as select {', '.join(stored)} from read_parquet({file}, file_row_number = true)"
    )
    connection.execute(f"create view profile as select {', '.join(shown)} from loaded")


def _type(name: str, dtype: pl.DataType, fields: Mapping[str, Field]) -> str:
    """The type of a column in the database."""
    if name in fields:
        return _TYPES[fields[name].type]
    kinds = {pl.Boolean: "boolean", pl.Date: "date", pl.Float64: "double", pl.Float32: "double"}
    return "bigint" if dtype.is_integer() else kinds.get(type(dtype), "varchar")


def _typed(name: str, kind: str) -> str:
    column = _quoted(name)
    value = f"cast({column} as {kind})"
    return (
        f"case when not isnan({value}) then {value} end as {column}"
        if kind == "double"
        else f"{value} as {column}"
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
