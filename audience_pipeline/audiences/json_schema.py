"""The JSON Schema of definition files, for editors: made of the tables that the reader reads by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from audience_pipeline.audiences.activity import EVENTS, PROPERTIES
from audience_pipeline.audiences.checked_sql import FUNCTIONS
from audience_pipeline.audiences.fields import FIELDS, Field
from audience_pipeline.audiences.keys import (
    APPLIES,
    AUDIENCE_KEYS,
    AUDIENCE_REQUIRED,
    DID_KEYS,
    EVERYWHERE,
    GROUP_KEYS,
    MAX_DAYS,
    MAX_HOLDOUT,
    MAX_SEGMENT,
    MAX_TIMES,
    NAME_PATTERN,
    REFRESHES,
    RULE_KEYS,
    SUPPRESSION_FILE_KEYS,
    SUPPRESSION_KEYS,
    SUPPRESSION_REQUIRED,
)
from audience_pipeline.platforms.contract import Platform

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"

# Python's $ also matches before a last line break; the look-ahead makes both kinds of patterns agree.
_NAME: Schema = {"type": "string", "pattern": f"^{NAME_PATTERN}$(?!\\n)"}
_TEXT: Schema = {"type": "string", "pattern": "\\S"}
_EXAMPLE = """\
include:
  all:
    - where: ltv_quintile = 1 and days_since_last_order between 60 and 180
    - did: {event: product_view, at_least: 2, within_days: 14, where: "category = 'shoes'"}
exclude: {in: recent_converters}"""


def audience_schema(fields: Mapping[str, Field] = FIELDS) -> Schema:
    """The schema of an audience file, draft 2020-12.

    Args:
        fields: the fields that conditions may use; they are described where a condition stands.
    """
    values: Mapping[str, Schema] = {
        "name": _NAME,
        "description": _TEXT,
        "include": _reference("rule"),
        "exclude": _reference("rule"),
        "suppress": {"type": "array", "items": _NAME},
        "platforms": _platforms(),
        "refresh": {"enum": list(REFRESHES), "default": REFRESHES[0]},
        "holdout_percent": {"type": "number", "minimum": 0, "maximum": MAX_HOLDOUT, "default": 0},
    }
    return {
        "$schema": DIALECT,
        "title": "Audience",
        "description": f"One audience: who is in, who is out, where it goes. For example:\n\n{_EXAMPLE}",
        **_object(AUDIENCE_KEYS, values, AUDIENCE_REQUIRED),
        "$defs": {"rule": _rule(composed=True), "did": _did(), "where": _where(fields)},
    }


def suppression_schema(fields: Mapping[str, Field] = FIELDS) -> Schema:
    """The schema of a suppression file (``_suppression.yaml``), draft 2020-12; arguments as above."""
    values: Mapping[str, Schema] = {
        "name": _NAME,
        "description": _TEXT,
        "include": _reference("rule"),
        "applies": {"enum": list(APPLIES), "default": EVERYWHERE},
    }
    rules: Schema = {"type": "array", "items": _object(SUPPRESSION_KEYS, values, SUPPRESSION_REQUIRED)}
    return {
        "$schema": DIALECT,
        "title": "Suppression rules",
        "description": "Who must not be in an audience.",
        **_object(SUPPRESSION_FILE_KEYS, {"rules": rules}, tuple(SUPPRESSION_FILE_KEYS)),
        "$defs": {"rule": _rule(composed=False), "did": _did(), "where": _where(fields)},
    }


def written(schema: Schema) -> str:
    """A schema as the text of its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _object(keys: Mapping[str, str], values: Mapping[str, Schema], required: tuple[str, ...]) -> Schema:
    return {
        "type": "object",
        "properties": {key: {"description": meaning, **values[key]} for key, meaning in keys.items()},
        "required": list(required),
        "additionalProperties": False,
    }


def _reference(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _platforms() -> Schema:
    names = [platform.value for platform in Platform]
    return {"type": "array", "items": {"enum": names}, "minItems": 1, "uniqueItems": True}


def _rule(*, composed: bool) -> Schema:
    many: Schema = {"type": "array", "items": _reference("rule"), "minItems": 1}
    values: Mapping[str, Schema] = {
        "all": many,
        "any": many,
        "not": _reference("rule"),
        "where": _reference("where"),
        "did": _reference("did"),
        "did_not": _reference("did"),
        "in": _group(composed=composed),
        "not_in": _group(composed=composed),
    }
    return {
        "description": "Who is meant: exactly one key. Several rules are put as a list under all: or any:.",
        **_object(RULE_KEYS, values, ()),
        "minProperties": 1,
        "maxProperties": 1,
    }


def _group(*, composed: bool) -> Schema:
    values: Mapping[str, Schema] = {
        "audience": _NAME,
        "list": _NAME,
        "segment": {**_TEXT, "maxLength": MAX_SEGMENT},
    }
    keys = {key: meaning for key, meaning in GROUP_KEYS.items() if composed or key != "audience"}
    plain = "The name of an audience or of an uploaded list." if composed else "The name of an uploaded list."
    return {
        "oneOf": [
            {"description": plain, **_NAME},
            {**_object(keys, values, ()), "minProperties": 1, "maxProperties": 1},
        ]
    }


def _did() -> Schema:
    times: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_TIMES}
    values: Mapping[str, Schema] = {
        "event": {"enum": list(EVENTS)},
        "at_least": {**times, "default": 1},
        "at_most": times,
        "within_days": {"type": "integer", "minimum": 1, "maximum": MAX_DAYS},
        "where": _condition("property", PROPERTIES),
    }
    return _object(DID_KEYS, values, ("event",))


def _where(fields: Mapping[str, Field]) -> Schema:
    return _condition("field", fields)


def _condition(called: str, fields: Mapping[str, Field]) -> Schema:
    """Text, with its words listed, since no schema looks into it; to an editor ``true`` alone is no text."""
    listed = "\n".join(f"- {_described(field)}" for field in fields.values())
    said = (
        f"A condition, as in SQL: each {called} compared with values by =, <>, <, <=, >, >=, between, "
        "in (...), like and is null, combined by and, or, not and brackets; + - * / and the functions "
        f"{', '.join(FUNCTIONS)}. Text stands in single quotes, days are written '2026-01-31'."
    )
    name = next(iter(fields))
    return {
        "description": f"{said}\n\n{'Fields' if called == 'field' else 'Properties'}:\n{listed}",
        "anyOf": [_TEXT, {"type": "boolean"}],
        "examples": [_example(fields[name])],
    }


def _described(field: Field) -> str:
    kind = ", ".join(part for part in (field.type, field.unit) if part)
    values = f"; one of {', '.join(field.allowed)}" if field.allowed else f"; such as {field.example}"
    return f"{field.name} ({kind}): {field.meaning}{values}"


def _example(field: Field) -> str:
    quote = "'" if field.type in ("text", "date") else ""
    return f"{field.name} = {quote}{field.example}{quote}"
