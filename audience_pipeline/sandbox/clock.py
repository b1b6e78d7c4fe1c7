"""Sandbox time: the wall clock, moved forward at will."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from audience_pipeline.sandbox.state import State


class Clock:
    """Seconds since the epoch of sandbox time; the shift survives a restart."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._shift = float(state.setting("clock_shift", "0"))

    def now(self) -> float:
        """The present."""
        return time.time() + self._shift

    @property
    def shift(self) -> float:
        """Seconds by which sandbox time is ahead."""
        return self._shift

    def advance(self, seconds: float) -> float:
        """Move the present by ``seconds`` and return it."""
        self._shift += seconds
        self._state.remember("clock_shift", repr(self._shift))
        return self.now()


def rfc3339(moment: float) -> str:
    """``2026-11-20T06:00:00Z``."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def spaced(moment: float) -> str:
    """``2026-11-20 06:00:00`` in GMT."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")
