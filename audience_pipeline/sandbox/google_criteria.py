"""Lists on ad groups and campaigns of the Google Ads API: targeted, excluded, with a bid modifier.

Every customer has two campaigns: one of manual bids, and one of Smart Bidding, where a modifier is stored and
changes nothing: ``campaign.bidding_strategy_type`` tells which is which.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from audience_pipeline.sandbox.google_errors import strict
from audience_pipeline.sandbox.google_gaql import AdsError
from audience_pipeline.sandbox.world import World

LOWEST, HIGHEST = 0.1, 10.0
CAMPAIGNS = {"101": ("Manual bids", "MANUAL_CPC"), "102": ("Smart Bidding", "TARGET_CPA")}
AD_GROUPS = {"1001": "101", "1002": "102"}
PARENTS: Mapping[str, tuple[str, str, Collection[str]]] = {
    "adGroupCriteria": ("adGroup", "adGroups", AD_GROUPS),
    "campaignCriteria": ("campaign", "campaigns", CAMPAIGNS),
}

Path = Sequence[tuple[str, int | None]]


def operate(
    world: World, customer: str, resource: str, operation: object, place: int, *, dry: bool
) -> dict[str, str]:
    """One operation of ``adGroupCriteria:mutate`` or ``campaignCriteria:mutate``.

    Raises:
        AdsError: it is refused.
    """
    parts = strict(operation, {"create", "update", "updateMask", "remove"})
    where: list[tuple[str, int | None]] = [("operations", place)]
    if "remove" in parts:
        name = str(parts["remove"])
        _need(world, customer, name, [*where, ("remove", None)])
        if not dry:
            world.state.connection.execute("DELETE FROM criteria WHERE resource = ?", (name,))
        return {"resourceName": name}
    if "update" in parts:
        where.append(("update", None))
        wanted = strict(parts["update"], {"resourceName", "bidModifier", "negative"})
        name = str(wanted.get("resourceName"))
        kept = _need(world, customer, name, where)
        mask = [one.strip() for one in str(parts.get("updateMask") or "").split(",") if one.strip()]
        if mask not in (["bidModifier"], ["bid_modifier"]):
            raise AdsError("fieldMaskError", "FIELD_NOT_FOUND", "updateMask must be bidModifier.", where)
        details = {**kept, "bidModifier": wanted.get("bidModifier")}
    elif "create" in parts:
        where.append(("create", None))
        name, details = _created(world, customer, resource, parts["create"], where)
    else:
        raise AdsError("requestError", "REQUIRED_FIELD_MISSING", "create, update or remove is needed.", where)
    _check_modifier(details, where)
    if not dry:
        world.state.connection.execute(
            "INSERT OR REPLACE INTO criteria VALUES (?, ?, ?)", (name, customer, json.dumps(details))
        )
    return {"resourceName": name}


def facts(world: World, customer: str, resource: str) -> Iterator[dict[str, Any]]:
    """The rows of a resource of the query language, as fields to values."""
    if resource in {"campaign", "ad_group"}:
        for ad_group, campaign in AD_GROUPS.items():
            yield _place(customer, ad_group if resource == "ad_group" else None, campaign)
        return
    field, _, _ = PARENTS["adGroupCriteria" if resource == "ad_group_criterion" else "campaignCriteria"]
    query = "SELECT resource, details FROM criteria WHERE customer = ? ORDER BY resource"
    for name, text in world.state.connection.execute(query, (customer,)):
        details = json.loads(text)
        if field in details:
            parent = details[field].rpartition("/")[2]
            inner = parent if field == "adGroup" else None
            yield {
                **_place(customer, inner, AD_GROUPS[parent] if inner else parent),
                f"{resource}.resource_name": name,
                f"{resource}.criterion_id": name.rpartition("~")[2],
                f"{resource}.user_list.user_list": details["userList"],
                f"{resource}.bid_modifier": details.get("bidModifier"),
                f"{resource}.negative": details.get("negative", False),
            }


def _place(customer: str, ad_group: str | None, campaign: str) -> dict[str, Any]:
    name, strategy = CAMPAIGNS[campaign]
    place = {
        "campaign.resource_name": f"customers/{customer}/campaigns/{campaign}",
        "campaign.id": campaign,
        "campaign.name": name,
        "campaign.bidding_strategy_type": strategy,
    }
    if ad_group:
        place |= {
            "ad_group.resource_name": f"customers/{customer}/adGroups/{ad_group}",
            "ad_group.id": ad_group,
        }
    return place


def _created(
    world: World, customer: str, resource: str, content: object, where: Path
) -> tuple[str, dict[str, Any]]:
    field, collection, known = PARENTS[resource]
    wanted = strict(content, {field, "userList", "bidModifier", "negative", "status"})
    parent = re.fullmatch(rf"customers/{customer}/{collection}/(\d+)", str(wanted.get(field)))
    if parent is None or parent[1] not in known:
        raise AdsError("mutateError", "RESOURCE_NOT_FOUND", f"{field} was not found.", where)
    user_list = str(strict(wanted.get("userList") or {}, {"userList"}).get("userList"))
    found = re.fullmatch(rf"customers/{customer}/userLists/(\d+)", user_list)
    audience = world.state.audience("google", found[1]) if found else None
    if audience is None or audience.account != customer:
        raise AdsError("criterionError", "INVALID_USER_LIST", "The user list was not found.", where)
    name = f"customers/{customer}/{resource}/{parent[1]}~{audience.id}"
    if world.state.connection.execute("SELECT 1 FROM criteria WHERE resource = ?", (name,)).fetchone():
        raise AdsError("mutateError", "RESOURCE_ALREADY_EXISTS", "The criterion exists already.", where)
    details = {name: wanted[name] for name in ("bidModifier", "negative") if wanted.get(name) is not None}
    return name, {**details, field: wanted[field], "userList": user_list}


def _check_modifier(details: Mapping[str, Any], where: Path) -> None:
    modifier = details.get("bidModifier")
    if modifier is None:
        return
    path = [*where, ("bid_modifier", None)]
    if isinstance(modifier, bool) or not isinstance(modifier, int | float):
        raise AdsError("fieldError", "INVALID_VALUE", "bidModifier must be a number.", path)
    if details.get("negative"):
        raise AdsError(
            "criterionError", "CANNOT_BID_MODIFY_NEGATIVE_CRITERION", "An exclusion has no bid.", path
        )
    if not LOWEST <= modifier <= HIGHEST:
        name = "TOO_LOW" if modifier < LOWEST else "TOO_HIGH"
        raise AdsError("rangeError", name, f"bidModifier must lie in {LOWEST} to {HIGHEST}.", path)


def _need(world: World, customer: str, name: str, where: Path) -> dict[str, Any]:
    query = "SELECT details FROM criteria WHERE resource = ? AND customer = ?"
    found = world.state.connection.execute(query, (name, customer)).fetchone()
    if found is None:
        raise AdsError("mutateError", "RESOURCE_NOT_FOUND", "Resource was not found.", where)
    return dict(json.loads(found[0]))
