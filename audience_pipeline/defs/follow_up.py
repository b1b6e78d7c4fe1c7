"""What deliveries have left for the next one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select

from audience_pipeline.ledger import schema
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.records import BatchState, DeliveryState

UNFINISHED = (
    DeliveryState.RUNNING,
    DeliveryState.PROCESSING,
    DeliveryState.INCOMPLETE,
    DeliveryState.INTERRUPTED,
)
"""Another run gets further. One that is held waits for somebody, one that has failed for the next day."""


def unfinished(ledger: Ledger, since: datetime) -> list[str]:
    """Platforms on which something that was begun is not done.

    Args:
        ledger: the ledger.
        since: deliveries that started earlier do not count.

    Returns:
        Names of platforms, sorted: a batch is still being processed there, or the newest delivery to some
        audience has left something.
    """
    table, batches = schema.deliveries, schema.batches
    recent = table.c.started_at >= since
    processing = (
        select(table.c.platform)
        .join(batches, batches.c.delivery_id == table.c.delivery_id)
        .where(recent, batches.c.state == BatchState.SENT.value)
    )
    turn = func.row_number().over(
        partition_by=(table.c.platform, table.c.account, table.c.audience),
        order_by=(table.c.started_at.desc(), table.c.delivery_id),
    )
    newest = select(table.c.platform, table.c.state, turn.label("turn")).where(recent).subquery()
    left = select(newest.c.platform).where(
        newest.c.turn == 1, newest.c.state.in_([state.value for state in UNFINISHED])
    )
    with ledger.reading() as connection:
        found = {
            *connection.execute(processing.distinct()).scalars(),
            *connection.execute(left.distinct()).scalars(),
        }
    return sorted(found)
