"""What Google's answers say about lists and requests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from audience_pipeline.platforms.answers import by_position, count, dicts, mapping
from audience_pipeline.platforms.contract import Platform, RemoteAudience, TransientPlatformError

_NETWORKS = ("displayNetwork", "searchNetwork", "youtube", "gmail")
_RANGE = re.compile(r"MATCH_RATE_RANGE_(?:LESS_THAN_(\d+)|(\d+)_TO_(\d+))")


def audience(node: Mapping[str, Any]) -> RemoteAudience:
    """A user list; its sizes on the networks give the bounds, zero standing for "not computed"."""
    sizes = mapping(node.get("sizeInfo"))
    shown = [size for network in _NETWORKS if (size := count(sizes.get(f"{network}MembersCount")))]
    info = mapping(mapping(node.get("ingestedUserListInfo")).get("contactIdInfo"))
    rate = count(info.get("matchRatePercentage"))
    networks = mapping(node.get("targetNetworkInfo"))
    eligible = bool(networks.get("eligibleForDisplay") or networks.get("eligibleForSearch"))
    is_open = node.get("membershipStatus", "OPEN") == "OPEN"
    status = "serving" if eligible else "too small to serve, or not computed yet"
    return RemoteAudience(
        remote_id=list_id(node),
        name=str(node.get("displayName") or ""),
        ready=is_open and eligible,
        status=status if is_open else f"closed ({node.get('closingReason') or 'by somebody'})",
        size_low=min(shown, default=None),
        size_high=max(shown, default=None),
        match_rate=whole_percent(rate),
    )


def list_id(node: Mapping[str, Any]) -> str:
    """The id of a list.

    Raises:
        TransientPlatformError: the answer has none.
    """
    if not node.get("id"):
        raise TransientPlatformError(Platform.GOOGLE, "the answer names no list")
    return str(node["id"])


def whole_percent(rate: int | None) -> tuple[float, float] | None:
    """The bounds, from 0 to 1, of a rate that is stated in whole percent; None when it says nothing."""
    return (max(rate - 0.5, 0) / 100, min(rate + 0.5, 100) / 100) if rate else None


def match_rate(bucket: object) -> tuple[float, float] | None:
    """The bounds of a bucket such as ``MATCH_RATE_RANGE_31_TO_40``; None when it says nothing."""
    found = _RANGE.fullmatch(str(bucket))
    if found is None:
        return None
    low, high = (0, int(found[1])) if found[1] else (int(found[2]), int(found[3]))
    return low / 100, high / 100


def by_reason(entries: object) -> dict[str, int]:
    """People by reason; an entry without a count stands for one."""
    people: dict[str, int] = {}
    for entry in dicts(entries):
        reason = str(entry.get("reason") or "unknown reason")
        number = count(entry.get("recordCount"))
        people[reason] = people.get(reason, 0) + (1 if number is None else number)
    return people


def refused(entries: object, people: int) -> dict[int, str]:
    """Positions of refused people with the reason, where Google names them."""
    named = (
        (index, str(entry.get("reason") or "unknown reason"))
        for entry in dicts(entries)
        for index in entry.get("recordIndices") or ()
    )
    return dict(by_position(named, people))


def warned(warnings: Mapping[str, int]) -> str:
    """A sentence about warnings; empty without any."""
    said = ", ".join(f"{reason} ({number})" for reason, number in sorted(warnings.items()))
    return f"sent with warnings: {said}" if said else ""
