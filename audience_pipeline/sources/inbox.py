"""The inbox: files that wait to be landed, and the sealed archive that they go to afterwards."""

from __future__ import annotations

import hashlib
import os
import stat
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.survey import BLOCK

_UNFINISHED = (".partial", ".tmp", ".part", ".crdownload", "~")
_SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet")
_TIME = "%Y%m%dT%H%M%S"
SETTLED_SECONDS = 5.0
"""A file that was written to more recently may still be on its way."""


def waiting(
    inbox: Path, *, settled_seconds: float = SETTLED_SECONDS, now: datetime | None = None
) -> list[tuple[Kind, Path]]:
    """Files in ``<inbox>/<kind>/``, by kind and name. Hidden files and those still being written are not.

    Args:
        inbox: the folder; it may be missing.
        settled_seconds: how long ago a file must have been written to last.
        now: the time; UTC.
    """
    moment = (now or datetime.now(UTC)).timestamp()
    return [
        (kind, path)
        for kind in Kind
        for path in sorted((inbox / kind.value).glob("*"))
        if not path.name.startswith(".")
        and not path.name.endswith(_UNFINISHED)
        and _is_settled(path, settled_seconds, moment)
    ]


def _is_settled(path: Path, seconds: float, now: float) -> bool:
    try:
        seen = path.lstat()
    except FileNotFoundError:
        return False
    # Links are refused at landing, aloud.
    if not stat.S_ISREG(seen.st_mode) and not stat.S_ISLNK(seen.st_mode):
        return False
    # A time to come was copied from elsewhere; when the file system saw the last change is as good.
    written = seen.st_mtime if seen.st_mtime <= now else min(seen.st_mtime, seen.st_ctime)
    return now - written >= seconds


def archive(
    path: Path,
    archive_dir: Path,
    *,
    landed_sha256: str | None = None,
    kind: Kind | None = None,
    now: datetime | None = None,
    keep: bool = True,
) -> Path | None:
    """Move a landed file into the sealed archive (folder 0700, files 0600).

    Its name there is the time, the kind, the beginning of its SHA-256 and its suffix: the original name
    can hold personal data.

    Args:
        path: the file.
        archive_dir: made when it is missing.
        landed_sha256: digest of what was landed (``LandingReport.file_sha256``).
        kind: by default the name of the file's folder.
        now: the time of landing; UTC.
        keep: False deletes it instead.

    Returns:
        Where it is now. None when it was deleted, or left where it is, to be landed again: it is not what was
        landed, somebody went on writing while it was copied, or it is gone or a link.
    """
    archive_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    archive_dir.chmod(0o700)
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    prefix = f"{moment:{_TIME}}-{kind or Kind(path.parent.name)}"
    # Named like the others, so that a copy that a crash left behind is purged with them.
    copy = archive_dir / f"{prefix}-{uuid.uuid4().hex[:12]}.partial"
    source = _opened(path)
    if source is None:
        return None
    with source:
        before = _state(os.fstat(source.fileno()))
        try:
            digest = _copied(source, copy)
            is_landed = landed_sha256 is None or digest == landed_sha256
            if not is_landed or not _is_still(path, source, before):
                return None
            suffixes = (suffix.lower() for suffix in path.suffixes[-2:])
            kept = "".join(suffix for suffix in suffixes if suffix in (*_SUFFIXES, ".gz"))
            target = archive_dir / f"{prefix}-{digest[:12]}{kept}"
            if keep:
                copy.replace(target)
            path.unlink()
        finally:
            copy.unlink(missing_ok=True)
    return target if keep else None


def _opened(path: Path) -> BinaryIO | None:
    if path.is_symlink():
        return None
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _copied(source: BinaryIO, copy: Path) -> str:
    """Copy to the end of the file; the SHA-256 of what was copied, in hex."""
    digest = hashlib.sha256()
    descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        while block := source.read(BLOCK):
            digest.update(block)
            target.write(block)
        target.flush()
        os.fsync(target.fileno())
    return digest.hexdigest()


def _is_still(path: Path, source: BinaryIO, before: tuple[int, ...]) -> bool:
    """Whether the open file is as it was, and still the one of that name."""
    try:
        return _state(os.fstat(source.fileno())) == before == _state(path.lstat())
    except FileNotFoundError:
        return False


def _state(seen: os.stat_result) -> tuple[int, ...]:
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns


def purge(archive_dir: Path, older_than_days: int, now: datetime | None = None) -> int:
    """Delete archived files that were landed more than ``older_than_days`` days ago; how many they were."""
    limit = (now or datetime.now(UTC)).astimezone(UTC) - timedelta(days=older_than_days)
    deleted = 0
    for path in sorted(archive_dir.glob("*")):
        try:
            landed = datetime.strptime(path.name.split("-")[0], _TIME).replace(tzinfo=UTC)
        except ValueError:
            continue
        if landed <= limit:
            path.unlink()
            deleted += 1
    return deleted
