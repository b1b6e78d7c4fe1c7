"""What the Google Ads API tells of a list, and how it says that something is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audience_pipeline.sandbox import google_lists
from audience_pipeline.sandbox.state import Audience
from audience_pipeline.sandbox.world import World, users_in

LEVELS = {"NARROW": 0.025, "BALANCED": 0.05, "BROAD": 0.1}
SMALLEST_SEED = 100
_RANGES = (
    (500, "LESS_THAN_FIVE_HUNDRED"),
    (1_000, "LESS_THAN_ONE_THOUSAND"),
    (10_000, "ONE_THOUSAND_TO_TEN_THOUSAND"),
    (50_000, "TEN_THOUSAND_TO_FIFTY_THOUSAND"),
    (100_000, "FIFTY_THOUSAND_TO_ONE_HUNDRED_THOUSAND"),
    (300_000, "ONE_HUNDRED_THOUSAND_TO_THREE_HUNDRED_THOUSAND"),
    (500_000, "THREE_HUNDRED_THOUSAND_TO_FIVE_HUNDRED_THOUSAND"),
    (1_000_000, "FIVE_HUNDRED_THOUSAND_TO_ONE_MILLION"),
)


class AdsError(Exception):
    """One mistake: the kind of error, its name, and where in the request it is."""

    def __init__(
        self, kind: str, name: str, message: str, path: Sequence[tuple[str, int | None]] = ()
    ) -> None:
        super().__init__(message)
        elements = [
            {"fieldName": field, **({} if index is None else {"index": index})} for field, index in path
        ]
        self.content: dict[str, Any] = {"errorCode": {kind: name}, "message": message}
        if elements:
            self.content["location"] = {"fieldPathElements": elements}


def list_facts(world: World, audience: Audience) -> dict[str, Any]:
    """The fields of ``user_list``."""
    details = audience.details
    lookalike = None
    if audience.kind == "lookalike":
        settled = world.members.settled(audience)
        seeds = [world.state.audience("google", seed) for seed in details["seeds"]]
        people = sum(world.members.matched(seed) for seed in seeds if seed is not None)
        grown = settled and people >= SMALLEST_SEED
        size = (
            google_lists.rounded(round(users_in(details["countries"]) * LEVELS[details["level"]]))
            if grown
            else 0
        )
        days, rate = google_lists.LONGEST_DAYS, None
        lookalike = {
            "seedUserListIds": details["seeds"],
            "expansionLevel": details["level"],
            "countryCodes": details["countries"],
        }
    else:
        google_lists.expire(world, audience)
        size = google_lists.rounded(world.members.shown(audience))
        days, rate = details["membershipDays"], google_lists.match_rate(world, audience)
    return {
        "resource_name": f"customers/{audience.account}/userLists/{audience.id}",
        "id": audience.id,
        "name": audience.name,
        "description": details.get("description"),
        "type": "LOOKALIKE" if lookalike else "CRM_BASED",
        "lookalike_user_list": lookalike,
        "size_for_display": str(size),
        "size_for_search": str(size),
        "size_range_for_display": _range(size),
        "size_range_for_search": _range(size),
        "match_rate_percentage": rate,
        "membership_life_span": str(days),
        "membership_status": "OPEN",
        "eligible_for_search": size > 0 and not lookalike,
        "eligible_for_display": size > 0,
    }


def _range(size: int) -> str:
    return next((name for bound, name in _RANGES if size < bound), "ONE_MILLION_TO_TWO_MILLION")
