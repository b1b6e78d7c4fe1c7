"""The lists that a request to Google goes to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audience_pipeline.sandbox import google_lists
from audience_pipeline.sandbox.google_errors import wrong
from audience_pipeline.sandbox.google_messages import AccountType
from audience_pipeline.sandbox.state import Audience
from audience_pipeline.sandbox.world import World

DESTINATIONS_LIMIT = 10
KEY_OF_KIND = {
    "userData": "CONTACT_ID",
    "mobileData": "MOBILE_ID",
    "userIdData": "USER_ID",
    "pairData": "PAIR_ID",
    "ppidData": "PSEUDONYMOUS_ID",
    "compositeData": "CONTACT_ID",
    "googleUserIdData": "USER_ID",
    "partnerProvidedIdData": "USER_ID",
}


@dataclass(frozen=True, slots=True)
class Destination:
    """A list that the request goes to."""

    sent: dict[str, Any]
    reference: str
    audience: Audience


def destinations_of(world: World, request: Mapping[str, Any], kind: str | None) -> list[Destination]:
    """The lists that a request goes to; ``kind`` of data must fit them.

    Raises:
        GoogleError: 400.
    """
    sent = request.get("destinations") or []
    if not sent:
        raise wrong("destinations", "REQUIRED_FIELD_MISSING")
    if len(sent) > DESTINATIONS_LIMIT:
        raise wrong("destinations", "TOO_MANY_DESTINATIONS")
    found, references = [], set()
    for place, destination in enumerate(sent):
        path = f"destinations[{place}]"
        account = _account(destination.get("operatingAccount"), f"{path}.operating_account")
        for name in ("loginAccount", "linkedAccount"):
            if name in destination:
                _account(destination[name], f"{path}.{name}")
        reference = destination.get("reference", "")
        if reference in references:
            raise wrong(f"{path}.reference", "DUPLICATE_DESTINATION_REFERENCE")
        references.add(reference)
        list_id = destination.get("productDestinationId")
        if not list_id:
            raise wrong(f"{path}.product_destination_id", "REQUIRED_FIELD_MISSING")
        audience = world.state.audience("google", list_id)
        if audience is None or audience.account != account or audience.kind != "members":
            raise wrong(f"{path}.product_destination_id", "INVALID_USER_LIST_ID")
        if kind is not None and KEY_OF_KIND[kind] != audience.details["uploadKeyType"]:
            raise wrong(f"{path}.product_destination_id", "INVALID_USER_LIST_TYPE")
        google_lists.expire(world, audience)
        kept = {
            **({"reference": reference} if reference else {}),
            "operatingAccount": {"accountType": AccountType.GOOGLE_ADS, "accountId": account},
            "productDestinationId": list_id,
        }
        found.append(Destination(kept, reference, audience))
    return found


def _account(account: Mapping[str, Any] | None, path: str) -> str:
    if not account or not account.get("accountId"):
        raise wrong(f"{path}.account_id", "REQUIRED_FIELD_MISSING")
    kind, older = account.get("accountType"), account.get("product")
    if not kind and not older:
        raise wrong(f"{path}.account_type", "REQUIRED_FIELD_MISSING")
    if (kind and older and kind != older) or (kind or older) != AccountType.GOOGLE_ADS:
        raise wrong(f"{path}.account_type", "INVALID_DESTINATION")
    if not re.fullmatch(r"\d{1,12}", account["accountId"]):
        raise wrong(f"{path}.account_id", "INVALID_FORMAT")
    return str(account["accountId"])
