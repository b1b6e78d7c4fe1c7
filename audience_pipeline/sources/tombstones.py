"""Tombstones: the keyed marks of erased people, by which landing knows them when a file brings them back."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import polars as pl
from filelock import FileLock

from audience_pipeline.identifiers.marks import KEY_BYTES, Marker, Named

KEY_NAME = "tombstones.key"
"""File in the workspace, readable by its owner alone. Without it tombstones recognise nobody."""
FILE = "tombstones.parquet"
SCHEMA = pl.Schema({"mark": pl.Binary, "shared": pl.Boolean})
"""``shared``: an address that somebody has as well who was not erased. It lands, and is never sent."""
_KEY = "key"


class KeyMissingError(Exception):
    """The key of the workspace is not there, or is not the one that was used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Found:
    """Which values of a table are those of erased people, by what they are."""

    values: Mapping[Named, frozenset[bytes | str]] = field(default_factory=dict, repr=False)

    def __bool__(self) -> bool:
        return any(self.values.values())


def read_key(path: Path) -> Marker:
    """The key of a workspace.

    Raises:
        KeyMissingError: there is none, others can read it, or it is no key.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        raise KeyMissingError(f"{path}: the key of the workspace is missing or cannot be read") from None
    if mode & 0o077:
        raise KeyMissingError(f"{path}: others can read the key of the workspace: chmod 600 {path}")
    try:
        return Marker.of(text)
    except ValueError:
        raise KeyMissingError(f"{path}: this is no key of a workspace: restore it from a backup") from None


def make_key(path: Path) -> Marker:
    """The key of a workspace; made where there is none, whole or not at all, and never made twice.

    Raises:
        KeyMissingError: there is a file, and it is no key or others can read it.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(KEY_BYTES) + "\n")
                file.flush()
                os.fsync(file.fileno())
            # A link fails where somebody else was quicker: their key is the key.
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(partial)
        finally:
            partial.unlink(missing_ok=True)
    return read_key(path)


def tombstones_path(lake: Path) -> Path:
    """Where the tombstones of a lake lie."""
    return lake / "erased" / FILE


class Tombstones:
    """The tombstones of a lake, and the key by which they recognise people."""

    def __init__(self, marker: Marker, table: pl.DataFrame) -> None:
        self._marker = marker
        self._gone = frozenset(table.filter(~pl.col("shared"))["mark"].to_list())
        self._shared = frozenset(table.filter("shared")["mark"].to_list())

    @classmethod
    def of(cls, lake: Path, key: Path | None) -> Self | None:
        """The tombstones of a lake; None where nobody was ever erased.

        Raises:
            KeyMissingError: there are tombstones, and not the key that they were made with.
        """
        path = tombstones_path(lake)
        if not path.is_file():
            return None
        try:
            if key is None:
                raise KeyMissingError("the key of the workspace was not given")
            marker = read_key(key)
        except KeyMissingError as error:
            raise KeyMissingError(f"{error}; {_lost(path)}") from None
        _refuse_another(path, marker)
        return cls(marker, pl.read_parquet(path))

    @property
    def shares(self) -> bool:
        """Whether any address of an erased person is somebody else's, too."""
        return bool(self._shared)

    def found(self, columns: Mapping[Named, list[pl.Series]]) -> Found:
        """Which of some values are those of erased people."""
        return Found(
            {
                named: frozenset(value for one in series for value in self._hits(named, one, self._gone))
                for named, series in columns.items()
            }
        )

    def is_shared(self, named: Named, values: pl.Series) -> pl.Series:
        """For each value, whether it is an address of an erased person that somebody else has, too."""
        hits = list(self._hits(named, values, self._shared)) if self._shared else []
        return values.is_in(pl.Series(hits, dtype=values.dtype).implode()).fill_null(value=False)

    def _hits(self, named: Named, values: pl.Series, wanted: frozenset[bytes]) -> Iterator[bytes | str]:
        there = values.drop_nulls().unique()
        make = self._marker.of_texts if values.dtype == pl.String else self._marker.marks
        for value, mark in zip(there, make(named, there), strict=True):
            if mark in wanted:
                yield value


def add(
    lake: Path, marker: Marker, gone: Mapping[Named, list[bytes | str]], shared: Mapping[Named, list[bytes]]
) -> int:
    """Put up tombstones; those that stand already are left. They are on the disk when this returns.

    Args:
        lake: the lake.
        marker: of the key of the workspace.
        gone: what names erased people and nobody else: texts of ids and devices, hashes of addresses.
        shared: addresses of theirs that somebody else has, too.

    Returns:
        How many there are now.

    Raises:
        KeyMissingError: those that stand were made with another key.
    """
    path = tombstones_path(lake)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    rows = [(mark, False) for named, values in gone.items() for mark in _marks(marker, named, values)]
    rows += [(mark, True) for named, values in shared.items() for mark in _marks(marker, named, values)]
    new = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    with FileLock(path.with_name(f".{FILE}.lock")):
        if path.is_file():
            _refuse_another(path, marker)
        known = pl.read_parquet(path) if path.is_file() else SCHEMA.to_frame()
        # In the order of the marks, which says nothing: those of one person do not stand together.
        table = pl.concat([known, new]).group_by("mark").agg(pl.col("shared").min()).sort("mark")
        partial = path.with_name(f".{FILE}.{secrets.token_hex(8)}.partial")
        try:
            table.select(list(SCHEMA)).write_parquet(partial, metadata={_KEY: marker.name})
            partial.chmod(0o600)
            synced(partial)
            partial.replace(path)
            synced(path.parent)
        finally:
            partial.unlink(missing_ok=True)
    return table.height


def synced(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lost(path: Path) -> str:
    return (
        "erased people could come back unnoticed. Restore the key from a backup. Where it is lost for good, "
        f"remove {path}: from then on a file that holds erased people brings them back"
    )


def _refuse_another(path: Path, marker: Marker) -> None:
    if pl.read_parquet_metadata(path).get(_KEY) != marker.name:
        raise KeyMissingError(
            f"the key of the workspace is not the one that tombstones were made with; {_lost(path)}"
        )


def _marks(marker: Marker, named: Named, values: list[bytes | str] | list[bytes]) -> list[bytes]:
    texts = [value for value in values if isinstance(value, str)]
    hashes = [value for value in values if isinstance(value, bytes)]
    return marker.of_texts(named, texts) + marker.marks(named, hashes)
