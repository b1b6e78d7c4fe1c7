"""What Meta's answers say about audiences and batches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from audience_pipeline.platforms.answers import count, mapping
from audience_pipeline.platforms.contract import Platform, RemoteAudience, TransientPlatformError, ended

SIZE_FLOOR = 1_000
"""Both bounds of an audience with fewer people: Meta does not say how many."""
_USABLE = frozenset({100, 200, 400, 411, 412})
INVALID = "invalid entry"
BROKEN = 500
"""Operation status of an audience whose last operation has failed."""


def audience(node: Mapping[str, Any]) -> RemoteAudience:
    """An audience; its size lies between two bounds, -1 standing for "not known"."""
    operation, delivery = mapping(node.get("operation_status")), mapping(node.get("delivery_status"))
    said = [str(status["description"]) for status in (operation, delivery) if status.get("description")]
    if violating := node.get("fields_violating_integrity_policy"):
        named = ", ".join(map(str, violating)) if isinstance(violating, list) else str(violating)
        said.append(f"Meta's integrity rules are violated by: {named}")
    sizes = [count(node.get(f"approximate_count_{end}_bound")) for end in ("lower", "upper")]
    low, high = (size if size is not None and size >= 0 else None for size in sizes)
    if low is not None and high is not None and low == high <= SIZE_FLOOR:
        low = 0
    return RemoteAudience(
        remote_id=audience_id(node),
        name=str(node.get("name") or ""),
        ready=operation.get("code") in _USABLE and delivery.get("code") == 200,
        status=" ".join(ended(sentence) for sentence in said),
        size_low=low,
        size_high=high,
    )


def audience_id(node: Mapping[str, Any]) -> str:
    """The id of an audience.

    Raises:
        TransientPlatformError: the answer has none.
    """
    if not node.get("id"):
        raise TransientPlatformError(Platform.META, "the answer names no audience")
    return str(node["id"])


def is_customer_file(node: Mapping[str, Any]) -> bool:
    """Made of people who were sent, and not of lookalikes or visitors."""
    return str(node.get("subtype", "CUSTOM")) == "CUSTOM"


def has_failed(session: Mapping[str, Any]) -> bool:
    """An upload session has ended, and nobody of it was taken."""
    stage = str(session.get("stage") or "").lower()
    return "fail" in stage or "error" in stage


def refused(samples: object, rows: Sequence[Sequence[str]], rejected: int | None) -> dict[int, str]:
    """Positions of the rows that the samples of invalid entries stand for.

    Samples come as an object keyed by the bad value or row, or as a list of them; other people's samples of
    the same session are among them. A value that more rows hold than were rejected names nobody.
    """
    wanted = set(_samples(samples))
    if not wanted:
        return {}
    at: dict[str, list[int]] = {}
    for position, row in enumerate(rows):
        for key in {*row, _key(row)} & wanted:
            at.setdefault(key, []).append(position)
    most = len(rows) if rejected is None else rejected
    return {
        position: INVALID for positions in at.values() if len(positions) <= most for position in positions
    }


def _samples(samples: object) -> Iterator[str]:
    for sample in samples if isinstance(samples, dict | list) else ():
        parsed = _parsed(sample) if isinstance(sample, str) else sample
        if isinstance(parsed, list):
            yield _key([str(cell) for cell in parsed])
        elif parsed not in ("", None):
            yield str(parsed)


def _parsed(text: str) -> object:
    """A row that is written as JSON, or the text itself."""
    if not text.startswith("["):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _key(row: Sequence[str]) -> str:
    return "\n".join(row)
