"""Parquet files that the ledger points to: whole and on the disk before it does, and checked when read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import file_digest, sha256
from io import BytesIO
from pathlib import Path
from time import time
from uuid import uuid4

import polars as pl

from audience_pipeline.ledger.database import LedgerError

PARTIAL = ".partial"


@dataclass(frozen=True, slots=True)
class Written:
    """A file as the ledger remembers it. ``file`` is its path below the folder, empty without rows."""

    file: str = ""
    sha256: str = ""
    rows: int = 0


class DamagedFileError(LedgerError):
    """A file that the ledger points to is missing or was changed; the message says what to do."""


def write(folder: Path, below: str, frame: pl.DataFrame) -> Written:
    """Write rows to a new file of ``folder / below``, which survives a power cut once this returns.

    Whoever is killed before the ledger points to the file leaves an orphan behind: see :func:`orphans`.

    Raises:
        LedgerError: the disk is full, or the folder cannot be written.
    """
    if not frame.height:
        return Written()
    file = f"{below}/{uuid4().hex}.parquet"
    try:
        digest = _write(folder / file, frame)
    except (OSError, pl.exceptions.ComputeError) as error:
        why = getattr(error, "strerror", None) or "is the disk full?"
        raise LedgerError(
            f"The folder {folder} cannot be written ({why}): make room there, or give this user the right to "
            "write. The next run goes on where this one has stopped."
        ) from None
    return Written(file, digest, frame.height)


def _write(target: Path, frame: pl.DataFrame) -> str:
    """The digest of a file that is whole and on the disk."""
    _make(target.parent)
    partial = target.with_name(target.name + PARTIAL)
    try:
        frame.write_parquet(partial, compression="zstd", statistics=False)
        with partial.open("rb") as stream:
            digest = file_digest(stream, "sha256").hexdigest()
            os.fsync(stream.fileno())
        partial.chmod(0o600)
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync(target.parent)
    return digest


def read(folder: Path, written: Written, what: str, otherwise: str) -> pl.DataFrame:
    """The rows of a file, exactly as they were written.

    Args:
        folder: of the files.
        written: what the ledger says.
        what: for the message of an error: what the file holds.
        otherwise: for the same: what to do without a backup.

    Raises:
        FileNotFoundError: it is not there (any more).
        DamagedFileError: it is not as it was written.
    """
    try:
        contents = (folder / written.file).read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        why = f"cannot be read ({error.strerror or type(error).__name__})"
        raise damaged(folder, written, what, why, otherwise) from None
    if sha256(contents).hexdigest() != written.sha256:
        raise damaged(folder, written, what, "was changed", otherwise)
    return pl.read_parquet(BytesIO(contents))


def damaged(folder: Path, written: Written, what: str, how: str, otherwise: str) -> DamagedFileError:
    """The error for a file that cannot be used; ``otherwise`` is what to do without a backup."""
    return DamagedFileError(
        f"The file {folder / written.file} with {what} {how}. Restore {folder} and the ledger from backups "
        f"of the same time. Without a backup, {otherwise}: the next delivery makes anew what is gone."
    )


def discard(folder: Path, files: Iterable[str]) -> None:
    """Remove files that the ledger points to no more."""
    for file in files:
        if file:
            (folder / file).unlink(missing_ok=True)


def orphans(folder: Path, older_than: float) -> list[str]:
    """Files, by their path below the folder, that were written more than ``older_than`` seconds ago."""
    latest = time() - older_than
    found = []
    for path in sorted(folder.rglob("*.parquet*")):
        try:
            if path.is_file() and path.stat().st_mtime <= latest:
                found.append(path.relative_to(folder).as_posix())
        except FileNotFoundError:
            continue
    return found


def _make(folder: Path) -> None:
    """Make a folder so that it survives a power cut, too."""
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
