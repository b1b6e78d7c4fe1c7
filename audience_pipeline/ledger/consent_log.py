"""The log of everything that was ever stated about consent: written once, never changed, and provably so.

Entries lie in Parquet files (segments) of a folder, one per landing. The ledger holds their heads, chained
like the entries; a copy of the newest head lies beside the segments. The order of writing is: segment, the
ledger's row, the copy. A segment without a row belongs to a process that died, and is written again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from sqlalchemy import insert, select

from audience_pipeline.identifiers.marks import Marker
from audience_pipeline.ledger import consent_chain
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.schema import consent_log

FOLDER = "consent_log"
HEAD_COPY = "head.json"
PARTIAL = ".partial"
LOCK = "consent log"
STATEMENTS, REQUEST, SIGNALS, ERASURE = "statements", "request", "signals", "erasure"
"""Where entries come from: a landed file, a request on the command line, browsers, an erasure. An entry of an
erasure says in ``line`` which entry lost its names by it."""


@dataclass(frozen=True, slots=True)
class Head:
    """One segment as the ledger remembers it; hashes in hex."""

    sequence: int
    origin: str
    reference: str
    segment: str
    entries: int
    first_hash: str
    last_hash: str
    file_sha256: str
    appended_at: datetime
    head: str = ""

    def chained_to(self, previous: str) -> str:
        """The head that this record must have, after the head ``previous`` (empty for the first)."""
        said = {name: value for name, value in asdict(self).items() if name not in {"head", "appended_at"}}
        return consent_chain.head(previous, *said.values(), self.appended_at.isoformat())


def heads(ledger: Ledger) -> list[Head]:
    """The heads of all segments, in their order."""
    with ledger.reading() as connection:
        rows = connection.execute(select(consent_log).order_by(consent_log.c.sequence)).mappings()
        return [Head(**row) for row in rows]


def append(
    ledger: Ledger,
    folder: Path,
    origin: str,
    reference: str,
    stated: Callable[[], pl.DataFrame],
    marker: Marker | None = None,
) -> Head:
    """Append what was stated, unless the log has it already.

    Args:
        ledger: holds the heads.
        folder: of the segments; made when it is missing.
        origin: ``STATEMENTS``, ``REQUEST``, ``SIGNALS`` or ``ERASURE``.
        reference: the landing; origin and reference together are appended once.
        stated: gives the columns ``consent_chain.STATED``; asked only when they are not in the log.
        marker: as for ``consent_chain.segment``.

    Returns:
        The head of the segment that holds them.
    """
    with ledger.exclusive(LOCK):
        known = heads(ledger)
        for one in known:
            if (one.origin, one.reference) == (origin, reference):
                _copy_head(folder, known)
                return one
        last = known[-1] if known else None
        previous = bytes.fromhex(last.last_hash) if last else consent_chain.START
        rows = consent_chain.segment(
            stated(),
            origin,
            reference,
            after=sum(one.entries for one in known),
            previous=previous,
            marker=marker,
        )
        sequence = last.sequence + 1 if last else 1
        name = f"{sequence:08d}-{origin}-{reference}.parquet" if rows.height else ""
        made = Head(
            sequence=sequence,
            origin=origin,
            reference=reference,
            segment=name,
            entries=rows.height,
            first_hash=rows["entry_hash"][0].hex() if rows.height else "",
            last_hash=rows["entry_hash"][-1].hex() if rows.height else previous.hex(),
            file_sha256=write(folder, name, rows) if rows.height else "",
            appended_at=datetime.now(UTC),
        )
        made = replace(made, head=made.chained_to(last.head if last else ""))
        with ledger.begin() as connection:
            connection.execute(insert(consent_log), [asdict(made)])
        _copy_head(folder, [*known, made])
        return made


def copied_head(folder: Path) -> tuple[int, str] | None:
    """Sequence and head of the copy beside the segments; None where there is none that can be read."""
    try:
        said = json.loads((folder / HEAD_COPY).read_text(encoding="utf-8"))
        return int(said["sequence"]), str(said["head"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write(folder: Path, name: str, rows: pl.DataFrame) -> str:
    """Write a segment whole, then rename it; its digest. The lock is held."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in folder.glob(f"*{PARTIAL}"):
        left.unlink()
    partial = folder / (name + PARTIAL)
    rows.write_parquet(partial)
    return _put(partial, folder / name)


def _copy_head(folder: Path, known: list[Head]) -> None:
    newest = known[-1]
    copied = copied_head(folder)
    # A copy that the ledger does not know is evidence that its end was cut off, and stays.
    if copied is not None and copied not in {(one.sequence, one.head) for one in known[:-1]}:
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = folder / (HEAD_COPY + PARTIAL)
    partial.write_text(json.dumps({"sequence": newest.sequence, "head": newest.head}), encoding="utf-8")
    _put(partial, folder / HEAD_COPY)


def _put(partial: Path, target: Path) -> str:
    """Bring a written file to the disk, then into its place; its digest."""
    descriptor = os.open(partial, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    digest = file_sha256(partial)
    partial.replace(target)
    return digest
