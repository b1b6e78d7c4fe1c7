"""Custom audiences of Meta: create, read, list, change, delete."""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import urlencode

from audience_pipeline.sandbox import meta_policy
from audience_pipeline.sandbox.meta_calls import GraphCall, GraphError
from audience_pipeline.sandbox.meta_names import (
    ACCOUNT_FIELDS,
    CREATE_PARAMETERS,
    FIELDS,
    LABELS,
    UPDATE_PARAMETERS,
)
from audience_pipeline.sandbox.meta_users import replace_status
from audience_pipeline.sandbox.state import Audience
from audience_pipeline.sandbox.world import World, users_in

FIRST_ID = 120_210_000_000_000_000
ACCOUNT_LIMIT = 500
MINIMUM_TO_DELIVER = 100
SOURCES = ("USER_PROVIDED_ONLY", "PARTNER_PROVIDED_ONLY", "BOTH_USER_AND_PARTNER_PROVIDED")
RESTRICTIONS = ("NONE", "EXCLUSION_ONLY", "NO_DERIVATIVES")
OPERATION_TEXTS = {
    200: "Normal",
    410: "No file uploaded yet.",
    411: "Low match rate.",
    412: "High share of invalid rows.",
    414: "Audience replace in progress.",
    415: "Audience replace failed.",
    441: "We are finding people who fit the audience.",
    434: "The lookalike is being built.",
    471: "Flagged: the name or the description suggests prohibited information.",
    500: "The last upload could not be processed.",
}


def create(call: GraphCall, account: str) -> object:
    """``POST /act_{id}/customaudiences`` for a customer file."""
    call.allow(CREATE_PARAMETERS)
    name = call.need("name")
    call.choice("subtype", ["CUSTOM"])
    if "subtype" not in call.parameters:
        raise GraphError(100, "The parameter subtype is required.", fields=["subtype"])
    if "customer_file_source" not in call.parameters:
        raise GraphError(
            100, "The parameter customer_file_source is required.", fields=["customer_file_source"]
        )
    if call.world.state.count("meta", account, "members") >= ACCOUNT_LIMIT:
        raise GraphError(2654, f"This ad account has reached the limit of {ACCOUNT_LIMIT} custom audiences.")
    details = {
        "subtype": "CUSTOM",
        "description": call.text("description") or "",
        "customer_file_source": call.choice("customer_file_source", SOURCES),
        "is_value_based": call.flag("is_value_based"),
        **_changeable(call),
    }
    made = call.world.new_audience("meta", account, FIRST_ID, name, "members", details)
    meta_policy.draw(call.world, made)
    call.world.state.save(made)
    return {"id": made.id}


def update(call: GraphCall, audience: Audience) -> object:
    """``POST /{audience_id}``."""
    call.allow(UPDATE_PARAMETERS)
    meta_policy.refuse_flagged(call.world, audience, meta_policy.EDIT_AUDIENCE)
    if "name" in call.parameters:
        audience.name = call.need("name")
        meta_policy.draw(call.world, audience)
    if "description" in call.parameters:
        audience.details["description"] = call.text("description")
    if "customer_file_source" in call.parameters:
        audience.details["customer_file_source"] = call.choice("customer_file_source", SOURCES)
    audience.details |= _changeable(call)
    audience.updated = call.world.clock.now()
    call.world.state.save(audience)
    return {"success": True}


def _changeable(call: GraphCall) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    days = call.integer("retention_days")
    if days is not None:
        if not 1 <= days <= 180:
            raise GraphError(
                100, "Param retention_days must be between 1 and 180.", fields=["retention_days"]
            )
        changes["retention_days"] = days
    restriction = call.choice("usage_restriction", RESTRICTIONS)
    if restriction is not None:
        changes["usage_restriction"] = restriction
    if "audience_labels" in call.parameters:
        labels = call.names("audience_labels")
        if not set(labels) <= LABELS:
            raise GraphError(100, "Param audience_labels holds an unknown label.", fields=["audience_labels"])
        changes["audience_labels"] = labels
    return changes


def delete(call: GraphCall, audience: Audience) -> object:
    """``DELETE /{audience_id}``; refused while lookalikes depend on it."""
    call.allow(())
    if lookalikes_of(call.world, audience):
        raise GraphError(2656, "This audience cannot be deleted: lookalike audiences were built from it.")
    call.world.state.delete(audience)
    return {"success": True}


def lookalikes_of(world: World, audience: Audience) -> list[Audience]:
    """The lookalikes built from an audience."""
    siblings = world.state.in_account("meta", audience.account, "lookalike")
    return [sibling for sibling in siblings if sibling.details["origin_audience_id"] == audience.id]


def read(call: GraphCall, audience: Audience) -> object:
    """``GET /{audience_id}``: only ``id`` unless ``fields`` asks for more."""
    call.allow({"fields", "ad_account_id", "special_ad_categories", "target_countries"})
    return describe(call.world, audience, call.names("fields"))


def list_in_account(call: GraphCall, account: str) -> object:
    """``GET /act_{id}/customaudiences`` with cursors."""
    call.allow({"fields", "limit", "after", "before", "filtering", "business_id", "pixel_id", "summary"})
    audiences = _filtered(call, call.world.state.in_account("meta", account))
    limit = call.integer("limit")
    limit = 25 if limit is None else limit
    if not 1 <= limit <= 5000:
        raise GraphError(100, "Param limit must be between 1 and 5000.", fields=["limit"])
    after = call.text("after")
    if after:
        start = _cursor(after)
        audiences = [audience for audience in audiences if audience.number > start]
    page, fields = audiences[:limit], call.names("fields")
    answer: dict[str, Any] = {"data": [describe(call.world, audience, fields) for audience in page]}
    if page:
        cursors = {"before": _mark(page[0]), "after": _mark(page[-1])}
        answer["paging"] = {"cursors": cursors}
        if len(audiences) > limit:
            kept = {name: value for name, value in call.parameters.items() if isinstance(value, str)}
            query = urlencode({**kept, "limit": limit, "after": cursors["after"]})
            answer["paging"]["next"] = f"{call.address}?{query}"
    return answer


