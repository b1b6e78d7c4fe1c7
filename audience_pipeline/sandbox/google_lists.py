"""User lists of the Data Manager API: create, read, list with filter and pages, change, delete."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from audience_pipeline.sandbox.google_errors import GoogleError, invalid, wrong
from audience_pipeline.sandbox.google_filter import conditions, holds
from audience_pipeline.sandbox.google_messages import (
    USER_LIST,
    AccessReason,
    AccessStatus,
    DataSourceType,
    KeySpace,
    MembershipStatus,
    UploadKeyType,
)
from audience_pipeline.sandbox.google_schema import Violation, snake
from audience_pipeline.sandbox.state import Audience
from audience_pipeline.sandbox.world import World

FIRST_ID = 9_000_000_000
DAY = 86_400
LONGEST_DAYS = 540
MINIMUM_TO_SERVE = 100
CHANGEABLE = {
    "display_name": "displayName",
    "description": "description",
    "membership_status": "membershipStatus",
    "integration_code": "integrationCode",
    "membership_duration": "membershipDuration",
}
IMMUTABLE = frozenset({"ingested_user_list_info", "name", "id"})


def create(world: World, account: str, body: object, *, validate_only: bool) -> object:
    """``POST …/userLists``."""
    wanted = _parsed(body)
    name = wanted.get("displayName")
    if not name:
        raise wrong("user_list.display_name", "REQUIRED_FIELD_MISSING")
    info = wanted.get("ingestedUserListInfo") or {}
    keys = info.get("uploadKeyTypes") or []
    if not keys:
        raise wrong("user_list.ingested_user_list_info.upload_key_types", "REQUIRED_FIELD_MISSING")
    if len(keys) > 1 or keys[0] == UploadKeyType.UPLOAD_KEY_TYPE_UNSPECIFIED:
        raise wrong("user_list.ingested_user_list_info.upload_key_types", "INVALID_USER_LIST_TYPE")
    mobile = info.get("mobileIdInfo") or {}
    if keys[0] == UploadKeyType.MOBILE_ID and not (mobile.get("appId") and mobile.get("keySpace")):
        raise wrong("user_list.ingested_user_list_info.mobile_id_info", "REQUIRED_FIELD_MISSING")
    _check(world, account, wanted, None)
    details = {
        "uploadKeyType": keys[0].name,
        "dataSourceType": (info.get("contactIdInfo") or {}).get("dataSourceType", 0),
        "mobile": {"appId": mobile.get("appId"), "keySpace": mobile.get("keySpace")},
        "description": wanted.get("description"),
        "integrationCode": wanted.get("integrationCode"),
        "membershipStatus": wanted.get("membershipStatus") or MembershipStatus.OPEN,
        "membershipDays": int(wanted.get("membershipDuration", LONGEST_DAYS * DAY)) // DAY,
    }
    if validate_only:
        return {}
    return describe(world, world.new_audience("google", account, FIRST_ID, name, "members", details))


def update(
    world: World, account: str, list_id: str, body: object, mask: str | None, *, validate_only: bool
) -> object:
    """``PATCH …/userLists/{id}``; ``mask`` names the fields, all that are given when it is absent."""
    found, wanted = need(world, account, list_id), _parsed(body)
    if mask is None:
        names = [snake(name) for name in wanted if snake(name) in CHANGEABLE]
    else:
        names = [".".join(snake(part) for part in name.strip().split(".")) for name in mask.split(",")]
    for name in names:
        if name.split(".")[0] in IMMUTABLE:
            raise wrong(f"user_list.{name}", "IMMUTABLE_FIELD_FOR_UPDATE")
        if name not in CHANGEABLE:
            raise wrong("update_mask", "INVALID_UPDATE_MASK")
    changes = {CHANGEABLE[name]: wanted.get(CHANGEABLE[name]) for name in names}
    if "displayName" in changes and not changes["displayName"]:
        raise wrong("user_list.display_name", "INVALID_DISPLAY_NAME")
    _check(world, account, {name: value for name, value in changes.items() if value is not None}, found)
    if validate_only:
        return {}
    if "displayName" in changes:
        found.name = str(changes.pop("displayName"))
    if "membershipDuration" in changes:
        found.details["membershipDays"] = int(changes.pop("membershipDuration") or LONGEST_DAYS * DAY) // DAY
    found.details |= changes
    found.updated = world.clock.now()
    world.state.save(found)
    return describe(world, found)


def read(world: World, account: str, list_id: str) -> object:
    """``GET …/userLists/{id}``."""
    return describe(world, need(world, account, list_id))


def delete(world: World, account: str, list_id: str, *, validate_only: bool) -> object:
    """``DELETE …/userLists/{id}``."""
    found = need(world, account, list_id)
    if not validate_only:
        world.state.delete(found)
    return {}


def list_in_account(world: World, account: str, query: Mapping[str, str]) -> object:
    """``GET …/userLists`` with ``pageSize``, ``pageToken`` and ``filter``."""
    size = query.get("pageSize", query.get("page_size", "0"))
    if not re.fullmatch(r"\d{1,9}", size):
        raise wrong("page_size", "INVALID_ARGUMENT")
    limit = min(int(size) or 50, 1_000)
    start = _start(query.get("pageToken", query.get("page_token", "")))
    wanted = conditions(query.get("filter", ""))
    found = [
        audience
        for audience in world.state.in_account("google", account, "members")
        if audience.number > start and all(holds(audience, condition) for condition in wanted)
    ]
    answer: dict[str, Any] = {"userLists": [describe(world, audience) for audience in found[:limit]]}
    if len(found) > limit:
        answer["nextPageToken"] = base64.urlsafe_b64encode(str(found[limit - 1].number).encode()).decode()
    return answer


def need(world: World, account: str, list_id: str) -> Audience:
    """The list of that id in the account.

    Raises:
        GoogleError: 404.
    """
    found = world.state.audience("google", list_id)
    if found is None or found.account != account or found.kind != "members":
        raise GoogleError(404, "The user list was not found.", "NOT_FOUND", "INVALID_USER_LIST_ID")
    return found


def expire(world: World, found: Audience) -> None:
    """Drop the members whose membership has ended."""
    if found.kind == "members":
        world.members.expire(found, world.clock.now() - found.details["membershipDays"] * DAY)


def match_rate(world: World, found: Audience) -> int | None:
    """Matched rows in whole percent, once computed."""
    if not world.members.settled(found) or not world.members.size(found):
        return None
    return round(100 * world.members.matched(found) / world.members.size(found))


def rounded(people: int) -> int:
    """A size as Google shows it: two leading digits, and nothing for small lists."""
    if people < MINIMUM_TO_SERVE:
        return 0
    step = int(10 ** (len(str(people)) - 2))
    return people // step * step


def describe(world: World, found: Audience) -> dict[str, Any]:
    """A list as the API shows it."""
    expire(world, found)
    details, shown = found.details, rounded(world.members.shown(found))
    info: dict[str, Any] = {"uploadKeyTypes": [UploadKeyType[details["uploadKeyType"]]]}
    if details["uploadKeyType"] == "CONTACT_ID":
        info["contactIdInfo"] = {"dataSourceType": DataSourceType(details["dataSourceType"])}
        rate = match_rate(world, found)
        if rate is not None:
            info["contactIdInfo"]["matchRatePercentage"] = rate
    elif details["uploadKeyType"] == "MOBILE_ID":
        info["mobileIdInfo"] = {
            "appId": details["mobile"]["appId"],
            "keySpace": KeySpace(details["mobile"]["keySpace"]),
        }
    description: dict[str, Any] = {
        "name": f"accountTypes/GOOGLE_ADS/accounts/{found.account}/userLists/{found.id}",
        "id": found.id,
        "readOnly": False,
        "displayName": found.name,
        "description": details["description"],
        "membershipStatus": MembershipStatus(details["membershipStatus"]),
        "integrationCode": details["integrationCode"],
        "membershipDuration": f"{details['membershipDays'] * DAY}s",
        "accessReason": AccessReason.OWNED,
        "accountAccessStatus": AccessStatus.ENABLED,
        "targetNetworkInfo": {"eligibleForDisplay": shown > 0, "eligibleForSearch": shown > 0},
        "ingestedUserListInfo": info,
    }
    if found.content_updated is not None and (shown or world.members.settled(found)):
        networks = ("displayNetwork", "searchNetwork", "youtube", "gmail")
        description["sizeInfo"] = {f"{network}MembersCount": str(shown) for network in networks}
    return {name: value for name, value in description.items() if value is not None}


def _parsed(body: object) -> dict[str, Any]:
    violations: list[Violation] = []
    parsed = USER_LIST(body, "user_list", violations)
    if violations:
        raise invalid(violations)
    return dict(parsed or {})


def _check(world: World, account: str, wanted: Mapping[str, Any], own: Audience | None) -> None:
    seconds = wanted.get("membershipDuration")
    if seconds is not None:
        if seconds % DAY or seconds < 0:
            raise wrong("user_list.membership_duration", "INVALID_ARGUMENT", "Only whole days are valid.")
        if seconds > LONGEST_DAYS * DAY:
            raise wrong("user_list.membership_duration", "MEMBERSHIP_DURATION_TOO_LONG")
    name = wanted.get("displayName")
    same = world.state.named("google", name, account) if name else []
    if same and (own is None or same[0].id != own.id):
        raise wrong("user_list.display_name", "DISPLAY_NAME_ALREADY_USED")


def _start(token: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(token)) if token else 0
    except (ValueError, binascii.Error):
        raise wrong("page_token", "INVALID_PAGE_TOKEN") from None
