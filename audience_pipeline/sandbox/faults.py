"""Trouble on demand: the same seed troubles the same calls of a platform in the same way.

Each call of a platform draws by seed, platform and its number since the seed was set. :data:`TABLE` lists
what may come of it, on which calls, and how it looks; a kind is drawn by weight among those that are chosen
and can happen to the call.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from audience_pipeline.sandbox.state import State

RATE = 0.05
"""Share of calls that something happens to, unless told otherwise."""
SLOW_SECONDS = 0.2
PLATFORMS = ("meta", "google", "tiktok")


class Fault(StrEnum):
    """What happens to a call."""

    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    ERROR_AFTER = "error_after"
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    HALF_ANSWER = "half_answer"
    SLOW = "slow"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 (the name of a trouble)
    PARTIAL = "partial_failure"
    PROCESSING = "processing_failure"
    FLAGGED = "flagged_name"
    DELETED = "deleted_audience"
    SHRINKAGE = "shrinkage"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of trouble."""

    weight: int
    calls: Mapping[str, str]
    """Platform to a pattern of "METHOD path"; a platform that is not named is spared."""
    what: str


_ANY = dict.fromkeys(PLATFORMS, ".*")
_MEMBERS = {
    "meta": r"POST \S+/users",
    "google": r"POST /v1/audienceMembers:ingest",
    "tiktok": r"POST \S+/dmp/custom_audience/(create|update)/",
}
TABLE: Mapping[Fault, Kind] = {
    Fault.THROTTLED: Kind(
        4,
        _ANY,
        "Meta 80003, 80004, 17, 4, 613 with usage headers at 100 %; Google 429 RESOURCE_EXHAUSTED with the "
        "name of a quota per minute (Ads API: retryDelay); TikTok 40100, 40016, 40132, 40133 or HTTP 429 "
        "without JSON; no effect",
    ),
    Fault.UNAVAILABLE: Kind(
        4,
        _ANY,
        "Meta 1 and 2; Google INTERNAL, UNAVAILABLE, DEADLINE_EXCEEDED, ABORTED; TikTok 50000, 50002, 51065; "
        "from all HTML with HTTP 502; no effect",
    ),
    Fault.ERROR_AFTER: Kind(2, _ANY, "an answer as of unavailable, although the call has taken effect"),
    Fault.RESET_BEFORE: Kind(3, _ANY, "the connection ends without an answer and without effect"),
    Fault.RESET_AFTER: Kind(3, _ANY, "the connection ends without an answer after the effect"),
    Fault.HALF_ANSWER: Kind(3, _ANY, "the connection ends in the middle of the body, after the effect"),
    Fault.SLOW: Kind(2, _ANY, f"the answer comes {SLOW_SECONDS} s late (slow_seconds)"),
    Fault.EXPIRED_TOKEN: Kind(
        1,
        {"meta": ".*", "google": r"\S+ /(?!token).*", "tiktok": ".*"},
        "this and up to two more calls: Meta 190/463, Google 401 UNAUTHENTICATED, TikTok 40105; no effect",
    ),
    Fault.PARTIAL: Kind(
        2,
        _MEMBERS,
        "1 to 3 of the people who are added are refused and left out: Meta counts and samples them as "
        "invalid entries; Google ends with PARTIAL_SUCCESS (some with recordIndices); TikTok tells their "
        "number in the history",
    ),
    Fault.PROCESSING: Kind(
        2,
        {**_MEMBERS, "google": r"POST /v1/audienceMembers:\w+"},
        "accepted, and then nothing of it takes effect: Meta (people added) tells by a session of stage "
        "failed with nobody matched and by operation status 500 until the next upload; Google by FAILED; "
        "TikTok by error_msg",
    ),
    Fault.FLAGGED: Kind(
        1,
        {"meta": r"POST \S+/(customaudiences|\d+)"},
        "an audience that is created or renamed is flagged (471) until this kind is switched off: people are "
        "refused with 100/1713230, changes with 100/1713231, lookalikes with 100/1713232",
    ),
    Fault.DELETED: Kind(1, _ANY, "an audience of the platform is deleted before the call"),
    Fault.SHRINKAGE: Kind(
        1,
        _ANY,
        "an audience loses a third of its rows before the call; only where the platform shows a size, which "
        "tells of it",
    ),
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault, and a number that chooses among its forms."""

    fault: Fault
    form: int


@dataclass(frozen=True, slots=True)
class Options:
    """What is wanted; no seed means no trouble."""

    seed: int | None = None
    rate: float = RATE
    kinds: tuple[Fault, ...] = tuple(Fault)
    platforms: tuple[str, ...] = PLATFORMS
    slow_seconds: float = SLOW_SECONDS
    throttle_minutes: int = 0
    """What Meta tells as ``estimated_time_to_regain_access``."""

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Options:
        """Options by name; those that are not given have their default.

        Raises:
            ValueError: an unknown name or value.
        """
        unknown = sorted(set(given) - set(cls.__dataclass_fields__))
        if unknown:
            raise ValueError(
                f"faults know no {unknown[0]!r}; they know {', '.join(cls.__dataclass_fields__)}"
            )
        wanted = dict(given)
        for name, lowest, highest in (
            ("rate", 0, 1),
            ("slow_seconds", 0, 3600),
            ("throttle_minutes", 0, 1e4),
        ):
            value = wanted.get(name, lowest)
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not lowest <= value <= highest
            ):
                raise ValueError(f"faults: {name} needs a number from {lowest} to {highest:g}")
        seed = wanted.get("seed")
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise ValueError("faults: seed needs a whole number or null")
        for name, known in (("kinds", tuple(Fault)), ("platforms", PLATFORMS)):
            chosen = wanted.get(name, list(known))
            if not isinstance(chosen, list | tuple) or not set(chosen) <= set(known):
                raise ValueError(f"faults: {name} needs a list out of {', '.join(known)}")
            wanted[name] = tuple(one for one in known if one in chosen)
        return cls(**wanted)


class Faults:
    """Draws the fate of each call, and counts what happened; both survive a restart with the same seed."""

    def __init__(self, state: State, seed: int | None) -> None:
        self._state = state
        kept = json.loads(state.setting("faults", "{}"))
        self.options = Options(seed)
        same = "seed" in kept and kept["seed"] == seed
        self._calls = Counter[str](kept["calls"] if same else {})
        self._expired = Counter[str](kept["expired"] if same else {})
        self._injected = {one: Counter[str](kept["injected"][one] if same else {}) for one in PLATFORMS}
        self._now: Trouble | None = None
        self._struck = False

    def change(self, options: Options) -> None:
        """Go on with other options; another seed starts counting anew."""
        if options.seed != self.options.seed:
            self._calls, self._expired = Counter(), Counter()
            self._injected = {one: Counter() for one in PLATFORMS}
        self.options = options
        self._keep()

    def active(self, fault: Fault) -> bool:
        """This kind may be drawn."""
        options = self.options
        return options.seed is not None and options.rate > 0 and fault in options.kinds

    def draw(self, platform: str, call: str) -> Trouble | None:
        """The fate of the next call of a platform; ``call`` is "METHOD path"."""
        self._now, self._struck = None, False
        options = self.options
        if options.seed is None or platform not in options.platforms:
            return None
        self._calls[platform] += 1
        chance = random.Random(f"{options.seed}:{platform}:{self._calls[platform]}")  # noqa: S311 (not a secret)
        happens, form = chance.random() < options.rate, chance.randrange(2**31)
        if self._expired[platform] > 0 and _can(Fault.EXPIRED_TOKEN, platform, call):
            self._expired[platform] -= 1
            self._now = Trouble(Fault.EXPIRED_TOKEN, form)
        elif happens:
            kinds = [kind for kind in options.kinds if _can(kind, platform, call)]
            if kinds:
                (kind,) = chance.choices(kinds, [TABLE[one].weight for one in kinds])
                self._now = Trouble(kind, form)
                self._expired[platform] = form % 3 if kind is Fault.EXPIRED_TOKEN else 0
        return self._now

    def strikes(self, fault: Fault) -> Trouble | None:
        """The trouble of the present call if it is of that kind: then it happens now."""
        if self._now is None or self._now.fault is not fault:
            return None
        self._struck = True
        return self._now

    def some(self, fault: Fault, among: int) -> set[int]:
        """Up to three places out of ``among`` that such a trouble of the present call strikes; else none."""
        trouble = self.strikes(fault) if among else None
        if trouble is None:
            return set()
        return {(trouble.form + 7_919 * number) % among for number in range(1 + trouble.form % 3)}

    def end(self, platform: str) -> None:
        """The present call is over: note whether its trouble happened."""
        if self.options.seed is not None:
            if self._now is not None and self._struck:
                self._injected[platform][self._now.fault] += 1
            self._keep()
        self._now = None

    def report(self) -> dict[str, Any]:
        """Options, calls so far, and what happened, counted by platform and kind."""
        names = Options.__dataclass_fields__
        return {
            **{name: getattr(self.options, name) for name in names},
            "calls": dict(self._calls),
            "injected": {platform: dict(counts) for platform, counts in self._injected.items()},
            "known": {fault: kind.what for fault, kind in TABLE.items()},
        }

    def _keep(self) -> None:
        kept = {
            "seed": self.options.seed,
            "calls": self._calls,
            "expired": self._expired,
            "injected": self._injected,
        }
        self._state.remember("faults", json.dumps(kept))


def _can(fault: Fault, platform: str, call: str) -> bool:
    pattern = TABLE[fault].calls.get(platform)
    return pattern is not None and re.fullmatch(pattern, call) is not None
