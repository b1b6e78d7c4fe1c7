"""What is known of all audiences at once: a query each, however many audiences there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, select, update

from audience_pipeline.ledger import schema
from audience_pipeline.ledger.records import (
    AudienceKey,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    PlatformAudience,
)
from audience_pipeline.ledger.rows import as_batch, as_delivery, key_values
from audience_pipeline.platforms.contract import Platform

_KEY = ("platform", "account", "audience")
_FIGURES = (
    "status",
    "size_low",
    "size_high",
    "match_rate_low",
    "match_rate_high",
    "match_rate_how",
    "read_at",
)
_ANSWERED = (BatchState.SENT.value, BatchState.SETTLED.value)


def newest_deliveries(
    connection: Connection, states: Iterable[DeliveryState] | None = None
) -> dict[AudienceKey, Delivery]:
    """The newest delivery (that ended in one of ``states``) of each audience that was ever created."""
    known, table, other = schema.platform_audiences, schema.deliveries, schema.deliveries.alias()
    newest = (
        select(other.c.delivery_id)
        .where(and_(*(other.c[name] == known.c[name] for name in _KEY)))
        .order_by(other.c.started_at.desc(), other.c.delivery_id)
        .limit(1)
    )
    if states is not None:
        newest = newest.where(other.c.state.in_([state.value for state in states]))
    query = select(table).join(
        known, table.c.delivery_id == newest.correlate(known).scalar_subquery(), isouter=False
    )
    found = (as_delivery(row) for row in connection.execute(query))
    return {delivery.key: delivery for delivery in found}


def batches_in(connection: Connection, state: BatchState) -> dict[AudienceKey, list[Batch]]:
    """The batches of each audience that are in a state, in the order of sending; audiences without any are
    left out.
    """
    table, deliveries = schema.batches, schema.deliveries
    query = (
        select(table, *(deliveries.c[name] for name in _KEY))
        .join(deliveries, deliveries.c.delivery_id == table.c.delivery_id)
        .where(table.c.state == state.value)
        .order_by(table.c.planned_at, table.c.sequence)
    )
    found: dict[AudienceKey, list[Batch]] = defaultdict(list)
    for row in connection.execute(query):
        found[AudienceKey(Platform(row.platform), row.account, row.audience)].append(as_batch(row))
    return dict(found)


def refusals(connection: Connection) -> dict[AudienceKey, list[tuple[str, str, int]]]:
    """Whom each audience lacks because the platform has named them: batch, its reason, number of people."""
    table = schema.refused_members
    columns = [*(table.c[name] for name in _KEY), table.c.batch_id, table.c.reason]
    query = select(*columns, func.count()).group_by(*columns).order_by(*columns)
    found: dict[AudienceKey, list[tuple[str, str, int]]] = defaultdict(list)
    rows: Iterable[Any] = connection.execute(query)
    for platform, account, audience, batch_id, reason, people in rows:
        found[AudienceKey(Platform(platform), account, audience)].append((batch_id, reason, people))
    return dict(found)


def removals_since(
    connection: Connection, platform: Platform, account: str, moment: datetime
) -> dict[str, list[tuple[datetime, int]]]:
    """When how many people (rows) were asked to leave the audiences of an account, since a moment."""
    table, deliveries = schema.batches, schema.deliveries
    query = (
        select(deliveries.c.audience, table.c.planned_at, table.c.rows)
        .join(deliveries, deliveries.c.delivery_id == table.c.delivery_id)
        .where(
            deliveries.c.platform == platform.value,
            deliveries.c.account == account,
            table.c.action == "remove",
            table.c.planned_at >= moment,
            table.c.state.in_(_ANSWERED),
        )
    )
    found: dict[str, list[tuple[datetime, int]]] = defaultdict(list)
    rows: Iterable[Any] = connection.execute(query)
    for audience, planned_at, people in rows:
        found[audience].append((planned_at, people))
    return dict(found)


def put_figures(connection: Connection, audiences: Sequence[PlatformAudience]) -> None:
    """Write what platforms show of audiences, and nothing else: a delivery may have gone on meanwhile."""
    table = schema.platform_audiences
    statement = (
        update(table)
        .where(*(table.c[name] == bindparam(f"its_{name}") for name in (*_KEY, "remote_id")))
        .values({name: bindparam(f"new_{name}") for name in _FIGURES})
    )
    rows = [
        {
            **{f"its_{name}": value for name, value in key_values(one.key).items()},
            "its_remote_id": one.remote_id,
            **{f"new_{name}": getattr(one, name) for name in _FIGURES},
        }
        for one in audiences
    ]
    if rows:
        connection.execute(statement, rows)
