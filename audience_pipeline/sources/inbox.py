"""The inbox: files that wait to be landed, and the sealed archive that they go to afterwards."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.survey import sha256

_UNFINISHED = (".partial", ".tmp", ".part", ".crdownload", "~")
_SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet")
_TIME = "%Y%m%dT%H%M%S"


def waiting(inbox: Path) -> list[tuple[Kind, Path]]:
    """Files in ``<inbox>/<kind>/``, by kind and name. Hidden files and those still being written are not."""
    return [
        (kind, path)
        for kind in Kind
        for path in sorted((inbox / kind.value).glob("*"))
        if path.is_file() and not path.name.startswith(".") and not path.name.endswith(_UNFINISHED)
    ]


def archive(path: Path, archive_dir: Path, *, kind: Kind | None = None, now: datetime | None = None) -> Path:
    """Move a landed file into the sealed archive (folder 0700, files 0600).

    Its name there is the time, the kind, the beginning of its SHA-256 and its suffix: the original name
    can hold personal data.

    Args:
        path: the file.
        archive_dir: made when it is missing.
        kind: by default the name of the file's folder.
        now: the time of landing; UTC.
    """
    archive_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    archive_dir.chmod(0o700)
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    kept = "".join(suffix for suffix in path.suffixes[-2:] if suffix.lower() in (*_SUFFIXES, ".gz")).lower()
    name = f"{moment:{_TIME}}-{kind or Kind(path.parent.name)}-{sha256(path)[:12]}{kept}"
    partial, target = archive_dir / f".{name}.partial", archive_dir / name
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as copy, path.open("rb") as source:
        shutil.copyfileobj(source, copy)
        copy.flush()
        os.fsync(copy.fileno())
    partial.replace(target)
    path.unlink()
    return target


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
