"""What the ledger's tables say of who is in an audience: the pointer to its file, and the changes since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl
from sqlalchemy import Column, Connection, Row, Table, delete, insert, select, update

from audience_pipeline.ledger import held, schema
from audience_pipeline.ledger.fingerprints import PEOPLE, PEOPLE_SCHEMA
from audience_pipeline.ledger.records import AudienceKey, Batch, BatchState
from audience_pipeline.ledger.replay import Change, Kind, KnownBatch, changed, packed, unpacked
from audience_pipeline.ledger.rows import as_batch, insert_or, is_audience, key_values, upsert
from audience_pipeline.ledger.snapshots import Written
from audience_pipeline.platforms.contract import Platform

NOBODY: Mapping[str, Any] = {"rows": [], "several": []}


@dataclass(frozen=True, slots=True)
class View:
    """One audience as the ledger shows it at one moment."""

    written: Written
    counts: Mapping[str, Any]
    """What :func:`held.counted` made of the file."""
    position: int
    """Number of changes so far."""
    through: int
    """The last of them that the file holds."""
    changes: tuple[Change, ...]
    batches: Mapping[str, Batch]
    known: Mapping[str, KnownBatch]
    """The batches that are not known to be done with in the file."""

    @property
    def is_whole(self) -> bool:
        """The file holds everything that has happened."""
        settled = (batch.settled_order or 0 for batch in self.known.values())
        return not self.changes and all(order <= self.through for order in settled)


def look(connection: Connection, key: AudienceKey, *, every_batch: bool = False) -> View:
    """What the ledger says of an audience.

    Args:
        connection: shows one moment.
        key: the audience.
        every_batch: with the batches of everybody who is there, and not only those that may be open.
    """
    pointers, changes = schema.delivered_snapshots, schema.member_changes
    pointer = connection.execute(select(pointers).where(is_audience(pointers, key))).one_or_none()
    rows = connection.execute(
        select(changes.c.position, changes.c.batch_id, changes.c.kind, changes.c.people)
        .where(is_audience(changes, key))
        .order_by(changes.c.position)
    ).all()
    return _as_view(connection, pointer, rows, every_batch=every_batch)


def audiences(connection: Connection) -> list[AudienceKey]:
    """Every audience that anything was ever sent to."""
    table = schema.delivered_snapshots
    query = select(*_key_columns(table)).order_by(*_key_columns(table))
    rows: Iterable[Any] = connection.execute(query)
    return [_as_key(*row) for row in rows]


def look_at_all(connection: Connection) -> dict[AudienceKey, View | None]:
    """:func:`look` at every audience; None for those whose files do not hold all changes."""
    table, changes = schema.delivered_snapshots, schema.member_changes
    rows: Iterable[Any] = connection.execute(select(*_key_columns(changes)).distinct())
    changing = {_as_key(*row) for row in rows}
    views: dict[AudienceKey, View | None] = {}
    for row in connection.execute(select(table).order_by(*_key_columns(table))).all():
        key = _as_key(row.platform, row.account, row.audience)
        views[key] = None if key in changing else _as_view(connection, row, (), every_batch=True)
    return views


def planned(connection: Connection, key: AudienceKey, batch_id: str) -> pl.DataFrame:
    """PEOPLE of a batch that is not in the file of the audience yet, in the order of sending."""
    changes = look(connection, key).changes
    mine = [one.people for one in changes if one.batch_id == batch_id and one.kind == "planned"]
    people = (one.filter(~pl.col("doubtful")).select(PEOPLE) for one in mine)
    return pl.concat([PEOPLE_SCHEMA.to_frame(), *people])


def next_position(connection: Connection, key: AudienceKey) -> int:
    """Count one more change. Until the end of the transaction nobody else counts one."""
    table = schema.delivered_snapshots
    new = {
        **key_values(key),
        "file": "",
        "sha256": "",
        "rows": 0,
        "people": 0,
        "held": dict(NOBODY),
        "position": 1,
        "through": 0,
        "written_at": datetime.now(UTC),
    }
    statement = insert_or(connection, table).values(new)
    keys = [column.name for column in table.primary_key]
    counting = statement.on_conflict_do_update(
        index_elements=keys, set_={"position": table.c.position + 1}
    ).returning(table.c.position)
    return int(connection.execute(counting).scalar_one())


def record(connection: Connection, key: AudienceKey, batch_id: str, kind: Kind, people: pl.DataFrame) -> None:
    """Write a change down. ``people``: columns ``replay.CHANGED``."""
    row = {
        **key_values(key),
        "position": next_position(connection, key),
        "batch_id": batch_id,
        "kind": kind,
        "people": packed(people),
    }
    connection.execute(insert(schema.member_changes), [row])


def quarantine(
    connection: Connection, key: AudienceKey, batch: Batch, refused: Mapping[tuple[str, int], str]
) -> None:
    """Write down whom a platform has named as refused."""
    people = pl.DataFrame(
        list(refused), schema={"customer_id": pl.String, "fingerprint": pl.UInt64}, orient="row"
    )
    record(connection, key, batch.batch_id, "refused", changed(people))
    rows = [
        {
            **key_values(key),
            "customer_id": customer,
            "fingerprint": f"{fingerprint:016x}",
            "reason": reason,
            "batch_id": batch.batch_id,
            "refused_at": batch.settled_at or batch.sent_at or batch.planned_at,
        }
        for (customer, fingerprint), reason in refused.items()
    ]
    upsert(connection, schema.refused_members, rows)


def point(connection: Connection, key: AudienceKey, written: Written, snapshot: pl.DataFrame) -> None:
    """Let the ledger point to a file that holds all changes so far; they are dropped."""
    table, changes = schema.delivered_snapshots, schema.member_changes
    counts = held.counted(snapshot)
    values = {
        "file": written.file,
        "sha256": written.sha256,
        "rows": written.rows,
        "people": held.as_held(counts, {}, {}, 0).delivered,
        "held": counts,
        "through": table.c.position,
        "written_at": datetime.now(UTC),
    }
    connection.execute(delete(changes).where(is_audience(changes, key)))
    connection.execute(update(table).where(is_audience(table, key)).values(values))


def current(connection: Connection, key: AudienceKey) -> tuple[str, int]:
    """File and position, which stay as they are until the end of the transaction."""
    table = schema.delivered_snapshots
    query = select(table.c.file, table.c.position).where(is_audience(table, key)).with_for_update()
    row = connection.execute(query).one_or_none()
    return ("", 0) if row is None else (row.file, row.position)


def _as_view(
    connection: Connection, pointer: Row[Any] | None, rows: Sequence[Row[Any]], *, every_batch: bool
) -> View:
    counts = NOBODY if pointer is None else pointer.held
    unsure = held.open_batches(counts) | {row.batch_id for row in rows}
    wanted = unsure | held.all_batches(counts) if every_batch else unsure
    batches, known = _batches(connection, sorted(wanted), unsure)
    return View(
        written=Written() if pointer is None else Written(pointer.file, pointer.sha256, pointer.rows),
        counts=counts,
        position=0 if pointer is None else pointer.position,
        through=0 if pointer is None else pointer.through,
        changes=tuple(Change(row.position, row.batch_id, row.kind, unpacked(row.people)) for row in rows),
        batches=batches,
        known=known,
    )


def _key_columns(table: Table) -> list[Column[Any]]:
    return [table.c.platform, table.c.account, table.c.audience]


def _as_key(platform: str, account: str, audience: str) -> AudienceKey:
    return AudienceKey(Platform(platform), account, audience)


def _batches(
    connection: Connection, names: list[str], unsure: set[str]
) -> tuple[dict[str, Batch], dict[str, KnownBatch]]:
    table = schema.batches
    batches, known = {}, {}
    for start in range(0, len(names), 500):
        query = select(table).where(table.c.batch_id.in_(names[start : start + 500]))
        for row in connection.execute(query):
            batch = as_batch(row)
            batches[batch.batch_id] = batch
            if batch.batch_id in unsure:
                known[batch.batch_id] = KnownBatch(
                    batch.action, BatchState(batch.state), batch.planned_at, row.settled_order
                )
    return batches, known
