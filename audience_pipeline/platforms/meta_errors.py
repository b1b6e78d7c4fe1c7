"""What Meta's errors and usage headers mean: retry, permanent, or a dead token."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import requests

from audience_pipeline.platforms.contract import (
    CredentialError,
    MembersRefusedError,
    Platform,
    PlatformError,
    TerminalPlatformError,
    TooFewLeftError,
    TransientPlatformError,
)
from audience_pipeline.platforms.http import Json, by_status

OBJECT_MISSING = "100/33"
AUDIENCE_DELETED = 1487366

_PLATFORM = Platform.META
_TRANSIENT = {
    1: None,
    2: None,
    4: 60.0,
    17: 60.0,
    32: 60.0,
    341: 300.0,
    613: 60.0,
    80000: 60.0,
    80003: 60.0,
    80004: 60.0,
    80014: 60.0,
}
"""Code to the seconds to wait when no header tells; None leaves it to the back-off."""
_DEAD_TOKEN = frozenset({102, 190})
_REPLACE_RUNNING = (2650, 1870145)
_TOO_FEW_LEFT = 1870047
_TOO_FAST = (613, 5044001)
"""Mutations of one second."""
_BLOCKED = 368
_RETIRED = 2635
_STOPPING = frozenset({_BLOCKED, _RETIRED})
"""What is refused for one audience is refused for all."""
_REMEDIES_OF_SUBCODES = {
    33: "it does not exist any more, or the token has no access to it",
    1713228: "the platform has flagged the audience: appeal in Audience Manager, or rename it",
    1713230: "the platform has flagged the audience: appeal in Audience Manager, or rename it",
    1713231: "the platform has flagged the audience: appeal in Audience Manager, or rename it",
    1870034: "accept the Custom Audience terms in Business settings",
    _TOO_FEW_LEFT: "too few people would be left",
    1870050: "the ad account is not linked to the business: link it in Business settings",
    1870090: "accept the Custom Audience terms of the business in Business settings",
}
_REMEDIES = {
    _BLOCKED: "the account is blocked for a policy reason: look into Business Support before sending more",
    270: "an app of the development tier reaches accounts of its own business only: ask for full access",
    294: "the token lacks the permission ads_management: grant it to the system user",
    2654: "the audience was not created: the account may not write audiences, or the same one exists",
    2656: "lookalikes were built from it: delete them first",
}
DEVELOPMENT_TIER = "development_access"
_OURS = ("custom_audience", "ads_management")
"""Limits that our requests count against; others of the account are somebody else's to mind."""
_SECONDS = 60.0
_ROW = re.compile(r"\bdata\]?\[(\d+)\]")
_BUSY = 75.0


def judge(
    response: requests.Response, answer: Json | None, safe: Callable[[object], str], version: str
) -> PlatformError | None:
    """The error that a response stands for; ``safe`` makes a text of Meta fit for a message.

    ``version`` is the one that was asked for.
    """
    error = (answer or {}).get("error")
    if not isinstance(error, dict):
        return by_status(_PLATFORM, response)
    code, subcode = _number(error.get("code")), _number(error.get("error_subcode"))
    label = f"{code}/{subcode}" if subcode else str(code)
    trace = str(error.get("fbtrace_id") or "")
    said = safe(error.get("error_user_msg") or error.get("message") or "no message")
    text = f"error {label}: {said}"
    if code in _DEAD_TOKEN:
        return CredentialError(
            _PLATFORM,
            f"{text} (the access token is dead: supply a new system user token)",
            code=label,
            trace_id=trace,
        )
    if code == 104 or "appsecret_proof" in said:
        return CredentialError(
            _PLATFORM,
            f"{text} (the app secret does not fit the token: correct it)",
            code=label,
            trace_id=trace,
        )
    running = (code, subcode) == _REPLACE_RUNNING
    if code in _TRANSIENT or running or error.get("is_transient") is True or response.status_code >= 500:
        wait = 60.0 if running else 2.0 if (code, subcode) == _TOO_FAST else _wait(response, code)
        return TransientPlatformError(_PLATFORM, text, code=label, trace_id=trace, retry_after=wait)
    if code == 100 and "data" in _blamed(error):
        rows = {int(row): f"error {label}" for row in _ROW.findall(str(error.get("message") or ""))}
        return MembersRefusedError(
            _PLATFORM, f"{text} (rows were refused)", positions=rows, code=label, trace_id=trace
        )
    remedy = f"API version {version} is retired: set a newer one" if code == _RETIRED else ""
    remedy = remedy or _remedy(code, subcode)
    kind = TooFewLeftError if subcode == _TOO_FEW_LEFT else TerminalPlatformError
    refusal = kind(_PLATFORM, f"{text} ({remedy})" if remedy else text, code=label, trace_id=trace)
    refusal.stops = code in _STOPPING
    return refusal


