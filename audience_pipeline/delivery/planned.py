"""A plan as a value: what one run sends to one audience, in frames and in counts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from audience_pipeline.delivery.brake import people
from audience_pipeline.delivery.recipients import PEOPLE_SCHEMA


def _nobody() -> pl.DataFrame:
    return PEOPLE_SCHEMA.to_frame()


@dataclass(frozen=True, slots=True)
class Counts:
    """People by what happens to them."""

    wanted: int = 0
    unchanged: int = 0
    new: int = 0
    changed: int = 0
    """Their identifiers are not those that were sent: the old ones go, the new ones come."""
    refreshed: int = 0
    """Sent again before the platform forgets them."""
    resent: int = 0
    """Sent again because nobody knows whether they arrived, or a removal may have taken them along."""
    refused: int = 0
    """Not sent, because the platform has refused them as they are."""
    leaving: int = 0
    without_consent: int = 0
    """Of those leaving: never held up."""
    waiting: int = 0
    """The platform is still processing what was sent of them before."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run sends. Removals go first, and of those the ones without consent."""

    remote_name: str
    counts: Counts
    to_add: int = 0
    to_remove: int = 0
    """People, as in ``counts``."""
    creates: bool = False
    renames: str = ""
    """The name that the audience has on the platform, where it is to get another."""
    replaces: bool = False
    """The audience that is there is deleted first: confirmed, because nobody knows whom it holds."""
    deletes: bool = False
    """Nobody is left for it, and the platform keeps no empty audience: it goes, with everybody in it."""
    held: str = ""
    """Why nothing but removals of people without consent is sent; empty when nothing is held."""
    removals: pl.DataFrame = field(default_factory=_nobody, repr=False, compare=False)
    """PEOPLE, the identifiers that were sent, and ``lost``: no consent any more. These stand first, with
    every variant that was ever sent of them."""
    urgent: pl.DataFrame = field(default_factory=_nobody, repr=False, compare=False)
    """As ``removals``: without consent, and in a batch that is still being processed, or sharing an
    identifier with one. They are removed now, and once more after it."""
    doubtful: pl.DataFrame = field(default_factory=_nobody, repr=False, compare=False)
    """PEOPLE who share an identifier with somebody who is removed: sent again after that, if wanted."""
    adds: pl.DataFrame = field(default_factory=_nobody, repr=False, compare=False)
    """RECIPIENTS and ``why``: the field of :class:`Counts` that they are counted in."""

    @property
    def empty(self) -> bool:
        """There is nothing to send."""
        return not (self.removals.height or self.urgent.height or self.adds.height or self.deletes)

    def in_counts(self) -> Plan:
        """The plan without its frames, to be kept after it was carried out."""
        return replace(self, removals=_nobody(), urgent=_nobody(), doubtful=_nobody(), adds=_nobody())

    def as_dict(self) -> dict[str, Any]:
        """The plan in counts, for JSON."""
        counts = {name: getattr(self.counts, name) for name in Counts.__dataclass_fields__}
        return {
            "remote_name": self.remote_name,
            "creates": self.creates,
            "renames": self.renames,
            "replaces": self.replaces,
            "deletes": self.deletes,
            "to_add": self.to_add,
            "to_remove": self.to_remove,
            **counts,
            "held": self.held,
        }

    def text(self) -> str:
        """The plan in a few lines, for people."""
        counts = self.counts
        lines = [f"{self.remote_name}: {people(counts.wanted)} wanted, {counts.unchanged:,} there already."]
        if self.replaces:
            lines.append("The audience of this name is deleted and made anew.")
        elif self.deletes:
            lines.append("The audience is deleted: the platform keeps no audience that is empty.")
        elif self.creates:
            lines.append("The audience is created.")
        if self.renames:
            lines.append(f"The audience is renamed: it is called '{self.renames}' there now.")
        if self.to_add:
            lines.append(f"{people(self.to_add)} to add: {self._reasons()}.")
        if counts.leaving:
            consent = (
                f", of whom {counts.without_consent:,} without consent" if counts.without_consent else ""
            )
            lines.append(f"{people(counts.leaving)} to remove{consent}.")
        if counts.refused:
            lines.append(
                f"{people(counts.refused)} not sent again: the platform has refused them as they are."
            )
        if counts.waiting:
            lines.append(f"{people(counts.waiting)} wait until the platform has processed earlier batches.")
        if self.held:
            lines.append(self.held)
        return "\n".join(lines)

    def _reasons(self) -> str:
        parts = {
            "new": self.counts.new,
            "with changed identifiers": self.counts.changed,
            "sent again before they expire": self.counts.refreshed,
            "sent again to be sure": self.counts.resent,
        }
        return ", ".join(f"{number:,} {words}" for words, number in parts.items() if number)
