"""The filter of ``userLists``: conditions on a list's fields, as AIP-160 writes them."""

from __future__ import annotations

import re
from enum import IntEnum

from audience_pipeline.sandbox.google_errors import wrong
from audience_pipeline.sandbox.google_messages import AccessReason, MembershipStatus, UploadKeyType
from audience_pipeline.sandbox.google_schema import snake
from audience_pipeline.sandbox.state import Audience

Condition = tuple[str, str, list[str]]
"""Field, operator and values."""
NUMBERED = {
    "membership_status": MembershipStatus,
    "access_reason": AccessReason,
    "ingested_user_list_info.upload_key_types": UploadKeyType,
}
_LITERAL = r'"(?:[^"\\]|\\.)*"|[\w.-]+'
_CONDITION = re.compile(rf"\s*([A-Za-z_.]+)\s*(!=|>=|<=|=|>|<|:)\s*({_LITERAL})\s*")
_MEMBER = re.compile(rf"\s*IN\(\s*([A-Za-z_.]+)\s*((?:,\s*(?:{_LITERAL})\s*)+)\)\s*")
_FIELDS = frozenset({"id", "display_name", "description", "integration_code", *NUMBERED})


def conditions(text: str) -> list[Condition]:
    """The conditions of an AIP-160 filter, joined by AND.

    Raises:
        GoogleError: 400 ``INVALID_FILTER``.
    """
    found_so_far: list[Condition] = []
    place, spellings = 0, set[str]()
    while text[place:].strip():
        if found_so_far:
            joint = re.compile(r"\s*AND\b").match(text, place)
            if not joint:
                raise wrong("filter", "INVALID_FILTER")
            place = joint.end()
        found = _MEMBER.match(text, place) or _CONDITION.match(text, place)
        field = ".".join(snake(part) for part in found[1].split(".")) if found else ""
        if found is None or field not in _FIELDS:
            raise wrong("filter", "INVALID_FILTER")
        if found[1] != found[1].lower():
            spellings.add("camel")
        elif "_" in found[1]:
            spellings.add("snake")
        if found.re is _MEMBER:
            found_so_far.append((field, "IN", [_plain(part) for part in re.findall(_LITERAL, found[2])]))
        else:
            found_so_far.append((field, found[2], [_plain(found[3])]))
        place = found.end()
    if len(spellings) > 1:
        raise wrong("filter", "INVALID_FILTER", "camelCase and snake_case may not be mixed.")
    return found_so_far


def _plain(literal: str) -> str:
    return re.sub(r"\\(.)", r"\1", literal[1:-1]) if literal.startswith('"') else literal


def holds(audience: Audience, condition: Condition) -> bool:
    """True when a list fulfils a condition.

    Raises:
        GoogleError: 400 ``INVALID_FILTER``.
    """
    field, operator, values = condition
    details = audience.details
    facts: dict[str, str | int] = {
        "id": int(audience.id),
        "display_name": audience.name,
        "description": details["description"] or "",
        "integration_code": details["integrationCode"] or "",
        "membership_status": MembershipStatus(details["membershipStatus"]).name,
        "access_reason": AccessReason.OWNED.name,
        "ingested_user_list_info.upload_key_types": details["uploadKeyType"],
    }
    fact, wanted = facts[field], [_number(field, value) for value in values]
    if operator == "IN":
        return fact in wanted
    if operator == ":":
        return str(wanted[0]).lower() in str(fact).lower()
    if operator in {"=", "!="}:
        return (fact == wanted[0]) is (operator == "=")
    if not isinstance(fact, int) or not isinstance(wanted[0], int):
        raise wrong("filter", "INVALID_FILTER")
    return {
        ">": fact > wanted[0],
        ">=": fact >= wanted[0],
        "<": fact < wanted[0],
        "<=": fact <= wanted[0],
    }[operator]


def _number(field: str, value: str) -> str | int:
    if field == "id":
        if not value.isdigit():
            raise wrong("filter", "INVALID_FILTER")
        return int(value)
    names: type[IntEnum] | None = NUMBERED.get(field)
    if names is not None and value not in names.__members__:
        raise wrong("filter", "INVALID_FILTER")
    return value
