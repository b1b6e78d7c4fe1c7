"""The files that people travel in to TikTok."""

from __future__ import annotations

from audience_pipeline.platforms.contract import TIKTOK
from audience_pipeline.platforms.members import Columns

MULTIPLE = "MULTIPLE_TYPES"
SINGLE = {"EMAIL_SHA256": "tiktok_email", "PHONE_SHA256": "meta_phone"}
"""Calculate type of an audience made elsewhere to the one column that it takes."""
_HEADER = "Email_SHA256,Phone_SHA256"


def content_of(columns: Columns, kind: str) -> bytes:
    """One line per person: both identifiers below a header, or the only one that the audience takes.

    Empty when nobody has that one.
    """
    if kind in SINGLE:
        lines = [value for value in columns[SINGLE[kind]] if value]
    else:
        lines = [_HEADER, *map(",".join, zip(*(columns[name] for name in TIKTOK.identifiers), strict=True))]
    return "".join(f"{line}\n" for line in lines).encode()


def left_out(columns: Columns, kind: str) -> dict[int, str]:
    """Positions of people without the only identifier that an audience takes, with the reason."""
    if kind not in SINGLE:
        return {}
    reason = f"the audience takes {kind} only"
    return {position: reason for position, value in enumerate(columns[SINGLE[kind]]) if not value}
