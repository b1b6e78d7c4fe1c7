"""What every client checks before it sends: a batch that a platform would refuse never leaves the house."""

from __future__ import annotations

from collections.abc import Sequence

from audience_pipeline.platforms.contract import (
    PLAIN,
    Capabilities,
    Member,
    MembersRefusedError,
    TerminalPlatformError,
)

_LENGTH = 64
_HEX = b"0123456789abcdef"
_HASH_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

Columns = dict[str, list[str]]
"""Identifier to the values of all people of a batch, in its order; empty where somebody has none."""


def checked(capabilities: Capabilities, members: Sequence[Member]) -> Columns:
    """The columns of a batch, refused when it is empty, too large, or holds somebody who cannot be sent.

    Raises:
        TerminalPlatformError: nobody, or too many people.
        MembersRefusedError: names positions and reasons, never a value.
    """
    platform = capabilities.platform
    if not members:
        raise TerminalPlatformError(platform, "a batch without anybody cannot be sent")
    if len(members) > capabilities.batch_rows:
        raise TerminalPlatformError(
            platform,
            f"{len(members):,} people are more than the {capabilities.batch_rows:,} of a request: split them",
        )
    people = [member.identifiers for member in members]
    columns = {name: [person.get(name) or "" for person in people] for name in capabilities.identifiers}
    for name, values in columns.items():
        if name not in PLAIN and not _hashes(values):
            reason = f"{name} is no SHA-256 in lower-case hex"
            wrong = {at: reason for at, value in enumerate(values) if not _hashes([value])}
            raise MembersRefusedError(
                platform, f"member {min(wrong)}: {reason}: land the contacts again", positions=wrong
            )
    _check_reach(capabilities, columns, len(members))
    return columns


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


def _hashes(values: Sequence[str]) -> bool:
    """Whether all values are hashes or empty: of the whole column at once, for it is long."""
    return (
        set(map(len, values)) <= {0, _LENGTH}
        and not "".join(values).encode(errors="replace").translate(None, _HEX)
        and _HASH_OF_NOTHING not in values
    )


def _check_reach(capabilities: Capabilities, columns: Columns, people: int) -> None:
    if any(all("" not in columns[name] for name in group) for group in capabilities.reachable_by):
        return
    groups = " or ".join(" with ".join(group) for group in capabilities.reachable_by)
    nobody = {
        position: "cannot be reached"
        for position in range(people)
        if not any(all(columns[name][position] for name in group) for group in capabilities.reachable_by)
    }
    if nobody:
        raise MembersRefusedError(
            capabilities.platform,
            f"member {min(nobody)} cannot be reached: {groups} is needed",
            positions=nobody,
        )
