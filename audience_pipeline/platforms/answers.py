"""Reading what platforms answer: fields may be missing, and numbers may be text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from audience_pipeline.platforms.contract import RemoteAudience


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
