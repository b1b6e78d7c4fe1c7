"""What TikTok's answers say about audiences."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from audience_pipeline.platforms.answers import count, dicts, mapping
from audience_pipeline.platforms.contract import TIKTOK, Receipt, ReceiptState, RemoteAudience
from audience_pipeline.platforms.http import Json
from audience_pipeline.platforms.safety import safe_text

UNREAD = "row that could not be read"
_ROWS = re.compile(r"\b(\d[\d,]*) (?:rows?|lines?|records?)\b")


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


def judged(receipt: Receipt, entry: Mapping[str, Any] | None) -> Receipt:
    """What has become of a batch by the entry of its audience; the receipt itself while it is computed.

    TikTok counts people of an audience and not of a file, but tells how many rows it could not read.
    """
    failed = replace(receipt, state=ReceiptState.FAILED, accepted=0, rejected=receipt.received)
    if entry is None:
        return replace(failed, message="the audience is gone: it will be created again")
    details = mapping(entry.get("audience_details"))
    if details.get("error_msg"):
        failure = safe_text(details["error_msg"])
        return replace(failed, message=f"TikTok could not process the file: {failure}")
    remark = safe_text(details.get("msg") or "")
    if not details.get("is_valid") and not remark:
        return receipt
    settled = replace(receipt, state=ReceiptState.SETTLED)
    partly, left_out = _partial_failure(entry), receipt.rejected or 0
    if not partly:
        return replace(settled, accepted=receipt.received - left_out, rejected=left_out, message=remark)
    message = f"TikTok read the file only in part: {partly}"
    found = _ROWS.search(partly)
    if found is None:
        return replace(settled, accepted=None, rejected=None, message=message)
    unread = min(int(found[1].replace(",", "")), receipt.received - left_out)
    return replace(
        settled,
        accepted=receipt.received - left_out - unread,
        rejected=left_out + unread,
        reasons={**receipt.reasons, UNREAD: unread},
        message=message,
    )


def _partial_failure(entry: Mapping[str, Any]) -> str:
    """What the newest change of an audience could not read, if anything."""
    history = dicts(entry.get("audience_history"))
    newest = max(history, key=lambda change: str(change.get("opt_time") or ""), default=None)
    return safe_text(newest.get("msg") or "") if newest else ""
