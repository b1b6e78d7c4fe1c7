"""Members of a ledger of version 0002, which kept them as rows: moved into files, once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import delete, select

from audience_pipeline.ledger import pointers, schema, snapshots
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.fingerprints import PEOPLE, fingerprints
from audience_pipeline.ledger.records import AudienceKey, MemberState
from audience_pipeline.ledger.replay import SNAPSHOT
from audience_pipeline.ledger.rows import is_audience
from audience_pipeline.ledger.variants import Variants, identifier_columns
from audience_pipeline.platforms.contract import Platform


def fold(ledger: Ledger, folder: Path, variants: Callable[[Platform], Variants]) -> None:
    """Move every row of ``delivered_members`` into the files of its audience and its platform."""
    table = schema.delivered_members
    if not _audiences(ledger, 1):
        return
    with ledger.exclusive("delivered_members"):
        for key in _audiences(ledger):
            with ledger.reading() as connection:
                rows = connection.execute(select(table).where(is_audience(table, key))).mappings().all()
            members = _members(key.platform, [dict(row) for row in rows])
            variants(key.platform).remember(members)
            snapshot = members.select(list(SNAPSHOT)).sort(PEOPLE)
            written = snapshots.write(folder, f"members/{key.platform.value}", snapshot)
            with ledger.begin() as connection:
                pointers.next_position(connection, key)
                pointers.point(connection, key, written, snapshot)
                connection.execute(delete(table).where(is_audience(table, key)))


def _audiences(ledger: Ledger, most: int | None = None) -> list[AudienceKey]:
    table = schema.delivered_members
    query = select(table.c.platform, table.c.account, table.c.audience).distinct().limit(most)
    with ledger.reading() as connection:
        found: Sequence[Any] = connection.execute(query).all()
    return [AudienceKey(Platform(platform), account, audience) for platform, account, audience in found]


def _members(platform: Platform, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Columns ``replay.SNAPSHOT`` and those of the identifiers."""
    columns = identifier_columns(platform)
    sent = [
        json.loads(row["identifiers"]) if isinstance(row["identifiers"], str) else row["identifiers"]
        for row in rows
    ]
    identifiers = pl.DataFrame(
        {
            name: pl.Series([_value(one.get(name), dtype) for one in sent], dtype=dtype)
            for name, dtype in columns.items()
        }
    )
    plain = pl.DataFrame(
        {
            "customer_id": [row["customer_id"] for row in rows],
            "state": [row["state"] for row in rows],
            "delivered_at": [row["delivered_at"] for row in rows],
            "batch_id": [row["batch_id"] for row in rows],
            "confirmed": [row["state"] != MemberState.ADDING.value for row in rows],
        },
        schema={name: dtype for name, dtype in SNAPSHOT.items() if name != "fingerprint"},
    )
    numbered = plain.with_columns(fingerprints(identifiers, list(columns)))
    return pl.concat([numbered, identifiers], how="horizontal").unique(PEOPLE, keep="last")


def _value(text: str | None, dtype: pl.DataType | type[pl.DataType]) -> bytes | str | None:
    if text is None or dtype != pl.Binary:
        return text
    return bytes.fromhex(text)
