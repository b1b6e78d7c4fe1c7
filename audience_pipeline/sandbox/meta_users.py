"""The people of Meta's audiences: upload sessions, removal, replacement."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

from pyroaring import BitMap

from audience_pipeline.sandbox.clock import rfc3339
from audience_pipeline.sandbox.faults import Fault
from audience_pipeline.sandbox.meta_calls import GraphCall, GraphError, as_integer
from audience_pipeline.sandbox.meta_payload import Payload, read_payload, without
from audience_pipeline.sandbox.meta_policy import EDIT_PEOPLE, refuse_flagged
from audience_pipeline.sandbox.state import Audience
from audience_pipeline.sandbox.world import World

SESSION_LIFE = 90 * 60.0
SESSION_KEYS = frozenset({"session_id", "batch_seq", "last_batch_flag", "estimated_num_total"})


@dataclass(slots=True)
class Session:
    """One upload session of an ad account."""

    account: str
    id: str
    audience_id: str
    action: str
    started: float
    updated: float
    finished: int
    received: int
    invalid: int
    matched: int
    sequences: str
    last: int | None
    columns: str
    failed: int = 0

    @property
    def seen(self) -> set[int]:
        """Numbers of the batches that have come."""
        return set(json.loads(self.sequences))


COLUMNS = tuple(field.name for field in fields(Session))


@dataclass(frozen=True, slots=True)
class Batch:
    """The place of a batch in its session."""

    session_id: str
    sequence: int
    last: bool


def add(call: GraphCall, audience: Audience) -> object:
    """``POST /{audience_id}/users``."""
    return _upload(call, audience, "add")


def remove(call: GraphCall, audience: Audience) -> object:
    """``DELETE /{audience_id}/users``."""
    return _upload(call, audience, "remove")


def replace(call: GraphCall, audience: Audience) -> object:
    """``POST /{audience_id}/usersreplace``: the old members go when batch 1 arrives."""
    return _upload(call, audience, "replace")


def remove_everywhere(call: GraphCall, account: str) -> object:
    """``DELETE /act_{id}/usersofanyaudience``: out of every customer file of the account."""
    call.allow({"namespace", "payload", "session"})
    world, payload = call.world, read_payload(call, None)
    batch = _batch(call, required=False)
    rows = BitMap(world.members.rows.register("meta", payload.rows))
    for audience in world.state.in_account("meta", account, "members"):
        world.members.remove(audience, rows)
    session_id = batch.session_id if batch else _own_session(world)
    return _answer(account, session_id, payload.received, payload.invalid, payload.samples)


def sessions(call: GraphCall, audience: Audience) -> object:
    """``GET /{audience_id}/sessions``: the counts as text, matches only once they are computed."""
    call.allow({"session_id", "fields", "limit", "after", "before", "summary"})
    wanted = call.integer("session_id")
    query = f"SELECT {', '.join(COLUMNS)} FROM sessions WHERE audience_id = ? ORDER BY started, id"
    found = [Session(*row) for row in call.world.state.connection.execute(query, (audience.id,))]
    chosen = [session for session in found if wanted is None or session.id == str(wanted)]
    return {"data": [_describe(call.world, session) for session in chosen]}


def replace_status(world: World, audience: Audience) -> int | None:
    """Operation status 414 while a replacement runs, 415 after it failed, else None."""
    session = _replacement(world, audience)
    if session is None or session.finished:
        return None
    return 415 if _expired(world, session) else 414


def _upload(call: GraphCall, audience: Audience, action: str) -> object:
    call.allow({"namespace", "payload", "session"})
    if audience.kind != "members":
        raise GraphError(100, "People can only be sent to a customer file audience.", fields=["payload"])
    world = call.world
    payload = read_payload(call, audience)
    refuse_flagged(world, audience, EDIT_PEOPLE)
    batch = _batch(call, required=action == "replace")
    _refuse_during_replace(world, audience, action, batch)
    session = _session(world, audience, action, batch, payload)
    sequence = batch.sequence if batch else 1
    answer = (audience.id, session.id)
    if action == "replace" and batch:
        _check_replace(world, session, batch, payload)
    if session.finished or _expired(world, session):
        # Late batches are discarded without a word; only the counts show it.
        return _answer(*answer, session.received, session.invalid, {})
    if action == "replace" and not session.seen:
        world.members.clear(audience)
    failed = False
    if action == "add":
        payload = without(payload, world.faults.some(Fault.PARTIAL, len(payload.rows)), "Could not be read.")
        failed = world.faults.strikes(Fault.PROCESSING) is not None
    ordinals = world.members.rows.register("meta", payload.rows)
    if action == "remove":
        world.members.remove(audience, BitMap(ordinals))
        if world.members.matched(audience) < (world.quotas.amount("meta_people_left_after_removal") or 0):
            raise GraphError(200, "The removal would leave too few people.", subcode=1870047, status=403)
    else:
        world.members.add(audience, BitMap() if failed else BitMap(ordinals))
    if action != "remove":
        audience.details["broken"] = failed
        world.state.save(audience)
        session.failed = max(session.failed, int(failed))
    if sequence not in session.seen:
        session.received += payload.received
        session.invalid += payload.invalid
        session.matched += 0 if failed else int((world.members.rows.persons(ordinals) >= 0).sum())
        session.sequences = json.dumps(sorted(session.seen | {sequence}))
        audience.details["received"] = audience.details.get("received", 0) + payload.received
        audience.details["invalid"] = audience.details.get("invalid", 0) + payload.invalid
        world.state.save(audience)
    _close(session, batch, action)
    session.updated = world.clock.now()
    _store(world, session)
    return _answer(*answer, session.received, session.invalid, payload.samples)


def _close(session: Session, batch: Batch | None, action: str) -> None:
    if batch is None:
        session.finished = 1
    elif batch.last:
        session.last = batch.sequence
        session.finished = int(action != "replace")
    if action == "replace" and session.last is not None:
        session.finished = int(session.seen >= set(range(1, session.last + 1)))


def _refuse_during_replace(world: World, audience: Audience, action: str, batch: Batch | None) -> None:
    running = _replacement(world, audience)
    if running is None or running.finished or _expired(world, running):
        return
    if action != "replace" or (batch and batch.session_id != running.id):
        raise GraphError(2650, "Another update of this audience is running.", subcode=1870145)


def _check_replace(world: World, session: Session, batch: Batch, payload: Payload) -> None:
    if session.finished:
        raise GraphError(2650, "The replace session is finished already.", subcode=1870159)
    if _expired(world, session):
        raise GraphError(2650, "The replace session has timed out.", subcode=1870158)
    if not session.seen and batch.sequence != 1:
        raise GraphError(2650, "The first batch of a replace must have batch_seq 1.", subcode=1870147)
    if session.columns != json.dumps(payload.columns):
        raise GraphError(100, "All batches of a replace must have the same schema.", fields=["schema"])


def _replacement(world: World, audience: Audience) -> Session | None:
    query = (
        f"SELECT {', '.join(COLUMNS)} FROM sessions WHERE audience_id = ? AND action = 'replace' "
        "ORDER BY started DESC LIMIT 1"
    )
    found = world.state.connection.execute(query, (audience.id,)).fetchone()
    return Session(*found) if found else None


def _expired(world: World, session: Session) -> bool:
    return world.clock.now() > session.started + SESSION_LIFE


def _session(world: World, audience: Audience, action: str, batch: Batch | None, payload: Payload) -> Session:
    now = world.clock.now()
    session_id = batch.session_id if batch else _own_session(world)
    query = f"SELECT {', '.join(COLUMNS)} FROM sessions WHERE account = ? AND id = ?"
    found = world.state.connection.execute(query, (audience.account, session_id)).fetchone()
    if found is None:
        columns = json.dumps(payload.columns)
        return Session(
            audience.account, session_id, audience.id, action, now, now, 0, 0, 0, 0, "[]", None, columns
        )
    session = Session(*found)
    if (session.audience_id, session.action) != (audience.id, action):
        raise GraphError(100, "session_id is used by another upload of this ad account.", fields=["session"])
    return session


def _store(world: World, session: Session) -> None:
    values = [getattr(session, column) for column in COLUMNS]
    marks = ", ".join("?" * len(COLUMNS))
    world.state.connection.execute(f"INSERT OR REPLACE INTO sessions VALUES ({marks})", values)


def _own_session(world: World) -> str:
    return str(900_000_000_000 + world.state.next_number("session"))


def _describe(world: World, session: Session) -> dict[str, str]:
    done = world.clock.now() >= session.updated + world.members.delay
    description = {
        "session_id": session.id,
        "num_received": str(session.received),
        "num_invalid_entries": str(session.invalid),
        "num_matched": str(session.matched if done else 0),
        "progress": "100" if done else "50",
        "stage": ("failed" if session.failed else "done") if done else "matching",
        "start_time": rfc3339(session.started),
    }
    if done:
        description["end_time"] = rfc3339(session.updated)
    return description


def _answer(
    node: str, session_id: str, received: int, invalid: int, samples: dict[str, str]
) -> dict[str, Any]:
    return {
        "audience_id": node,
        "session_id": session_id,
        "num_received": received,
        "num_invalid_entries": invalid,
        # Seen both ways on the real service: an object with samples, an empty array without.
        "invalid_entry_samples": samples or [],
    }


def _batch(call: GraphCall, *, required: bool) -> Batch | None:
    session = call.structure("session")
    if session is None:
        if required:
            raise GraphError(100, "The parameter session is required.", fields=["session"])
        return None
    if not isinstance(session, dict) or set(session) - SESSION_KEYS:
        raise GraphError(100, "session holds an unknown key.", fields=["session"])
    session_id = as_integer(session.get("session_id"), "session_id")
    sequence = as_integer(session.get("batch_seq"), "batch_seq")
    if not 0 < session_id < 2**63 or sequence < 1:
        raise GraphError(100, "session_id and batch_seq must be positive.", fields=["session"])
    last = session.get("last_batch_flag", False)
    if last not in {True, False, "true", "false"}:
        raise GraphError(100, "last_batch_flag must be a boolean.", fields=["session"])
    return Batch(str(session_id), sequence, last in {True, "true"})
