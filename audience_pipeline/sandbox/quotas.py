"""How many calls a platform takes in a window of sandbox time."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from audience_pipeline.sandbox.clock import Clock
from audience_pipeline.sandbox.state import State

MINUTE = 60.0
HOUR = 3_600.0
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``amount`` calls (or points) within ``seconds``; None is no limit."""

    amount: float | None
    seconds: float


LIMITS: Mapping[str, Limit] = {
    "meta_custom_audience_calls": Limit(190_000, HOUR),
    "meta_account_score": Limit(9_000, 300),
    "meta_mutations": Limit(100, 1),
    "meta_app_calls": Limit(200_000, HOUR),
    "google_ingestion_writes_per_minute": Limit(300, MINUTE),
    "google_ingestion_writes_per_day": Limit(100_000, DAY),
    "google_status_reads_per_minute": Limit(300, MINUTE),
    "google_status_reads_per_day": Limit(100_000, DAY),
    "google_list_reads_per_minute": Limit(300, MINUTE),
    "google_list_reads_per_day": Limit(50_000, DAY),
    "google_list_writes_per_minute": Limit(300, MINUTE),
    "google_list_writes_per_day": Limit(50_000, DAY),
    "google_ads_operations_per_day": Limit(15_000, DAY),
    # No window: matched people that a removal must leave. Meta refuses below a number that it does not tell.
    "meta_people_left_after_removal": Limit(None, 0),
    # Not published; the figure most often told for an app of the middle level.
    "tiktok_calls_per_second": Limit(20, 1),
}


@dataclass(frozen=True, slots=True)
class Usage:
    """Share of the limit that is used (0 to 1) and the seconds until the refused call would fit."""

    share: float
    wait: float

    @property
    def over(self) -> bool:
        """The call is refused."""
        return self.wait > 0


class Quotas:
    """Counts calls per limit and subject (an account, an app) in memory; limits survive a restart."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._amounts: dict[str, float | None] = json.loads(state.setting("limits", "{}"))
        self._calls: dict[tuple[str, str], deque[tuple[float, float]]] = {}
        self._sums: dict[tuple[str, str], float] = {}

    def limits(self) -> dict[str, float | None]:
        """The amounts in force."""
        return {name: self._amounts.get(name, limit.amount) for name, limit in LIMITS.items()}

    def amount(self, name: str) -> float | None:
        """The amount in force of one limit."""
        return self._amounts.get(name, LIMITS[name].amount)

    def change(self, amounts: Mapping[str, float | None]) -> None:
        """Set amounts; None lifts a limit.

        Raises:
            ValueError: no such limit, or an amount that is no positive number.
        """
        for name, amount in amounts.items():
            if name not in LIMITS:
                raise ValueError(f"no limit is called {name!r}; there are {', '.join(LIMITS)}")
            if amount is not None and (
                isinstance(amount, bool) or not isinstance(amount, int | float) or amount <= 0
            ):
                raise ValueError(f"limit {name} needs a positive number or null")
        self._amounts.update(amounts)
        self._state.remember("limits", json.dumps(self._amounts))

    def use(self, name: str, subject: str, weight: float = 1) -> Usage:
        """Count a call, unless it goes over the limit."""
        amount = self.amount(name)
        if amount is None:
            return Usage(0, 0)
        now, window, key = self._clock.now(), LIMITS[name].seconds, (name, subject)
        calls = self._calls.setdefault(key, deque())
        total = self._sums.get(key, 0.0)
        while calls and calls[0][0] <= now - window:
            total -= calls.popleft()[1]
        if total + weight > amount:
            self._sums[key] = total
            oldest = calls[0][0] if calls else now
            return Usage(1, max(0.001, oldest + window - now))
        calls.append((now, weight))
        self._sums[key] = total + weight
        return Usage((total + weight) / amount, 0)
