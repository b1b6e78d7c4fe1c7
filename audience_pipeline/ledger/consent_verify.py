"""Whether the log of consent is as it was written, and where it is not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from audience_pipeline.identifiers.marks import Marker
from audience_pipeline.ledger import consent_chain
from audience_pipeline.ledger.consent_log import ERASURE, Head, copied_head, file_sha256

CHANGED = "the entry was changed"


def entries(number: int) -> str:
    """A number of entries in words: '1 entry', '2,000 entries'."""
    return "1 entry" if number == 1 else f"{number:,} entries"


@dataclass(frozen=True, slots=True)
class Problem:
    """One place where the log was broken."""

    sequence: int
    """Of the segment."""
    entry: int | None
    """The first entry that is not as it was, where that can be said."""
    what: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What the log holds and whether it is whole."""

    entries: int
    segments: int
    since: datetime | None
    until: datetime | None
    head: str
    """Note it elsewhere: whoever knows an earlier head can tell that nothing before it was taken away."""
    problems: tuple[Problem, ...]
    erased: int = 0
    """Entries that tell nobody any more whom they are about: the person was erased."""
    unfinished: int = 0
    """Segments of a process that died before the ledger knew of them; the next appending writes them anew."""

    @property
    def intact(self) -> bool:
        """Whether nothing was changed."""
        return not self.problems


def verify(
    heads: list[Head], folder: Path, *, noted: str | None = None, marker: Marker | None = None
) -> Verified:
    """Walk the whole chain.

    Args:
        heads: the ledger's, in their order.
        folder: of the segments.
        noted: a head that was written down at an earlier time and must still be part of the chain.
        marker: of the key of the workspace, by which names are held to their marks.
    """
    problems = [*_heads(heads), *_copy(heads, folder)]
    if noted is not None and noted not in {one.head for one in heads}:
        problems.append(
            Problem(len(heads), None, "the head that was noted earlier is not in the log any more")
        )
    gone = without_names(heads, folder)
    before, previous = 0, consent_chain.START
    for one in heads:
        problems += segment_problems(one, folder, before, previous, gone, marker)
        before, previous = before + one.entries, bytes.fromhex(one.last_hash)
    unknown = sorted(
        path.name for path in folder.glob("*.parquet") if path.name not in {one.segment for one in heads}
    )
    next_one = [name for name in unknown if name.startswith(f"{len(heads) + 1:08d}-")]
    problems += [
        Problem(
            int(name[:8]) if name[:8].isdigit() else 0,
            None,
            "there is a segment that the ledger does not know",
        )
        for name in unknown
        if name not in next_one
    ]
    return Verified(
        entries=before,
        segments=sum(bool(one.entries) for one in heads),
        since=heads[0].appended_at if heads else None,
        until=heads[-1].appended_at if heads else None,
        head=heads[-1].head if heads else "",
        problems=tuple(sorted(set(problems), key=lambda problem: (problem.sequence, problem.entry or 0))),
        erased=gone.len(),
        unfinished=len(next_one),
    )


def without_names(heads: list[Head], folder: Path) -> pl.Series:
    """The numbers of the entries that erasures have taken the names out of."""
    found = [pl.Series("line", [], dtype=pl.Int64)]
    for one in heads:
        if one.origin == ERASURE and one.entries:
            with contextlib.suppress(pl.exceptions.PolarsError, OSError):
                found.append(pl.read_parquet(folder / one.segment, columns=["line"])["line"])
    return pl.concat(found).drop_nulls().unique().sort()


def _heads(heads: list[Head]) -> Iterator[Problem]:
    previous = ""
    for place, one in enumerate(heads, 1):
        if one.sequence != place:
            yield Problem(place, None, f"the ledger has lost its record of segment {place}")
            return
        if one.chained_to(previous) != one.head:
            yield Problem(place, None, "the ledger's record of this segment was changed")
        previous = one.head


def _copy(heads: list[Head], folder: Path) -> Iterator[Problem]:
    copied = copied_head(folder)
    # The copy is written last: a process that died leaves it one behind, and never ahead.
    if copied is None:
        if len(heads) > 1:
            yield Problem(len(heads), None, "the copy of the newest head beside the segments is missing")
        return
    sequence, head = copied
    if sequence > len(heads):
        lost = sequence - len(heads)
        yield Problem(len(heads) + 1, None, f"the end was cut off: the ledger has lost {lost} of its records")
    elif sequence < len(heads) - 1 or sequence < 1:
        yield Problem(sequence, None, "the copy of the newest head is older than the log")
    elif heads[sequence - 1].head != head:
        yield Problem(sequence, None, "the ledger's head and its copy beside the segments differ")


