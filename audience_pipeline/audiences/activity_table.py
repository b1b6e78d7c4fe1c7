"""What the customers of a profile did up to a date, as arrays that windows are slices of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from audience_pipeline.audiences.activity import EVENTS, PROPERTIES

STORED_PROPERTIES = tuple(name for name in PROPERTIES if name != "weekday")
"""The columns of ``customer_activity``; the day of the week follows from the date."""
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
    counts: npt.NDArray[np.uint32] | None
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
        first = (
            pl.lit(True)
            if within_days is None
            else pl.col("activity_date") > pl.lit(as_of).dt.offset_by(f"-{within_days}d")
        )
        frame = activity.filter(
            pl.col("activity").is_in(list(wanted)) & (pl.col("activity_date") <= as_of) & first
        )
        places = pl.LazyFrame({"customer_id": customers}).with_row_index("_row")
        codes = {
            name: frame.select(pl.col(name).drop_nulls().unique().sort()).collect(engine="streaming")[name]
            for name in ("activity", *STORED_PROPERTIES)
        }
        table = (
            frame.with_columns(
                pl.col(name).cast(pl.Enum(values)).to_physical() for name, values in codes.items()
            )
            .join(places, on="customer_id", how="inner")
            .select(
                "_row",
                pl.col("activity_date").to_physical().alias("_day"),
                pl.col("events").cast(pl.UInt32),
                "activity",
                *STORED_PROPERTIES,
            )
            .collect(engine="streaming")
        )
        parts = table.partition_by("activity", as_dict=True, include_key=False)
        found = {
            wanted[str(codes["activity"][int(code)])]: _event(part, codes)
            for (code,), part in sorted(parts.items())
        }
        return cls(as_of, customers.len(), found)


def days_since_epoch(day: date) -> int:
    """A date as the arrays hold it."""
    return (day - _EPOCH).days


def _event(part: pl.DataFrame, codes: Mapping[str, pl.Series]) -> EventRows:
    part = part.sort("_day", "_row", *STORED_PROPERTIES)
    distinct = part.select(STORED_PROPERTIES).unique(maintain_order=True).with_row_index("_combination")
    numbered = part.join(distinct, on=STORED_PROPERTIES, how="left", nulls_equal=True, maintain_order="left")
    days, starts = np.unique(numbered["_day"].to_numpy(), return_index=True)
    counts = numbered["events"].to_numpy()
    return EventRows(
        days.astype(np.int32),
        np.append(starts, part.height),
        numbered["_row"].to_numpy(),
        numbered["_combination"].to_numpy(),
        None if (counts == 1).all() else counts,
        pl.DataFrame({name: codes[name].gather(distinct[name]) for name in STORED_PROPERTIES}),
    )
