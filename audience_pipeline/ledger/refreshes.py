"""Which as-of dates are complete, and which of them a later landing has made stale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import delete, exists, insert, select

from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.schema import landings, refreshes


@dataclass(frozen=True, slots=True)
class Refresh:
    """An as-of date whose tables are complete up to the landing ``landing_sequence``."""

    as_of: date
    landing_sequence: int
    completed_at: datetime
    details: Mapping[str, Any]


def record(
    ledger: Ledger, as_of: date, landing_sequence: int, details: Mapping[str, Any] | None = None
) -> Refresh:
    """Commit that ``as_of`` is complete; a repeated refresh replaces the earlier one."""
    refresh = Refresh(as_of, landing_sequence, datetime.now(UTC), dict(details or {}))
    with ledger.begin() as connection:
        connection.execute(delete(refreshes).where(refreshes.c.as_of == as_of))
        connection.execute(
            insert(refreshes),
            [
                {
                    "as_of": refresh.as_of,
                    "landing_sequence": refresh.landing_sequence,
                    "completed_at": refresh.completed_at,
                    "details": refresh.details,
                }
            ],
        )
    return refresh


def completed(ledger: Ledger) -> list[Refresh]:
    """Every completed refresh, earliest as-of date first."""
    with ledger.reading() as connection:
        rows = connection.execute(select(refreshes).order_by(refreshes.c.as_of)).mappings()
        return [Refresh(**row) for row in rows]


def stale(ledger: Ledger) -> list[date]:
    """As-of dates that a later landing brought rows for: they should be refreshed again."""
    later = exists().where(
        landings.c.sequence > refreshes.c.landing_sequence,
        landings.c.first_date <= refreshes.c.as_of,
        landings.c.rows_landed > 0,
    )
    with ledger.reading() as connection:
        return list(
            connection.execute(select(refreshes.c.as_of).where(later).order_by(refreshes.c.as_of)).scalars()
        )
