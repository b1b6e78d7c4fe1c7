"""What every client takes besides its account and credentials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

from audience_pipeline.platforms.pace import Pace


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to insist."""

    attempts: int = 5
    first_wait: float = 1.0
    """Seconds at most before the second attempt; doubled with each, and drawn anew between 0 and that."""
    longest_backoff: float = 60.0
    longest_wait: float = 120.0
    """A platform that asks for more seconds than this is left alone: the next run goes on."""
    connect_timeout: float = 10.0
    read_timeout: float = 120.0
    """Seconds without a byte."""
    longest_answer: float = 300.0
    """Seconds for a whole answer."""


class Means(TypedDict, total=False):
    """How long to insist, how fast to go, time and chance.

    Clients whose platform counts their requests together share one ``pace``. ``chance`` draws from [0, 1).
    """

    patience: Patience
    pace: Pace
    sleep: Callable[[float], None]
    clock: Callable[[], float]
    chance: Callable[[], float]
