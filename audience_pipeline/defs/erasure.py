"""Erasures carried out: whoever every platform has let go is deleted here, and leaves tombstones alone.

A deletion is written down before it begins (names, files and counts, in a file that only its owner can read)
and every step of it can be done again, so that one that was killed is finished by the next.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from audience_pipeline.customers.consent_statements import ERASE
from audience_pipeline.customers.erasure import Concerned
from audience_pipeline.defs.consent_log import log_folder, log_statements
from audience_pipeline.defs.erasure_archive import holding
from audience_pipeline.defs.erasure_people import names, of_requests
from audience_pipeline.defs.erasure_sweep import sweep, watch, written_since
from audience_pipeline.defs.erasure_tables import BY_ROWS_OF_THE_PROFILE, Names, Place, places, remove
from audience_pipeline.defs.lake import dataset
from audience_pipeline.defs.removals import DONE, note_removals
from audience_pipeline.defs.storage import LEFT_BEHIND_SECONDS
from audience_pipeline.identifiers.marks import Named
from audience_pipeline.ledger import erasures, removals
from audience_pipeline.ledger.consent_erasure import append_erasure, take_out_names
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.erasures import Erasure, ErasureState
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.erased import of_erased
from audience_pipeline.sources.landing import take_back
from audience_pipeline.sources.tombstones import KEY_NAME, Found, add, make_key, read_key, synced

LOCK = "erasure"
TOGETHER = "requests_together"
"""In the rows of an erasure: how many requests were carried out at once; the counts are of all of them."""
ARCHIVED, LOGGED = "archived_files", "consent_log"
MOST_BY_ONE_NAME = 25
"""Customers whom one name or address may lead to; beyond that it is nobody's own, and somebody must look."""
_ROUNDS = 5

Step = Callable[[str], None]


class TooManyMeantError(Exception):
    """A request leads to so many people that somebody must look at it first."""


@dataclass(frozen=True, slots=True)
class Completed:
    """What became of a request that was due."""

    request_id: str
    sentence: str
    done: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """A deletion under way: whom, and what it takes away."""

    requests: Sequence[str]
    values: Mapping[Named, list[bytes | str]]
    shared: Mapping[Named, list[bytes]]
    rows: Mapping[str, int]
    archived: Sequence[str]

    @property
    def reference(self) -> str:
        """Of the entries in the log."""
        return f"erasure-{self.requests[0]}"


def due(settings: Settings, ledger: Ledger) -> bool:
    """Whether a deletion can begin, was begun and not finished, or tables were written since the last one."""
    return _plan_file(settings).is_file() or written_since(settings) or bool(_due(ledger))


def complete(
    settings: Settings, ledger: Ledger, progress: Step | None = None, *, confirm: bool = False
) -> list[Completed]:
    """Delete whoever asked for it and is on no platform any more. Does nothing where nothing is due.

    Args:
        settings: the workspace.
        ledger: holds the requests.
        progress: told what is being done.
        confirm: also carry out requests that lead to surprisingly many people.

    Raises:
        KeyMissingError: the key of the workspace is lost; nothing was deleted.
    """
    say: Step = progress or (lambda _what: None)
    with ledger.exclusive(LOCK, seconds=3600):
        log_statements(settings, ledger)
        note_removals(settings, ledger, ())
        finished: list[Completed] = []
        sweep(settings)
        plan = _read(settings)
        if plan is not None:
            finished += _carry_out(settings, ledger, plan, say)
        requests = _due(ledger)
        if not requests:
            return finished
        say("finding everything of these people")
        try:
            plan = _made(settings, ledger, requests, confirm=confirm)
        except TooManyMeantError as error:
            return [*finished, *(Completed(one.request_id, str(error), done=False) for one in requests)]
        return finished + _carry_out(settings, ledger, plan, say)


def _due(ledger: Ledger) -> list[Erasure]:
    """Requests whose people are on no platform any more."""
    with ledger.begin() as connection:
        every = [one for one in erasures.erasures(connection) if one.state is not ErasureState.DELETED]
        found = []
        for one in every:
            owed = removals.removals(connection, one.request_id)
            if any(receipt.state not in DONE for receipt in owed):
                continue
            if one.state is ErasureState.REQUESTED:
                one = replace(one, state=ErasureState.REMOVED, removed_at=datetime.now(UTC))  # noqa: PLW2901
                erasures.put(connection, one)
            found.append(one)
    return found


def _made(settings: Settings, ledger: Ledger, requests: Sequence[Erasure], *, confirm: bool) -> Plan:
    """Find out everything, and write it down."""
    asked = [one.request_id for one in requests]
    people = of_requests(settings, ledger, asked)
    if not confirm:
        _refuse_surprises(settings, asked, people)
    values = names(people)
    found = Counter[str]()
    for place in places(settings.lake, Names(values)):
        if place.table not in BY_ROWS_OF_THE_PROFILE:
            found[place.table] += place.rows
    archived = holding(settings, ledger, Names(values))
    plan = Plan(
        requests=asked,
        values=values,
        shared={named: people.shared(named) for named in (Named.EMAIL, Named.PHONE)},
        rows=dict(found),
        archived=[path.name for path in archived],
    )
    _write(settings, plan)
    return plan


