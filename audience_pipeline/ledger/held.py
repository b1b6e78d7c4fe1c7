"""Counts of who may be in an audience that stay right while batches settle, so that no file is read. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from audience_pipeline.ledger.records import Batch, BatchState, Held, MemberState, Upload
from audience_pipeline.ledger.replay import KnownBatch

_START = datetime(1970, 1, 1, tzinfo=UTC)


def counted(snapshot: pl.DataFrame) -> dict[str, Any]:
    """What the ledger keeps of a snapshot, as JSON.

    Args:
        snapshot: columns ``replay.SNAPSHOT``.

    Returns:
        ``rows``: batch, state, number of rows and earliest ``delivered_at`` in microseconds. ``several``: for
        people with more than one row, batch and state of each, and the number of such people.
    """
    rows = (
        snapshot.group_by("batch_id", "state")
        .agg(pl.len(), pl.col("delivered_at").min().dt.epoch("us"))
        .sort("batch_id", "state")
    )
    several = (
        snapshot.filter(pl.col("customer_id").is_duplicated())
        .group_by("customer_id")
        .agg(pl.struct("batch_id", "state").sort())
        .group_by("batch_id")
        .agg(pl.len())
    )
    combined = [
        ([[one["batch_id"], one["state"]] for one in together], people)
        for together, people in several.iter_rows()
    ]
    return {
        "rows": [list(row) for row in rows.iter_rows()],
        "several": sorted(combined, key=str),
    }


def open_batches(held: Mapping[str, Any]) -> set[str]:
    """The batches whose outcome may still change where their people are."""
    return {
        batch_id
        for batch_id, state, *_ in held["rows"]
        if batch_id is not None and state != MemberState.ADDED.value
    }


def all_batches(held: Mapping[str, Any]) -> set[str]:
    """Every batch that touched somebody last."""
    return {batch_id for batch_id, *_ in held["rows"] if batch_id is not None}


def as_held(
    held: Mapping[str, Any], batches: Mapping[str, Batch], known: Mapping[str, KnownBatch], through: int
) -> Held:
    """The counts as they are now.

    Args:
        held: what :func:`counted` made of a snapshot.
        batches: all of ``held``.
        known: those that may have settled since.
        through: the last change that the snapshot holds.
    """

    def now(batch_id: str | None, state: str) -> MemberState | None:
        batch = known.get(batch_id) if batch_id is not None else None
        current = MemberState(state)
        if batch is None or batch.state is not BatchState.SETTLED or (batch.settled_order or 0) <= through:
            return current
        if batch.action == "remove":
            return None
        return MemberState.ADDED if current is MemberState.ADDING else current

    states: Counter[MemberState] = Counter()
    arrived: Counter[str] = Counter()
    earliest: list[int] = []
    for batch_id, state, rows, sent in held["rows"]:
        current = now(batch_id, state)
        if current is None:
            continue
        states[current] += rows
        earliest.append(sent)
        if current is MemberState.ADDED and batch_id is not None:
            arrived[batch_id] += rows
    twice = sum(
        people * (there - 1)
        for together, people in held["several"]
        if (there := _there(now(*one) for one in together)) > 1
    )
    uploads = [
        Upload(rows, batches[name])
        for name, rows in arrived.items()
        if name in batches and batches[name].action == "add"
    ]
    return Held(
        delivered=sum(rows for state, rows in states.items() if state is not MemberState.ADDING) - twice,
        states=dict(states),
        oldest=_START + timedelta(microseconds=min(earliest)) if earliest else None,
        uploads=tuple(sorted(uploads, key=lambda one: (one.batch.planned_at, one.batch.sequence))),
    )


def _there(states: Iterable[MemberState | None]) -> int:
    return sum(state not in (None, MemberState.ADDING) for state in states)
