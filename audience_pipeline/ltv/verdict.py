"""What was decided about a newly trained model, as a record that can be kept and shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Literal

import polars as pl

Order = Literal["lower", "higher"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of both models on the same customers."""

    name: str
    better: Order
    champion: float
    challenger: float
    difference: float
    """Challenger less champion."""
    low: float
    high: float
    """Middle 95 % of the difference in a paired bootstrap by customer."""
    rules: bool = False

    @property
    def outcome(self) -> Literal["better", "worse", "alike"]:
        """Of the challenger, beyond noise."""
        gain = -1 if self.better == "lower" else 1
        if min(gain * self.low, gain * self.high) > 0:
            return "better"
        return "worse" if max(gain * self.low, gain * self.high) < 0 else "alike"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided about a newly trained model, and why; JSON-safe through :meth:`as_dict`."""

    promoted: bool
    reason: str
    """A sentence for people."""
    champion: str | None = None
    """The champion that it was compared with."""
    champion_as_of: str | None = None
    customers: int = 0
    unseen: bool = True
    """False where the champion may have learned from the customers that were compared."""
    figures: tuple[Figure, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON-safe values."""
        return asdict(self) | {"figures": [asdict(figure) for figure in self.figures]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Verdict:
        """The verdict that :meth:`as_dict` gave."""
        return cls(**{**values, "figures": tuple(Figure(**figure) for figure in values["figures"])})

    def table(self) -> pl.DataFrame:
        """``figure, better, champion, challenger, difference, low, high, outcome``, a row for each figure."""
        texts = ("figure", "better", "outcome")
        names = ("figure", "better", "champion", "challenger", "difference", "low", "high", "outcome")
        rows = [asdict(one) | {"figure": one.name, "outcome": one.outcome} for one in self.figures]
        return pl.DataFrame(
            [{name: row[name] for name in names} for row in rows],
            schema={name: pl.String if name in texts else pl.Float64 for name in names},
        )


def first_of_all() -> Verdict:
    """The verdict on the first model of a registry."""
    return Verdict(promoted=True, reason="The first model: there was no champion to compare it with.")


def cannot_score(version: str, why: str) -> Verdict:
    """The verdict where the champion cannot be used any more."""
    return Verdict(
        promoted=True,
        reason=f"Version {version} can no longer be used and is replaced without a comparison: {why}",
        champion=version,
    )


def backfilled(version: str, champion_as_of: date, as_of: date) -> Verdict:
    """The verdict on a model of older data than the champion's."""
    return Verdict(
        promoted=False,
        reason=f"A backfill: it was trained as of {as_of}, and version {version} has seen data up to "
        f"{champion_as_of}. It predicts dates before that, and nothing else.",
        champion=version,
        champion_as_of=champion_as_of.isoformat(),
    )
