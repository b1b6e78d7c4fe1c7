"""What to send again of a batch that a platform refused because of people in it. Pure."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, replace

import polars as pl

from audience_pipeline.ledger.records import Batch, BatchState
from audience_pipeline.platforms.contract import Action, MembersRefusedError, Receipt, ReceiptState

MOST_TRIES = 64
"""Requests for one batch in the search for the people whom the platform refuses."""
MOST_IN_VAIN = 20
"""The same, where nobody at all is taken: more than it takes to find one person among ten thousand."""
FEW = 20
"""Up to so many may be refused for what they are where anybody is taken; more, where as many are."""
UNNAMED = "refused by the platform"
"""Why somebody is refused, where the platform does not say."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused batch, and what it is divided into."""

    failed: Batch
    """The batch as it ended."""
    people: pl.DataFrame = field(repr=False)
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
        return Refusal(failed, people, named, (rest,) if rest.height else ())
    half = (people.height + 1) // 2
    return Refusal(failed, people, named, (people.head(half), people.slice(half)))


@dataclass(slots=True)
class Search:
    """The search for the people of a batch whom a platform refuses."""

    rows: int
    parts: deque[tuple[pl.DataFrame, str]] = field(repr=False)
    """What is still to be sent, and the batch that it is a part of."""
    tries: int = 0
    taken: int = 0
    """People whom the platform took."""
    refused: list[Refusal] = field(default_factory=list)
    """Those that name people."""
    error: MembersRefusedError | None = None

    @classmethod
    def of(cls, people: pl.DataFrame) -> Search:
        """The search in a batch that is to be sent."""
        return cls(people.height, deque([(people, "")]))

    @property
    def gives_up(self) -> bool:
        """It has taken too many requests."""
        return self.tries >= (MOST_TRIES if self.taken else MOST_IN_VAIN)

    @property
    def number(self) -> int:
        """People who are known to be refused."""
        return sum(len(one.named) for one in self.refused)

    @property
    def blames_people(self) -> bool:
        """Others were taken in the same way, so it is the people: a wrong request would fail for all."""
        return self.taken >= (1 if self.number <= FEW else self.number) or self.rows == 1

    def sentences(self, action: Action, *, blamed: bool) -> list[str]:
        """What somebody should know; ``blamed``: those who are named are left out from now on."""
        verb = "added" if action == "add" else "removed"
        told, left = [], sum(part.height for part, _ in self.parts)
        if self.number and not blamed:
            doubt = (
                "" if action == "remove" else " Nobody is left out for it: the request itself may be wrong."
            )
            told.append(f"{self.number:,} people could not be {verb}: {self.error}{doubt}")
        if left and self.error is not None:
            told.append(
                f"{left:,} people could not be {verb}: {self.error.platform.value} refuses some of them "
                f"without saying whom, and {self.tries} requests have not found them all. The next run goes "
                "on; if it persists, land the contacts again."
            )
        return told

    def take(self) -> tuple[pl.DataFrame, str]:
        """What is sent next."""
        self.tries += 1
        return self.parts.popleft()

    def divide(self, batch: Batch, people: pl.DataFrame, error: MembersRefusedError) -> Refusal:
        """Go on with the parts of a batch that was refused."""
        refusal, self.error = divided(batch, people, error), error
        self.parts.extendleft((part, batch.batch_id) for part in reversed(refusal.parts))
        if refusal.named:
            self.refused.append(refusal)
        return refusal


def refuses_everybody(receipt: Receipt) -> bool:
    """Nobody of a batch was taken, so that nobody of it can be said to be the cause."""
    if receipt.state is ReceiptState.FAILED or not receipt.rejected:
        return False
    return receipt.rejected >= receipt.received and (receipt.received > 1 or not receipt.refused)
