"""What to change so that an audience reaches more people, each change tried out over the whole profile."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audience_pipeline.audiences.definition import Definitions
from audience_pipeline.audiences.errors import EvaluationError
from audience_pipeline.audiences.evaluation import Evaluator
from audience_pipeline.audiences.masks import Mask
from audience_pipeline.audiences.match_rate import MatchModel
from audience_pipeline.audiences.membership import selected
from audience_pipeline.audiences.reach import Reach, Reached
from audience_pipeline.audiences.relaxing import Change, Kind
from audience_pipeline.platforms.contract import Platform

USEFUL_SIZE = 1_000
"""Matched people below which an audience hardly pays on any platform."""
MOST_SUGGESTIONS = 5
SECONDS = 0.3
"""How long changes are tried; those that cost least come first."""
_CHEAP: Mapping[Kind, int] = {"drop": 0, "exclude": 0, "holdout": 0, "suppress": 0, "widen": 1}
_LEAST_GAIN = 0.01
"""Share of what is missing to ``USEFUL_SIZE`` that a change must bring on some platform."""
_MOST_OF_BASE = 0.5
"""Share of all customers above which an audience does not mean anybody in particular any more."""


@dataclass(frozen=True, slots=True)
class Gain:
    """What a change brings on one platform."""

    platform: Platform
    sendable: int
    """People more who can be sent."""
    matches: float
    """Expected matches more."""
    matches_then: float
    """Expected matches with the change."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One change of a definition, and what it brings."""

    change: Change
    members: int
    """People more in the audience, sent or not."""
    gains: tuple[Gain, ...]

    @property
    def sentence(self) -> str:
        """What to do, as an imperative."""
        return self.change.sentence

    def suffices(self, platforms: Sequence[Platform]) -> bool:
        """Whether every one of the platforms is then expected to match ``USEFUL_SIZE`` people."""
        return all(gain.matches_then >= USEFUL_SIZE for gain in self.gains if gain.platform in platforms)


@dataclass(frozen=True, slots=True)
class Suggestions:
    """The best changes, and whether all that were thought of could be tried in time."""

    best: tuple[Suggestion, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Counted:
    """An audience as it is: who is in it, what it reaches on its platforms, and what they make of it."""

    members: Mask
    reached: Mapping[Platform, Reached]
    models: Mapping[Platform, MatchModel]

    def matches(self, platform: Platform) -> float:
        """Expected matches on a platform."""
        return self.models[platform].matches(self.reached[platform].signals)


def suggestions(
    counted: Counted,
    changes: Sequence[Change],
    definitions: Definitions,
    asked: Evaluator,
    members: Mapping[str, Mask],
    reach: Reach,
    *,
    salt: str,
    seconds: float = SECONDS,
) -> Suggestions:
    """Try changes of an audience and keep the best that help where too few matches are expected.

    Best are those with which every platform is expected to match ``USEFUL_SIZE`` people, the smallest change
    first; then those that bring most. Of both, those that only ask for less come before those that give a
    condition up: these make another audience of it. One that would mean more than half of all customers is no
    suggestion. Of alternatives in one place one is kept. No longer suppressing somebody comes last, and never
    alone.

    Args:
        counted: the audience as it is.
        changes: what to try.
        definitions: the workspace, for its suppression rules.
        asked: answers the rules.
        members: the members of the audiences that the rules refer to.
        reach: where everybody stands.
        salt: what makes the holdouts of this workspace its own.
        seconds: after that long the changes that were not tried yet are left out.
    """
    small = [platform for platform in counted.models if counted.matches(platform) < USEFUL_SIZE]
    if not small:
        return Suggestions((), complete=True)
    until = time.perf_counter() + seconds
    tried: list[Suggestion] = []
    complete = True
    for change in sorted(changes, key=lambda one: _CHEAP[one.kind]):
        if time.perf_counter() > until:
            complete = False
            break
        try:
            found = _tried(counted, change, definitions, asked, members, reach, salt)
        except EvaluationError:
            continue
        if _helps(found, counted, small) and not _means_everybody(found, counted):
            tried.append(found)
    return Suggestions(_best(tried, small), complete)


def _tried(
    counted: Counted,
    change: Change,
    definitions: Definitions,
    asked: Evaluator,
    members: Mapping[str, Mask],
    reach: Reach,
    salt: str,
) -> Suggestion:
    definition = change.definition
    then = selected(definition, definitions, asked, members).members
    reached = reach.count(then, definition.name, definition.holdout_percent, salt=salt)
    gains = []
    for platform, model in counted.models.items():
        before, after = counted.matches(platform), model.matches(reached[platform].signals)
        more = reached[platform].sendable - counted.reached[platform].sendable
        gains.append(Gain(platform, more, after - before, after))
    added = int(np.count_nonzero(then)) - int(np.count_nonzero(counted.members))
    return Suggestion(change, added, tuple(gains))


def _helps(found: Suggestion, counted: Counted, small: Sequence[Platform]) -> bool:
    return any(
        gain.matches >= max(1.0, _LEAST_GAIN * (USEFUL_SIZE - counted.matches(gain.platform)))
        for gain in found.gains
        if gain.platform in small
    )


def _means_everybody(found: Suggestion, counted: Counted) -> bool:
    then = int(np.count_nonzero(counted.members)) + found.members
    return found.members > 0 and then > _MOST_OF_BASE * counted.members.size


def _best(tried: Sequence[Suggestion], small: Sequence[Platform]) -> tuple[Suggestion, ...]:
    def order(one: Suggestion) -> tuple[bool, bool, bool, float, str]:
        brought = sum(gain.matches for gain in one.gains if gain.platform in small)
        enough = one.suffices(small)
        kind = one.change.kind
        least = brought if enough else -brought
        return kind == "suppress", not enough, kind == "drop", least, one.sentence

    best: dict[str, Suggestion] = {}
    for one in sorted(tried, key=order):
        best.setdefault(one.change.place, one)
    if all(one.change.kind == "suppress" for one in best.values()):
        return ()
    return tuple(best.values())[:MOST_SUGGESTIONS]
