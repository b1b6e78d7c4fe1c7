"""Who of the newest profile uploaded lists name: stored by a refresh, read by previews. Loads no Dagster."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping
from datetime import date
from pathlib import Path

import polars as pl

from audience_pipeline.defs.vocabulary import list_members
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind

FOLDER = "audience_lists"
"""One file, of the newest date alone: a column per list, a truth value per row of the profile."""
_MADE = "made"


def store_list_members(settings: Settings, as_of: date, names: Collection[str]) -> dict[str, pl.Series]:
    """As :func:`list_members_as_of`; besides, they are stored where no newer date is."""
    found = list_members_as_of(settings, as_of, names)
    folder = settings.lake / FOLDER
    stored = sorted(folder.glob("????-??-??.parquet"))
    if found and not any(path.stem > as_of.isoformat() for path in stored):
        folder.mkdir(exist_ok=True)
        path = folder / f"{as_of.isoformat()}.parquet"
        partial = folder / f".{uuid.uuid4().hex}.partial"
        try:
            made = json.dumps(_made(settings.lake, as_of, found))
            pl.DataFrame(found).write_parquet(partial, metadata={_MADE: made})
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        for before in stored:
            if before != path:
                before.unlink(missing_ok=True)
    return found


def list_members_as_of(settings: Settings, as_of: date, names: Collection[str]) -> dict[str, pl.Series]:
    """Who of the profile of a date uploaded lists name: per list, a truth value per row.

    Lists are read as they were stored; those that were not, or whose tables have changed since, are matched.

    Args:
        settings: the workspace.
        as_of: the date.
        names: lists that are there.
    """
    lake = settings.lake
    stored = lake / FOLDER / f"{as_of.isoformat()}.parquet"
    found: dict[str, pl.Series] = {}
    if stored.is_file():
        made = json.loads(pl.read_parquet_metadata(stored).get(_MADE, "{}"))
        now = _made(lake, as_of, names)
        known = [name for name in sorted(names) if _same(made, now, name)]
        if known:
            found = {column.name: column for column in pl.read_parquet(stored, columns=known)}
    missing = set(names) - set(found)
    if missing:
        people = _table(lake, "identities", as_of)
        customers = pl.read_parquet(_table(lake, "customer_profile", as_of), columns=["customer_id"])
        named = list_members(
            settings,
            missing,
            as_of=as_of,
            identifiers=pl.read_parquet(_table(lake, "identifiers", as_of)),
            identities=pl.read_parquet(people) if people.is_file() else None,
            customers=customers["customer_id"],
        )
        for name, ids in named.items():
            found[name] = customers["customer_id"].is_in(ids.implode()).alias(name)
    return found


def customers_found(settings: Settings, name: str) -> tuple[date, int] | None:
    """The newest date that has a profile, and how many of its customers an uploaded list names.

    None where there is no date yet.
    """
    profiles = sorted((settings.lake / "customer_profile").glob("????-??-??.parquet"))
    if not profiles or not (settings.lake / "identifiers" / profiles[-1].name).is_file():
        return None
    day = date.fromisoformat(profiles[-1].stem)
    return day, int(list_members_as_of(settings, day, [name])[name].sum())


def _same(made: Mapping[str, object], now: Mapping[str, object], name: str) -> bool:
    return all(made.get(key) == now[key] for key in (*_TABLES, *_LANDED, f"list {name}"))


_TABLES = ("customer_profile", "identifiers", "identities")
_LANDED = (Kind.CRM.dataset, Kind.ENGAGEMENT.dataset)
"""Where addresses are found that people had before."""


def _made(lake: Path, as_of: date, names: Collection[str]) -> Mapping[str, list[int] | None]:
    """Size and time of all that the answer is made of: what changes is written anew."""
    paths = {name: _table(lake, name, as_of) for name in _TABLES}
    paths |= {f"list {name}": lake / "lists" / f"{name}.parquet" for name in names}
    found: dict[str, list[int] | None] = {}
    for name in _LANDED:
        landed = [file.stat() for file in (lake / name).glob("*.parquet")]
        found[name] = [
            sum(one.st_size for one in landed),
            max((one.st_mtime_ns for one in landed), default=0),
        ]
    for name, path in paths.items():
        status = path.stat() if path.is_file() else None
        found[name] = None if status is None else [status.st_size, status.st_mtime_ns]
    return found


def _table(lake: Path, name: str, as_of: date) -> Path:
    return lake / name / f"{as_of.isoformat()}.parquet"
