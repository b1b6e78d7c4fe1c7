"""Queries in the Google Ads query language, over lists and where they are used."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from audience_pipeline.sandbox import google_criteria
from audience_pipeline.sandbox.google_gaql import AdsError, list_facts
from audience_pipeline.sandbox.world import World

RESOURCES = ("user_list", "campaign", "ad_group", "ad_group_criterion", "campaign_criterion")
_QUERY = re.compile(
    r"\s*SELECT\s+(.+?)\s+FROM\s+(\w+)(?:\s+WHERE\s+(.+?))?(?:\s+LIMIT\s+(\d+))?\s*",
    re.IGNORECASE | re.DOTALL,
)
_TERM = re.compile(
    r"\s*([a-z_.]+)\s*(=|!=|IN)\s*(\(.*\)|'[^']*'|\"[^\"]*\"|\w+)\s*", re.IGNORECASE | re.DOTALL
)


def search(world: World, customer: str, query: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Selected fields and rows of a GAQL query.

    Raises:
        AdsError: the query is not understood.
    """
    parsed = _QUERY.fullmatch(query)
    if parsed is None:
        raise AdsError("queryError", "UNEXPECTED_INPUT", "Error in query: unexpected input.")
    resource = parsed[2]
    if resource not in RESOURCES:
        raise AdsError(
            "queryError", "BAD_RESOURCE_TYPE_IN_FROM_CLAUSE", f"'{resource}' is not kept by the sandbox."
        )
    fields = [field.strip() for field in parsed[1].split(",")]
    terms = []
    for condition in re.split(r"\s+AND\s+", parsed[3], flags=re.IGNORECASE) if parsed[3] else []:
        term = _TERM.fullmatch(condition)
        if term is None:
            raise AdsError("queryError", "BAD_OPERATOR", "Error in WHERE clause.")
        terms.append((term[1], term[2].upper(), re.findall(r"[^\s,'\"()]+|(?<=')[^']*(?=')", term[3])))
    rows = []
    for facts in _facts(world, customer, resource):
        for name in [*fields, *(term[0] for term in terms)]:
            if name not in facts:
                raise AdsError(
                    "queryError", "UNRECOGNIZED_FIELD", f"Unrecognized field in the query: '{name}'."
                )
        if all((str(facts[name]) in _values(term)) is (operator != "!=") for name, operator, term in terms):
            names = {f"{name.partition('.')[0]}.resource_name" for name in fields}
            rows.append(_shown(facts, [*sorted(names), *fields]))
    return fields, rows[: int(parsed[4])] if parsed[4] else rows


def _facts(world: World, customer: str, resource: str) -> Iterator[Mapping[str, Any]]:
    if resource != "user_list":
        yield from google_criteria.facts(world, customer, resource)
        return
    for audience in world.state.in_account("google", customer):
        yield {f"user_list.{name}": value for name, value in list_facts(world, audience).items()}


def _shown(facts: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """The fields as nested objects with names in camelCase; what has no value is left out."""
    row: dict[str, Any] = {}
    for name in names:
        if facts[name] is None:
            continue
        *objects, last = (_camel(part) for part in name.split("."))
        place = row
        for one in objects:
            place = place.setdefault(one, {})
        place[last] = facts[name]
    return row


def _values(parts: list[str]) -> set[str]:
    return {" ".join(parts), *parts}


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)