def segment_problems(
    one: Head, folder: Path, before: int, previous: bytes, gone: pl.Series, marker: Marker | None
) -> Iterator[Problem]:
    """What is wrong with a segment.

    Args:
        one: its head.
        folder: of the segments.
        before: entries before it.
        previous: hash of the last of them.
        gone: :func:`without_names`.
        marker: as for :func:`verify`.
    """
    if not one.entries:
        if one.last_hash != previous.hex():
            yield Problem(
                one.sequence, None, "the ledger's record of this segment does not follow the one before"
            )
        return
    path = folder / one.segment
    if not path.is_file():
        yield Problem(one.sequence, before + 1, f"the segment with {entries(one.entries)} is missing")
        return
    try:
        rows = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError):
        yield Problem(one.sequence, before + 1, "the segment cannot be read")
        return
    if dict(rows.schema) not in (consent_chain.SEGMENT, consent_chain.FIRST_SEGMENT):
        yield Problem(one.sequence, before + 1, "the segment has other columns than it had")
        return
    broken = _first_wrong(rows, one, before, previous) or _names(rows, one, gone, marker)
    if broken is not None:
        yield broken
    elif file_sha256(path) != one.file_sha256 and not _nameless(rows, one).len():
        yield Problem(one.sequence, None, "the file was written again, its entries are as they were")


def _nameless(rows: pl.DataFrame, one: Head) -> pl.Series:
    """The entries whose names were taken out. Those of an erasure never had any."""
    if one.origin == ERASURE:
        return rows["entry"].clear()
    return rows.filter(consent_chain.nameless(rows))["entry"]


def _names(rows: pl.DataFrame, one: Head, gone: pl.Series, marker: Marker | None) -> Problem | None:
    """Names that are not those of their marks, or that are gone without an erasure."""
    emptied = _nameless(rows, one)
    if (unexplained := emptied.filter(~emptied.is_in(gone.implode()))).len():
        what = "the names were taken out of the entry, and no erasure says so"
        return Problem(one.sequence, int(unexplained[0]), what)
    if not set(consent_chain.MARKS) <= set(rows.columns):
        return None
    if marker is None:
        what = "names were taken out of it, and the others cannot be held to their marks without the key"
        return Problem(one.sequence, None, what) if emptied.len() else None
    # Whoever lost the key goes on with another one, whose marks are others: where none is right, it is that.
    wrong = right = pl.Series([False] * rows.height, dtype=pl.Boolean)
    for mark, (name, named) in consent_chain.MARKS.items():
        there = rows[name].is_not_null()
        same = marker.column(named, rows[name]).eq_missing(rows[mark])
        wrong, right = wrong | (there & ~same), right | (there & same)
    if wrong.any() and right.any():
        return Problem(one.sequence, int(rows["entry"].filter(wrong)[0]), CHANGED)
    return None


def _first_wrong(rows: pl.DataFrame, one: Head, before: int, previous: bytes) -> Problem | None:
    numbers = rows["entry"]
    expected = pl.Series(range(before + 1, before + one.entries + 1), dtype=pl.Int64)
    if missing := expected.filter(~expected.is_in(numbers.implode())).to_list():
        return Problem(
            one.sequence,
            missing[0],
            f"{len(missing):,} of {entries(one.entries)} {_were(len(missing))} removed",
        )
    more = rows.height - one.entries
    if more > 0:
        return Problem(one.sequence, None, f"{entries(more)} {_were(more)} added")
    if not (numbers == expected).all():
        first = int(expected.filter(numbers != expected)[0])
        return Problem(one.sequence, first, "the entries are in another order")
    wrong = (consent_chain.chained(rows, previous) != rows["entry_hash"]).arg_true()
    if wrong.len():
        return Problem(one.sequence, before + 1 + int(wrong[0]), CHANGED)
    if rows["entry_hash"][0].hex() != one.first_hash or rows["entry_hash"][-1].hex() != one.last_hash:
        return Problem(
            one.sequence, before + 1, "entries were written anew: their hashes are not the ledger's"
        )
    return None


def _were(number: int) -> str:
    return "was" if number == 1 else "were"
