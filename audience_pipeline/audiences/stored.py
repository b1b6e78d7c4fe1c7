"""Memberships as they are stored: one row per audience, its members as a bitmap of customer numbers.

Sets of a million customers become a few kilobytes, and how two days differ is a matter of bit operations.
"""

from __future__ import annotations

import array
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import polars as pl
from pyroaring import BitMap

from audience_pipeline.audiences.errors import MembershipError
from audience_pipeline.audiences.holdouts import DEFAULT_SALT, held_out, person_hashes
from audience_pipeline.audiences.masks import Mask
from audience_pipeline.audiences.membership import NotEvaluated, Selection

STORED_SCHEMA = pl.Schema(
    {
        "audience": pl.String,
        "size": pl.Int64,
        "held_out": pl.Int64,
        "members": pl.Binary,
        "holdout": pl.Binary,
        "digest": pl.String,
        "numbering": pl.String,
    }
)
"""``members`` and ``holdout`` (a part of them) are serialised roaring bitmaps of ``customer_no``; ``digest``
is the SHA-256 of ``members``; ``numbering`` says which numbers they are."""
CHANGES_SCHEMA = pl.Schema({"audience": pl.String, "added": pl.Int64, "removed": pl.Int64, "kept": pl.Int64})


@dataclass(frozen=True)
class People:
    """The people of a profile, row by row."""

    person_keys: pl.Series
    customer_nos: npt.NDArray[np.uint32]

    @classmethod
    def of(cls, profile: pl.DataFrame) -> People:
        """From ``person_key, customer_no``."""
        return cls(profile["person_key"], profile["customer_no"].to_numpy())

    @cached_property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """What holdouts are drawn from; computed when the first audience has one."""
        return person_hashes(self.person_keys)

    @cached_property
    def _seats(self) -> Mask:
        return np.zeros(int(self.customer_nos.max(initial=0)) + 1, dtype=np.bool_)

    def bitmap(self, rows: npt.NDArray[np.intp]) -> BitMap:
        """The numbers of the people in some rows."""
        numbers = self.customer_nos[rows]
        # Bitmaps are made several times faster from ascending numbers, and this sorts faster than sorting.
        seats = self._seats
        seats[numbers] = True
        ascending = np.flatnonzero(seats).astype(np.uint32)
        seats[numbers] = False
        made = BitMap(array.array("I", ascending.tobytes()))
        made.run_optimize()
        return made


def stored(
    found: Iterable[Selection | NotEvaluated], people: People, numbering: str, *, salt: str = DEFAULT_SALT
) -> tuple[pl.DataFrame, Sequence[NotEvaluated]]:
    """The table of memberships, and the audiences that are not in it because nobody knows their members.

    Args:
        found: what ``membership.attempts`` found over the profile.
        people: the people of the same profile.
        numbering: which numbering their numbers belong to.
        salt: what makes the holdouts of this workspace its own.

    Returns:
        ``STORED_SCHEMA`` sorted by audience, and the audiences that could not be evaluated.
    """
    rows, failed = [], []
    for one in found:
        if isinstance(one, NotEvaluated):
            failed.append(one)
            continue
        audience = one.audience
        chosen = np.flatnonzero(one.members)
        members, held = people.bitmap(chosen), BitMap()
        if audience.holdout_percent > 0 and len(chosen):
            drawn = held_out(people.hashes[chosen], audience.name, audience.holdout_percent, salt=salt)
            held = people.bitmap(chosen[drawn])
        content = members.serialize()
        digest = hashlib.sha256(content).hexdigest()
        rows.append((audience.name, len(members), len(held), content, held.serialize(), digest, numbering))
    table = pl.DataFrame(rows, schema=STORED_SCHEMA, orient="row")
    return table.sort("audience"), failed


def distinct_members(table: pl.DataFrame) -> int:
    """How many people are in at least one audience of a table of memberships."""
    return len(BitMap.union(BitMap(), *map(BitMap.deserialize, table["members"])))


def stored_sizes(path: Path) -> pl.DataFrame:
    """How many members each audience has, and how many of them are held out.

    Returns:
        ``audience, size, held_out``, sorted by audience.
    """
    return _columns(path, ["audience", "size", "held_out"]).sort("audience")


