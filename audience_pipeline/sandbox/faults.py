"""Trouble on demand: the same seed troubles the same calls of a platform in the same way."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

RATE = 0.05
"""Share of calls that something happens to."""


class Fault(StrEnum):
    """What happens to a call."""

    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    RESET_BEFORE = "reset before the effect"
    RESET_AFTER = "reset after the effect"


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault, and a number that chooses among its forms."""

    fault: Fault
    form: int


class Faults:
    """Draws the fate of each call by seed, platform and position; no seed means no trouble."""

    def __init__(self, seed: int | None) -> None:
        self._seed = seed
        self._calls: Counter[str] = Counter()

    def draw(self, platform: str) -> Trouble | None:
        """The fate of the next call of ``platform``."""
        if self._seed is None:
            return None
        self._calls[platform] += 1
        chance = random.Random(f"{self._seed}:{platform}:{self._calls[platform]}")  # noqa: S311 (not a secret)
        if chance.random() >= RATE:
            return None
        return Trouble(chance.choice(list(Fault)), chance.randrange(12))
