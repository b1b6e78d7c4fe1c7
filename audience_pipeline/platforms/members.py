"""What every client checks before it sends: a batch that a platform would refuse never leaves the house."""

from __future__ import annotations

import re
from collections.abc import Sequence

from audience_pipeline.platforms.contract import Capabilities, Member, TerminalPlatformError

PLAIN = frozenset({"country", "postal_code"})
"""Identifiers that are not hashed yet."""
_HASH = re.compile(r"[0-9a-f]{64}")
_HASH_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def check_members(capabilities: Capabilities, members: Sequence[Member]) -> None:
    """Refuse a batch that is empty, too large, or holds somebody who cannot be sent.

    Raises:
        TerminalPlatformError: names position and reason, never a value.
    """
    platform = capabilities.platform
    if not members:
        raise TerminalPlatformError(platform, "a batch without anybody cannot be sent")
    if len(members) > capabilities.batch_rows:
        raise TerminalPlatformError(
            platform,
            f"{len(members):,} people are more than the {capabilities.batch_rows:,} of a request: split them",
        )
    hashed = [name for name in capabilities.identifiers if name not in PLAIN]
    for position, member in enumerate(members):
        values = member.identifiers
        for name in hashed:
            value = values.get(name)
            if value and (_HASH.fullmatch(value) is None or value == _HASH_OF_NOTHING):
                raise TerminalPlatformError(
                    platform,
                    f"member {position}: {name} is no SHA-256 in lower-case hex: land the contacts again",
                )
        if not any(all(values.get(name) for name in group) for group in capabilities.reachable_by):
            groups = " or ".join(" with ".join(group) for group in capabilities.reachable_by)
            raise TerminalPlatformError(platform, f"member {position} cannot be reached: {groups} is needed")


def check_name(capabilities: Capabilities, name: str) -> None:
    """Refuse a name that the platform would refuse or cut.

    Raises:
        TerminalPlatformError: names the limit.
    """
    if not name.strip() or len(name) > capabilities.name_length:
        raise TerminalPlatformError(
            capabilities.platform,
            f"an audience needs a name of 1 to {capabilities.name_length} characters, not {len(name)}",
        )
