"""What TikTok's answers say about audiences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audience_pipeline.platforms.answers import count, dicts, mapping
from audience_pipeline.platforms.contract import TIKTOK, RemoteAudience
from audience_pipeline.platforms.http import Json, safe_text


def is_customer_file(details: Mapping[str, Any]) -> bool:
    """Made of files, and not of other people who resemble them."""
    return "lookalike" not in str(details.get("audience_type") or "").lower()


def audience(details: Mapping[str, Any]) -> RemoteAudience:
    """An audience; while it is computed it has no size."""
    valid = bool(details.get("is_valid"))
    size = count(details.get("cover_num")) if valid else None
    said = safe_text(details.get("error_msg") or details.get("msg") or "")
    state = "valid" if valid else "computing or expired"
    if valid and details.get("is_expiring"):
        state = "valid, expires within 60 days"
    return RemoteAudience(
        remote_id=str(details.get("audience_id") or ""),
        name=str(details.get("name") or ""),
        ready=valid and (size or 0) >= TIKTOK.minimum_audience,
        status=f"{state}: {said}" if said else state,
        size_low=size,
        size_high=size,
    )


def data_of(answer: Json) -> dict[str, Any]:
    """What an answer holds besides its code."""
    return mapping(answer.get("data"))


def request_id(answer: Json) -> str:
    """The id to quote to support."""
    return str(answer.get("request_id") or "")


def partial_failure(entry: Mapping[str, Any]) -> str:
    """What the newest change of an audience could not read, if anything."""
    history = dicts(entry.get("audience_history"))
    newest = max(history, key=lambda change: str(change.get("opt_time") or ""), default=None)
    said = newest.get("msg") if newest else ""
    return f"TikTok read the file only in part: {safe_text(said)}" if said else ""