def _filtered(call: GraphCall, audiences: list[Audience]) -> list[Audience]:
    for condition in call.structure("filtering") or []:
        known = isinstance(condition, dict) and set(condition) == {"field", "operator", "value"}
        if not known or condition["field"] not in {"name", "id", "subtype"}:
            raise GraphError(100, "Param filtering needs field, operator and value.", fields=["filtering"])
        operator, wanted = condition["operator"], condition["value"]

        def value(audience: Audience, field: str = condition["field"]) -> str:
            return str(
                {"name": audience.name, "id": audience.id, "subtype": audience.details["subtype"]}[field]
            )

        if operator == "EQUAL":
            audiences = [audience for audience in audiences if value(audience) == wanted]
        elif operator == "CONTAIN":
            audiences = [audience for audience in audiences if str(wanted) in value(audience)]
        elif operator == "IN" and isinstance(wanted, list):
            audiences = [audience for audience in audiences if value(audience) in wanted]
        else:
            raise GraphError(100, "Param filtering has an unknown operator.", fields=["filtering"])
    return audiences


def _mark(audience: Audience) -> str:
    return base64.urlsafe_b64encode(str(audience.number).encode()).decode()


def _cursor(text: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(text))
    except (ValueError, binascii.Error):
        raise GraphError(100, "Param after is not a cursor.", fields=["after"]) from None


def read_account(call: GraphCall, account: str) -> object:
    """``GET /act_{id}``."""
    call.allow({"fields"})
    fields = call.names("fields")
    _known(fields, ACCOUNT_FIELDS, "AdAccount")
    facts = {
        "account_id": account,
        "name": f"Sandbox account {account}",
        "account_status": 1,
        "currency": "USD",
        "timezone_name": "UTC",
        "tos_accepted": {"custom_audience_tos": 1},
        "user_tos_accepted": {"custom_audience_tos": 1},
    }
    return {**{name: facts[name] for name in fields if name != "id"}, "id": f"act_{account}"}


def _known(fields: list[str], known: frozenset[str], node: str) -> None:
    for name in fields:
        if name not in known:
            raise GraphError(100, f"Tried accessing nonexisting field ({name}) on node type ({node})")


def describe(world: World, audience: Audience, fields: list[str]) -> dict[str, Any]:
    """The fields of an audience that have a value; ``id`` always.

    Raises:
        GraphError: 100 for an unknown field.
    """
    _known(fields, FIELDS, "CustomAudience")
    if not set(fields) - {"id"}:
        return {"id": audience.id}
    low, high = bounds(world, audience)
    operation = _operation(world, audience)
    facts = {
        "account_id": audience.account,
        "name": audience.name,
        "approximate_count_lower_bound": low,
        "approximate_count_upper_bound": high,
        "operation_status": {"code": operation, "description": OPERATION_TEXTS[operation]},
        "delivery_status": _delivery(world, audience),
        "time_created": int(audience.created),
        "time_updated": int(audience.updated),
        "time_content_updated": int(audience.content_updated) if audience.content_updated else None,
        **audience.details,
    }
    if "fields_violating_integrity_policy" in fields:
        facts["fields_violating_integrity_policy"] = meta_policy.violating(world, audience)
    if "lookalike_audience_ids" in fields:
        facts["lookalike_audience_ids"] = [one.id for one in lookalikes_of(world, audience)] or None
    chosen = {name: facts[name] for name in fields if name != "id" and facts.get(name) is not None}
    return {"id": audience.id, **chosen}


def bounds(world: World, audience: Audience) -> tuple[int, int]:
    """Size as Meta shows it: two rounded bounds, never below 1,000; for a lookalike a share of a country."""
    if audience.kind == "lookalike":
        if not world.members.settled(audience):
            return 1_000, 1_000
        share = (
            audience.details["lookalike_spec"]["ratio"] - audience.details["lookalike_spec"]["starting_ratio"]
        )
        people = round(users_in(audience.details["countries"]) * share)
    else:
        people = world.members.shown(audience)
    if people < 1_000:
        return 1_000, 1_000
    step = 10 ** (len(str(people)) - 2)
    low = people // step * step
    return low, -(-low * 12 // (10 * step)) * step


def _operation(world: World, audience: Audience) -> int:
    settled = world.members.settled(audience)
    if audience.kind == "lookalike":
        return 200 if settled else 434
    if meta_policy.violating(world, audience):
        return 471
    replacing = replace_status(world, audience)
    if replacing is not None:
        return replacing
    if audience.content_updated is None:
        return 410
    if not settled:
        return 441
    if audience.details.get("broken"):
        return 500
    size, matched = world.members.size(audience), world.members.matched(audience)
    if audience.details.get("invalid", 0) > audience.details.get("received", 0) / 2:
        return 412
    return 411 if size and matched < size * 0.1 else 200


def _delivery(world: World, audience: Audience) -> dict[str, Any]:
    if audience.kind == "members" and world.members.shown(audience) < MINIMUM_TO_DELIVER:
        return {"code": 300, "description": "This audience is too small to be used."}
    return {"code": 200, "description": "This audience is ready for use."}
