"""``audience-pipeline privacy receipts`` and ``complete``: evidence of requests, and what is still owed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from audience_pipeline.commands.console import (
    DirOption,
    JsonOption,
    fail,
    note,
    out,
    print_json,
    progress,
    table,
    workspace,
)
from audience_pipeline.commands.tables import number

if TYPE_CHECKING:
    from audience_pipeline.defs.receipts import Evidence
    from audience_pipeline.ledger.database import Ledger
    from audience_pipeline.ledger.removals import RemovalState
    from audience_pipeline.settings import Settings

SHOWN = 20
"""Requests that are listed without --request; --json lists all."""


def receipts(
    request: Annotated[str | None, typer.Option(metavar="ID", help="One request, in full.")] = None,
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the evidence of opt-outs and erasures: asked, removed, confirmed, deleted, and what is still owed.

    Nothing of the people is in it: it can be handed to them, or to a regulator.

    Example: audience-pipeline privacy receipts --request 5f0c6b1de2a94417
    """
    from audience_pipeline.defs.receipts import evidence
    from audience_pipeline.ledger import consent_log
    from audience_pipeline.ledger.database import Ledger

    settings = _workspace(directory)
    with progress("privacy receipts"), Ledger.open(settings.ledger_url) as ledger:
        found = evidence(settings, ledger, request)
        heads = consent_log.heads(ledger)
    if request is not None and not found:
        fail("there is no request with that id; audience-pipeline privacy receipts lists them")
    newest = heads[-1] if heads else None
    if as_json:
        print_json(
            {
                "requests": [one.as_dict() for one in found],
                "log": None if newest is None else {"segments": newest.sequence, "head": newest.head},
            }
        )
        return
    if request is not None:
        _in_full(found[0])
    elif found:
        _listed(found)
    else:
        out.print("Nobody has opted out or asked to be erased yet.", highlight=False)
    if newest is not None:
        out.print(f"Head of the log, to be noted elsewhere: {newest.head}", highlight=False, soft_wrap=True)


