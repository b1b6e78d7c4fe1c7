"""The memory of deliveries: written before a platform is asked, and after it has answered.

Every function works on a connection of :meth:`Ledger.begin` or :meth:`Ledger.reading`, so that what belongs
together is committed together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from sqlalchemy import Connection, func, insert, select, update

from audience_pipeline.ledger import schema
from audience_pipeline.ledger.records import (
    AudienceKey,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    PlatformAudience,
)
from audience_pipeline.ledger.rows import (
    as_audience,
    as_batch,
    as_delivery,
    delivery_values,
    field_values,
    is_audience,
    key_values,
    upsert,
)
from audience_pipeline.platforms.contract import Platform

OUTCOME_UNKNOWN = "The run ended before the platform had answered; its people are sent again."
AUDIENCE_GONE = "The audience was deleted before this batch was done."


def audiences(
    connection: Connection, platform: Platform | None = None, account: str | None = None
) -> list[PlatformAudience]:
    """Every audience that was ever created (on one platform, in one account), by name."""
    table = schema.platform_audiences
    query = select(table).order_by(table.c.audience, table.c.platform, table.c.account)
    if platform is not None:
        query = query.where(table.c.platform == platform.value)
    if account is not None:
        query = query.where(table.c.account == account)
    return [as_audience(row) for row in connection.execute(query)]


def audience(connection: Connection, key: AudienceKey) -> PlatformAudience | None:
    """What is known of one audience on its platform, or None when it was never created."""
    query = select(schema.platform_audiences).where(is_audience(schema.platform_audiences, key))
    row = connection.execute(query).one_or_none()
    return None if row is None else as_audience(row)


def accounts_of(connection: Connection, platform: Platform) -> dict[str, str]:
    """The ad account of each audience that was ever created on a platform: it never moves to another one.

    Of several, which only a change of accounts by hand can bring about, the one that exists there counts, and
    of those the oldest.
    """
    known = sorted(
        audiences(connection, platform),
        key=lambda one: (one.remote_id is None, one.created_at, one.key.account),
    )
    return {one.key.audience: one.key.account for one in reversed(known)}


def put_audience(connection: Connection, known: PlatformAudience) -> None:
    """Write what is known of an audience over what was known."""
    values = {**key_values(known.key), **field_values(known, but={"key"}), "state": known.state.value}
    upsert(connection, schema.platform_audiences, [values])


def fail_batches(connection: Connection, key: AudienceKey) -> None:
    """Nobody waits any more for the batches of an audience that does not exist on the platform (any more)."""
    _fail_batches(connection, key, (BatchState.PLANNED, BatchState.SENT), AUDIENCE_GONE)


def start(connection: Connection, delivery: Delivery) -> None:
    """Open a delivery; what a killed one left open is closed: its unanswered batches count as failed."""
    table = schema.deliveries
    _fail_batches(connection, delivery.key, (BatchState.PLANNED,), OUTCOME_UNKNOWN)
    connection.execute(
        update(table)
        .where(is_audience(table, delivery.key), table.c.state == DeliveryState.RUNNING.value)
        .values(state=DeliveryState.INTERRUPTED.value, finished_at=delivery.started_at)
    )
    connection.execute(insert(table), [delivery_values(delivery)])


def put_delivery(connection: Connection, delivery: Delivery) -> None:
    """Write what is known of a delivery over what was known."""
    upsert(connection, schema.deliveries, [delivery_values(delivery)])


def finish(connection: Connection, delivery: Delivery) -> None:
    """Write how a delivery ended, and settle earlier ones whose last batch is done now."""
    put_delivery(connection, delivery)
    table, batches = schema.deliveries, schema.batches
    under_way = select(batches.c.delivery_id).where(batches.c.state == BatchState.SENT.value)
    done = select(table).where(
        is_audience(table, delivery.key),
        table.c.state == DeliveryState.PROCESSING.value,
        table.c.delivery_id.not_in(under_way),
    )
    for row in connection.execute(done).all():
        earlier = as_delivery(row)
        settled = replace(counted(connection, earlier), state=DeliveryState.SETTLED)
        put_delivery(connection, settled)


def deliveries(connection: Connection, key: AudienceKey | None = None) -> list[Delivery]:
    """Every delivery (to one audience), earliest first."""
    table = schema.deliveries
    query = select(table).order_by(table.c.started_at, table.c.delivery_id)
    if key is not None:
        query = query.where(is_audience(table, key))
    return [as_delivery(row) for row in connection.execute(query)]


def last(connection: Connection, key: AudienceKey) -> Delivery | None:
    """The newest delivery."""
    return _newest(connection, key, list(DeliveryState))


def completed(connection: Connection, key: AudienceKey) -> Delivery | None:
    """The newest delivery after which nothing was left to send."""
    return _newest(
        connection, key, [DeliveryState.UNCHANGED, DeliveryState.SETTLED, DeliveryState.PROCESSING]
    )


def newest_as_of(connection: Connection, key: AudienceKey) -> date | None:
    """The latest as-of date whose people were sent to this audience."""
    table = schema.deliveries
    reached = [
        DeliveryState.UNCHANGED.value,
        DeliveryState.SETTLED.value,
        DeliveryState.PROCESSING.value,
        DeliveryState.INCOMPLETE.value,
    ]
    query = select(func.max(table.c.as_of)).where(is_audience(table, key), table.c.state.in_(reached))
    return connection.execute(query).scalar()


def counted(connection: Connection, delivery: Delivery) -> Delivery:
    """The delivery with what its batches of additions have come to."""
    added = [batch for batch in batches_of(connection, delivery.delivery_id) if batch.action == "add"]
    answered = [batch for batch in added if batch.state in (BatchState.SENT, BatchState.SETTLED)]
    matched = [batch.matched for batch in answered if batch.matched is not None]
    return replace(
        delivery,
        sent=sum(batch.rows for batch in answered),
        accepted=sum(batch.accepted or 0 for batch in answered),
        rejected=sum(batch.rejected or 0 for batch in answered),
        matched=sum(matched) if matched else None,
    )


def under_way(connection: Connection, key: AudienceKey) -> list[Batch]:
    """Batches to this audience that the platform is still processing, in the order of sending."""
    table, deliveries_ = schema.batches, schema.deliveries
    query = (
        select(table)
        .join(deliveries_, deliveries_.c.delivery_id == table.c.delivery_id)
        .where(is_audience(deliveries_, key), table.c.state == BatchState.SENT.value)
        .order_by(table.c.planned_at, table.c.sequence)
    )
    return [as_batch(row) for row in connection.execute(query)]


def changes_of(connection: Connection, key: AudienceKey, remote_id: str) -> int:
    """How many uploads an audience may have taken since it was made: those without an answer, too."""
    table, deliveries_ = schema.batches, schema.deliveries
    mine = (
        select(table.c.planned_at)
        .join(deliveries_, deliveries_.c.delivery_id == table.c.delivery_id)
        .where(is_audience(deliveries_, key))
    )
    first = select(func.min(mine.where(table.c.remote_id == remote_id).subquery().c.planned_at))
    since = connection.execute(first).scalar()
    if since is None:
        return 0
    later = mine.where(table.c.planned_at >= since, table.c.rows > 0)
    return int(connection.execute(select(func.count()).select_from(later.subquery())).scalar_one())


def batches_of(connection: Connection, delivery_id: str) -> list[Batch]:
    """Every batch of a delivery, in order."""
    table = schema.batches
    query = select(table).where(table.c.delivery_id == delivery_id).order_by(table.c.sequence)
    return [as_batch(row) for row in connection.execute(query)]


def _fail_batches(
    connection: Connection, key: AudienceKey, states: Sequence[BatchState], message: str
) -> None:
    table, deliveries_ = schema.batches, schema.deliveries
    mine = select(deliveries_.c.delivery_id).where(is_audience(deliveries_, key))
    connection.execute(
        update(table)
        .where(table.c.delivery_id.in_(mine), table.c.state.in_([state.value for state in states]))
        .values(state=BatchState.FAILED.value, message=message)
    )


def _newest(connection: Connection, key: AudienceKey, states: Sequence[DeliveryState]) -> Delivery | None:
    table = schema.deliveries
    query = (
        select(table)
        .where(is_audience(table, key), table.c.state.in_([state.value for state in states]))
        .order_by(table.c.started_at.desc(), table.c.delivery_id)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else as_delivery(row)