class StoredMembers:
    """The memberships of a date, opened once for all of its audiences."""

    def __init__(self, path: Path, customer_nos: npt.NDArray[np.uint32], *, numbering: str) -> None:
        """Open the memberships of a date.

        Args:
            path: the file.
            customer_nos: the number of each person of the profile of the same date.
            numbering: the numbering of the workspace.

        Raises:
            MembershipError: the numbers are not those of this workspace any more, or the file has an
                earlier form.
        """
        table = _columns(path, ["audience", "members", "holdout", "numbering"])
        _same_numbering({numbering}, path, table)
        self._path = path
        self._places = {audience: place for place, audience in enumerate(table["audience"])}
        self._members, self._holdout = _views(table["members"]), _views(table["holdout"])
        self._known = BitMap(array.array("I", np.sort(customer_nos).tobytes()))
        self._row_of = np.zeros(int(customer_nos.max(initial=0)) + 1, dtype=np.uint32)
        self._row_of[customer_nos] = np.arange(len(customer_nos), dtype=np.uint32)

    def rows(self, audience: str) -> tuple[npt.NDArray[np.uint32], Mask]:
        """The members of an audience.

        Returns:
            Their rows in the profile, ascending, and for each of them whether it is held out.

        Raises:
            MembershipError: the audience was not evaluated, or a member is not in the profile.
        """
        place = self._places.get(audience)
        if place is None:
            raise MembershipError(f"the audience {audience} was not evaluated on {self._path.stem}")
        members = BitMap.deserialize(self._members[place])
        if not members <= self._known:
            raise MembershipError(
                f"the memberships of {self._path.stem} belong to an earlier profile of the date: refresh "
                f"{self._path.stem}"
            )
        rows = self._row_of[_numbers(members)]
        held = np.zeros(len(self._row_of), dtype=np.bool_)
        held[self._row_of[_numbers(BitMap.deserialize(self._holdout[place]))]] = True
        rows.sort()
        return rows, held[rows]


def differences(yesterday: Path, today: Path) -> pl.DataFrame:
    """How the audiences of one date differ from those of another.

    Returns:
        ``CHANGES_SCHEMA``, one row per audience that was evaluated today, sorted by audience: who came, who
        went and who stayed. Everybody came to an audience that was not evaluated yesterday.

    Raises:
        MembershipError: the two tables have different numberings.
    """
    columns = ["audience", "size", "digest", "numbering", "members"]
    before, after = _columns(yesterday, columns), _columns(today, columns)
    if after.height:
        _same_numbering(set(after["numbering"]), yesterday, before)
    contents, contents_before = _views(after["members"]), _views(before["members"])
    places = {audience: place for place, audience in enumerate(before["audience"])}
    known = list(before.select("size", "digest").iter_rows())
    changes = []
    for place, (audience, size, digest) in enumerate(after.select("audience", "size", "digest").iter_rows()):
        earlier = places.get(audience)
        size_before, digest_before = (0, None) if earlier is None else known[earlier]
        if digest == digest_before:
            kept = size
        elif earlier is None:
            kept = 0
        else:
            members = BitMap.deserialize(contents[place])
            kept = members.intersection_cardinality(BitMap.deserialize(contents_before[earlier]))
        changes.append((audience, size - kept, size_before - kept, kept))
    return pl.DataFrame(changes, schema=CHANGES_SCHEMA, orient="row").sort("audience")


def overlaps(path: Path, bitmap: BitMap) -> pl.DataFrame:
    """How many members of each stored audience are in a set of customer numbers.

    Returns:
        ``audience, members_in_both``, sorted by audience.
    """
    table = _columns(path, ["audience", "members"])
    both = [
        (audience, BitMap.deserialize(members).intersection_cardinality(bitmap))
        for audience, members in table.iter_rows()
    ]
    return pl.DataFrame(both, schema={"audience": pl.String, "members_in_both": pl.Int64}, orient="row").sort(
        "audience"
    )


def _columns(path: Path, columns: list[str], audience: str | None = None) -> pl.DataFrame:
    table = pl.scan_parquet(path)
    if set(columns) - set(table.collect_schema()):
        raise MembershipError(f"the memberships of {path.stem} have an earlier form: refresh {path.stem}")
    chosen = table if audience is None else table.filter(pl.col("audience") == audience)
    return chosen.select(columns).collect()


def _views(column: pl.Series) -> list[bytes]:
    """The values of a binary column without a copy of each: a thousand bitmaps are a hundred megabytes."""
    found = column.to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = found.buffers()
    if data is None:
        return [b""] * column.len()
    # Bitmaps are read from anything that lies in memory as bytes do.
    content = cast("bytes", memoryview(data).cast("B"))
    edges = np.frombuffer(offsets, dtype=np.int64)[found.offset : found.offset + column.len() + 1].tolist()
    return [content[begin:end] for begin, end in pairwise(edges)]


def _same_numbering(known: set[str], path: Path, table: pl.DataFrame) -> None:
    if set(table["numbering"]) - known:
        raise MembershipError(
            f"the memberships of {path.stem} were stored with customer numbers that do not exist any more "
            f"(customer_numbers.parquet was made anew): refresh {path.stem}"
        )


def _numbers(bitmap: BitMap) -> npt.NDArray[np.uint32]:
    return np.asarray(bitmap.to_array(), dtype=np.uint32)