def complete(
    yes: Annotated[
        bool, typer.Option("--yes", help="Also delete where one name leads to surprisingly many customers.")
    ] = False,
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do now what requests still ask for: deliver to the platforms, then delete the erased people here.

    The running daemon does the same by itself. Exit code 1 where something is still owed afterwards.

    Example: audience-pipeline privacy complete
    """
    from audience_pipeline.defs.erasure import complete as delete
    from audience_pipeline.defs.receipts import evidence
    from audience_pipeline.ledger.database import Ledger
    from audience_pipeline.sources.tombstones import KeyMissingError

    settings = _workspace(directory)
    failures: Sequence[str] = ()
    try:
        with progress("privacy complete") as step, Ledger.open(settings.ledger_url) as ledger:
            owed = {one.request_id for one in evidence(settings, ledger) if one.owed}
            if owed and _was_delivered(ledger):
                failures = _delivered(settings, step)
            held = [one for one in delete(settings, ledger, step, confirm=yes) if not one.done]
            now = evidence(settings, ledger)
            finished = [one for one in now if one.request_id in owed and not one.owed]
            left = [one for one in now if one.owed]
    except KeyMissingError as error:
        fail(str(error))
    if as_json:
        print_json(
            {
                "finished": [one.as_dict() for one in finished],
                "held": [{"request_id": one.request_id, "why": one.sentence} for one in held],
                "owed": [{"request_id": one.request_id, "owed": one.owed} for one in left],
                "failures": list(failures),
            }
        )
    else:
        for one in finished:
            out.print(
                f"Request {one.request_id} ({_kind(one)}): complete. {_gone(one)}",
                highlight=False,
                soft_wrap=True,
            )
        for each_held in held:
            out.print(
                f"Request {each_held.request_id}: {each_held.sentence}.", highlight=False, soft_wrap=True
            )
        for each in left:
            out.print(
                f"Request {each.request_id}, still owed: {'; '.join(each.owed)}.",
                highlight=False,
                soft_wrap=True,
            )
        if not finished and not left:
            out.print("Nothing is owed.", highlight=False)
        for failure in failures:
            note(failure)
    if left:
        raise typer.Exit(1)


def _workspace(directory: object) -> Settings:
    from pathlib import Path

    from audience_pipeline.commands.runner import prepare_instance

    settings = workspace(directory if isinstance(directory, Path) else None)
    if not settings.home.is_dir():
        fail(f"{settings.home}: there is no workspace", 2)
    prepare_instance(settings)
    return settings


def _was_delivered(ledger: Ledger) -> bool:
    from audience_pipeline.ledger import deliveries

    with ledger.reading() as connection:
        return bool(deliveries.audiences(connection))


def _delivered(settings: Settings, step: object) -> Sequence[str]:
    from audience_pipeline.commands.sandboxes import sandbox_beside
    from audience_pipeline.commands.sync import deliver

    with sandbox_beside(settings):
        done = deliver(workspace(settings.home), step)  # type: ignore[arg-type]
    return [*done.failures, *done.not_configured]


def _listed(found: Sequence[Evidence]) -> None:
    rows = [
        (
            one.request_id,
            _kind(one),
            _moment(one.requested_at),
            number(one.people),
            ", ".join(f"{each.platform.value} {_state(each.state)}" for each in one.platforms),
            _deleted(one),
        )
        for one in found[:SHOWN]
    ]
    headings = {
        "request": "left",
        "what": "left",
        "asked": "left",
        "people": "right",
        "platforms": "left",
        "here": "left",
    }
    more = f"and {number(len(found) - SHOWN)} earlier ones: --json lists all" if len(found) > SHOWN else ""
    out.print(table("Requests", headings, rows, more))
    owed = sum(bool(one.owed) for one in found)
    out.print(
        f"{number(owed)} of {number(len(found))} still owed: the daemon goes on by itself, or at once: "
        "audience-pipeline privacy complete"
        if owed
        else f"All {number(len(found))} are complete.",
        highlight=False,
        soft_wrap=True,
    )


def _in_full(one: Evidence) -> None:
    from audience_pipeline.defs.receipts import PROVES, STATES

    said = one.as_dict()
    rows = [
        ("request", one.request_id),
        ("what", _kind(one)),
        ("by", {"request": "command", "statements": "a file", "signals": "browsers"}.get(one.origin, "")),
        ("asked", _moment(one.requested_at)),
        ("people", number(one.people)),
        ("complete", "no" if one.owed else "yes"),
    ]
    if one.logged is not None:
        rows.append(("in the log", f"segment {number(one.logged.sequence)}, head {one.logged.head}"))
    out.print(table("Receipt", {"": "left", " ": "left"}, rows))
    for each in one.platforms:
        rows = [
            ("account", each.account or "none"),
            ("state", STATES[each.state]),
            ("people whom it is about", number(each.people)),
            ("sets of identifiers ever sent of them", number(each.variants)),
            ("removed from audiences", number(each.audiences)),
            ("sent", _moment(each.sent_at)),
            ("confirmed", _moment(each.confirmed_at)),
            ("verified", _moment(each.verified_at)),
            ("how", each.how),
            ("ids of the platform's requests", ", ".join(each.request_ids) or "none"),
            ("what the platform can confirm", PROVES[each.platform]),
        ]
        out.print(table(each.platform.value, {"": "left", " ": "left"}, rows))
    here = said["here"]
    if here is not None:
        rows = [
            ("state", here["state"]),
            ("all platforms had let them go", _moment(here["removed_at"])),
            ("deleted", _moment(here["deleted_at"])),
            *((f"rows of {name}", number(count)) for name, count in here["rows_by_table"].items()),
            ("archived originals", number(here["archived_files_deleted"])),
            ("entries of the log without names", number(here["log_entries_without_names"])),
            ("tombstones", number(here["tombstones"])),
        ]
        if here["requests_carried_out_together"] > 1:
            rows.append(
                (
                    "counts are of",
                    f"{number(here['requests_carried_out_together'])} requests, carried out together",
                )
            )
        if here["log"] is not None:
            rows.append(
                ("erasure in the log", f"segment {here['log']['segment']}, head {here['log']['head']}")
            )
        out.print(table("Deleted here", {"": "left", " ": "left"}, rows))
        out.print(here["stays"], highlight=False)
        out.print(here["not_held_here"], highlight=False)
    for sentence in one.owed:
        out.print(f"Still owed: {sentence}.", highlight=False, soft_wrap=True)


def _kind(one: Evidence) -> str:
    return "erasure" if one.kind.value == "erase" else "opt-out"


def _state(state: RemovalState) -> str:
    """The state in a word or two: what :data:`STATES` begins with."""
    from audience_pipeline.defs.receipts import STATES

    return STATES[state].partition(":")[0].partition(";")[0]


def _deleted(one: Evidence) -> str:
    if one.erasure is None:
        return ""
    return f"deleted {one.erasure.deleted_at:%Y-%m-%d}" if one.erasure.deleted_at else "not deleted yet"


def _gone(one: Evidence) -> str:
    here = one.as_dict()["here"]
    rows = f"{number(here['rows_deleted'])} rows are deleted here. " if here is not None else ""
    return f"{rows}See audience-pipeline privacy receipts --request {one.request_id}"


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at is not None else ""
