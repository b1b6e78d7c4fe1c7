"""What to send again of a batch that a platform refused because of people in it. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import polars as pl

from audience_pipeline.ledger.records import Batch, BatchState
from audience_pipeline.platforms.contract import MembersRefusedError

UNNAMED = "refused by the platform"
"""Why somebody is refused, where the platform does not say."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused batch, and what it is divided into."""

    failed: Batch
    """The batch as it ended."""
    named: dict[int, str] = field(repr=False)
    """Place in the batch to the reason, of those who are known to be the cause."""
    parts: tuple[pl.DataFrame, ...] = field(repr=False)
    """Who is sent again: everybody but the named, or both halves where nobody is named."""


def divided(batch: Batch, people: pl.DataFrame, error: MembersRefusedError) -> Refusal:
    """Take those out whom the platform names; where it names none, halve the batch until they stand alone."""
    named = {place: why for place, why in error.positions.items() if 0 <= place < people.height}
    if not named and people.height == 1:
        named = {0: error.code or UNNAMED}
    failed = replace(
        batch,
        state=BatchState.FAILED,
        message=f"{error} Of {people.height:,} people {len(named):,} are named.",
        reasons=dict(Counter(named.values())),
    )
    if named:
        rest = people.with_row_index("_place").filter(~pl.col("_place").is_in(list(named))).drop("_place")
        return Refusal(failed, named, (rest,) if rest.height else ())
    half = (people.height + 1) // 2
    return Refusal(failed, named, (people.head(half), people.slice(half)))
