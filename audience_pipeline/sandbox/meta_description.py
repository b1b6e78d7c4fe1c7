"""How Meta shows custom audiences and ad accounts: fields, bounds of a size, statuses."""

from __future__ import annotations

from typing import Any

from audience_pipeline.sandbox import meta_policy
from audience_pipeline.sandbox.meta_calls import GraphCall, GraphError
from audience_pipeline.sandbox.meta_names import ACCOUNT_FIELDS, FIELDS
from audience_pipeline.sandbox.meta_users import replace_status
from audience_pipeline.sandbox.state import Audience
from audience_pipeline.sandbox.world import World, users_in

MINIMUM_TO_DELIVER = 100
IDLE = 2 * 365 * 86_400
"""Seconds without use until an audience expires. Nothing here uses audiences: their last change counts."""
GRACE = 90 * 86_400
"""Seconds from then on until it is deleted; also how long a lookalike is active without use."""
OPERATION_TEXTS = {
    100: "Expiring: not used for two years.",
    200: "Normal",
    410: "No file uploaded yet.",
    411: "Low match rate.",
    412: "High share of invalid rows.",
    414: "Audience replace in progress.",
    415: "Audience replace failed.",
    441: "We are finding people who fit the audience.",
    434: "The lookalike is being built.",
    450: "Inactive: not used for 90 days.",
    471: "Flagged: the name or the description suggests prohibited information.",
    500: "The last upload could not be processed.",
}


def lookalikes_of(world: World, audience: Audience) -> list[Audience]:
    """The lookalikes built from an audience."""
    siblings = world.state.in_account("meta", audience.account, "lookalike")
    return [sibling for sibling in siblings if sibling.details["origin_audience_id"] == audience.id]


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
    if facts["operation_status"]["code"] == 100:
        facts["delete_time"] = int(_last_use(audience) + IDLE + GRACE)
    if "fields_violating_integrity_policy" in fields:
        facts["fields_violating_integrity_policy"] = meta_policy.violating(world, audience)
    if "lookalike_audience_ids" in fields:
        facts["lookalike_audience_ids"] = [one.id for one in lookalikes_of(world, audience)] or None
    chosen = {name: facts[name] for name in fields if name != "id" and facts.get(name) is not None}
    return {"id": audience.id, **chosen}


def bounds(world: World, audience: Audience) -> tuple[int, int]:
    """Size as Meta shows it: two rounded bounds, never below 1,000; for a lookalike a share of a country."""
    if audience.kind == "lookalike":
        if world.clock.now() - _last_use(audience) >= GRACE:
            return -1, -1
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


def forget_idle(world: World) -> None:
    """Delete what has expired."""
    if world.clock.shift > IDLE:
        for audience in world.state.audiences("meta", "kind = 'members'"):
            if world.clock.now() >= _last_use(audience) + IDLE + GRACE:
                world.state.delete(audience)


def _last_use(audience: Audience) -> float:
    return max(audience.updated, audience.content_updated or 0)


def _operation(world: World, audience: Audience) -> int:
    settled = world.members.settled(audience)
    idle = world.clock.now() - _last_use(audience)
    if idle >= (GRACE if audience.kind == "lookalike" else IDLE):
        return 450 if audience.kind == "lookalike" else 100
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
