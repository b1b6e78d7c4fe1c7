"""The files that people travel in to TikTok."""

from __future__ import annotations

from collections.abc import Sequence

from audience_pipeline.platforms.contract import TIKTOK, Member

MULTIPLE = "MULTIPLE_TYPES"
SINGLE = {"EMAIL_SHA256": "tiktok_email", "PHONE_SHA256": "meta_phone"}
"""Calculate type of an audience made elsewhere to the one column that it takes."""
_HEADER = "Email_SHA256,Phone_SHA256"


def content_of(members: Sequence[Member], kind: str) -> bytes:
    """One line per person: both identifiers below a header, or the only one that the audience takes."""
    column = SINGLE.get(kind)
    if column is not None:
        lines = [member.identifiers[column] for member in members]
    else:
        pairs = ((member.identifiers.get(name) or "" for name in TIKTOK.identifiers) for member in members)
        lines = [_HEADER, *(",".join(pair) for pair in pairs)]
    return "".join(f"{line}\n" for line in lines).encode()
