"""Whether the platforms hold the same people of an audience, and why not: pure, and in counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from audience_pipeline.delivery.brake import people
from audience_pipeline.delivery.composition import DESCRIBED_BY, Profile, Rows, ShareOn, shares
from audience_pipeline.delivery.figures import percent
from audience_pipeline.platforms.contract import Platform

TOLERANCE = 0.1
"""Of the larger number of people; and of a share, in points of 0 to 1."""
CAUSES: Mapping[str, str] = {
    "refused": "{people} refused by {platform}",
    "processing": "{people} still being processed by {platform}",
    "expired": "{people} expired on {platform}",
    "opted_out": "{people} opted out of {platform}",
    "purpose": "{people} agreed to advertising but not to what {platform} asks for besides",
    "no_consent": "{people} without consent for {platform}",
    "no_identifier": "{people} without an identifier that {platform} takes",
    "held": "{people} waiting for a confirmation, the delivery being held",
    "gone": "{people} who are not in the newest profile",
    "unsent": "{people} not sent to {platform} yet",
}
"""Why somebody whom one platform holds is not on another, in the order in which reasons are looked for."""


@dataclass(frozen=True, slots=True)
class Side:
    """An audience on one platform. Rows are those of the profile, -1 for who is not in it."""

    platform: Platform
    accepted: Rows
    """People who are there now, each once."""
    refused: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    processing: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    expired: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    reasons: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint8))
    """Per row of the profile 0 (may be sent) or the n-th of ``standing``."""
    standing: Sequence[str] = ()
    held: bool = False


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One way in which a platform differs from another, in a sentence."""

    audience: str
    platform: Platform
    """The one that lacks people."""
    sentence: str
    explained: bool
    """Consent and identifiers account for all of it: there is nothing to be mended in the delivery."""


def disagreements(audience: str, sides: Sequence[Side], profile: Profile) -> list[Disagreement]:
    """Where platforms differ by more than ``TOLERANCE``, with the causes, counted; per field once.

    People who are held out are the same on every platform, so that a holdout is never a cause.

    Args:
        audience: the name of the audience.
        sides: the audience on each of its platforms.
        profile: the newest profile.
    """
    if len(sides) < 2:
        return []
    most = max(sides, key=lambda side: len(side.accepted))
    rows = {side.platform: side.accepted[side.accepted >= 0] for side in sides}
    differing = [one for one in shares(profile, rows) if one.spread > TOLERANCE]
    short = {side.platform: len(most.accepted) - len(side.accepted) for side in sides}
    lacking = [side for side in sides if short[side.platform] > TOLERANCE * len(most.accepted)]
    if not (differing or lacking):
        return []
    everybody = np.unique(np.concatenate(list(rows.values())))
    found = []
    for side in lacking:
        causes = _causes(side, everybody) | _gone(side, most)
        fewer = percent(short[side.platform] / len(most.accepted))
        found.append(
            Disagreement(
                audience,
                side.platform,
                f"{audience}: {side.platform.value} holds {people(len(side.accepted))} and "
                f"{most.platform.value} {len(most.accepted):,} ({fewer} fewer): "
                f"{_said(causes, side.platform)}",
                _explained(causes),
            )
        )
    return [*found, *_of_shares(audience, sides, everybody, differing, profile)]


def _of_shares(
    audience: str, sides: Sequence[Side], everybody: Rows, differing: Sequence[ShareOn], profile: Profile
) -> Iterator[Disagreement]:
    largest_first = sorted(differing, key=lambda one: -one.spread)
    told_once = {one.field: one for one in reversed(largest_first)}
    by_platform = {side.platform: side for side in sides}
    for one in told_once.values():
        low = by_platform[min(one.shares, key=lambda platform: one.shares[platform])]
        high = by_platform[max(one.shares, key=lambda platform: one.shares[platform])]
        names, codes = profile.fields[one.field]
        has = codes[everybody] == names.index(one.value)
        # The share is low because people with the value are missing there, or others are missing elsewhere.
        lacking, others = _causes(low, everybody[has]), _causes(high, everybody[~has])
        told = [_said(causes, side.platform) for causes, side in ((lacking, low), (others, high)) if causes]
        why = "; ".join(told)
        lacks = low if sum(lacking.values()) >= sum(others.values()) else high
        much, little = (percent(one.shares[side.platform]) for side in (high, low))
        yield Disagreement(
            audience,
            lacks.platform,
            f"{audience}: {DESCRIBED_BY.get(one.field, one.field)} {one.value} is {much} of "
            f"{high.platform.value} and {little} of {low.platform.value}: {why}",
            _explained({**lacking, **others}),
        )


def _explained(causes: Mapping[str, int]) -> bool:
    return bool(causes) and set(causes) <= {"opted_out", "purpose", "no_consent", "no_identifier"}


def _said(causes: Mapping[str, int], platform: Platform) -> str:
    return ", ".join(
        CAUSES[cause].format(people=people(number), platform=platform.value)
        for cause, number in causes.items()
    )


def _gone(side: Side, most: Side) -> dict[str, int]:
    more = int((most.accepted < 0).sum()) - int((side.accepted < 0).sum())
    return {"gone": more} if more > 0 else {}


def _causes(side: Side, everybody: Rows) -> dict[str, int]:
    """Why those of ``everybody`` whom the platform does not hold are not there; each person counts once."""
    left = np.setdiff1d(everybody, side.accepted)
    causes: dict[str, int] = {}
    for cause, rows in (
        ("refused", side.refused),
        ("processing", side.processing),
        ("expired", side.expired),
    ):
        here = np.isin(left, rows)
        causes[cause] = int(here.sum())
        left = left[~here]
    if len(side.reasons):
        codes = side.reasons[left]
        for number, reason in enumerate(side.standing, start=1):
            causes[reason] = int((codes == number).sum())
        left = left[codes == 0]
    causes["held" if side.held else "unsent"] = len(left)
    return {cause: causes[cause] for cause in CAUSES if causes.get(cause)}