def _refuse_surprises(settings: Settings, requests: Sequence[str], people: Concerned) -> None:
    asked = (pl.col("landing_id").is_in(list(requests))) & (pl.col("status") == ERASE)
    stated = int(dataset(settings.lake, Kind.CONSENT).select(asked.sum()).collect().item())
    if people.customers > MOST_BY_ONE_NAME * max(stated, 1):
        given = "1 name or address leads" if stated == 1 else f"{stated:,} names or addresses lead"
        raise TooManyMeantError(
            f"not deleted yet: {given} to {people.customers:,} customers, so it is probably shared by many "
            "(a shop's own address, a placeholder). They are sent to no platform. If all of them are to be "
            "deleted: audience-pipeline privacy complete --yes"
        )


def _carry_out(settings: Settings, ledger: Ledger, plan: Plan, say: Step) -> list[Completed]:
    known = Names(plan.values)
    marker = make_key(settings.home / KEY_NAME)
    say("tombstones")
    add(settings.lake, marker, plan.values, plan.shared)
    tombstones = sum(map(len, plan.values.values())) + sum(map(len, plan.shared.values()))
    say("log of consent")
    head = append_erasure(
        ledger, log_folder(settings), plan.reference, lambda rows: _theirs(rows, known), marker
    )
    take_out_names(ledger, log_folder(settings))
    for name in plan.archived:
        (settings.archive / name).unlink(missing_ok=True)
    for kind in Kind:
        take_back_what_was_left(settings, kind, ledger)
    late = Counter[str]()
    watch(settings)
    # A run that read before and wrote meanwhile is met again.
    for turn in range(_ROUNDS):
        found: list[Place] = list(places(settings.lake, known))
        for place in found:
            say(place.table)
            remove(settings.lake, place, known)
        if turn:
            late.update(place.table for place in found for _ in range(place.rows))
        if all(place.table in BY_ROWS_OF_THE_PROFILE for place in found):
            break
    else:
        busy = "tables were written all the while: it goes on when the refresh or landing is over"
        return [Completed(one, busy, done=False) for one in plan.requests]
    say("what was delivered")
    held = MemberStore(ledger, settings.delivered).erase(known.ids)
    ledger.scrub()
    rows = Counter(plan.rows) + late + Counter({name: count for name, count in held.items() if count})
    rows[LOGGED] = head.entries
    rows[ARCHIVED] = len(plan.archived)
    rows[TOGETHER] = len(plan.requests)
    now = datetime.now(UTC)
    with ledger.begin() as connection:
        done = [one for one in erasures.erasures(connection) if one.request_id in plan.requests]
        # One that was killed after this has its counts already.
        for one in done if any(one.state is not ErasureState.DELETED for one in done) else ():
            erasures.put(
                connection,
                replace(
                    one, state=ErasureState.DELETED, deleted_at=now, tombstones=tombstones, rows=dict(rows)
                ),
            )
    _plan_file(settings).unlink(missing_ok=True)
    gone = sum(count for name, count in rows.items() if name not in {TOGETHER, ARCHIVED, LOGGED})
    return [
        Completed(
            one.request_id,
            f"{gone:,} rows of these people are deleted; {tombstones:,} tombstones keep them out",
        )
        for one in done
    ]


def take_back_what_was_left(settings: Settings, kind: Kind, ledger: Ledger) -> None:
    """Remove what killed processes have left of their work: it holds rows of people, too."""
    from filelock import FileLock

    work = settings.lake / ".work"
    work.mkdir(parents=True, exist_ok=True)
    with FileLock(work / f"{kind.dataset}.lock", thread_local=False):
        take_back(settings.lake, kind, ledger)
    limit = time.time() - LEFT_BEHIND_SECONDS
    for folder in work.glob("histories-*"):
        if folder.stat().st_mtime < limit:
            shutil.rmtree(folder, ignore_errors=True)
    for partial in settings.lake.glob("**/.*.partial"):
        if partial.is_file() and partial.stat().st_mtime < limit:
            partial.unlink(missing_ok=True)


def _theirs(rows: pl.DataFrame, known: Names) -> pl.Expr:
    """Whether an entry of the log is about one of the people; in signals a browser stands as an id."""
    there: Found = known.found
    return of_erased(Kind.CONSENT, there) if "meta_email" in rows.columns else pl.lit(value=False)


def _plan_file(settings: Settings) -> Path:
    return settings.lake / ".work" / "erasure.json"


def under_way(settings: Settings) -> bool:
    """Whether a deletion was begun and is not finished."""
    return _plan_file(settings).is_file()


def _write(settings: Settings, plan: Plan) -> None:
    path = _plan_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {
        "requests": list(plan.requests),
        "values": {named.value: [_text(one) for one in found] for named, found in plan.values.items()},
        "shared": {named.value: [one.hex() for one in found] for named, found in plan.shared.items()},
        "rows": dict(plan.rows),
        "archived": list(plan.archived),
    }
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(said, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    synced(path.parent)


def _read(settings: Settings) -> Plan | None:
    path = _plan_file(settings)
    if not path.is_file():
        return None
    # Without the key the tombstones that stand would be joined by others that nobody recognises.
    read_key(settings.home / KEY_NAME)
    said = json.loads(path.read_text(encoding="utf-8"))
    return Plan(
        requests=said["requests"],
        values={Named(named): [_value(one) for one in found] for named, found in said["values"].items()},
        shared={
            Named(named): [bytes.fromhex(one) for one in found] for named, found in said["shared"].items()
        },
        rows=said["rows"],
        archived=said["archived"],
    )


def _text(value: bytes | str) -> str:
    return f"x{value.hex()}" if isinstance(value, bytes) else f"t{value}"


def _value(text: str) -> bytes | str:
    return bytes.fromhex(text[1:]) if text[0] == "x" else text[1:]
