"""Where erased people stand in the lake, and the files without them. Loads no Dagster."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, reduce
from operator import or_
from pathlib import Path
from typing import Literal

import polars as pl
from filelock import FileLock
from pyroaring import BitMap

from audience_pipeline.identifiers.marks import Named
from audience_pipeline.identifiers.text import digest
from audience_pipeline.sources.contract import LANDED, Kind
from audience_pipeline.sources.erased import of_erased, without_theirs
from audience_pipeline.sources.tombstones import Found, synced

IDS = ("customer_id", "source_id", "other_id", "person_key")
"""Columns of tables of ours in which the ids of people stand."""
BY_ROWS_OF_THE_PROFILE = ("audience_standing", "audience_lists", "audience_activity")
"""Tables without ids: whoever needs one makes it anew where it is missing."""
MEMBERSHIPS, NUMBERS, LISTS = "audience_memberships", "customer_numbers", "lists"
_NOT_WALKED = frozenset(
    {
        *BY_ROWS_OF_THE_PROFILE,
        *(kind.dataset for kind in Kind),
        *(MEMBERSHIPS, LISTS, "consent_log", "quarantine", "delivered", "erased"),
    }
)
_PARTIAL = ".without.partial"
_PROFILE, _IDENTITIES = "customer_profile", "identities"


@dataclass(frozen=True)
class Names:
    """What erased people are called, and nobody else."""

    values: Mapping[Named, list[bytes | str]] = field(repr=False)

    @cached_property
    def found(self) -> Found:
        """For landed tables."""
        return Found({named: frozenset(values) for named, values in self.values.items()})

    @cached_property
    def ids(self) -> frozenset[str]:
        """For tables of ours."""
        return frozenset(str(one) for one in self.values.get(Named.ID, []))

    @cached_property
    def listed(self) -> Mapping[str, list[bytes]]:
        """For uploaded lists: kind of entry to the values that stand for them."""
        kinds = {
            "customer_id": Named.ID,
            "email": Named.EMAIL,
            "phone": Named.PHONE,
            "device_id": Named.DEVICE,
        }
        return {
            kind: [one if isinstance(one, bytes) else digest(one) for one in self.values.get(named, [])]
            for kind, named in kinds.items()
        }


@dataclass(frozen=True, slots=True)
class Place:
    """One file that holds erased people."""

    path: Path
    table: str
    rows: int
    """Rows of theirs, or memberships."""


Step = Callable[[str], None]


def places(lake: Path, names: Names, *, since: int = 0) -> Iterator[Place]:
    """Every file that holds some of the people, with how many rows; in the order in which they are to go.

    What others are made from comes last, so that a deletion that is killed can be begun anew.

    Args:
        lake: the folder of the tables.
        names: of the people.
        since: only files that were written later, in nanoseconds.
    """
    for path in _files(lake, since):
        table = _table(lake, path)
        rows = rows_of(lake, path, names)
        if rows:
            yield Place(path, table, rows)


def remove(lake: Path, place: Place, names: Names) -> None:
    """Write a file anew without the people. Done whole or not at all; doing it again changes nothing."""
    match place.table:
        case table if table in BY_ROWS_OF_THE_PROFILE:
            if place.path.is_dir():
                shutil.rmtree(place.path, ignore_errors=True)
            place.path.unlink(missing_ok=True)
        case "audience_memberships":
            _rewritten(place.path, lambda: _without_members(lake, place.path, names), compress=False)
        case "customer_numbers":
            with FileLock(place.path.with_name(f".{place.path.name}.lock")):
                gone = pl.col("person_key").is_in(list(names.ids))
                kept = pl.when(~gone).then("person_key").alias("person_key")
                _rewritten(place.path, lambda: pl.scan_parquet(place.path).with_columns(kept))
        case "lists":
            with FileLock(place.path.parent / ".lock"):
                _rewritten(place.path, lambda: pl.scan_parquet(place.path).filter(~_entry(names)))
        case table if (kind := _kind(table)) is not None:
            with FileLock(lake / ".work" / f"{table}.lock", thread_local=False):
                _rewritten(place.path, lambda: _landed(kind, place.path, names))
        case _:
            _rewritten(place.path, lambda: pl.scan_parquet(place.path).filter(~_of(lake, place.path, names)))


def _files(lake: Path, since: int) -> Iterator[Path]:
    """All files that can hold people; memberships need the profile, and that the identities of its date."""
    for table in BY_ROWS_OF_THE_PROFILE:
        yield from _newer((lake / table).glob("*"), since)
    yield from _newer((lake / MEMBERSHIPS).glob("*.parquet"), since)
    yield from tables_written(lake, since)
    yield from _newer((lake / LISTS).glob("*.parquet"), since)
    for kind in Kind:
        yield from _newer((lake / kind.dataset).glob("*.parquet"), since)


def tables_written(lake: Path, since: int = 0) -> Iterator[Path]:
    """Tables of ours with ids in them that were written after a moment, in nanoseconds; identities last."""
    tables = sorted(path for path in lake.iterdir() if path.is_dir() and path.name not in _NOT_WALKED)
    last = [lake / name for name in (_PROFILE, _IDENTITIES) if (lake / name) in tables]
    for folder in [one for one in tables if one not in last and not one.name.startswith(".")] + last:
        yield from _newer(folder.glob("*.parquet"), since)
    yield from _newer(lake.glob("*.parquet"), since)


def _newer(found: Iterable[Path], since: int) -> Iterator[Path]:
    for path in sorted(found):
        with contextlib.suppress(FileNotFoundError):
            if not path.name.startswith(".") and path.stat().st_mtime_ns > since:
                yield path


def _table(lake: Path, path: Path) -> str:
    inside = path.relative_to(lake).parts
    return inside[0] if len(inside) > 1 else path.stem


def _kind(table: str) -> Kind | None:
    return next((kind for kind in Kind if kind.dataset == table), None)


def rows_of(lake: Path, path: Path, names: Names) -> int:
    """How many rows (or memberships) of the people a file holds."""
    table = _table(lake, path)
    if table in BY_ROWS_OF_THE_PROFILE:
        return 1
    if table == MEMBERSHIPS:
        numbers = _numbers(lake, path, names)
        members = pl.read_parquet(path, columns=["members"])["members"]
        return sum(BitMap.deserialize(one).intersection_cardinality(numbers) for one in members)
    scanned = pl.scan_parquet(path)
    if table == NUMBERS:
        hit = pl.col("person_key").is_in(list(names.ids))
    elif table == LISTS:
        hit = _entry(names)
    elif (kind := _kind(table)) is not None:
        scanned = _as_landed(kind, path)
        hit = of_erased(kind, names.found) | _cleaned(kind, names)
    else:
        hit = _of(lake, path, names)
    return int(scanned.select(hit.fill_null(value=False).sum()).collect(engine="streaming").item())


def _of(lake: Path, path: Path, names: Names) -> pl.Expr:
    """Whether a row of a table of ours is about one of the people."""
    there = [name for name in IDS if name in pl.read_parquet_schema(path)]
    ids = list(_ids_on(lake, path, names)) if there else []
    hits = [pl.col(name).is_in(ids).fill_null(value=False) for name in there]
    return reduce(or_, hits, pl.lit(value=False))


def _ids_on(lake: Path, path: Path, names: Names) -> frozenset[str]:
    """The ids of the people, and of the customers whom they were held for on the date of a table."""
    people = lake / _IDENTITIES / path.name
    if path.parent == lake or not people.is_file():
        return names.ids
    same = pl.scan_parquet(people).filter(pl.col("source_id").is_in(list(names.ids))).select("customer_id")
    return names.ids | frozenset(same.unique().collect()["customer_id"].drop_nulls())


def _numbers(lake: Path, path: Path, names: Names) -> BitMap:
    found = []
    numbering, profile = lake / f"{NUMBERS}.parquet", lake / _PROFILE / path.name
    if numbering.is_file():
        found.append(pl.scan_parquet(numbering).filter(pl.col("person_key").is_in(list(names.ids))))
    if profile.is_file() and "customer_no" in pl.read_parquet_schema(profile):
        found.append(pl.scan_parquet(profile).filter(_of(lake, profile, names)))
    numbers = [one.select("customer_no").collect()["customer_no"].drop_nulls().to_list() for one in found]
    return BitMap(number for some in numbers for number in some)


def _without_members(lake: Path, path: Path, names: Names) -> pl.DataFrame:
    gone = _numbers(lake, path, names)
    table = pl.read_parquet(path)
    members = [BitMap.deserialize(one) - gone for one in table["members"]]
    holdout = [BitMap.deserialize(one) - gone for one in table["holdout"]]
    contents = [one.serialize() for one in members]
    return table.with_columns(
        pl.Series("size", [len(one) for one in members], dtype=table.schema["size"]),
        pl.Series("held_out", [len(one) for one in holdout], dtype=table.schema["held_out"]),
        pl.Series("members", contents, dtype=pl.Binary),
        pl.Series("holdout", [one.serialize() for one in holdout], dtype=pl.Binary),
        pl.Series("digest", [hashlib.sha256(one).hexdigest() for one in contents], dtype=pl.String),
    )


def _entry(names: Names) -> pl.Expr:
    """Whether an entry of an uploaded list stands for one of the people."""
    hits = [
        (pl.col("kind") == kind) & pl.col("value").is_in(values)
        for kind, values in names.listed.items()
        if values
    ]
    return reduce(or_, hits, pl.lit(value=False))


def _as_landed(kind: Kind, path: Path) -> pl.LazyFrame:
    """A landed file; null where it is older than a column."""
    absent = set(LANDED[kind]) - set(pl.read_parquet_schema(path))
    return pl.scan_parquet(path).with_columns(
        pl.lit(None, LANDED[kind][name]).alias(name) for name in sorted(absent)
    )


def _landed(kind: Kind, path: Path, names: Names) -> pl.LazyFrame:
    columns = list(pl.read_parquet_schema(path))
    left = _as_landed(kind, path).filter(~of_erased(kind, names.found))
    return left.with_columns(without_theirs(kind, names.found)).select(columns)


def _cleaned(kind: Kind, names: Names) -> pl.Expr:
    """Whether a landed row of somebody else holds a card, a browser or a device of one of the people."""
    after = without_theirs(kind, names.found)
    hits = [pl.col(one.meta.output_name()).ne_missing(one) for one in after]
    return reduce(or_, hits, pl.lit(value=False))


def _rewritten(path: Path, make: Callable[[], pl.DataFrame | pl.LazyFrame], *, compress: bool = True) -> None:
    """Write a file anew next to itself, bring it to the disk, and put it in its place; what it says stays."""
    if not path.is_file():
        return
    said = {name: text for name, text in pl.read_parquet_metadata(path).items() if name != "ARROW:schema"}
    for left in path.parent.glob(f".{path.name}.*{_PARTIAL}"):
        left.unlink(missing_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}{_PARTIAL}")
    mode = path.stat().st_mode & 0o777
    try:
        frame = make()
        compression: Literal["zstd", "uncompressed"] = "zstd" if compress else "uncompressed"
        if isinstance(frame, pl.LazyFrame):
            frame.sink_parquet(partial, metadata=said, compression=compression)
        else:
            frame.write_parquet(partial, metadata=said, compression=compression)
        partial.chmod(mode)
        synced(partial)
        partial.replace(path)
        synced(path.parent)
    finally:
        partial.unlink(missing_ok=True)
