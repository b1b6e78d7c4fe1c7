"""Who is in an audience: rows as uploaded, the people they mean, and removal by any identifier."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from audience_pipeline.sandbox.clock import Clock
from audience_pipeline.sandbox.people import NAMING, Entry, Kind, People, address
from audience_pipeline.sandbox.state import Audience, State


def key(kind: int, digest: bytes) -> int:
    """A 64-bit number for one identifier, fit for an SQLite column."""
    return int.from_bytes(digest[:8], "big", signed=True) ^ kind


def _pack(entries: Iterable[Entry]) -> bytes:
    return b"".join(bytes((kind,)) + digest for kind, digest in sorted(entries))


def unpack(hashes: bytes) -> list[Entry]:
    """The entries of a stored row."""
    return [(hashes[start], hashes[start + 1 : start + 33]) for start in range(0, len(hashes), 33)]


@dataclass(frozen=True, slots=True)
class Row:
    """One uploaded person."""

    number: int
    """The same for the same identifiers: an upload that is repeated changes nothing."""
    hashes: bytes = field(repr=False)
    keys: frozenset[int] = field(repr=False)
    """The identifiers that name the person, each alone."""
    person: int | None


def rows_of(people: People, platform: str, uploaded: Sequence[Sequence[Entry]]) -> list[Row]:
    """Rows from the entries of each uploaded person, with the people found."""
    complete: list[Sequence[Entry]] = []
    for entries in uploaded:
        joint = address(entries)
        complete.append(entries if joint is None else [*entries, (int(Kind.ADDRESS), joint)])
    rows = []
    for entries, person in zip(complete, people.find(platform, complete), strict=True):
        hashes = _pack(entries)
        number = int.from_bytes(hashlib.blake2b(hashes, digest_size=8).digest(), "big", signed=True)
        rows.append(Row(number, hashes, _naming(entries), person))
    return rows


def _naming(entries: Sequence[Entry]) -> frozenset[int]:
    named = frozenset(key(kind, digest) for kind, digest in entries if kind in NAMING)
    # Names and address stand for a person only where nothing better was sent.
    return named or frozenset(key(kind, digest) for kind, digest in entries if kind == Kind.ADDRESS)


class Members:
    """The rows of every audience."""

    def __init__(self, state: State, clock: Clock, people: People, delay: float) -> None:
        self._state = state
        self._clock = clock
        self.people = people
        self.delay = delay

    def add(self, audience: Audience, rows: Sequence[Row], at: float | None = None) -> None:
        """Add rows; one that is there already is added anew, at its new time."""
        self._begin(audience)
        added = self._clock.now() if at is None else at
        execute = self._state.connection.executemany
        number = audience.number
        execute(
            "INSERT INTO members VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET added = excluded.added",
            ((number, row.number, row.person, added, row.hashes) for row in rows),
        )
        execute(
            "INSERT OR IGNORE INTO identifiers VALUES (?, ?, ?)",
            ((number, identifier, row.number) for row in rows for identifier in row.keys),
        )
        self._end(audience)

    def remove(self, audience: Audience, rows: Sequence[Row]) -> int:
        """Remove whom the rows mean and return how many rows went.

        A row goes when it shares an identifier with a removed one. Where the removed row itself is in the
        audience, others that share its telephone but not its e-mail address or first name (a household) stay.
        """
        self._begin(audience)
        query = self._state.connection.execute
        self._state.connection.execute("CREATE TEMP TABLE IF NOT EXISTS wanted (value INTEGER PRIMARY KEY)")
        sharing = self._sharing(audience, {identifier for row in rows for identifier in row.keys})
        present = self._present(audience, [row.number for row in rows])
        gone: set[int] = present.copy()
        doubtful: list[tuple[Row, int]] = []
        for row in rows:
            others = {other for identifier in row.keys for other in sharing.get(identifier, ())} - {
                row.number
            }
            if row.number in present:
                doubtful.extend((row, other) for other in others)
            else:
                gone |= others
        for row, other in doubtful:
            if other in gone:
                continue
            found = query(
                "SELECT hashes FROM members WHERE audience = ? AND row = ?", (audience.number, other)
            ).fetchone()
            if found and not _somebody_else(unpack(row.hashes), unpack(found[0])):
                gone.add(other)
        self._delete(audience, gone)
        self._end(audience)
        return len(gone)

    def clear(self, audience: Audience, before: float | None = None) -> None:
        """Remove all rows, or those last added before a moment."""
        self._begin(audience)
        if before is None:
            for table in ("members", "identifiers"):
                self._state.connection.execute(f"DELETE FROM {table} WHERE audience = ?", (audience.number,))
        else:
            self._delete(audience, self._older(audience, before))
        self._end(audience)

    def expire(self, audience: Audience, before: float) -> None:
        """Drop rows last added before a moment, without the look of a change."""
        self._count(audience)
        if audience.oldest is not None and audience.oldest < before:
            self._delete(audience, self._older(audience, before))
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

    def persons(self, audience: Audience) -> list[int]:
        """The people in the audience."""
        query = "SELECT DISTINCT person FROM members WHERE audience = ? AND person IS NOT NULL"
        return [person for (person,) in self._state.connection.execute(query, (audience.number,))]

    def hashes(self, audience: Audience) -> list[list[str]]:
        """The hashes sent for each row, the surest identifier first."""
        query = "SELECT hashes FROM members WHERE audience = ? ORDER BY row"
        shown = [kind for kind in Kind if kind < Kind.AS_SENT_PLAIN and kind is not Kind.ADDRESS]
        return [
            [digest.hex() for kind, digest in unpack(hashes) if kind in shown]
            for (hashes,) in self._state.connection.execute(query, (audience.number,))
        ]

    def _begin(self, audience: Audience) -> None:
        if self.settled(audience):
            audience.shown = self.matched(audience)

    def _end(self, audience: Audience) -> None:
        audience.content_updated = audience.updated = self._clock.now()
        audience.ready_at = audience.content_updated + self.delay
        audience.size = audience.matched = audience.oldest = None
        self._state.save(audience)

    def _count(self, audience: Audience) -> None:
        if audience.size is not None:
            return
        query = "SELECT count(*), count(DISTINCT person), min(added) FROM members WHERE audience = ?"
        audience.size, audience.matched, audience.oldest = self._state.connection.execute(
            query, (audience.number,)
        ).fetchone()
        self._state.save(audience)

    def _older(self, audience: Audience, moment: float) -> set[int]:
        query = "SELECT row FROM members WHERE audience = ? AND added < ?"
        return {row for (row,) in self._state.connection.execute(query, (audience.number, moment))}

    def _want(self, values: Iterable[int]) -> None:
        self._state.connection.execute("DELETE FROM wanted")
        self._state.connection.executemany(
            "INSERT OR IGNORE INTO wanted VALUES (?)", ((value,) for value in values)
        )

    def _sharing(self, audience: Audience, identifiers: set[int]) -> dict[int, list[int]]:
        self._want(identifiers)
        query = "SELECT identifier, row FROM wanted JOIN identifiers ON audience = ? AND identifier = value"
        sharing: dict[int, list[int]] = {}
        for identifier, row in self._state.connection.execute(query, (audience.number,)):
            sharing.setdefault(identifier, []).append(row)
        return sharing

    def _present(self, audience: Audience, numbers: Sequence[int]) -> set[int]:
        self._want(numbers)
        query = "SELECT row FROM wanted JOIN members ON audience = ? AND row = value"
        return {row for (row,) in self._state.connection.execute(query, (audience.number,))}

    def _delete(self, audience: Audience, numbers: set[int]) -> None:
        execute = self._state.connection.executemany
        pairs: list[tuple[int, int, int]] = []
        for number in numbers:
            found = self._state.connection.execute(
                "SELECT hashes FROM members WHERE audience = ? AND row = ?", (audience.number, number)
            ).fetchone()
            if found:
                pairs.extend(
                    (audience.number, identifier, number) for identifier in _naming(unpack(found[0]))
                )
        execute("DELETE FROM identifiers WHERE audience = ? AND identifier = ? AND row = ?", pairs)
        execute("DELETE FROM members WHERE audience = ? AND row = ?", ((audience.number, n) for n in numbers))


def _somebody_else(one: Sequence[Entry], other: Sequence[Entry]) -> bool:
    """Two rows share a telephone or a device, but their e-mail addresses, own ids or first names differ."""
    pairs = [
        ({digest for name, digest in one if name == kind}, {digest for name, digest in other if name == kind})
        for kind in (Kind.EMAIL, Kind.OWN_ID, Kind.FIRST_NAME)
    ]
    if any(mine & theirs for mine, theirs in pairs[:2]):
        return False
    return any(mine and theirs and not mine & theirs for mine, theirs in pairs)
