"""How long requests take under the quotas that the platforms publish: the waits are computed, not slept.

Sources: Meta's rate limiting page (account score, calls an hour, mutations a second, full access tier), the
quotas page of Google's Data Manager API, and for TikTok, which publishes none, the 10 calls a second that are
told of most often, of which the client uses 5.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0


@dataclass(frozen=True)
class Quota:
    """At most ``amount`` points in any ``seconds``; ``weights`` says what a request of a class costs.

    All accounts together are held to it: where a platform counts by account, that is the worst case.
    """

    name: str
    amount: float
    seconds: float
    weights: Mapping[str, float]


QUOTAS: Mapping[str, tuple[Quota, ...]] = {
    "meta": (
        Quota("account score", 9_000, 300, {"write": 3, "create": 3, "read": 1, "list": 1}),
        Quota("calls an hour", 190_000, HOUR, {"write": 1, "create": 1, "read": 1, "list": 1}),
        Quota("mutations a second", 100, 1, {"write": 1, "create": 1}),
    ),
    "google": (
        Quota("ingestion writes a minute", 300, MINUTE, {"write": 1}),
        Quota("ingestion writes a day", 100_000, DAY, {"write": 1}),
        Quota("status reads a minute", 300, MINUTE, {"read": 1}),
        Quota("status reads a day", 100_000, DAY, {"read": 1}),
        Quota("list reads a minute", 300, MINUTE, {"list": 1}),
        Quota("list writes a minute", 300, MINUTE, {"create": 1}),
    ),
    "tiktok": (Quota("calls a second", 5, 1, dict.fromkeys(("write", "create", "read", "list"), 1)),),
}
SECONDS_EACH = 0.3
"""What a request takes on the way, which nobody publishes."""


@dataclass(frozen=True)
class Sent:
    """One request: to whom, of which class (write, create, read, list)."""

    platform: str
    kind: str


def class_of(method: str, path: str) -> tuple[str, str]:
    """Platform and class of a request, by the platforms' own paths."""
    plain = path.partition("?")[0]
    if plain.startswith("/open_api"):
        kind = "list" if plain.endswith("/list/") else "read" if method == "GET" else "write"
        return "tiktok", kind
    if plain.startswith("/v1/"):
        if "audienceMembers" in plain:
            return "google", "write"
        if "requestStatus" in plain:
            return "google", "read"
        return "google", "list" if method == "GET" else "create"
    if method == "GET":
        return "meta", "list" if plain.endswith("/customaudiences") else "read"
    return "meta", "create" if plain.endswith("/customaudiences") else "write"


def waits(requests: Iterable[Sent]) -> dict[str, dict[str, Any]]:
    """Seconds that each platform's requests take, one after another, and what makes them wait."""
    found: dict[str, dict[str, Any]] = {}
    now: dict[str, float] = {}
    spent: dict[str, deque[tuple[float, float]]] = {}
    for one in requests:
        told = found.setdefault(one.platform, {"requests": Counter(), "waited_for": Counter()})
        at = now.get(one.platform, 0.0)
        costs = [
            (quota, quota.weights[one.kind]) for quota in QUOTAS[one.platform] if one.kind in quota.weights
        ]
        for quota, weight in costs:
            free = _free_at(spent.setdefault(quota.name, deque()), quota, weight, at)
            told["waited_for"][quota.name] += free - at
            at = free
        for quota, weight in costs:
            spent[quota.name].append((at, weight))
        now[one.platform] = at + SECONDS_EACH
        told["requests"][one.kind] += 1
    return {
        name: {
            "seconds": round(now[name]),
            "requests": dict(told["requests"]),
            "waited_for": {what: round(time) for what, time in told["waited_for"].items() if time >= 1},
        }
        for name, told in found.items()
    }


def _free_at(queue: deque[tuple[float, float]], quota: Quota, weight: float, at: float) -> float:
    """The first moment from ``at`` on at which the weight fits into the window."""
    while queue and queue[0][0] <= at - quota.seconds:
        queue.popleft()
    total = sum(points for _, points in queue)
    for begun, points in queue:
        if total + weight <= quota.amount:
            break
        total -= points
        at = max(at, begun + quota.seconds)
    return at
