"""Custom audiences of TikTok, made from files: create, update, read, list, delete."""

from __future__ import annotations

from typing import Any

from pyroaring import BitMap

from audience_pipeline.sandbox import tiktok_files
from audience_pipeline.sandbox.clock import spaced
from audience_pipeline.sandbox.faults import Fault
from audience_pipeline.sandbox.state import Audience, Undone
from audience_pipeline.sandbox.tiktok_calls import TikTokCall, TikTokError
from audience_pipeline.sandbox.world import World

FIRST_ID = 880_000_000_000_000_000
ACCOUNT_LIMIT = 400
FILES_LIMIT = 500
NAME_LENGTH = 128
MINIMUM = 1_000
DAY = 86_400.0
LIFE = 365 * DAY
EXPIRING = 60 * DAY
PROCESSING_FAILED = "The file could not be processed. Please try again."
SUB_TYPES = ("NORMAL", "REACH_FREQUENCY")


def create(call: TikTokCall) -> object:
    """``POST /dmp/custom_audience/create/``: never empty, always from files."""
    account, name = call.account(), call.text("custom_audience_name", longest=NAME_LENGTH)
    calculate_type = call.choice("calculate_type", [*tiktok_files.TYPES, tiktok_files.MULTIPLE])
    paths = call.texts("file_paths", most=FILES_LIMIT)
    sub_type = call.choice("audience_sub_type", SUB_TYPES, "NORMAL")
    days = call.number("retention_in_days", 1, 365, 365) if "retention_in_days" in call.parameters else None
    if call.parameters.get("audience_enhancement", False) not in {True, False}:
        raise TikTokError(40002, "audience_enhancement: Not a valid boolean.")
    file = tiktok_files.load(call, account, paths, calculate_type)
    audience = new(call.world, account, name, "Customer File Audience", calculate_type, sub_type)
    if days is not None:
        audience.details["fixed_end"] = audience.created + days * DAY
    audience.details["files"] = len(paths)
    file = _troubled(call.world, file)
    failed = call.world.faults.strikes(Fault.PROCESSING) is not None
    call.world.members.add(audience, BitMap() if failed else file.rows)
    _tell(call.world, audience, "CREATE", name, file)
    if failed or not file.rows:
        audience.details["error"] = PROCESSING_FAILED if failed else "No row of the files could be parsed."
        call.world.state.save(audience)
    return {"custom_audience_id": audience.id}


def new(
    world: World, account: str, name: str, kind: str, calculate_type: str, sub_type: str = "NORMAL"
) -> Audience:
    """A new, empty audience.

    Raises:
        TikTokError: 40002 when the account is full.
    """
    if world.state.count("tiktok", account) >= ACCOUNT_LIMIT:
        raise TikTokError(40002, f"The advertiser has reached the limit of {ACCOUNT_LIMIT} audiences.")
    details = {
        "audience_type": kind,
        "audience_sub_type": sub_type,
        "calculate_type": calculate_type,
        "error": "",
        "files": 0,
    }
    lookalike = kind.startswith("Lookalike")
    return world.new_audience(
        "tiktok", account, FIRST_ID, name, "lookalike" if lookalike else "members", details
    )


def update(call: TikTokCall) -> object:
    """``POST /dmp/custom_audience/update/``: replaces unless ``action`` says otherwise."""
    account = call.account()
    audience = call.audience(call.text("custom_audience_id"), account)
    renames, changes = "custom_audience_name" in call.parameters, "file_paths" in call.parameters
    if not renames and not changes:
        raise TikTokError(40002, "file_paths: Missing data for required field.")
    action = call.choice("action", ("APPEND", "REMOVE", "REPLACE"), "REPLACE")
    if renames:
        audience.name = call.text("custom_audience_name", longest=NAME_LENGTH)
        audience.updated = call.world.clock.now()
        call.world.state.save(audience)
    if changes:
        if audience.kind != "members" or not audience.details["calculate_type"]:
            raise TikTokError(40002, "custom_audience_id: is not an audience made from files.")
        paths = call.texts("file_paths", most=FILES_LIMIT)
        if audience.details["files"] + len(paths) > FILES_LIMIT and action != "REPLACE":
            raise TikTokError(40002, f"file_paths: an audience takes {FILES_LIMIT} files at most.")
        file = tiktok_files.load(call, account, paths, audience.details["calculate_type"])
        audience.details["files"] = len(paths) + (0 if action == "REPLACE" else audience.details["files"])
        if action != "REMOVE":
            file = _troubled(call.world, file)
        _apply(call.world, audience, action, file)
        _tell(call.world, audience, action, f"{len(paths)} file(s)", file)
    return {"custom_audience_id": audience.id}


