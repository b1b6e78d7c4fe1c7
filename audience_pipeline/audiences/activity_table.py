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
DENSE = 2**23
"""Possible combinations of properties up to which a table of all of them beats sorting those that occur."""
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class EventRows:
    """One event: who did it on which day with which properties; sorted by day."""

    days: npt.NDArray[np.int32]
    """Days since 1970-01-01 on which it happened, each once, ascending."""
    starts: npt.NDArray[np.int64]
    """Where each of the days begins in the other arrays; one more than ``days``, the last is their length."""
    rows: npt.NDArray[np.uint32]
    """Rows of the profile."""
    combinations: npt.NDArray[np.uint32]
    """Rows of ``properties``."""
    counts: npt.NDArray[np.unsignedinteger] | None
    """How often on that day; None where everything happened once."""
    properties: pl.DataFrame
    """``STORED_PROPERTIES``, one row per combination that occurs."""


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
        within_days: int | None = None,
    ) -> Activity:
        """Load ``customer_activity``; people without a row in the profile and later days are left out.

        Args:
            activity: ``customer_activity`` with customer ids, merged.
            customers: the ``customer_id`` column of the profile.
            as_of: the last day that counts.
            events: the events wanted, by the names that definitions use.
            within_days: only the last so many days.
        """
        wanted = {EVENTS[event]: event for event in events}
        frame = activity.filter(
            pl.col("activity").is_in(list(wanted)),
            pl.col("activity_date") <= as_of,
            *_since(as_of, within_days),
        )
        codes = _codes(frame)
        places = pl.LazyFrame({"customer_id": customers}).with_row_index("_row")
        table = (
            frame.join(places, on="customer_id", how="inner")
            .select(
                "_row",
                pl.col("activity_date").to_physical().cast(pl.Int32).alias("_day"),
                pl.col("events").cast(pl.UInt32),
                *(_code(name, values) for name, values in codes.items()),
            )
            .collect(engine="streaming")
        )
        which = table["activity"].to_numpy()
        found = {}
        for code, name in enumerate(codes["activity"]):
            rows = np.flatnonzero(which == code)
            if len(rows):
                found[wanted[name]] = _event(table, rows, codes)
        return cls(as_of, customers.len(), found)


def days_since_epoch(day: date) -> int:
    """A date as the arrays hold it."""
    return (day - _EPOCH).days


def _since(as_of: date, within_days: int | None) -> tuple[pl.Expr, ...]:
    if within_days is None:
        return ()
    return (pl.col("activity_date") > pl.lit(as_of) - pl.duration(days=within_days),)


def _codes(frame: pl.LazyFrame) -> Mapping[str, pl.Series]:
    """The values of each text column; a code is a place among them, and their number stands for null."""
    names = ("activity", *STORED_PROPERTIES)
    found = pl.collect_all(
        [frame.select(pl.col(name).drop_nulls().unique().sort()) for name in names], engine="streaming"
    )
    return {name: values[name] for name, values in zip(names, found, strict=True)}


def _code(name: str, values: pl.Series) -> pl.Expr:
    narrow = pl.UInt8 if values.len() < 2**8 else pl.UInt16 if values.len() < 2**16 else pl.UInt32
    return pl.col(name).cast(pl.Enum(values)).to_physical().cast(narrow).fill_null(values.len()).alias(name)


def _event(table: pl.DataFrame, chosen: npt.NDArray[np.intp], codes: Mapping[str, pl.Series]) -> EventRows:
    day = table["_day"].to_numpy()[chosen]
    since_first = day - day.min()
    # Numpy sorts numbers of 16 bits in linear time.
    order = np.argsort(
        since_first.astype(np.uint16) if since_first.max() < 2**16 else since_first, kind="stable"
    )
    chosen, day = chosen[order], day[order]
    days, starts = np.unique(day, return_index=True)
    counts = table["events"].to_numpy()[chosen]
    numbers, examples = _numbered(
        [table[name].to_numpy()[chosen] for name in STORED_PROPERTIES],
        [codes[name].len() + 1 for name in STORED_PROPERTIES],
    )
    return EventRows(
        days,
        np.append(starts, len(chosen)),
        table["_row"].to_numpy()[chosen],
        numbers,
        None if (counts == 1).all() else counts.astype(np.min_scalar_type(counts.max())),
        pl.DataFrame(
            {
                name: codes[name].extend_constant(None, 1).gather(table[name].gather(chosen[examples]))
                for name in STORED_PROPERTIES
            }
        ),
    )


def _numbered(
    columns: Sequence[npt.NDArray[np.unsignedinteger]], sizes: Sequence[int]
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.intp]]:
    """A number for every distinct combination, and a row in which each of them occurs."""
    key: npt.NDArray[np.uint64] = np.zeros(len(columns[0]), dtype=np.uint64)
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
