"""TikTok's streaming path: audiences that start empty and take single rows, answered without counts."""

from __future__ import annotations

import re
from typing import Any

from pyroaring import BitMap

from audience_pipeline.sandbox import tiktok_audiences
from audience_pipeline.sandbox.people import Entry, Kind, sha256
from audience_pipeline.sandbox.rows import pack
from audience_pipeline.sandbox.state import Audience
from audience_pipeline.sandbox.tiktok_calls import TikTokCall, TikTokError

ROWS_LIMIT = 1_000
SCHEMA = {
    "EMAIL_SHA256": (Kind.EMAIL, 64),
    "PHONE_SHA256": (Kind.PHONE_WITH_PLUS, 64),
    "IDFA_SHA256": (Kind.DEVICE, 64),
    "AAID_SHA256": (Kind.DEVICE, 64),
    "IDFA_MD5": (Kind.DEVICE, 32),
    "AAID_MD5": (Kind.DEVICE, 32),
}


def audience(call: TikTokCall) -> object:
    """``POST /segment/audience/``: create, or delete."""
    account = call.account()
    if call.choice("action", ("create", "delete"), "create") == "delete":
        call.world.state.delete(call.audience(call.text("delete_audience_id"), account))
        return {}
    name = call.text("custom_audience_name")
    if len(name) > 70:
        name = name[:67] + "..."
    return {"audience_id": tiktok_audiences.new(call.world, account, name, "Streaming Audience", "").id}


def mapping(call: TikTokCall) -> object:
    """``POST /segment/mapping/``: one bad row refuses the whole call."""
    accounts = call.texts("advertiser_ids", most=100)
    action = call.choice("action", ("add", "delete"), "add")
    schema = [name.upper() for name in call.texts("id_schema", most=len(SCHEMA))]
    if len(set(schema)) < len(schema) or not set(schema) <= set(SCHEMA):
        raise TikTokError(40002, f"id_schema: Must be of: {', '.join(SCHEMA)}, each once.")
    data = call.parameters.get("batch_data")
    if not isinstance(data, list) or not data:
        raise TikTokError(40002, "batch_data: Missing data for required field.")
    if len(data) > ROWS_LIMIT:
        raise TikTokError(40002, f"batch_data: Longer than maximum length {ROWS_LIMIT}.")
    audiences: dict[str, Audience] = {}
    entries: dict[str, list[list[Entry]]] = {}
    for place, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(schema):
            raise TikTokError(40002, f"batch_data[{place}]: needs one cell per entry of id_schema.")
        for audience_id, found in _cells(schema, row, place).items():
            if audience_id not in audiences:
                audiences[audience_id] = _permitted(call, audience_id, accounts)
            entries.setdefault(audience_id, []).append(found)
    members = call.world.members
    for audience_id, uploaded in entries.items():
        rows = BitMap(members.rows.register("tiktok", [pack(found) for found in uploaded]))
        change = members.add if action == "add" else members.remove
        change(audiences[audience_id], rows)
    return {}


def _permitted(call: TikTokCall, audience_id: str, accounts: list[str]) -> Audience:
    found = call.world.state.audience("tiktok", audience_id)
    if found is None or found.kind != "members":
        raise TikTokError(40007, f"Audience {audience_id} does not exist")
    if found.account not in accounts:
        raise TikTokError(40001, f"No permission for audience {audience_id}")
    return found


def _cells(schema: list[str], row: list[Any], place: int) -> dict[str, list[Entry]]:
    """The identifiers of a row by the audiences that its cells name."""
    found: dict[str, list[Entry]] = {}
    for name, cell in zip(schema, row, strict=True):
        if cell == {}:
            continue
        kind, length = SCHEMA[name]
        value, ids = (cell.get("id"), cell.get("audience_ids")) if isinstance(cell, dict) else (None, None)
        if not isinstance(value, str) or not re.fullmatch(rf"[0-9a-f]{{{length}}}", value):
            raise TikTokError(40002, f"batch_data[{place}]: the id is not a hash as {name} needs it.")
        if not isinstance(ids, list) or not ids or not all(isinstance(part, str) for part in ids):
            raise TikTokError(40002, f"batch_data[{place}]: audience_ids must be a list of strings.")
        digest = bytes.fromhex(value) if length == 64 else sha256(value)
        for audience_id in ids:
            found.setdefault(audience_id, []).append((kind, digest))
    return found
