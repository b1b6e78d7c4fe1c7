"""Files of identifiers that TikTok's audiences are made from. Raw values are hashed before they are kept."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyroaring import BitMap

from audience_pipeline.sandbox.people import Entry, Kind, sha256
from audience_pipeline.sandbox.rows import pack, packed_hex
from audience_pipeline.sandbox.tiktok_calls import TikTokCall, TikTokError
from audience_pipeline.sandbox.wire import Part

BYTES_LIMIT = 50_000_000
TYPES = {
    "EMAIL_SHA256": (Kind.EMAIL, 64),
    "PHONE_SHA256": (Kind.PHONE, 64),
    "IDFA_SHA256": (Kind.DEVICE, 64),
    "IDFA_MD5": (Kind.DEVICE, 32),
    "GAID_SHA256": (Kind.DEVICE, 64),
    "GAID_MD5": (Kind.DEVICE, 32),
    "FIRST_SHA256": (Kind.DEVICE, 64),
    "FIRST_MD5": (Kind.DEVICE, 32),
}
MULTIPLE = "MULTIPLE_TYPES"
HEADERS = {
    "email_sha256": (Kind.EMAIL, 64),
    "phone_sha256": (Kind.PHONE, 64),
    "maid_sha256": (Kind.DEVICE, 64),
    "maid_md5": (Kind.DEVICE, 32),
    "email": (Kind.EMAIL, 0),
    "phone": (Kind.PHONE, 0),
    "maid": (Kind.DEVICE, 0),
}
_HEX = {64: re.compile(r"[0-9a-f]{64}"), 32: re.compile(r"[0-9a-f]{32}")}


@dataclass(frozen=True, slots=True)
class File:
    """What stored files hold."""

    unreadable: int
    rows: BitMap = field(repr=False)


def upload(call: TikTokCall) -> object:
    """``POST /dmp/custom_audience/file/upload/``."""
    account = call.account()
    calculate_type = call.choice("calculate_type", [*TYPES, MULTIPLE])
    signature, file = call.text("file_signature"), call.parameters.get("file")
    if not isinstance(file, Part) or not file.file_name:
        raise TikTokError(40002, "file: Missing data for required field.")
    name = call.parameters.get("file_name") or file.file_name
    if not str(name).lower().endswith((".csv", ".txt")):
        raise TikTokError(40002, "file: Only .csv and .txt files are supported.")
    if len(file.content) > BYTES_LIMIT:
        raise TikTokError(40002, "file: Larger than 50 MB.")
    if hashlib.md5(file.content, usedforsecurity=False).hexdigest() != signature:
        raise TikTokError(40002, "file_signature: does not match the MD5 of the file.")
    try:
        text = file.content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TikTokError(40002, "file: Not UTF-8.") from None
    rows, unreadable = _read(text, calculate_type)
    state = call.world.state
    path = f"dmp/{account}/{state.next_number('file'):012d}"
    kept = BitMap(call.world.members.rows.register("tiktok", rows)).serialize()
    state.connection.execute(
        "INSERT INTO files VALUES (?, ?, ?, ?, ?)", (path, account, calculate_type, unreadable, kept)
    )
    return {"file_path": path}


def load(call: TikTokCall, account: str, paths: Sequence[str], calculate_type: str) -> File:
    """The rows of several files together.

    Raises:
        TikTokError: 40002 for a file that is missing, another advertiser's or of another type.
    """
    rows, unreadable = BitMap(), 0
    query = "SELECT calculate_type, unreadable, rows FROM files WHERE path = ? AND account = ?"
    for place, path in enumerate(paths):
        found = call.world.state.connection.execute(query, (path, account)).fetchone()
        if found is None:
            raise TikTokError(40002, f"file_paths[{place}]: no such file of this advertiser.")
        if found[0] != calculate_type:
            raise TikTokError(
                40002, f"file_paths[{place}]: is of calculate_type {found[0]}, not {calculate_type}."
            )
        unreadable += found[1]
        rows |= BitMap.deserialize(found[2])
    return File(unreadable, rows)


def _read(text: str, calculate_type: str) -> tuple[list[bytes], int]:
    """Rows as :func:`rows.pack` makes them, and how many lines could not be read."""
    if calculate_type != MULTIPLE:
        columns = [TYPES[calculate_type]]
        lines = [[line.strip()] for line in text.splitlines()]
    else:
        reader = csv.reader(io.StringIO(text))
        header = [name.strip().lower() for name in next(reader, [])]
        if not header or len(set(header)) < len(header) or not set(header) <= set(HEADERS):
            raise TikTokError(40002, f"file: {MULTIPLE} needs a header row of known column names.")
        columns = [HEADERS[name] for name in header]
        lines = list(reader)
    plain = all(length == 64 for _, length in columns) and sorted(columns) == columns
    kinds = bytes(kind for kind, _ in columns)
    found, unreadable = [], 0
    for line in lines:
        row = packed_hex(kinds, line) if plain and len(line) == len(columns) else None
        if row is None:
            if not any(value.strip() for value in line):
                continue
            row = _row(line, columns)
        if row is None:
            unreadable += 1
        else:
            found.append(row)
    return found, unreadable


def _row(line: Sequence[str], columns: Sequence[tuple[Kind, int]]) -> bytes | None:
    if len(line) != len(columns):
        return None
    row = []
    for value, (kind, length) in zip(line, columns, strict=True):
        if value.strip():
            cell = _cell(value.strip(), kind, length)
            if cell is None:
                return None
            row.append(cell)
    return pack(row)


def _cell(value: str, kind: Kind, length: int) -> Entry | None:
    if length == 0:
        return (kind, _hashed(value, kind))
    if not _HEX[length].fullmatch(value):
        return None
    return (kind, bytes.fromhex(value) if length == 64 else sha256(value))


def _hashed(value: str, kind: Kind) -> bytes:
    """A raw value normalised as TikTok's help says, then hashed."""
    lowered = value.lower()
    if kind is Kind.EMAIL:
        local, at, domain = lowered.rpartition("@")
        return sha256(local.partition("+")[0] + at + domain)
    if kind is Kind.PHONE:
        return sha256(re.sub(r"\D", "", lowered).lstrip("0"))
    return sha256(lowered)
