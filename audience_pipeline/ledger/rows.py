"""Rows of the tables of deliveries to values and back."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_
from sqlalchemy.dialects import postgresql, sqlite

from audience_pipeline.ledger.records import (
    AudienceKey,
    AudienceState,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    PlatformAudience,
)
from audience_pipeline.platforms.contract import Platform


def key_values(key: AudienceKey) -> dict[str, str]:
    """The columns that name an audience."""
    return {"platform": key.platform.value, "account": key.account, "audience": key.audience}


def is_audience(table: Table, key: AudienceKey) -> ColumnElement[bool]:
    """The condition that a row belongs to an audience."""
    return and_(*(table.c[column] == value for column, value in key_values(key).items()))


def field_values(record: Any, *, but: set[str]) -> dict[str, Any]:
    """The fields of a record by name."""
    return {field.name: getattr(record, field.name) for field in fields(record) if field.name not in but}


def as_audience(row: Row[Any]) -> PlatformAudience:
    """A row of platform_audiences."""
    values = dict(row._mapping)
    key = AudienceKey(Platform(values.pop("platform")), values.pop("account"), values.pop("audience"))
    return PlatformAudience(key=key, state=AudienceState(values.pop("state")), **values)


def as_delivery(row: Row[Any]) -> Delivery:
    """A row of deliveries."""
    values = dict(row._mapping)
    key = AudienceKey(Platform(values.pop("platform")), values.pop("account"), values.pop("audience"))
    return Delivery(key=key, state=DeliveryState(values.pop("state")), **values)


def delivery_values(delivery: Delivery) -> dict[str, Any]:
    """A delivery as a row."""
    return {
        **key_values(delivery.key),
        **field_values(delivery, but={"key"}),
        "state": delivery.state.value,
    }


def as_batch(row: Row[Any]) -> Batch:
    """A row of batches."""
    values = dict(row._mapping)
    low, high = values["match_rate_low"], values["match_rate_high"]
    plain = {field.name: values[field.name] for field in fields(Batch) if field.name in values}
    plain["state"] = BatchState(plain["state"])
    return Batch(**plain, match_rate=None if low is None or high is None else (low, high))


def batch_values(batch: Batch) -> dict[str, Any]:
    """A batch as a row."""
    low, high = batch.match_rate or (None, None)
    return {
        **field_values(batch, but={"match_rate"}),
        "state": batch.state.value,
        "reasons": dict(batch.reasons),
        "match_rate_low": low,
        "match_rate_high": high,
    }


def upsert(
    connection: Connection,
    table: Table,
    rows: list[dict[str, Any]],
    *,
    keep: frozenset[str] | set[str] = frozenset(),
) -> None:
    """Insert rows; those that are there already are overwritten, save the columns in ``keep``."""
    if not rows:
        return
    statement = insert_or(connection, table)
    keys = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys and name not in keep}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), rows)


def insert_or(connection: Connection, table: Table) -> Any:
    """An insertion that can say what to do with rows that are there already."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)
