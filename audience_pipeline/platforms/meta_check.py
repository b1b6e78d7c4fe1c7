"""What ``platforms check`` looks at on Meta. It reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from audience_pipeline.platforms.answers import dicts, mapping, room, said
from audience_pipeline.platforms.contract import (
    META,
    CredentialError,
    Finding,
    PlatformError,
    RemoteAudience,
)
from audience_pipeline.platforms.http import Json

ACCOUNT_FIELDS = "id,name,account_status,tos_accepted"
_ACTIVE = frozenset({1, 9})
"""Active, or in a period of grace."""
_PERMISSIONS = ("ads_management", "ads_read")


def findings(
    get: Callable[[str, str], Json],
    audiences: Callable[[], Sequence[RemoteAudience]],
    account: str,
    version: str,
    served: Callable[[], str],
) -> list[Finding]:
    """Everything that can be seen; ``get`` reads a path and fields, ``served`` the version that answered."""
    found: list[Finding] = []
    try:
        seen = get(f"/act_{account}", ACCOUNT_FIELDS)
    except CredentialError as error:
        return [Finding("credentials", "problem", said(error))]
    except PlatformError as error:
        return [Finding("account", "problem", f"ad account {account} cannot be read: {said(error)}")]
    found.append(Finding("credentials", "ok", "the access token is valid"))
    found.extend(_account(seen, account))
    found.append(_permissions(get))
    found.append(_room(audiences))
    found.append(_version(version, served()))
    return found


def _account(seen: Json, account: str) -> Iterator[Finding]:
    status = seen.get("account_status", 1)
    if status in _ACTIVE:
        yield Finding("account", "ok", f"ad account {account} is active")
    else:
        yield Finding(
            "account",
            "problem",
            f"ad account {account} is not active (account_status {status}): look into Account Quality",
        )
    if mapping(seen.get("tos_accepted")).get("custom_audience_tos") == 1:
        yield Finding("terms", "ok", "the Custom Audience terms are accepted")
    else:
        yield Finding(
            "terms",
            "problem",
            "the Custom Audience terms are not accepted: accept them in Business settings, or at "
            f"https://business.facebook.com/ads/manage/customaudiences/tos/?act={account}",
        )


def _permissions(get: Callable[[str, str], Json]) -> Finding:
    try:
        answer = get("/me/permissions", "")
    except PlatformError as error:
        return Finding("permission", "warning", f"the permissions of the token cannot be read: {said(error)}")
    granted = {one.get("permission") for one in dicts(answer.get("data")) if one.get("status") == "granted"}
    missing = [name for name in _PERMISSIONS if name not in granted]
    if not missing:
        return Finding("permission", "ok", "the token may manage audiences and read results")
    return Finding(
        "permission",
        "problem" if "ads_management" in missing else "warning",
        f"the token lacks {' and '.join(missing)}: grant it to the system user in Business settings",
    )


def _room(audiences: Callable[[], Sequence[RemoteAudience]]) -> Finding:
    try:
        held = len(audiences())
    except PlatformError as error:
        return Finding("limits", "warning", f"the audiences of the account cannot be listed: {said(error)}")
    return room(
        held, META.audiences_per_account or 0, "delete some that are not used, or configure another account"
    )


def _version(asked: str, served: str) -> Finding:
    if asked == served:
        return Finding("version", "ok", f"API version {asked} answers")
    return Finding(
        "version", "warning", f"asked for API version {asked}, answered by {served}: set api_version"
    )
