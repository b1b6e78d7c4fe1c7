"""What errors of Google's two APIs mean: retry, permanent, or a dead token."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import requests

from audience_pipeline.platforms.answers import dicts, mapping
from audience_pipeline.platforms.contract import (
    CredentialError,
    MembersRefusedError,
    Platform,
    PlatformError,
    TerminalPlatformError,
    TransientPlatformError,
)
from audience_pipeline.platforms.http import Json, by_status

_PLATFORM = Platform.GOOGLE
_TRANSIENT = frozenset({"INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED"})
_QUOTA_ZONE = ZoneInfo("America/Los_Angeles")
_MEMBER = re.compile(r"^audience_?[mM]embers\[(\d+)\](?:.*?\.([A-Za-z_]+))?(?:\[\d+\])?$")
_ABOUT_MEMBERS = frozenset(
    {
        "INVALID_AUDIENCE_MEMBER",
        "INVALID_BASE64_ENCODING",
        "INVALID_COUNTRY_CODE",
        "INVALID_HEX_ENCODING",
        "INVALID_POSTAL_CODE",
        "INVALID_REGION_CODE",
        "INVALID_SHA256_FORMAT",
        "NO_IDENTIFIERS_PROVIDED",
        "TOO_MANY_USER_IDENTIFIERS",
    }
)
"""Reasons that only people can give, also where no field is named."""
_DELAY = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)s")
_SHOWN = 20
_ADS_RETRY = frozenset(
    {
        "CONCURRENT_MODIFICATION",
        "DEADLINE_EXCEEDED",
        "EXCESSIVE_SHORT_TERM_QUERY_RESOURCE_CONSUMPTION",
        "INTERNAL_ERROR",
        "RESOURCE_EXHAUSTED",
        "RESOURCE_TEMPORARILY_EXHAUSTED",
        "TRANSIENT_ERROR",
    }
)
_ADS_TOKEN = frozenset({"OAUTH_TOKEN_EXPIRED", "OAUTH_TOKEN_INVALID", "OAUTH_TOKEN_REVOKED"})
_REMEDIES = {
    "CLOUD_PROJECT_NOT_APPROVED_FOR_PRODUCTION": "ask for Basic access for the Cloud project",
    "CUSTOMER_NOT_ENABLED": "the account is closed or not set up yet",
    "CUSTOMER_NOT_FOUND": "no such account: correct the account in audience.yaml",
    "INVALID_LOGIN_CUSTOMER_ID_SERVING_CUSTOMER_ID_COMBINATION": "set login_account to the manager that "
    "holds the account",
    "MISSING_TOS": "accept the terms of the Google Ads API in the account",
    "NOT_ADS_USER": "the user of the token has no Google Ads account: give it access",
    "PROJECT_DISABLED": "the Cloud project is disabled: enable it again",
    "UNSUPPORTED_VERSION": "this version of the Google Ads API is retired: install a newer release",
    "USER_PERMISSION_DENIED": "give the user of the token access to the account, or set login_account",
    "PERMISSION_DENIED": "the token has no access to this account, or the project lacks the API",
    "TERMS_AND_CONDITIONS_NOT_SIGNED": "accept the Customer Match terms in the account",
    "NOT_ALLOWLISTED": "ask Google for access",
    "ADVERTISER_NOT_ALLOWLISTED_FOR_UPLOADED_DATA": "the account may not use Customer Match yet",
    "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH": "set login_account to the manager that holds the account",
    "EU_POLITICAL_ADVERTISING_DECLARATION_REQUIRED": "declare EU political advertising in the account",
    "INVALID_USER_LIST_TYPE": "the list takes another kind of data: rename it, and a new one is made",
    "REQUEST_TOO_OLD": "its outcome is not kept any more: send the people again",
}


def judge(
    response: requests.Response, answer: Json | None, safe: Callable[[object], str], now: float
) -> PlatformError | None:
    """The error that a response stands for; ``now`` in epoch seconds, ``safe`` as of :class:`Transport`."""
    error = (answer or {}).get("error")
    if not isinstance(error, dict):
        return by_status(_PLATFORM, response)
    status = str(error.get("status") or response.status_code)
    details = dicts(error.get("details"))
    ads = [one for detail in details for one in dicts(detail.get("errors"))]
    if ads:
        return _judge_ads(ads, status, _trace(details), safe)
    trace = _trace(details)
    violations = [
        one for detail in details for one in detail.get("fieldViolations") or () if isinstance(one, dict)
    ]
    reasons = [str(one["reason"]) for one in (*violations, *details) if one.get("reason")]
    reason = next((name for name in reasons if name != status), "")
    label = f"{status}/{reason}" if reason else status
    text = f"{label}: {_violated(violations) or safe(error.get('message') or 'no message')}"
    if status == "UNAUTHENTICATED" or response.status_code == 401:
        return CredentialError(
            _PLATFORM, f"{text} (the access token was refused)", code=label, trace_id=trace
        )
    if status == "RESOURCE_EXHAUSTED" or response.status_code == 429:
        return TransientPlatformError(
            _PLATFORM, text, code=label, trace_id=trace, retry_after=_quota_wait(details, now)
        )
    if status in _TRANSIENT or response.status_code >= 500:
        return TransientPlatformError(_PLATFORM, text, code=label, trace_id=trace)
    members = _members(violations)
    if members or (reason in _ABOUT_MEMBERS and not violations):
        return MembersRefusedError(_PLATFORM, text, positions=members, code=label, trace_id=trace)
    remedy = _REMEDIES.get(reason) or _REMEDIES.get(status)
    return TerminalPlatformError(
        _PLATFORM, f"{text} ({remedy})" if remedy else text, code=label, trace_id=trace
    )


def _judge_ads(
    errors: list[dict[str, Any]], status: str, trace: str, safe: Callable[[object], str]
) -> PlatformError:
    """The error that a GoogleAdsFailure stands for: the first of its errors tells."""
    name = next((str(name) for name in mapping(errors[0].get("errorCode")).values()), "unknown error")
    label = f"{status}/{name}"
    text = f"{label}: {safe(errors[0].get('message') or 'no message')}"
    if name in _ADS_TOKEN:
        return CredentialError(
            _PLATFORM, f"{text} (the access token was refused)", code=label, trace_id=trace
        )
    if name in _ADS_RETRY:
        delays = [mapping(mapping(one.get("details")).get("quotaErrorDetails")) for one in errors]
        waits = [float(found[1]) for one in delays if (found := _DELAY.fullmatch(str(one.get("retryDelay"))))]
        return TransientPlatformError(
            _PLATFORM, text, code=label, trace_id=trace, retry_after=max(waits, default=None)
        )
    remedy = _REMEDIES.get(name)
    return TerminalPlatformError(
        _PLATFORM, f"{text} ({remedy})" if remedy else text, code=label, trace_id=trace
    )


def _violated(violations: list[dict[str, Any]]) -> str:
    """Which members were refused and why; the descriptions may quote a value and are left out."""
    if not violations:
        return ""
    places = []
    for violation in violations:
        field, reason = str(violation.get("field") or ""), str(violation.get("reason") or "refused")
        member = _MEMBER.search(field)
        if member:
            part = f" in {member[2]}" if member[2] else ""
            places.append(f"member {member[1]}: {reason}{part}")
        else:
            places.append(f"{field}: {reason}" if field else reason)
    shown = "; ".join(places[:_SHOWN])
    return f"{shown}; and {len(places) - _SHOWN} more" if len(places) > _SHOWN else shown


def _members(violations: list[dict[str, Any]]) -> dict[int, str]:
    """Positions and reasons, when every violation is about a member; else the request itself is wrong."""
    found = [
        (_MEMBER.search(str(one.get("field") or "")), str(one.get("reason") or "")) for one in violations
    ]
    if not all(member and reason for member, reason in found):
        return {}
    return {int(member[1]): reason for member, reason in found if member}


def _quota_wait(details: list[dict[str, Any]], now: float) -> float:
    """A minute, or until the day of the quota ends at midnight Pacific."""
    limits = [str(mapping(detail.get("metadata")).get("quota_limit") or "") for detail in details]
    if not any("PerDay" in limit for limit in limits):
        return 60.0
    here = datetime.fromtimestamp(now, _QUOTA_ZONE)
    midnight = datetime.combine(here.date() + timedelta(days=1), datetime.min.time(), _QUOTA_ZONE)
    return midnight.timestamp() - now


def _trace(details: list[dict[str, Any]]) -> str:
    ids = (detail.get("requestId") or mapping(detail.get("metadata")).get("requestId") for detail in details)
    return next((str(one) for one in ids if one), "")


def is_name_taken(error: PlatformError) -> bool:
    """There is an audience of that name already."""
    return "DISPLAY_NAME_ALREADY_USED" in error.code or error.code.startswith("ALREADY_EXISTS")


def is_gone(error: PlatformError) -> bool:
    """What was asked for does not exist (any more)."""
    return error.code.split("/")[0] in ("NOT_FOUND", "404")
