"""The rows that are sent to Meta: schema, cells, and which rows are invalid."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

from audience_pipeline.sandbox.meta_calls import GraphCall, GraphError
from audience_pipeline.sandbox.people import Entry, Kind, sha256
from audience_pipeline.sandbox.rows import pack, packed_hex
from audience_pipeline.sandbox.state import Audience

SAMPLES_LIMIT = 100
ROWS_LIMIT = 10_000
HASHED = {
    "EMAIL": Kind.EMAIL,
    "EMAIL_SHA256": Kind.EMAIL,
    "PHONE": Kind.PHONE,
    "PHONE_SHA256": Kind.PHONE,
    "FN": Kind.FIRST_NAME,
    "LN": Kind.LAST_NAME,
    "FI": Kind.FIRST_INITIAL,
    "ZIP": Kind.POSTAL_CODE,
    "COUNTRY": Kind.COUNTRY,
    "CT": Kind.CITY,
    "ST": Kind.STATE,
    "GEN": Kind.GENDER,
    "DOBY": Kind.BIRTH_YEAR,
    "DOBM": Kind.BIRTH_MONTH,
    "DOBD": Kind.BIRTH_DAY,
}
PLAIN = {"EXTERN_ID": Kind.OWN_ID, "MADID": Kind.PLAIN_DEVICE, "MOBILE_ADVERTISER_ID": Kind.PLAIN_DEVICE}
IGNORED = frozenset({"PAGEUID", "APPUID", "DATA_PROCESSING_OPTIONS_COUNTRY", "DATA_PROCESSING_OPTIONS_STATE"})
OPTIONS = "DATA_PROCESSING_OPTIONS"
VALUE = "LOOKALIKE_VALUE"
SINGLE = frozenset({"EMAIL_SHA256", "PHONE_SHA256", "MOBILE_ADVERTISER_ID", "EXTERN_ID"})
MULTIPLE = (frozenset(HASHED) | frozenset(PLAIN) | IGNORED | {OPTIONS, VALUE}) - SINGLE | {"EXTERN_ID"}
PAYLOAD_KEYS = frozenset(
    {"schema", "data", "is_raw", "app_ids", "page_ids", "ig_account_ids", "data_source", "customer_consent"}
)
_HASH = re.compile(r"[0-9a-f]{64}")
_EMPTY = sha256("").hex()


@dataclass(frozen=True, slots=True)
class Payload:
    """Rows that were read, and what could not be."""

    columns: tuple[str, ...]
    received: int
    rows: list[bytes] = field(repr=False)
    """As :func:`rows.pack` makes them, valid ones only."""
    sent: list[Sequence[Any]] = field(repr=False)
    """The same as they came."""
    samples: dict[str, str] = field(repr=False)
    invalid: int


def read_payload(call: GraphCall, audience: Audience | None) -> Payload:
    """The rows of a request; ``audience`` when they go to a single one.

    Raises:
        GraphError: 100.
    """
    payload = call.structure("payload")
    if not isinstance(payload, dict):
        raise GraphError(100, "The parameter payload is required.", fields=["payload"])
    unknown = set(payload) - PAYLOAD_KEYS
    if unknown:
        raise GraphError(100, f"payload does not know {min(unknown)}.", fields=["payload"])
    # True is what the official client sends with several columns, hashed all the same.
    if payload.get("is_raw") not in (None, False, True, "false", "true"):
        raise GraphError(100, "payload.is_raw must be a boolean.", fields=["payload"])
    columns, flat = _columns(payload.get("schema"))
    if VALUE in columns and audience is not None and not audience.details.get("is_value_based"):
        raise GraphError(
            100, "LOOKALIKE_VALUE needs an audience created with is_value_based.", fields=["schema"]
        )
    data = payload.get("data")
    if not isinstance(data, list) or not data:
        raise GraphError(100, "payload.data must be a list that is not empty.", fields=["data"])
    if len(data) > ROWS_LIMIT:
        raise GraphError(100, f"payload.data holds more than {ROWS_LIMIT} rows.", fields=["data"])
    rows = [[row] if flat and isinstance(row, str) else row for row in data]
    for position, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            raise GraphError(100, f"Row {position} does not have the width of the schema.", fields=["data"])
    return _sort(columns, rows)


def _columns(schema: object) -> tuple[tuple[str, ...], bool]:
    """The columns, and whether bare values may stand for rows."""
    if isinstance(schema, str):
        schema = [schema]
    if isinstance(schema, list) and schema and all(isinstance(name, str) for name in schema):
        if len(schema) == 1 and schema[0] in SINGLE | {"EMAIL", "PHONE", "MADID"}:
            return (schema[0],), True
        if len(set(schema)) == len(schema) and set(schema) <= MULTIPLE:
            return tuple(schema), False
    raise GraphError(100, "payload.schema is not a known key or list of known keys.", fields=["schema"])


def without(payload: Payload, places: Collection[int], reason: str) -> Payload:
    """The payload with some of its valid rows refused."""
    samples = dict(payload.samples)
    for place in places:
        _sample(samples, payload.sent[place], reason)
    kept = [place for place in range(len(payload.rows)) if place not in places]
    return replace(
        payload,
        rows=[payload.rows[place] for place in kept],
        sent=[payload.sent[place] for place in kept],
        samples=samples,
        invalid=payload.invalid + len(places),
    )


def _sample(samples: dict[str, str], row: object, reason: str) -> None:
    """Note an invalid row, as long as there is room."""
    if len(samples) < SAMPLES_LIMIT:
        samples[json.dumps(row, ensure_ascii=False)] = reason


def _sort(columns: tuple[str, ...], data: Sequence[Sequence[Any]]) -> Payload:
    samples: dict[str, str] = {}
    rows: list[bytes] = []
    sent: list[Sequence[Any]] = []
    read = _reader(columns)
    for row in data:
        found = read(row)
        if found is None:
            _sample(samples, row, "Invalid row.")
        else:
            rows.append(found)
            sent.append(row)
    return Payload(columns, len(data), rows, sent, samples, len(data) - len(rows))


def _reader(columns: tuple[str, ...]) -> Callable[[Sequence[Any]], bytes | None]:
    """What reads a row of these columns; None for an invalid one."""
    if not set(columns) <= set(HASHED):
        return lambda row: _packed(columns, row)
    order = sorted(range(len(columns)), key=lambda place: HASHED[columns[place]])
    kinds = bytes(HASHED[columns[place]] for place in order)

    def read(row: Sequence[Any]) -> bytes | None:
        return None if _EMPTY in row else packed_hex(kinds, [row[place] for place in order])

    return read


def _packed(columns: tuple[str, ...], row: Sequence[Any]) -> bytes | None:
    entries = _entries(columns, row)
    if not entries:
        return None
    options = row[columns.index(OPTIONS)] if OPTIONS in columns else None
    limited = bool(options) and options != "[]"
    return pack([*entries, (int(Kind.LIMITED), bytes(32))] if limited else entries)


def _entries(columns: tuple[str, ...], row: Sequence[object]) -> list[Entry] | None:
    """What a row holds; None when a cell is wrong or nothing is there."""
    entries: list[Entry] = []
    for name, value in zip(columns, row, strict=True):
        if name in HASHED:
            if value == "":
                continue
            if not isinstance(value, str) or not _HASH.fullmatch(value) or value == _EMPTY:
                return None
            entries.append((HASHED[name], bytes.fromhex(value)))
        elif name in PLAIN:
            if isinstance(value, str) and value:
                entries.append((PLAIN[name], sha256(value)))
            elif value != "":
                return None
        elif name == VALUE and not _worth(value):
            return None
    return entries or None


def _worth(value: object) -> bool:
    try:
        worth = float(str(value))
    except ValueError:
        return False
    return isfinite(worth) and worth >= 0
