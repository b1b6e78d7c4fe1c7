"""What became of the audiences that were delivered: people and match rates, for expectations of the next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, select

from audience_pipeline.ledger.records import DeliveryState
from audience_pipeline.ledger.schema import deliveries, platform_audiences

_DONE = (DeliveryState.SETTLED, DeliveryState.UNCHANGED, DeliveryState.PROCESSING)


@dataclass(frozen=True, slots=True)
class KnownRate:
    """The match rate of one audience on one platform, as it was last read."""

    platform: str
    audience: str
    people: int
    """Wanted by the newest delivery after which nothing was left to send."""
    low: float
    high: float
    """Bounds, 0 to 1."""


def known_rates(connection: Connection) -> Sequence[KnownRate]:
    """The match rate of every audience on every platform that is known to have one, by platform and name."""
    key = ("platform", "account", "audience")
    done = deliveries.c.state.in_([state.value for state in _DONE])
    newest = (
        select(*(deliveries.c[name] for name in key), func.max(deliveries.c.started_at).label("at"))
        .where(done)
        .group_by(*(deliveries.c[name] for name in key))
        .subquery()
    )
    known = platform_audiences
    query = (
        select(
            known.c.platform,
            known.c.audience,
            func.sum(deliveries.c.wanted),
            func.avg(known.c.match_rate_low),
            func.avg(known.c.match_rate_high),
        )
        .join(newest, and_(*(newest.c[name] == known.c[name] for name in key)))
        .join(
            deliveries,
            and_(
                *(deliveries.c[name] == known.c[name] for name in key),
                deliveries.c.started_at == newest.c.at,
                done,
            ),
        )
        .where(known.c.match_rate_low.is_not(None), known.c.match_rate_high.is_not(None))
        .group_by(known.c.platform, known.c.audience)
        .order_by(known.c.platform, known.c.audience)
    )
    rows: Iterable[Any] = connection.execute(query)
    return [KnownRate(*row) for row in rows]
