"""Who shares an identifier with whom: platforms match people by single ones, and remove them so. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import polars as pl

from audience_pipeline.delivery.recipients import PEOPLE, PEOPLE_SCHEMA, keys, near
from audience_pipeline.ledger.records import MemberState
from audience_pipeline.platforms.contract import Capabilities


class Sent(Protocol):
    """What was ever sent to a platform."""

    def of(self, people: pl.DataFrame) -> pl.DataFrame:
        """PEOPLE with the identifiers as they were sent."""

    def every(self, customers: pl.Series) -> pl.DataFrame:
        """Every variant that was ever sent of these customers: PEOPLE with identifiers."""


@dataclass(frozen=True, slots=True, repr=False)
class Sharing:
    """Who shares an identifier with whom: platforms match people by single ones."""

    capabilities: Capabilities
    identifiers: pl.DataFrame
    """As sent, of everybody who leaves or is in flight."""
    variants: pl.DataFrame
    """Every variant that was ever sent of those without consent who leave."""
    blocked: pl.Series
    """Keys of people whose batch is still processed."""
    closed: pl.Series
    """The same with keys of people who are being removed from every audience: not to be added."""

    @classmethod
    def of(
        cls,
        capabilities: Capabilities,
        members: pl.DataFrame,
        leaving: pl.DataFrame,
        lost: pl.Series,
        sent: Sent,
        nobody: pl.DataFrame,
        leaving_everywhere: pl.Series | None = None,
    ) -> Sharing:
        """Look up what was sent of those who leave or are in flight; ``nobody``: no RECIPIENTS."""
        flying = members.filter("in_flight").select(PEOPLE)
        asked = pl.concat([leaving.select(PEOPLE), flying]).unique()
        known = sent.of(asked).select(nobody.columns) if asked.height else nobody
        blocked = pl.Series("key", [], dtype=pl.UInt64)
        if flying.height:
            blocked = keys(known.join(flying, on=PEOPLE, how="semi"), capabilities)["key"].unique()
        variants = sent.every(lost).select(nobody.columns) if lost.len() else nobody
        closed = blocked if leaving_everywhere is None else pl.concat([blocked, leaving_everywhere]).unique()
        return cls(capabilities, known, variants, blocked, closed)

    def with_identifiers(self, people: pl.DataFrame) -> pl.DataFrame:
        """PEOPLE and ``lost``, with what was sent of them."""
        # Without identifiers somebody cannot be removed: a left join keeps them, and the client says so.
        chosen = people.select(*PEOPLE, "lost")
        known = chosen.join(self.identifiers, on=PEOPLE, how="left", maintain_order="left")
        return known.select(*PEOPLE, *self.capabilities.identifiers, "lost")

    def is_blocked(self, people: pl.DataFrame, *, to_add: bool = False) -> pl.Series:
        """For each row, whether a batch is still processed that holds one of its identifiers."""
        blocked = self.closed if to_add else self.blocked
        if not blocked.len() or not people.height:
            return pl.repeat(value=False, n=people.height, dtype=pl.Boolean, eager=True)
        found = keys(people, self.capabilities).join(blocked.to_frame(), on="key", how="semi")
        known = people.select(PEOPLE).join(found.unique(PEOPLE), on=PEOPLE, how="left", maintain_order="left")
        return known["key"].is_not_null()

    def every_variant(
        self, removals: pl.DataFrame, urgent: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Both with every variant that was ever sent of those without consent."""
        if not self.variants.height:
            return removals, urgent
        more = self.variants.join(self.identifiers, on=PEOPLE, how="anti").with_columns(
            lost=pl.lit(value=True)
        )
        now = more.join(removals, on="customer_id", how="semi")
        early = more.join(removals, on="customer_id", how="anti").join(urgent, on="customer_id", how="semi")
        return pl.concat([removals, now.select(removals.columns)]), pl.concat(
            [urgent, early.select(urgent.columns)]
        )

    def doubtful(
        self,
        removals: pl.DataFrame,
        urgent: pl.DataFrame,
        members: pl.DataFrame,
        wanted: pl.DataFrame,
        staying: pl.DataFrame,
    ) -> pl.DataFrame:
        """Whom the removals may take along.

        Not only wanted people: somebody who is to be removed by a later batch may be wanted again before.

        Args:
            removals: as in a plan.
            urgent: as in a plan.
            members: MEMBERS.
            wanted: RECIPIENTS.
            staying: those of ``members`` who are wanted as they were sent.

        Returns:
            PEOPLE of ``members``.
        """
        if not removals.height and not urgent.height:
            return PEOPLE_SCHEMA.to_frame()
        columns = [*PEOPLE, *self.capabilities.identifiers]
        leave = pl.concat([removals.select(columns), urgent.select(columns)])
        taken = keys(leave, self.capabilities).group_by("key").len("times")
        own = removals.select(*PEOPLE, _own=pl.lit(1, pl.UInt32))
        stay = near(wanted, leave, self.capabilities).join(staying, on=PEOPLE, how="semi")
        others = self.identifiers.join(stay, on=PEOPLE, how="anti")
        struck = (
            keys(pl.concat([stay.select(columns), others.select(columns)]), self.capabilities)
            .join(taken, on="key")
            .join(own, on=PEOPLE, how="left")
            .filter(pl.col("times") > pl.col("_own").fill_null(0))
        )
        there = members.filter(pl.col("state") != MemberState.REMOVING.value).select(PEOPLE)
        return there.join(struck, on=PEOPLE, how="semi")


def apart(people: pl.DataFrame, others: pl.DataFrame, capabilities: Capabilities) -> pl.DataFrame:
    """Those of ``people`` who share no identifier with ``others``: PEOPLE with identifiers, both."""
    columns = [*PEOPLE, *capabilities.identifiers]
    close = near(people.select(columns), others.select(columns), capabilities)
    if not close.height:
        return people
    taken = keys(others.select(columns), capabilities).select("key")
    shared = keys(close, capabilities).join(taken, on="key", how="semi")
    return people.join(shared, on=PEOPLE, how="anti", maintain_order="left")