def _troubled(world: World, file: tiktok_files.File) -> tiktok_files.File:
    """The file, some rows of which cannot be read when the faults say so."""
    refused = BitMap(file.rows[place] for place in world.faults.some(Fault.PARTIAL, len(file.rows)))
    return tiktok_files.File(file.unreadable + len(refused), file.rows - refused)


def _apply(world: World, audience: Audience, action: str, file: tiktok_files.File) -> None:
    """Change the members unless that leaves too few: found while processing, so told by ``error_msg``."""
    members = world.members
    # What is shown meanwhile is the size from before, also when all is undone.
    before = (members.shown(audience), audience.updated, audience.content_updated)
    failed = world.faults.strikes(Fault.PROCESSING) is not None
    small = f"{action} failed: fewer than {MINIMUM} matched users would be left. The audience is unchanged."
    audience.details["error"] = PROCESSING_FAILED if failed else small
    with world.state.attempt():
        if action == "REPLACE":
            members.clear(audience)
        if action == "REMOVE":
            members.remove(audience, file.rows)
        else:
            members.add(audience, file.rows)
        if failed or members.matched(audience) < MINIMUM:
            raise Undone
        audience.details["error"] = ""
    audience.shown = before[0]
    if audience.details["error"]:
        _, audience.updated, audience.content_updated = before
    audience.size = audience.matched = audience.oldest = None
    audience.ready_at = world.clock.now() + members.delay
    world.state.save(audience)


def _tell(world: World, audience: Audience, action: str, detail: str, file: tiktok_files.File) -> None:
    """Write the history; ``msg`` holds what went wrong in part, once it is processed."""
    message = f"{file.unreadable} row(s) could not be parsed." if file.unreadable else ""
    now = world.clock.now()
    world.state.connection.execute(
        "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?)",
        (audience.number, now, now + world.members.delay, action, detail, message),
    )


def delete(call: TikTokCall) -> object:
    """``POST /dmp/custom_audience/delete/``."""
    account = call.account()
    for audience_id in call.texts("custom_audience_ids", most=100):
        call.world.state.delete(call.audience(audience_id, account))
    return {}


def get(call: TikTokCall) -> object:
    """``GET /dmp/custom_audience/get/``; ids that are unknown to the advertiser are left out."""
    account, ids = call.account(), call.texts("custom_audience_ids", most=100)
    size = call.number("history_size", 1, 100, 10)
    found = [call.world.state.audience("tiktok", audience_id) for audience_id in ids]
    return {
        "list": [
            {
                "audience_details": describe(call.world, one),
                "audience_history": _history(call.world, one, size),
            }
            for one in found
            if one is not None and one.account == account
        ]
    }


def list_in_account(call: TikTokCall) -> object:
    """``GET /dmp/custom_audience/list/``."""
    page, size = call.number("page", 1, 10**6, 1), call.number("page_size", 1, 100, 10)
    audiences = call.world.state.in_account("tiktok", call.account())
    start = (page - 1) * size
    return {
        "list": [describe(call.world, audience) for audience in audiences[start : start + size]],
        "page_info": {
            "page": page,
            "page_size": size,
            "total_page": -(-len(audiences) // size),
            "total_number": len(audiences),
        },
    }


def describe(world: World, audience: Audience) -> dict[str, Any]:
    """The details object."""
    details, now, settled = audience.details, world.clock.now(), world.members.settled(audience)
    end = details.get("fixed_end", audience.updated + LIFE)
    covered = details["size"] * settled if audience.kind == "lookalike" else world.members.shown(audience)
    small = settled and not details["error"] and covered < MINIMUM
    return {
        "audience_id": audience.id,
        "name": audience.name,
        "audience_type": details["audience_type"],
        "audience_sub_type": details["audience_sub_type"],
        "calculate_type": details["calculate_type"],
        "cover_num": covered,
        "is_valid": settled and now < end and covered > 0,
        "is_expiring": end - EXPIRING <= now < end,
        "shared": False,
        "is_creator": True,
        "owner_id": audience.account,
        "msg": f"Fewer than {MINIMUM} users: too small for an ad group." if small else "",
        "error_msg": details["error"] if settled else "",
        "create_time": spaced(audience.created),
        "expired_time": spaced(end),
        **({"lookalike_spec": details["lookalike_spec"]} if audience.kind == "lookalike" else {}),
    }


def _history(world: World, audience: Audience, size: int) -> list[dict[str, str]]:
    query = (
        "SELECT at, visible_at, action, detail, message FROM history WHERE audience = ? "
        "ORDER BY at DESC, rowid DESC LIMIT ?"
    )
    now = world.clock.now()
    return [
        {
            "action": action,
            "action_detail": detail,
            "editor": "open_api",
            "msg": message if now >= visible_at else "",
            "opt_time": spaced(at),
        }
        for at, visible_at, action, detail, message in world.state.connection.execute(
            query, (audience.number, size)
        )
    ]
