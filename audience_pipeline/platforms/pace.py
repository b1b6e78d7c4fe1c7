"""How fast requests may follow each other: one pace for all threads that share an account."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from audience_pipeline.platforms.capabilities import Rate


class _Bucket:
    """Tokens that come back at a steady rate; asking for more than there are gives the time they take."""

    def __init__(self, rate: Rate, now: float) -> None:
        self.rate = rate
        self._tokens = float(rate.burst)
        self._at = now

    def take(self, cost: float, now: float) -> float:
        """Seconds until the tokens that were taken are there."""
        per_second = self.rate.requests / self.rate.seconds
        elapsed = max(now - self._at, 0.0)
        self._tokens = min(self._tokens + elapsed * per_second, float(self.rate.burst)) - cost
        self._at = now
        return max(-self._tokens, 0.0) / per_second


class Pace:
    """The limits of one account. Threads and clients that share it keep them together."""

    def __init__(self, rates: Iterable[Rate] = (), clock: Callable[[], float] = time.monotonic) -> None:
        """Without ``rates`` nothing is limited but what the platform itself asks for."""
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets = {rate.name: _Bucket(rate, clock()) for rate in rates}
        self._gap = 0.0
        self._next_at = -math.inf
        self._held_until = -math.inf

    def wait(self, costs: Mapping[str, float]) -> float:
        """Reserve one request and return the seconds to wait before it; ``costs`` by name of the rate."""
        with self._lock:
            now = self._clock()
            waits = [
                self._buckets[name].take(cost, now) for name, cost in costs.items() if name in self._buckets
            ]
            turn = max(self._next_at, self._held_until, now + max(waits, default=0.0))
            if self._gap:
                self._next_at = turn + self._gap
            return turn - now

    def slow_down(self, seconds: float) -> None:
        """Let so many seconds pass between requests from now on; 0 is full speed again."""
        with self._lock:
            self._gap = seconds
            self._next_at = self._clock() + seconds if seconds else -math.inf

    def hold(self, seconds: float) -> None:
        """Let nobody send anything for so long."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + seconds)

    def change(self, rate: Rate) -> None:
        """Put another rate in the place of that of the same name, if there is one."""
        with self._lock:
            known = self._buckets.get(rate.name)
            if known is not None and known.rate != rate:
                self._buckets[rate.name] = _Bucket(rate, self._clock())
