"""What became of each request to remove people, on each platform: receipts that can be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, select

from audience_pipeline.ledger.rows import field_values, upsert
from audience_pipeline.ledger.schema import removal_receipts
from audience_pipeline.platforms.contract import Platform


class RequestKind(StrEnum):
    """What was asked for."""

    OPT_OUT = "opt_out"
    ERASE = "erase"


class RemovalState(StrEnum):
    """How far a platform has come."""

    OWED = "owed"
    """Nothing was sent yet."""
    SENT = "sent"
    CONFIRMED = "confirmed"
    """The platform has processed it."""
    VERIFIED = "verified"
    """It was seen to have taken effect."""
    REFUSED = "refused"
    """The platform refuses: the sentence says why and what is done about it."""
    NOT_CONFIGURED = "not_configured"
    """Nobody can be removed there: nothing is set up for the platform or the account."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One request in one ad account of one platform."""

    request_id: str
    """Where the request landed."""
    kind: RequestKind
    platform: Platform
    account: str
    """Empty where the platform is not configured."""
    state: RemovalState
    requested_at: datetime
    people: int = 0
    """Of the request, those who may have been there."""
    variants: int = 0
    """Sets of identifiers that were ever sent of them."""
    audiences: int = 0
    """That they were removed from."""
    how: str = ""
    """A sentence: how they were removed, or why not."""
    request_ids: Sequence[str] = ()
    """Of the platform, for its support."""
    sent_at: datetime | None = None
    confirmed_at: datetime | None = None
    verified_at: datetime | None = None


def put(connection: Connection, removal: Removal) -> None:
    """Write what is known of a request on a platform over what was known."""
    plain = {
        "kind": removal.kind.value,
        "platform": removal.platform.value,
        "state": removal.state.value,
        "request_ids": list(removal.request_ids),
    }
    upsert(connection, removal_receipts, [{**field_values(removal, but=set(plain)), **plain}])


def removals(connection: Connection, request_id: str | None = None) -> list[Removal]:
    """Every receipt (of one request), earliest request first."""
    table = removal_receipts
    query = select(table).order_by(
        table.c.requested_at, table.c.request_id, table.c.platform, table.c.account
    )
    if request_id is not None:
        query = query.where(table.c.request_id == request_id)
    found = []
    for row in connection.execute(query).mappings():
        values = dict(row)
        values["kind"] = RequestKind(values["kind"])
        values["platform"] = Platform(values["platform"])
        values["state"] = RemovalState(values["state"])
        values["request_ids"] = tuple(values["request_ids"])
        found.append(Removal(**values))
    return found
