"""Conditions answered by DuckDB over a profile in memory; files and settings are out of their reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
import polars.selectors as cs

from audience_pipeline.audiences.criteria import Criterion
from audience_pipeline.audiences.errors import EvaluationError
from audience_pipeline.audiences.fields import DTYPES, FIELDS, Field
from audience_pipeline.audiences.masks import Mask


class ProfileTable:
    """A profile that conditions can be asked of. Row n of every mask is row n of the profile."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, customers: pl.Series, missing: Iterable[str]
    ) -> None:
        self.connection = connection
        self.customers = customers
        self.rows = customers.len()
        self._missing = frozenset(missing)

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
    profile: pl.DataFrame | pl.LazyFrame, needed: Iterable[str], fields: Mapping[str, Field] = FIELDS
) -> Iterator[ProfileTable]:
    """Load fields of a profile into a locked database in memory. NaN counts as empty.

    Args:
        profile: one row per customer: ``customer_id`` and fields; of a lazy one only what is needed is read.
        needed: the names of the fields that conditions will read.
        fields: all fields; a column has the type that they say.
    """
    wanted = frozenset(needed)
    columns = profile.lazy().collect_schema()
    table = (
        profile.lazy()
        .select(
            "customer_id",
            *(_typed(name, columns[name], fields).alias(name) for name in sorted(wanted & set(columns))),
        )
        .with_columns(cs.float().fill_nan(None))
        .with_row_index("_row")
        .collect()
    )
    with duckdb.connect(":memory:") as connection:
        connection.register("incoming", table.drop("customer_id").to_arrow())
        connection.execute("create table profile as select * from incoming")
        connection.unregister("incoming")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        customers = table["customer_id"]
        del table
        yield ProfileTable(connection, customers, wanted - set(columns))


def _typed(name: str, dtype: pl.DataType, fields: Mapping[str, Field]) -> pl.Expr:
    if name in fields:
        return pl.col(name).cast(DTYPES[fields[name].type])
    return pl.col(name).cast(pl.String) if dtype == pl.Null else pl.col(name)
