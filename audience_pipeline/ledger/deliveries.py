"""The memory of deliveries: written before a platform is asked, and after it has answered.

Every function works on a connection of :meth:`Ledger.begin` or :meth:`Ledger.reading`, so that what belongs
together is committed together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Text, bindparam, cast, delete, func, insert, select, update

from audience_pipeline.ledger import schema
from audience_pipeline.ledger.records import (
    AudienceKey,
    Batch,
    BatchState,
    DeliveredMember,
    Delivery,
    DeliveryState,
    MemberState,
    PlatformAudience,
    Upload,
)
from audience_pipeline.ledger.rows import (
    as_audience,
    as_batch,
    as_delivery,
    batch_values,
    delivery_values,
    field_values,
    is_audience,
    key_values,
    upsert,
)
from audience_pipeline.platforms.contract import Member, Platform

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


def forget_members(connection: Connection, key: AudienceKey) -> None:
    """The audience does not exist on the platform (any more): nobody is there, nothing is under way."""
    connection.execute(delete(schema.delivered_members).where(is_audience(schema.delivered_members, key)))
    _fail_batches(connection, key, (BatchState.PLANNED, BatchState.SENT), AUDIENCE_GONE)


def members(connection: Connection, key: AudienceKey) -> list[DeliveredMember]:
    """Everybody who may be on the platform, by customer."""
    table, batches = schema.delivered_members, schema.batches
    query = (
        select(
            table.c.customer_id,
            table.c.fingerprint,
            table.c.state,
            (func.coalesce(batches.c.state, "") == BatchState.SENT.value).label("in_flight"),
            table.c.delivered_at,
            cast(table.c.identifiers, Text).label("sent"),
        )
        .outerjoin_from(table, batches, batches.c.batch_id == table.c.batch_id)
        .where(is_audience(table, key))
        .order_by(table.c.customer_id, table.c.fingerprint)
    )
    states = {state.value: state for state in MemberState}
    rows: Iterable[Any] = connection.execute(query)
    return [
        DeliveredMember(customer_id, fingerprint, states[state], bool(in_flight), delivered_at, sent)
        for customer_id, fingerprint, state, in_flight, delivered_at, sent in rows
    ]


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


def plan_batch(
    connection: Connection,
    key: AudienceKey,
    batch: Batch,
    people: Iterable[tuple[Member, str]],
) -> None:
    """Write a batch down before it is sent, with the person and fingerprint of everybody in it."""
    connection.execute(insert(schema.batches), [batch_values(batch)])
    state = MemberState.ADDING if batch.action == "add" else MemberState.REMOVING
    rows = [
        {
            **key_values(key),
            "customer_id": member.customer_id,
            "fingerprint": fingerprint,
            "identifiers": dict(member.identifiers),
            "state": state.value,
            "delivered_at": batch.planned_at,
            "batch_id": batch.batch_id,
        }
        for member, fingerprint in people
    ]
    kept = {"identifiers"} if batch.action == "add" else {"identifiers", "delivered_at"}
    upsert(connection, schema.delivered_members, rows, keep=kept)


def doubt(connection: Connection, key: AudienceKey, people: Sequence[DeliveredMember]) -> None:
    """Mark people whom a removal may take along, even if they are just being added."""
    if not people:
        return
    table = schema.delivered_members
    statement = (
        update(table)
        .where(
            is_audience(table, key),
            table.c.customer_id == bindparam("who"),
            table.c.fingerprint == bindparam("variant"),
        )
        .values(state=MemberState.DOUBTFUL.value)
    )
    connection.execute(
        statement, [{"who": person.customer_id, "variant": person.fingerprint} for person in people]
    )


def settle_batch(connection: Connection, batch: Batch) -> None:
    """Write what is known of a batch now and, when it has settled, what that makes of its people.

    A batch that failed leaves its people as doubtful: sent again, or removed again, by the next plan.
    """
    table, people = schema.batches, schema.delivered_members
    connection.execute(update(table).where(table.c.batch_id == batch.batch_id).values(batch_values(batch)))
    if batch.state is not BatchState.SETTLED:
        return
    touched = people.c.batch_id == batch.batch_id
    if batch.action == "remove":
        connection.execute(delete(people).where(touched))
    else:
        arriving = people.c.state == MemberState.ADDING.value
        connection.execute(update(people).where(touched, arriving).values(state=MemberState.ADDED.value))


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


def batches_of(connection: Connection, delivery_id: str) -> list[Batch]:
    """Every batch of a delivery, in order."""
    table = schema.batches
    query = select(table).where(table.c.delivery_id == delivery_id).order_by(table.c.sequence)
    return [as_batch(row) for row in connection.execute(query)]


def delivered(connection: Connection, key: AudienceKey) -> int:
    """How many people are in the audience: their addition is confirmed, their removal is not."""
    table = schema.delivered_members
    query = select(func.count(table.c.customer_id.distinct())).where(
        is_audience(table, key), table.c.state != MemberState.ADDING.value
    )
    return connection.execute(query).scalar_one()


def count_members(connection: Connection, key: AudienceKey) -> dict[MemberState, int]:
    """How many rows of people there are in each state."""
    table = schema.delivered_members
    query = select(table.c.state, func.count()).where(is_audience(table, key)).group_by(table.c.state)
    rows: Iterable[Any] = connection.execute(query)
    return {MemberState(state): number for state, number in rows}


def oldest_member(connection: Connection, key: AudienceKey) -> datetime | None:
    """When the person was sent who has not been sent for the longest time."""
    table = schema.delivered_members
    query = select(func.min(table.c.delivered_at)).where(is_audience(table, key))
    return connection.execute(query).scalar()


def uploads(connection: Connection, key: AudienceKey) -> list[Upload]:
    """The batches that brought the people who are delivered now, with how many of them."""
    table, batches = schema.delivered_members, schema.batches
    people = (
        select(table.c.batch_id, func.count().label("people"))
        .where(is_audience(table, key), table.c.state == MemberState.ADDED.value)
        .group_by(table.c.batch_id)
        .subquery()
    )
    query = (
        select(batches, people.c.people)
        .join(people, people.c.batch_id == batches.c.batch_id)
        .where(batches.c.action == "add")
        .order_by(batches.c.planned_at, batches.c.sequence)
    )
    return [Upload(row.people, as_batch(row)) for row in connection.execute(query)]


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
