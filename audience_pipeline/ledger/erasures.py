"""What became of each request to erase people: counts and moments alone, nothing of the people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, select

from audience_pipeline.ledger.rows import field_values, upsert
from audience_pipeline.ledger.schema import erasures as table


class ErasureState(StrEnum):
    """How far an erasure has come."""

    REQUESTED = "requested"
    REMOVED = "removed"
    """No platform holds the people any more, or nothing more can be asked of it."""
    DELETED = "deleted"
    """Nothing of them is left here but the tombstones that keep them from coming back."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """One request."""

    request_id: str
    """Where the request landed."""
    requested_at: datetime
    state: ErasureState = ErasureState.REQUESTED
    removed_at: datetime | None = None
    deleted_at: datetime | None = None
    tombstones: int = 0
    """Keyed marks that keep the people from coming back."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """Table to the number of rows that were deleted."""


def put(connection: Connection, erasure: Erasure) -> None:
    """Write what is known of a request over what was known."""
    plain = {"state": erasure.state.value, "rows": dict(erasure.rows)}
    upsert(connection, table, [{**field_values(erasure, but=set(plain)), **plain}])


def erasures(connection: Connection, request_id: str | None = None) -> list[Erasure]:
    """Every request (of that id), earliest first."""
    query = select(table).order_by(table.c.requested_at, table.c.request_id)
    if request_id is not None:
        query = query.where(table.c.request_id == request_id)
    return [
        Erasure(**{**row, "state": ErasureState(row["state"])})
        for row in connection.execute(query).mappings()
    ]
