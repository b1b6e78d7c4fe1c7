"""Which files have landed: the memory that keeps a file from counting twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, text

from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.schema import landings


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Landing:
    """One file of one kind that has landed. Counts are rows; dates are days of the shop."""

    landing_id: str
    """First 16 hex digits of ``file_sha256``; the name of its Parquet file."""
    kind: str
    file_name: str
    file_sha256: str
    rows_read: int
    rows_landed: int
    rows_known: int = 0
    rows_repeated: int = 0
    rows_quarantined: int = 0
    first_date: date | None = None
    last_date: date | None = None
    currency: str | None = None
    report: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: notices and counts, never a value of a row."""
    landed_at: datetime = field(default_factory=_now)
    sequence: int = 0
    """Order of landing, from 1; given by :func:`record`."""


def committed(ledger: Ledger, kind: str | None = None) -> list[Landing]:
    """Every landing (of ``kind``), in the order in which they landed."""
    query = select(landings).order_by(landings.c.sequence)
    if kind is not None:
        query = query.where(landings.c.kind == str(kind))
    with ledger.reading() as connection:
        return [Landing(**row) for row in connection.execute(query).mappings()]


def find(ledger: Ledger, kind: str, sha256: str) -> Landing | None:
    """The landing of the file with these contents, or None when it never landed as ``kind``."""
    with ledger.reading() as connection:
        return _find(connection, kind, sha256)


def record(ledger: Ledger, landing: Landing) -> Landing:
    """Commit a landing and return it with its sequence; one that is there already is returned as it is."""
    with ledger.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE landings IN EXCLUSIVE MODE"))
        known = _find(connection, landing.kind, landing.file_sha256)
        if known is not None:
            return known
        last = connection.execute(select(func.max(landings.c.sequence))).scalar() or 0
        numbered = replace(landing, kind=str(landing.kind), report=dict(landing.report), sequence=last + 1)
        connection.execute(insert(landings), [asdict(numbered)])
        return numbered


def _find(connection: Connection, kind: str, sha256: str) -> Landing | None:
    query = select(landings).where(landings.c.kind == str(kind), landings.c.file_sha256 == sha256)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else Landing(**row)
