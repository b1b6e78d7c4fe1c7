"""What TikTok's codes mean. HTTP is 200 nearly always: only ``code`` tells a failure from a success."""

from __future__ import annotations

import re
from collections.abc import Callable

import requests

from audience_pipeline.platforms.answers import count
from audience_pipeline.platforms.contract import (
    CredentialError,
    MembersRefusedError,
    Platform,
    PlatformError,
    TerminalPlatformError,
    TransientPlatformError,
)
from audience_pipeline.platforms.http import Json, by_status

OBJECT_MISSING = "40007"

_PLATFORM = Platform.TIKTOK
_DEAD_TOKEN = frozenset({40101, 40102, 40104, 40105, 40106, 40131})
_THROTTLED = frozenset({40016, 40100, 40132, 40133})
_TRY_LATER = frozenset({40200, 40201, 40202, 40700})
_LATER = 60.0
"""Seconds: others try these again after minutes."""
_ADVERTISER_LEVEL = 40133
_INVALID = 40002
_ABOUT_ROWS = re.compile(r"(?<!header )\b(?:rows?|lines?|records?|content|pars(?:e|ed|ing))\b", re.IGNORECASE)
"""Words of a message about what stands in a file, rather than about a parameter."""
_REMEDIES = {
    40001: "the token has no permission for this advertiser or scope: authorise it again",
    40002: "a parameter is wrong",
    40007: "it does not exist any more",
}


def judge(
    response: requests.Response, answer: Json | None, safe: Callable[[object], str]
) -> PlatformError | None:
    """The error that a response stands for; ``safe`` makes a text of TikTok fit for a message."""
    code = count((answer or {}).get("code"))
    if answer is None or code is None:
        # Without a code nothing says that it has worked.
        unknown = TransientPlatformError(_PLATFORM, "the answer holds no code")
        return by_status(_PLATFORM, response) or unknown
    if code == 0:
        return None
    trace, said = str(answer.get("request_id") or ""), safe(answer.get("message") or "no message")
    text, label = f"error {code}: {said}", str(code)
    if code in _DEAD_TOKEN:
        text = f"{text} (the access token is dead: authorise the application again)"
        return CredentialError(_PLATFORM, text, code=label, trace_id=trace)
    # Lists of codes disagree on this one: the message tells whether it is a limit or a permission.
    forbidden = code == _ADVERTISER_LEVEL and "permission" in said.lower()
    throttled = code in _THROTTLED and not forbidden
    if throttled or code in _TRY_LATER or 50_000 <= code < 60_000:
        wait = _LATER if code in _TRY_LATER else None
        return TransientPlatformError(_PLATFORM, text, code=label, trace_id=trace, retry_after=wait)
    if code == _INVALID and _ABOUT_ROWS.search(said):
        # The message may count lines from anywhere: it names nobody for certain.
        return MembersRefusedError(_PLATFORM, text, positions={}, code=label, trace_id=trace)
    remedy = _REMEDIES.get(code)
    return TerminalPlatformError(
        _PLATFORM, f"{text} ({remedy})" if remedy else text, code=label, trace_id=trace
    )
