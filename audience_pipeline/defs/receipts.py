"""The evidence of requests: what was asked, what each platform did, what was deleted here, and the log.

Counts, moments and ids of requests alone: nothing of the people is in it, so that anybody may read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from audience_pipeline.defs.consent_log import log_statements
from audience_pipeline.defs.erasure import ARCHIVED, LOGGED, TOGETHER, under_way
from audience_pipeline.defs.removals import DONE, note_removals
from audience_pipeline.ledger import consent_log, erasures, removals
from audience_pipeline.ledger.consent_log import ERASURE, Head
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.erasures import Erasure, ErasureState
from audience_pipeline.ledger.removals import Removal, RemovalState, RequestKind
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.settings import Settings

PROVES: Mapping[Platform, str] = {
    Platform.META: "Meta answers how many rows of a removal it received and how many were invalid. It does "
    "not say who was found, and nobody can ask it whether a person is in an audience.",
    Platform.GOOGLE: "Google processes a removal for up to a day and then says of the request that it "
    "succeeded, with the number of records. It does not say who was found, and nobody can ask it whether a "
    "person is on a list.",
    Platform.TIKTOK: "TikTok takes a removal as a file or a list of hashes and shows in the history of the "
    "audience that it was applied. It does not say who was found, nobody can ask it whether a person is in "
    "an audience, and it refuses to make an audience smaller than 1,000.",
}
"""What a platform can confirm, and what it cannot."""
STATES: Mapping[RemovalState, str] = {
    RemovalState.OWED: "owed: they are sent nowhere any more, and are removed by the next delivery",
    RemovalState.SENT: "sent: the platform has accepted the removal and still processes it",
    RemovalState.CONFIRMED: "confirmed: the platform has processed the removal",
    RemovalState.VERIFIED: "verified: afterwards, size and state of its audiences agreed with our ledger",
    RemovalState.REFUSED: "refused by the platform; every delivery tries again",
    RemovalState.NOT_CONFIGURED: "nothing to remove",
}
WHAT_STAYS = (
    "What stays: the log of consent, in which keyed marks stand where their ids and addresses were; the "
    "tombstones, which are such marks; counts and sums of many people in which they were counted; and "
    "models, which hold no person and learn without them from the next training on. With the key of the "
    "workspace it can be told whether a given id or address was erased, without it nothing."
)
WHAT_WE_DO_NOT_HOLD = (
    "Not deleted, because it is not held here: the systems that the files came from, copies elsewhere, "
    "files that still wait in the inbox (their rows are left out when they land) and backups."
)
_NOT_ROWS = {TOGETHER, ARCHIVED, LOGGED}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One request, and all that became of it."""

    request_id: str
    kind: RequestKind
    origin: str
    """``request`` (by command), ``statements`` (a landed file) or ``signals`` (browsers)."""
    requested_at: datetime
    people: int
    platforms: Sequence[Removal]
    erasure: Erasure | None
    logged: Head | None
    erased_in_log: Head | None
    deleting: bool = False

    @property
    def owed(self) -> list[str]:
        """What is still to be done, as sentences; empty when the request is complete."""
        said = [
            f"{one.platform.value}{f' account {one.account}' if one.account else ''}: {STATES[one.state]}"
            + (f" ({one.how})" if one.how and one.state in {RemovalState.OWED, RemovalState.REFUSED} else "")
            for one in self.platforms
            if one.state not in DONE
        ]
        if self.erasure is not None and self.erasure.state is not ErasureState.DELETED:
            waits = "the deletion here is under way" if self.deleting else "the deletion here is due"
            said.append("the deletion here waits for that" if said else waits)
        return said

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "request_id": self.request_id,
            "request": self.kind.value.replace("_", "-"),
            "origin": self.origin,
            "requested_at": self.requested_at,
            "people": self.people,
            "complete": not self.owed,
            "owed": self.owed,
            "platforms": [
                {
                    **{name: value for name, value in asdict(one).items() if name not in _OF_THE_REQUEST},
                    "platform": one.platform.value,
                    "state": one.state.value,
                    "state_means": STATES[one.state],
                    "what_it_can_confirm": PROVES[one.platform],
                }
                for one in self.platforms
            ],
            "here": None if self.erasure is None else _here(self.erasure, self.erased_in_log),
            "log": None if self.logged is None else _place(self.logged),
        }


_OF_THE_REQUEST = {"request_id", "kind", "requested_at"}


def evidence(settings: Settings, ledger: Ledger, request_id: str | None = None) -> list[Evidence]:
    """Every request (or one), the newest first, as things stand now."""
    log_statements(settings, ledger)
    note_removals(settings, ledger, ())
    with ledger.reading() as connection:
        receipts = removals.removals(connection, request_id)
        erased = {one.request_id: one for one in erasures.erasures(connection, request_id)}
    heads = consent_log.heads(ledger)
    logged = {one.reference.partition("-")[2]: one for one in heads if one.origin != ERASURE}
    by_erasure = {one.reference.partition("-")[2]: one for one in heads if one.origin == ERASURE}
    by_request: dict[str, list[Removal]] = {}
    for one in receipts:
        by_request.setdefault(one.request_id, []).append(one)
    found = [
        Evidence(
            request_id=name,
            kind=theirs[0].kind,
            origin=logged[name].origin if name in logged else "",
            requested_at=theirs[0].requested_at,
            people=max(one.people for one in theirs),
            platforms=theirs,
            erasure=erased.get(name),
            logged=logged.get(name),
            erased_in_log=by_erasure.get(name),
            deleting=under_way(settings),
        )
        for name, theirs in by_request.items()
    ]
    return sorted(found, key=lambda one: (one.requested_at, one.request_id), reverse=True)


def _here(erasure: Erasure, head: Head | None) -> dict[str, Any]:
    rows = {name: count for name, count in erasure.rows.items() if name not in _NOT_ROWS}
    done = erasure.state is ErasureState.DELETED
    return {
        "state": erasure.state.value,
        "removed_at": erasure.removed_at,
        "deleted_at": erasure.deleted_at,
        "rows_deleted": sum(rows.values()),
        "rows_by_table": dict(sorted(rows.items())),
        "archived_files_deleted": erasure.rows.get(ARCHIVED, 0),
        "log_entries_without_names": erasure.rows.get(LOGGED, 0),
        "tombstones": erasure.tombstones,
        "requests_carried_out_together": erasure.rows.get(TOGETHER, 1 if done else 0),
        "log": None if head is None else _place(head),
        "stays": WHAT_STAYS,
        "not_held_here": WHAT_WE_DO_NOT_HOLD,
    }


def _place(head: Head) -> dict[str, Any]:
    return {
        "segment": head.sequence,
        "entries": head.entries,
        "appended_at": head.appended_at,
        "head": head.head,
    }