def is_gone(error: PlatformError) -> bool:
    """What was asked for does not exist (any more)."""
    return error.code == OBJECT_MISSING or str(AUDIENCE_DELETED) in error.code.split("/")


def _blamed(error: dict[str, Any]) -> set[str]:
    """The names of the fields that Meta blames, of all levels."""
    data = error.get("error_data")
    try:
        data = json.loads(data) if isinstance(data, str) else data
    except ValueError:
        return set()
    specs = data.get("blame_field_specs") if isinstance(data, dict) else None
    return {str(name) for spec in specs or () if isinstance(spec, list) for name in spec}


def pause_for(response: requests.Response) -> float:
    """Seconds to slow down by: from 75 % of any limit on, up to ten just below it."""
    busiest = max(_shares(response), default=0.0)
    return max(10.0 * (busiest - _BUSY) / (100.0 - _BUSY), 0.0)


def tier_of(response: requests.Response) -> str:
    """The access tier that the usage headers name; empty when none does."""
    usages = (*_business_usage(response), _header(response, "X-Ad-Account-Usage"))
    return next(
        (str(usage["ads_api_access_tier"]) for usage in usages if usage.get("ads_api_access_tier")), ""
    )


def _remedy(code: int, subcode: int) -> str:
    known = _REMEDIES_OF_SUBCODES.get(subcode) or _REMEDIES.get(code)
    if known:
        return known
    if code == 10 or 200 <= code < 300:
        return "the token or the account lacks a permission: ads_management, terms, access to the account"
    return ""


def _wait(response: requests.Response, code: int) -> float | None:
    """Seconds that the usage headers ask for; minutes in the business header, seconds in the account's."""
    entries = list(_business_usage(response))
    asked = [_amount(entry.get("estimated_time_to_regain_access")) * _SECONDS for entry in entries]
    account = _header(response, "X-Ad-Account-Usage")
    if _amount(account.get("acc_id_util_pct")) >= 100:
        asked.append(_amount(account.get("reset_time_duration")))
    longest = max(asked, default=0.0)
    if longest:
        return longest
    return 300.0 if code == 17 and tier_of(response) == DEVELOPMENT_TIER else _TRANSIENT.get(code)


def _shares(response: requests.Response) -> Iterator[float]:
    """Percent of each limit that is used, of those that are worth slowing down for."""
    usages = [*_business_usage(response), _header(response, "X-App-Usage")]
    for usage in usages:
        for name in ("call_count", "total_cputime", "total_time"):
            yield min(_amount(usage.get(name)), 100.0)
    yield min(_amount(_header(response, "X-Ad-Account-Usage").get("acc_id_util_pct")), 100.0)


def _business_usage(response: requests.Response) -> Iterator[dict[str, Any]]:
    for entries in _header(response, "X-Business-Use-Case-Usage").values():
        if isinstance(entries, list):
            ours = (entry for entry in entries if isinstance(entry, dict))
            yield from (entry for entry in ours if entry.get("type", _OURS[0]) in _OURS)


def _header(response: requests.Response, name: str) -> dict[str, Any]:
    try:
        value = json.loads(response.headers.get(name, "{}"))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _amount(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
