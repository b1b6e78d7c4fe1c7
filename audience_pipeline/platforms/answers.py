"""Reading what platforms answer: fields may be missing, and numbers may be text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from audience_pipeline.platforms.contract import Finding, PlatformError, RemoteAudience


def dicts(value: object) -> list[dict[str, Any]]:
    """The objects of a list; none for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def mapping(value: object) -> dict[str, Any]:
    """An object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def count(value: object) -> int | None:
    """A whole number, written as number or digits; None for anything else."""
    try:
        return int(value) if isinstance(value, int | str) else None
    except ValueError:
        return None


def oldest(audiences: Iterable[RemoteAudience]) -> RemoteAudience | None:
    """The audience with the lowest id: of several with one name always the same."""
    return min(audiences, key=lambda audience: (len(audience.remote_id), audience.remote_id), default=None)


def said(error: PlatformError) -> str:
    """The sentence of an error without the name of the platform before it."""
    return str(error).removeprefix(f"{error.platform.value}: ")


def by_position(positions: Iterable[tuple[object, str]], people: int) -> Iterator[tuple[int, str]]:
    """Positions that lie in a batch of so many people, with their reasons."""
    for given, reason in positions:
        position = count(given)
        if position is not None and 0 <= position < people:
            yield position, reason


def room(audiences: int, most: int, remedy: str) -> Finding:
    """What is left of the audiences that an account may hold; a warning from nine in ten on."""
    sentence = f"the account holds {audiences:,} of {most:,} audiences"
    if audiences < 0.9 * most:
        return Finding("limits", "ok", sentence)
    return Finding("limits", "problem" if audiences >= most else "warning", f"{sentence}: {remedy}")
