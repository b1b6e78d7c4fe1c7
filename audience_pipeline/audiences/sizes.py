"""How large each audience is on a date, and what changed since the date before."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from audience_pipeline.audiences.errors import MembershipError
from audience_pipeline.audiences.stored import differences, stored_sizes

SIZES_SCHEMA = pl.Schema(
    {
        "audience": pl.String,
        "as_of": pl.Date,
        "size": pl.Int64,
        "held_out": pl.Int64,
        "before": pl.Date,
        "size_before": pl.Int64,
        "added": pl.Int64,
        "removed": pl.Int64,
    }
)
"""``before`` and what follows it are null where there is no earlier date to compare with, or where the
audience was not evaluated on it."""


def sizes(today: Path, yesterday: Path | None) -> pl.DataFrame:
    """The sizes of all audiences on a date.

    Args:
        today: the memberships of the date, named by it.
        yesterday: those of the newest earlier date; None before the first.

    Returns:
        ``SIZES_SCHEMA``, sorted by audience.
    """
    now = stored_sizes(today).with_columns(pl.lit(date.fromisoformat(today.stem)).alias("as_of"))
    then = (
        _compared(yesterday, today) if yesterday else pl.DataFrame(schema=SIZES_SCHEMA).drop("as_of", "size")
    )
    return (
        now.join(
            then.select("audience", "before", "size_before", "added", "removed"), on="audience", how="left"
        )
        .select(pl.col(name).cast(dtype) for name, dtype in SIZES_SCHEMA.items())
        .sort("audience")
    )


def newest_before(folder: Path, as_of: date) -> Path | None:
    """The table of the newest date before ``as_of`` in a folder of tables by date."""
    there = sorted(path for path in folder.glob("????-??-??.parquet") if path.stem < as_of.isoformat())
    return there[-1] if there else None


def history(folder: Path, as_of: date, days: int) -> pl.DataFrame:
    """The stored sizes of the last days up to a date, oldest first."""
    files = [
        path
        for path in sorted(folder.glob("????-??-??.parquet"))
        if 0 <= (as_of - date.fromisoformat(path.stem)).days < days
    ]
    return pl.concat([pl.DataFrame(schema=SIZES_SCHEMA), *map(pl.read_parquet, files)])


def _compared(yesterday: Path, today: Path) -> pl.DataFrame:
    """What changed of audiences that were evaluated on both dates; nothing where that cannot be said."""
    try:
        changes = differences(yesterday, today)
        earlier = stored_sizes(yesterday)
    except MembershipError:
        # The earlier table is of another form or numbering: sizes go on, changes begin anew.
        return pl.DataFrame(schema=SIZES_SCHEMA)
    return changes.join(earlier.select("audience", size_before="size"), on="audience").with_columns(
        pl.lit(date.fromisoformat(yesterday.stem)).alias("before")
    )
