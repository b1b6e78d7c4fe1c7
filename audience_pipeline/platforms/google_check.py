"""What ``platforms check`` looks at on Google. It reads only."""

from __future__ import annotations

from collections.abc import Callable

from audience_pipeline.platforms.answers import said
from audience_pipeline.platforms.contract import CredentialError, Finding, PlatformError
from audience_pipeline.platforms.http import Json


def findings(read_lists: Callable[[], Json], try_ads: Callable[[], None], account: str) -> list[Finding]:
    """Everything that can be seen: the lists of the account, and whether the Google Ads API answers."""
    try:
        read_lists()
    except CredentialError as error:
        return [Finding("credentials", "problem", said(error))]
    except PlatformError as error:
        return [
            Finding("permission", "problem", f"the lists of account {account} cannot be read: {said(error)}")
        ]
    return [
        Finding("credentials", "ok", "the access token is valid"),
        Finding("permission", "ok", f"the lists of account {account} can be read"),
        _ads(try_ads),
        Finding(
            "terms",
            "warning",
            "whether the Customer Match terms are accepted cannot be read: the first delivery tells; accept "
            "them in Google Ads where an audience list is uploaded by hand",
        ),
    ]


def _ads(try_ads: Callable[[], None]) -> Finding:
    try:
        try_ads()
    except PlatformError as error:
        return Finding(
            "permission",
            "warning",
            f"the Google Ads API does not answer ({said(error)}): lists are delivered all the same; for more "
            "match rates enable it in the Cloud project and authorise the scope adwords",
        )
    return Finding("permission", "ok", "the Google Ads API answers: match rates of lists can be read")
