"""After a deletion: whoever was deleted may stand in tables of a run that had read everything before."""

import json
import time
from pathlib import Path

import polars as pl

from audience_pipeline.defs.erasure_tables import (
    BY_ROWS_OF_THE_PROFILE,
    IDS,
    Names,
    places,
    remove,
    tables_written,
)
from audience_pipeline.defs.lake import write_json
from audience_pipeline.identifiers.marks import Named
from audience_pipeline.settings import Settings
from audience_pipeline.sources.tombstones import KEY_NAME, Tombstones

WATCHED_SECONDS = 6 * 3600
"""For so long tables that are written are looked at: no run takes longer."""


def watch(settings: Settings) -> None:
    """Look at all tables that are written from now on."""
    write_json(_note(settings), {"since": time.time_ns(), "until": time.time() + WATCHED_SECONDS})


def written_since(settings: Settings) -> bool:
    """Whether tables were written since a deletion, or since they were looked at last."""
    said = _said(settings)
    return said is not None and any(True for _ in _new(settings.lake, int(said["since"])))


def sweep(settings: Settings) -> int:
    """Take deleted people out of tables that were written since, whom tombstones recognise.

    Returns:
        How many rows were removed.

    Raises:
        KeyMissingError: the key of the workspace is lost.
    """
    said = _said(settings)
    if said is None:
        return 0
    started, since = time.time_ns(), int(said["since"])
    new = list(_new(settings.lake, since))
    tombstones = Tombstones.of(settings.lake, settings.home / KEY_NAME) if new else None
    removed = 0
    if tombstones is not None:
        found = tombstones.found({Named.ID: [_ids(new)]}).values[Named.ID]
        names = Names({Named.ID: list(found)})
        for place in places(settings.lake, names, since=since) if found else ():
            remove(settings.lake, place, names)
            removed += place.rows if place.table not in BY_ROWS_OF_THE_PROFILE else 0
    if time.time() > float(said["until"]):
        _note(settings).unlink(missing_ok=True)
    else:
        write_json(_note(settings), {**said, "since": started})
    return removed


def _ids(paths: list[Path]) -> pl.Series:
    """Every id in some tables, once: the same people stand in most of them, and each mark takes its time."""
    columns = [
        pl.scan_parquet(path).select(pl.col(name).alias("id"))
        for path in paths
        for name in IDS
        if name in pl.read_parquet_schema(path)
    ]
    nothing = pl.LazyFrame(schema={"id": pl.String})
    return pl.concat([nothing, *columns]).unique().collect(engine="streaming")["id"]


def _new(lake: Path, since: int) -> list[Path]:
    return [path for path in tables_written(lake, since) if path.suffix == ".parquet"]


def _said(settings: Settings) -> dict[str, float] | None:
    path = _note(settings)
    if not path.is_file():
        return None
    said: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return said


def _note(settings: Settings) -> Path:
    return settings.lake / ".work" / "erasure_watch.json"
