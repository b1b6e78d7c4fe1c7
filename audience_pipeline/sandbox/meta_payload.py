"""The rows that are sent to Meta: schema, cells, and which rows are invalid."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from audience_pipeline.sandbox.meta_calls import GraphCall, GraphError
from audience_pipeline.sandbox.people import Entry, Kind, sha256
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
    entries: list[list[Entry]]
    limited: list[bool]
    """True for rows under limited data use: kept, and not matched."""
    samples: dict[str, str]
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
    if payload.get("is_raw") not in {None, False, "false"}:
        raise GraphError(100, "payload.is_raw: the sandbox takes hashed data only.", fields=["payload"])
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


def _sort(columns: tuple[str, ...], rows: Sequence[Sequence[object]]) -> Payload:
    entries: list[list[Entry]] = []
    limited: list[bool] = []
    samples: dict[str, str] = {}
    invalid = 0
    options = columns.index(OPTIONS) if OPTIONS in columns else None
    for row in rows:
        read = _entries(columns, row)
        if read:
            entries.append(read)
            limited.append(options is not None and bool(row[options]) and row[options] != "[]")
            continue
        invalid += 1
        if len(samples) < SAMPLES_LIMIT:
            samples[json.dumps(row, ensure_ascii=False)] = "Invalid row."
    return Payload(columns, len(rows), entries, limited, samples, invalid)


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
