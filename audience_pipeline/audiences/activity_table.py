"""What the customers of a profile did up to a date, as arrays that windows are slices of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from audience_pipeline.audiences.activity import EVENTS, PROPERTIES

STORED_PROPERTIES = tuple(name for name in PROPERTIES if name != "weekday")
"""The columns of ``customer_activity``; the day of the week follows from the date."""
OLDEST = 2**16 - 1
"""Days back from which on nobody tells days apart: 179 years."""
DENSE = 2**23
"""Possible combinations of properties up to which a table of all of them beats sorting those that occur."""


@dataclass(frozen=True, slots=True)
class EventRows:
    """One event: who did it how long ago with which properties; the newest first."""

    ages: npt.NDArray[np.uint16]
    """Days before the as-of date on which it happened, each once, ascending; 0 is the date itself."""
    starts: npt.NDArray[np.int64]
    """Where each of the days begins in the arrays below; one more than ``ages``, the last is their length."""
    rows: npt.NDArray[np.uint32]
    """Rows of the profile."""
    combinations: npt.NDArray[np.uint32]
    """Rows of ``properties``."""
    counts: npt.NDArray[np.unsignedinteger] | None
    """How often on that day; None where everything happened once."""
    properties: pl.DataFrame
    """``_number`` and the properties that were loaded, one row per combination that occurs."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What the customers of a profile did up to and including a date."""

    as_of: date
    rows: int
    """Rows of the profile."""
    events: Mapping[str, EventRows]
    """By the names that definitions use; an event that nobody did is missing."""

    @classmethod
    def of(
        cls,
        activity: pl.LazyFrame,
        customers: pl.Series,
        as_of: date,
        *,
        events: Iterable[str] = EVENTS,
        properties: Iterable[str] = STORED_PROPERTIES,
        within_days: int | None = None,
    ) -> Activity:
        """Load ``customer_activity``; people without a row in the profile and later days are left out.

        Args:
            activity: ``customer_activity`` with customer ids, merged.
            customers: the ``customer_id`` column of the profile.
            as_of: the last day that counts.
            events: the events wanted, by the names that definitions use.
            properties: those that conditions read; the others take time and memory for nothing.
            within_days: only the last so many days.
        """
        wanted = {EVENTS[event]: event for event in events}
        names = [name for name in STORED_PROPERTIES if name in set(properties)]
        age = (pl.lit(as_of) - pl.col("activity_date")).dt.total_days()
        frame = activity.filter(
            pl.col("activity").is_in(list(wanted)),
            age >= 0 if within_days is None else age.is_between(0, within_days - 1),
        )
        codes = _codes(frame, names)
        places = pl.LazyFrame({"customer_id": customers}).with_row_index("_row")
        table = (
            frame.select(
                "customer_id",
                age.clip(upper_bound=OLDEST).cast(pl.UInt16).alias("_age"),
                pl.col("events").cast(pl.UInt32).alias("_events"),
                pl.col("activity")
                .cast(pl.Enum(list(wanted)))
                .to_physical()
                .cast(pl.UInt8)
                .alias("_activity"),
                *(_code(name, values) for name, values in codes.items()),
            )
            # Codes first: a join copies texts that nobody needs after it.
            .join(places, on="customer_id", how="inner")
            .drop("customer_id")
            .collect(engine="streaming")
        )
        which = table["_activity"].to_numpy()
        found = {}
        for code, event in enumerate(wanted.values()):
            rows = np.flatnonzero(which == code)
            if len(rows):
                found[event] = _event(table, rows, codes)
        return cls(as_of, customers.len(), found)


def _codes(frame: pl.LazyFrame, names: Sequence[str]) -> Mapping[str, pl.Series]:
    """The values of each property; a code is a place among them, and their number stands for null."""
    found = pl.collect_all(
        [frame.select(pl.col(name).drop_nulls().unique().sort()) for name in names], engine="streaming"
    )
    return {name: values[name] for name, values in zip(names, found, strict=True)}


def _code(name: str, values: pl.Series) -> pl.Expr:
    narrow = pl.UInt8 if values.len() < 2**8 else pl.UInt16 if values.len() < 2**16 else pl.UInt32
    return pl.col(name).cast(pl.Enum(values)).to_physical().cast(narrow).fill_null(values.len()).alias(name)


def _event(table: pl.DataFrame, chosen: npt.NDArray[np.intp], codes: Mapping[str, pl.Series]) -> EventRows:
    # Numpy sorts numbers of 16 bits in linear time.
    chosen = chosen[np.argsort(table["_age"].to_numpy()[chosen], kind="stable")]
    ages, starts = np.unique(table["_age"].to_numpy()[chosen], return_index=True)
    counts = table["_events"].to_numpy()[chosen]
    numbers, examples = numbered(
        len(chosen),
        [table[name].to_numpy()[chosen] for name in codes],
        [values.len() + 1 for values in codes.values()],
    )
    return EventRows(
        ages,
        np.append(starts, len(chosen)),
        table["_row"].to_numpy()[chosen],
        numbers,
        None if (counts == 1).all() else counts.astype(np.min_scalar_type(counts.max())),
        pl.DataFrame(
            {
                "_number": np.arange(len(examples), dtype=np.uint32),
                **{
                    name: values.extend_constant(None, 1).gather(table[name].gather(chosen[examples]))
                    for name, values in codes.items()
                },
            }
        ),
    )


def numbered(
    rows: int, columns: Sequence[npt.NDArray[np.unsignedinteger]], sizes: Sequence[int]
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.intp]]:
    """A number for every distinct combination, and a row in which each of them occurs.

    Args:
        rows: how many rows there are.
        columns: the values of each row.
        sizes: per column, what its values are less than.
    """
    key: npt.NDArray[np.uint64] = np.zeros(rows, dtype=np.uint64)
    size = 1
    for column, values in zip(columns, sizes, strict=True):
        if size * values > 2**62:
            distinct, numbers = np.unique(key, return_inverse=True)
            key, size = numbers.astype(np.uint64), len(distinct)
        key *= np.uint64(values)
        key += column
        size *= values
    if size > DENSE:
        _, examples, numbers = np.unique(key, return_index=True, return_inverse=True)
        return numbers.astype(np.uint32), examples
    place = np.full(size, -1, dtype=np.int64)
    place[key] = np.arange(len(key))
    occurring = np.flatnonzero(place >= 0)
    number = np.zeros(size, dtype=np.uint32)
    number[occurring] = np.arange(len(occurring))
    return number[key], place[occurring]
