"""What comparing the ledger with the platforms has shown, each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from audience_pipeline.ledger.rows import field_values
from audience_pipeline.ledger.schema import verifications as table
from audience_pipeline.platforms.contract import Platform


@dataclass(frozen=True, slots=True)
class VerificationRecord:
    """One comparison of one ad account."""

    verification_id: str
    platform: Platform
    account: str
    checked_at: datetime
    audiences: int
    """That were compared."""
    gaps: Sequence[Mapping[str, Any]] = ()
    """What was found, as JSON: at least ``audience`` and ``sentence``."""
    seen: Mapping[str, Any] = field(default_factory=dict)
    """Audience to what the next comparison needs to know of this one, as JSON."""


def put(connection: Connection, record: VerificationRecord) -> None:
    """Write down what a comparison has shown."""
    plain = {
        "platform": record.platform.value,
        "gaps": [dict(gap) for gap in record.gaps],
        "seen": dict(record.seen),
    }
    connection.execute(insert(table), [{**field_values(record, but=set(plain)), **plain}])


def newest(connection: Connection, platform: Platform | None = None) -> list[VerificationRecord]:
    """The newest comparison of each account (of a platform), by platform and account."""
    numbered = select(
        table,
        func.row_number()
        .over(
            partition_by=(table.c.platform, table.c.account),
            order_by=(table.c.checked_at.desc(), table.c.verification_id),
        )
        .label("place"),
    ).subquery()
    columns = [numbered.c[column.name] for column in table.columns]
    query = select(*columns).where(numbered.c.place == 1).order_by(numbered.c.platform, numbered.c.account)
    if platform is not None:
        query = query.where(numbered.c.platform == platform.value)
    return [
        VerificationRecord(**{**row, "platform": Platform(row["platform"])})
        for row in connection.execute(query).mappings()
    ]
