"""Every distinct row of identifiers that a platform was ever sent: kept once, with the person it means."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from audience_pipeline.sandbox.people import NAMING, Entry, Kind, People, address
from audience_pipeline.sandbox.state import State

SHARED = "shared"
"""Name of the set of rows that hold an identifier which another row holds too."""
_CHUNK = 10_000

Ordinals = npt.NDArray[np.uint32]


def pack(entries: Iterable[Entry]) -> bytes:
    """A row as stored: how many entries, their kinds in order, their digests."""
    ordered = sorted(set(entries))
    return packed(bytes(kind for kind, _ in ordered), b"".join(digest for _, digest in ordered))


def packed(kinds: bytes, digests: bytes) -> bytes:
    """As :func:`pack`, for kinds that ascend and whose digests follow one another."""
    return len(kinds).to_bytes(1, "big") + kinds + digests


def packed_hex(kinds: bytes, cells: Sequence[str]) -> bytes | None:
    """A row of digests in lower-case hex, of kinds that ascend; ``""`` is a missing one.

    None when a cell is anything else, or all are missing.
    """
    try:
        lengths = set(map(len, cells))
        if 0 in lengths:
            kinds = bytes(kind for kind, cell in zip(kinds, cells, strict=True) if cell)
            lengths.discard(0)
        text = "".join(cells)
        digests = bytes.fromhex(text)
    except (TypeError, ValueError):
        return None
    # Python reads capitals and skips white space; the platforms do not.
    return packed(kinds, digests) if lengths == {64} and digests.hex() == text else None


def unpack(row: bytes) -> list[Entry]:
    """The entries of a stored row."""
    end = row[0] + 1
    return [
        (kind, row[start : start + 32])
        for kind, start in zip(row[1:end], range(end, len(row), 32), strict=True)
    ]


def key(platform: str, kind: int, digest: bytes) -> int:
    """A 64-bit number for one identifier of one platform, fit for an SQLite column."""
    return int.from_bytes(digest[:8], "big", signed=True) ^ (kind | ord(platform[0]) << 8)


def _naming(entries: Sequence[Entry]) -> list[Entry]:
    named = [entry for entry in entries if entry[0] in NAMING]
    # Names and address stand for a person only where nothing better was sent.
    return named or [entry for entry in entries if entry[0] == Kind.ADDRESS]


class Rows:
    """The rows of all platforms; an ordinal names one row of one platform."""

    def __init__(self, state: State, people: People) -> None:
        self._state = state
        self._people = people
        self._persons = np.full(1_024, -1, np.int64)
        for ordinal, person in state.connection.execute(
            "SELECT ordinal, person FROM rows ORDER BY ordinal DESC"
        ):
            self._grow(ordinal + 1)
            self._persons[ordinal] = -1 if person is None else person

    def register(self, platform: str, rows: Sequence[bytes]) -> Ordinals:
        """The ordinals of packed rows, in order; a row that is new is kept from now on."""
        salt = platform.encode()
        digests = b"".join(hashlib.blake2b(row, digest_size=8, salt=salt).digest() for row in rows)
        numbers: list[int] = np.frombuffer(digests, dtype=">i8").tolist()
        known = dict(self._select("number, ordinal", "number", numbers))
        if len(known) < len(numbers):
            new = {number: row for number, row in zip(numbers, rows, strict=True) if number not in known}
            known |= self._insert(platform, new)
        return np.fromiter((known[number] for number in numbers), np.uint32, len(numbers))

    def persons(self, ordinals: Ordinals) -> npt.NDArray[np.int64]:
        """The person whom each row means; -1 for nobody whom the platform knows."""
        return self._persons[ordinals]

    def entries(self, ordinals: Iterable[int]) -> dict[int, list[Entry]]:
        """What rows hold."""
        return {
            ordinal: unpack(row)
            for ordinal, row in self._select("ordinal, hashes", "ordinal", list(ordinals))
        }

    def sharing(self, platform: str, rows: BitMap, among: BitMap) -> dict[int, BitMap]:
        """For rows that share an identifier with other rows of ``among``: which ones."""
        shared = self._state.bitmap(SHARED)
        keys = {
            ordinal: [key(platform, kind, digest) for kind, digest in _naming(_with_address(entries))]
            for ordinal, entries in self.entries(rows & shared).items()
        }
        holders: dict[int, BitMap] = {}
        for identifier, ordinal in self._select(
            "identifier, ordinal", "identifier", list({one for several in keys.values() for one in several})
        ):
            if ordinal in among:
                holders.setdefault(identifier, BitMap()).add(ordinal)
        found = {
            ordinal: BitMap.union(BitMap(), *(holders.get(one, BitMap()) for one in several))
            - BitMap([ordinal])
            for ordinal, several in keys.items()
        }
        return {ordinal: others for ordinal, others in found.items() if others}

    def _insert(self, platform: str, new: dict[int, bytes]) -> dict[int, int]:
        execute = self._state.connection.executemany
        entries = [_with_address(unpack(row)) for row in new.values()]
        found = self._people.find(platform, entries)
        limited = bytes((Kind.LIMITED,))
        persons = [
            None if limited in row[1 : row[0] + 1] else person
            for row, person in zip(new.values(), found, strict=True)
        ]
        last = self._state.connection.execute("SELECT max(ordinal) FROM rows").fetchone()[0]
        first = 0 if last is None else last + 1
        ordinals = range(first, first + len(new))
        self._grow(ordinals.stop)
        self._persons[first : ordinals.stop] = [-1 if person is None else person for person in persons]
        execute(
            "INSERT INTO rows VALUES (?, ?, ?, ?)", zip(ordinals, new, persons, new.values(), strict=True)
        )
        pairs = [
            (key(platform, kind, digest), ordinal)
            for ordinal, held in zip(ordinals, entries, strict=True)
            for kind, digest in _naming(held)
        ]
        self._mark_shared(pairs)
        execute("INSERT OR IGNORE INTO identifiers VALUES (?, ?)", pairs)
        return dict(zip(new, ordinals, strict=True))

    def _mark_shared(self, pairs: Sequence[tuple[int, int]]) -> None:
        holder: dict[int, int] = {}
        shared: set[int] = set()
        for identifier, ordinal in pairs:
            other = holder.setdefault(identifier, ordinal)
            if other != ordinal:
                shared |= {other, ordinal}
        for identifier, ordinal in self._select("identifier, ordinal", "identifier", list(holder)):
            shared |= {ordinal, holder[identifier]}
        if shared:
            self._state.remember_bitmap(SHARED, self._state.bitmap(SHARED) | BitMap(shared))

    def _select(self, columns: str, column: str, values: Sequence[int]) -> Iterator[tuple[int, Any]]:
        table = "identifiers" if column == "identifier" else "rows"
        for start in range(0, len(values), _CHUNK):
            chunk = values[start : start + _CHUNK]
            marks = ",".join("?" * len(chunk))
            yield from self._state.connection.execute(
                f"SELECT {columns} FROM {table} WHERE {column} IN ({marks})", chunk
            )

    def _grow(self, size: int) -> None:
        if size > len(self._persons):
            more = np.full(max(size, 2 * len(self._persons)) - len(self._persons), -1, np.int64)
            self._persons = np.concatenate([self._persons, more])


def _with_address(entries: list[Entry]) -> list[Entry]:
    joint = address(entries)
    return entries if joint is None else [*entries, (int(Kind.ADDRESS), joint)]
