"""Who may be in an audience: a snapshot, and what was planned, refused and settled since, in order. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from audience_pipeline.ledger.fingerprints import PEOPLE
from audience_pipeline.ledger.records import BatchState, MemberState
from audience_pipeline.platforms.contract import Action

SNAPSHOT = pl.Schema(
    {
        "customer_id": pl.String(),
        "fingerprint": pl.UInt64(),
        "state": pl.String(),
        "delivered_at": pl.Datetime("us", "UTC"),
        "batch_id": pl.String(),
        "confirmed": pl.Boolean(),
    }
)
"""Columns of a snapshot, sorted by PEOPLE. ``confirmed``: an addition of these identifiers was settled once,
so that a refusal of a later one does not mean that nobody is there."""
CHANGED = pl.Schema({"customer_id": pl.String, "fingerprint": pl.UInt64, "doubtful": pl.Boolean})
"""Columns of a change: who is in the batch, and of whom a removal makes it doubtful that they are there."""
_STATES = list(MemberState)
_ADDING, _ADDED, _DOUBTFUL, _REMOVING = (
    _STATES.index(state)
    for state in (MemberState.ADDING, MemberState.ADDED, MemberState.DOUBTFUL, MemberState.REMOVING)
)
_NO_BATCH = -1

Kind = Literal["planned", "refused"]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class KnownBatch:
    """What a batch means for its people."""

    action: Action
    state: BatchState
    planned_at: datetime
    settled_order: int | None
    """Place of its outcome among the changes of the audience; None while it is open or when it failed."""


@dataclass(frozen=True, slots=True)
class Change:
    """People who were planned to be sent, or were refused by name. ``position`` orders all changes."""

    position: int
    batch_id: str
    kind: Kind
    people: pl.DataFrame = field(repr=False)
    """Columns ``CHANGED``."""


def replay(
    base: pl.DataFrame, changes: Sequence[Change], batches: Mapping[str, KnownBatch], through: int
) -> pl.DataFrame:
    """Apply to a snapshot what has happened since.

    Args:
        base: columns ``SNAPSHOT``.
        changes: in their order; none that the snapshot holds.
        batches: every batch of ``changes``, and every one that may still be open in ``base``.
        through: the last change that the snapshot holds.

    Returns:
        Columns ``SNAPSHOT``; exactly ``base`` where nothing has happened.
    """
    outcomes = {
        batch.settled_order: name
        for name, batch in batches.items()
        if batch.state is BatchState.SETTLED and (batch.settled_order or 0) > through
    }
    if not changes and not outcomes:
        return base
    everybody, who = _numbered(base, changes)
    rows = _Rows(base, everybody.height, batches)
    events = sorted([*outcomes, *(change.position for change in changes)], key=lambda order: order or 0)
    by_position = {change.position: (change, people) for change, people in zip(changes, who, strict=True)}
    for order in events:
        if order in by_position:
            change, people = by_position[order]
            doubtful = change.people["doubtful"].to_numpy()
            if change.kind == "refused":
                rows.refuse(change.batch_id, people)
            else:
                rows.doubt(people[doubtful])
                rows.plan(change.batch_id, people[~doubtful])
        else:
            rows.settle(outcomes[order])
    after = everybody.with_columns(rows.columns()).filter(pl.Series(rows.exists)).select(list(SNAPSHOT))
    return after if everybody.height == base.height else after.sort(PEOPLE)


def changed(people: pl.DataFrame, doubtful: pl.DataFrame | None = None) -> pl.DataFrame:
    """Frames of PEOPLE as one with the columns ``CHANGED``, each once."""
    parts = [people.select(*PEOPLE, pl.lit(value=False).alias("doubtful"))]
    if doubtful is not None and doubtful.height:
        parts.append(doubtful.select(*PEOPLE, pl.lit(value=True).alias("doubtful")))
    return pl.concat(parts).cast(CHANGED).unique(maintain_order=True)


def packed(people: pl.DataFrame) -> bytes:
    """A change as it lies in the ledger."""
    stream = BytesIO()
    people.write_ipc_stream(stream, compression="zstd", compat_level=pl.CompatLevel.oldest())
    return stream.getvalue()


def unpacked(stored: bytes) -> pl.DataFrame:
    """The inverse of :func:`packed`."""
    return pl.read_ipc_stream(BytesIO(stored))


def _numbered(base: pl.DataFrame, changes: Sequence[Change]) -> tuple[pl.DataFrame, list[Numbers]]:
    """PEOPLE of base and changes, those of base first; and for each change, which of them are in it."""
    mentioned = pl.concat([CHANGED.to_frame(), *(change.people for change in changes)]).select(PEOPLE)
    new = mentioned.join(base, on=PEOPLE, how="anti").unique(maintain_order=True)
    everybody = pl.concat([base.select(PEOPLE), new])
    numbers = (
        mentioned.join(everybody.with_row_index("who"), on=PEOPLE, how="left", maintain_order="left")["who"]
        .cast(pl.Int64)
        .to_numpy()
    )
    ends = np.cumsum([change.people.height for change in changes])
    return everybody, np.split(numbers, ends)[:-1]


class _Rows:
    """Everybody's state, by number. Somebody who does not exist is not in the audience."""

    def __init__(self, base: pl.DataFrame, height: int, batches: Mapping[str, KnownBatch]) -> None:
        self._batches = batches
        self._names = sorted({*base["batch_id"].drop_nulls().unique(), *batches})
        self._number = {name: number for number, name in enumerate(self._names)}
        more = height - base.height
        states = base["state"].cast(pl.Enum([state.value for state in _STATES])).to_physical()
        names = base["batch_id"].cast(pl.Enum(self._names)).to_physical().cast(pl.Int32).fill_null(_NO_BATCH)
        sent = base["delivered_at"].dt.epoch("us")
        self.exists = np.append(np.ones(base.height, bool), np.zeros(more, bool))
        self._state = np.append(states.to_numpy(), np.zeros(more, np.uint8)).astype(np.uint8)
        self._batch = np.append(names.to_numpy(), np.full(more, _NO_BATCH, np.int32))
        self._sent = np.append(sent.to_numpy(), np.zeros(more, np.int64))
        self._confirmed = np.append(base["confirmed"].to_numpy(), np.zeros(more, bool))

    def doubt(self, people: Numbers) -> None:
        self._state[people[self.exists[people]]] = _DOUBTFUL

    def plan(self, name: str, people: Numbers) -> None:
        batch = self._batches[name]
        new = people[~self.exists[people]]
        self._confirmed[new] = False
        self.exists[new] = True
        adds = batch.action == "add"
        # A removal leaves it as it was when the person was sent last.
        self._sent[people if adds else new] = _microseconds(batch.planned_at)
        self._state[people] = _ADDING if adds else _REMOVING
        self._batch[people] = self._number[name]

    def refuse(self, name: str, people: Numbers) -> None:
        mine = people[self.exists[people] & (self._batch[people] == self._number[name])]
        if self._batches[name].action == "remove":
            # They stay where they are, whatever becomes of the others.
            self._batch[mine] = _NO_BATCH
            return
        there = self._confirmed[mine]
        self._state[mine[there]] = _DOUBTFUL
        self.exists[mine[~there]] = False

    def settle(self, name: str) -> None:
        mine = (self._batch == self._number[name]) & self.exists
        if self._batches[name].action == "remove":
            self.exists[mine] = False
            return
        self._state[mine & (self._state == _ADDING)] = _ADDED
        self._confirmed[mine] = True

    def columns(self) -> list[pl.Series]:
        names = pl.Series([*self._names, None], dtype=pl.String)
        places = np.where(self._batch == _NO_BATCH, len(self._names), self._batch)
        return [
            pl.Series([state.value for state in _STATES]).gather(self._state).alias("state"),
            pl.Series(self._sent).cast(pl.Datetime("us", "UTC")).alias("delivered_at"),
            names.gather(places).alias("batch_id"),
            pl.Series("confirmed", self._confirmed),
        ]


def _microseconds(moment: datetime) -> int:
    microseconds = pl.Series([moment], dtype=pl.Datetime("us", "UTC")).dt.epoch("us").item()
    return int(microseconds)
