"""Conditions answered by DuckDB over a profile in memory; files and settings are out of their reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
import polars.selectors as cs

from audience_pipeline.audiences.criteria import Criterion
from audience_pipeline.audiences.fields import DTYPES, FIELDS

Mask = npt.NDArray[np.bool_]


class EvaluationError(Exception):
    """A condition could not be answered over this profile."""


class ProfileTable:
    """A profile that conditions can be asked of. Row n of every mask is row n of the profile."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, rows: int) -> None:
        self._connection = connection
        self._answers: dict[str, Mask] = {}
        self.rows = rows

    def matches(self, criterion: Criterion) -> Mask:
        """The customers for whom a condition is true; unknown counts as not true."""
        if criterion.sql not in self._answers:
            try:
                found = self._connection.execute(
                    f"select _row from profile where {criterion.sql}"
                ).fetchnumpy()
            except duckdb.Error as error:
                fields = ", ".join(sorted(criterion.fields))
                # The message of the database may repeat values of the condition.
                raise EvaluationError(
                    f"a condition on {fields} could not be computed ({type(error).__name__})"
                ) from None
            mask = np.zeros(self.rows, dtype=np.bool_)
            mask[np.asarray(found["_row"])] = True
            mask.setflags(write=False)
            self._answers[criterion.sql] = mask
        return self._answers[criterion.sql]


@contextmanager
def profile_table(profile: pl.DataFrame, fields: Iterable[str]) -> Iterator[ProfileTable]:
    """Load fields of a profile into a locked database in memory.

    A field that the profile lacks is empty for everybody, so that it selects nobody; its type is the one of
    the catalogue. NaN counts as empty.

    Args:
        profile: one row per customer.
        fields: the names of the fields that conditions will read.
    """
    table = profile.select(
        *(
            (pl.col(name) if name in profile.columns else pl.lit(None))
            .cast(DTYPES[FIELDS[name].type])
            .alias(name)
            for name in sorted(set(fields))
        ),
        pl.int_range(profile.height, dtype=pl.Int64).alias("_row"),
    ).with_columns(cs.float().fill_nan(None))
    with duckdb.connect(":memory:") as connection:
        connection.register("incoming", table.to_arrow())
        connection.execute("create table profile as select * from incoming")
        connection.unregister("incoming")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        yield ProfileTable(connection, profile.height)
