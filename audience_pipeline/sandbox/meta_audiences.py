"""Custom audiences of Meta: create, read, list, change, delete."""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import urlencode

from audience_pipeline.sandbox import meta_policy
from audience_pipeline.sandbox.meta_calls import GraphCall, GraphError
from audience_pipeline.sandbox.meta_description import describe, lookalikes_of
from audience_pipeline.sandbox.meta_names import (
    CREATE_PARAMETERS,
    LABELS,
    UPDATE_PARAMETERS,
)
from audience_pipeline.sandbox.state import Audience

FIRST_ID = 120_210_000_000_000_000
ACCOUNT_LIMIT = 500
SOURCES = ("USER_PROVIDED_ONLY", "PARTNER_PROVIDED_ONLY", "BOTH_USER_AND_PARTNER_PROVIDED")
RESTRICTIONS = ("NONE", "EXCLUSION_ONLY", "NO_DERIVATIVES")


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
