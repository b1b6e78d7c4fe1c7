"""What ``platforms check`` looks at on TikTok. It reads only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audience_pipeline.platforms.answers import count, mapping, room, said
from audience_pipeline.platforms.contract import TIKTOK, CredentialError, Finding, PlatformError


def findings(first_page: Callable[[], dict[str, Any]], account: str) -> list[Finding]:
    """Everything that can be seen; ``first_page`` reads a page of the advertiser's audiences."""
    try:
        page = first_page()
    except CredentialError as error:
        return [Finding("credentials", "problem", said(error))]
    except PlatformError as error:
        return [
            Finding(
                "permission", "problem", f"audiences of advertiser {account} cannot be read: {said(error)}"
            )
        ]
    held = count(mapping(page.get("page_info")).get("total_number"))
    return [
        Finding("credentials", "ok", "the access token is valid"),
        Finding("permission", "ok", f"the audiences of advertiser {account} can be read"),
        Finding("limits", "warning", "the number of audiences is not told")
        if held is None
        else room(held, TIKTOK.audiences_per_account or 0, "delete some, or configure another advertiser"),
    ]
