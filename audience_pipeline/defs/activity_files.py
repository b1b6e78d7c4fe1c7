"""What customers did, by rows of the newest profile: stored by a refresh, loaded by previews.

Loads no Dagster.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

import polars as pl

from audience_pipeline.audiences.activity_counts import Asked
from audience_pipeline.audiences.activity_files import made_from, read_activity_files, write_activity_files
from audience_pipeline.audiences.activity_table import Activity
from audience_pipeline.customers.mapped import merged_activity, rows_of

FOLDER = "audience_activity"
"""One folder per writing, ``<date>.<unique>``, of the newest date alone: no file in it ever changes."""
LEFT_BEHIND_SECONDS = 24 * 3600


def store_activity(lake: Path, as_of: date) -> None:
    """Store the activity up to a date by rows of its profile, and remove what was stored before.

    Nothing is done where a newer date is stored, or this one of the same tables.
    """
    stored = list(_stored(lake))
    if any(day > as_of for day, _ in stored) or _folder(lake, as_of) is not None:
        return
    home, name = lake / FOLDER, f"{as_of.isoformat()}.{uuid.uuid4().hex}"
    partial = home / f".{name}"
    partial.mkdir(parents=True)
    try:
        made = _fingerprint(lake, as_of)
        customers = _customers(lake, as_of)
        people = _identities(lake, as_of)
        write_activity_files(
            partial,
            _mart(lake),
            rows_of(customers, pl.scan_parquet(people) if people.is_file() else None),
            as_of,
            rows=customers.len(),
            made=made,
        )
        partial.rename(home / name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    for _, before in stored:
        shutil.rmtree(before, ignore_errors=True)
    for left in home.glob(".*"):
        if time.time() - left.stat().st_mtime > LEFT_BEHIND_SECONDS:
            shutil.rmtree(left, ignore_errors=True)


def activity_as_of(lake: Path, as_of: date, asked: Asked) -> Activity:
    """What of the activity up to a date conditions ask for, by rows of the profile of that date.

    Of the newest date it is read as it was stored; of others, and where a table has changed since, it is made
    of the mart.
    """
    folder = _folder(lake, as_of)
    if folder is not None:
        try:
            return read_activity_files(folder, **asked)
        except (OSError, pl.exceptions.PolarsError):
            # A refresh that ends at this moment takes the folder away.
            pass
    activity, people = pl.scan_parquet(_mart(lake)), _identities(lake, as_of)
    if people.is_file():
        activity = merged_activity(activity, pl.scan_parquet(people))
    return Activity.of(activity, _customers(lake, as_of), as_of, **asked)


def _stored(lake: Path) -> Iterator[tuple[date, Path]]:
    for folder in sorted((lake / FOLDER).glob("????-??-??.*")):
        yield date.fromisoformat(folder.name.partition(".")[0]), folder


def _folder(lake: Path, as_of: date) -> Path | None:
    """Where the activity of a date is stored as the tables are now."""
    for day, folder in _stored(lake):
        if day == as_of:
            try:
                made = made_from(folder)
            except (OSError, pl.exceptions.PolarsError):
                continue
            if all(made.get(name) == said for name, said in _fingerprint(lake, as_of).items()):
                return folder
    return None


def _fingerprint(lake: Path, as_of: date) -> Mapping[str, list[int] | None]:
    """Size and time of the tables that the activity is made of; a table is always written anew."""
    tables = {"profile": _profile(lake, as_of), "mart": _mart(lake), "identities": _identities(lake, as_of)}
    found: dict[str, list[int] | None] = {}
    for name, path in tables.items():
        status = path.stat() if path.is_file() else None
        found[name] = None if status is None else [status.st_size, status.st_mtime_ns]
    return found


def _customers(lake: Path, as_of: date) -> pl.Series:
    return pl.read_parquet(_profile(lake, as_of), columns=["customer_id"])["customer_id"]


def _profile(lake: Path, as_of: date) -> Path:
    return lake / "customer_profile" / f"{as_of.isoformat()}.parquet"


def _identities(lake: Path, as_of: date) -> Path:
    return lake / "identities" / f"{as_of.isoformat()}.parquet"


def _mart(lake: Path) -> Path:
    return lake / "customer_activity.parquet"
