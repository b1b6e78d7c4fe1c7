"""Who is in an audience: sets of rows by when they were last added, and removal by any identifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pyroaring import BitMap

from audience_pipeline.sandbox.clock import Clock
from audience_pipeline.sandbox.people import Entry, Kind, People
from audience_pipeline.sandbox.rows import Ordinals, Rows
from audience_pipeline.sandbox.state import Audience, State

TIMED = frozenset({"google"})
"""Platforms on which it matters when somebody was last added."""


class Members:
    """The members of every audience."""

    def __init__(self, state: State, clock: Clock, people: People, delay: float) -> None:
        self._state = state
        self._clock = clock
        self.people = people
        self.delay = delay
        self.rows = Rows(state, people)

    def add(self, audience: Audience, rows: BitMap, at: float | None = None) -> None:
        """Add rows; one that is there already is added anew, at its new time."""
        layers = self._begin(audience)
        added = 0.0 if audience.platform not in TIMED else self._clock.now() if at is None else at
        changed = {moment: held - rows for moment, held in layers.items() if moment != added}
        changed[added] = layers.get(added, BitMap()) | rows
        self._end(audience, layers, changed)

    def remove(self, audience: Audience, rows: BitMap) -> int:
        """Remove whom the rows mean and return how many rows went.

        A row goes when it shares an identifier with a removed one. Where the removed row itself is in the
        audience, others that share its telephone but not its e-mail address or first name (a household) stay.
        """
        layers = self._begin(audience)
        held = _together(layers)
        present = held & rows
        gone = present.copy()
        doubtful: dict[int, BitMap] = {}
        for row, others in self.rows.sharing(audience.platform, rows, held).items():
            if row in present:
                doubtful[row] = others
            else:
                gone |= others
        doubtful = {row: others - gone for row, others in doubtful.items() if others - gone}
        entries = self.rows.entries(BitMap.union(BitMap(doubtful.keys()), *doubtful.values()))
        for row, others in doubtful.items():
            gone |= BitMap(other for other in others if not _somebody_else(entries[row], entries[other]))
        self._end(audience, layers, {moment: rows - gone for moment, rows in layers.items()})
        return len(gone)

    def clear(self, audience: Audience, before: float | None = None) -> None:
        """Remove all rows, or those last added before a moment."""
        layers = self._begin(audience)
        self._end(audience, layers, {one: BitMap() for one in layers if before is None or one < before})

    def lose(self, audience: Audience, rows: BitMap) -> None:
        """Drop rows without the look of a change."""
        layers = self._layers(audience)
        self._store(audience, layers, {moment: held - rows for moment, held in layers.items()})
        audience.size = audience.matched = audience.oldest = None
        self._state.save(audience)

    def expire(self, audience: Audience, before: float) -> None:
        """Drop rows last added before a moment, without the look of a change."""
        self._count(audience)
        if audience.oldest is not None and audience.oldest < before:
            layers = self._layers(audience)
            self._store(audience, layers, {moment: BitMap() for moment in layers if moment < before})
            audience.size = audience.matched = audience.oldest = None
            self._state.save(audience)

    def size(self, audience: Audience) -> int:
        """Rows held now."""
        self._count(audience)
        return audience.size or 0

    def matched(self, audience: Audience) -> int:
        """Distinct people meant by the rows held now."""
        self._count(audience)
        return audience.matched or 0

    def settled(self, audience: Audience) -> bool:
        """The platform has finished computing."""
        return self._clock.now() >= audience.ready_at

    def shown(self, audience: Audience) -> int:
        """Matched people as the platform shows them: late."""
        return self.matched(audience) if self.settled(audience) else audience.shown

    def held(self, audience: Audience) -> BitMap:
        """The rows held now."""
        return _together(self._layers(audience))

    def persons(self, audience: Audience) -> list[int]:
        """The people in the audience."""
        persons = self._persons(self.held(audience))
        return [int(person) for person in np.unique(persons[persons >= 0])]

    def listed(self, audience: Audience) -> list[tuple[list[str], str | int | None]]:
        """For each row the hashes that were sent, the surest identifier first, and the person they mean."""
        held = self.held(audience)
        persons = self._persons(held).tolist()
        shown = [kind for kind in Kind if kind < Kind.AS_SENT_PLAIN and kind is not Kind.ADDRESS]
        entries = self.rows.entries(held)
        return [
            (
                [digest.hex() for kind, digest in entries[row] if kind in shown],
                None if person < 0 else self.people.name(person),
            )
            for row, person in zip(held, persons, strict=True)
        ]

    def _persons(self, rows: BitMap) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        ordinals: Ordinals = np.asarray(rows.to_array(), dtype=np.uint32)
        return self.rows.persons(ordinals)

    def _begin(self, audience: Audience) -> dict[float, BitMap]:
        if self.settled(audience):
            audience.shown = self.matched(audience)
        return self._layers(audience)

    def _end(self, audience: Audience, layers: dict[float, BitMap], changed: dict[float, BitMap]) -> None:
        self._store(audience, layers, changed)
        audience.content_updated = audience.updated = self._clock.now()
        audience.ready_at = audience.content_updated + self.delay
        audience.size = audience.matched = audience.oldest = None
        self._state.save(audience)

    def _count(self, audience: Audience) -> None:
        if audience.size is not None:
            return
        layers = self._layers(audience)
        held = _together(layers)
        persons = np.sort(self._persons(held))
        known = persons[np.searchsorted(persons, 0) :]
        audience.size = len(held)
        audience.matched = int((known[1:] != known[:-1]).sum()) + min(len(known), 1)
        audience.oldest = min(layers, default=None)
        self._state.save(audience)

    def _layers(self, audience: Audience) -> dict[float, BitMap]:
        query = "SELECT added, rows FROM layers WHERE audience = ?"
        found = self._state.connection.execute(query, (audience.number,))
        return {added: BitMap.deserialize(rows) for added, rows in found}

    def _store(self, audience: Audience, layers: dict[float, BitMap], changed: dict[float, BitMap]) -> None:
        execute = self._state.connection.execute
        for added, rows in changed.items():
            if not rows:
                execute("DELETE FROM layers WHERE audience = ? AND added = ?", (audience.number, added))
            elif added not in layers or rows != layers[added]:
                execute(
                    "INSERT OR REPLACE INTO layers VALUES (?, ?, ?)",
                    (audience.number, added, rows.serialize()),
                )


def _together(layers: Mapping[float, BitMap]) -> BitMap:
    return BitMap.union(BitMap(), *layers.values())


def _somebody_else(one: Sequence[Entry], other: Sequence[Entry]) -> bool:
    """Two rows share a telephone or a device, but their e-mail addresses, own ids or first names differ."""
    pairs = [
        ({digest for name, digest in one if name == kind}, {digest for name, digest in other if name == kind})
        for kind in (Kind.EMAIL, Kind.OWN_ID, Kind.FIRST_NAME)
    ]
    if any(mine & theirs for mine, theirs in pairs[:2]):
        return False
    return any(mine and theirs and not mine & theirs for mine, theirs in pairs)
