"""Why a platform recognises few of the people sent, and what would help: every number is counted. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from math import ceil, floor

import numpy as np
import polars as pl

from audience_pipeline.audiences.match_rate import (
    LOW_RATE,
    Counts,
    Delivered,
    called,
    match_model,
    signal_columns,
)
from audience_pipeline.audiences.suggestions import USEFUL_SIZE
from audience_pipeline.delivery.brake import people
from audience_pipeline.delivery.figures import percent, percentage, size
from audience_pipeline.platforms.contract import Capabilities

OLD_DAYS = 365
"""Age of an address after which many people have moved away from it."""
MANY = 0.1
"""Share of the people from which on old addresses are worth a sentence."""
MINIMUM_GAIN = 1.0
"""Expected matches below which a missing identifier is not worth a sentence."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the people in an audience on a platform: counts, nobody by name."""

    signals: Counts
    """People by the identifiers that were sent of them: bit n is the n-th of ``signal_columns``."""
    rules: Mapping[int, int] = field(default_factory=dict)
    """Version of the hashing rules to people."""
    stated: Sequence[date] = ()
    """Day of the newest statement of each person's contact, of those with a date."""

    @property
    def people(self) -> int:
        """How many they are."""
        return int(self.signals.sum())


def signals_of(capabilities: Capabilities, sent: pl.DataFrame) -> Counts:
    """How many people were sent with which identifiers.

    Args:
        capabilities: the platform.
        sent: one row per person, with the columns that ``capabilities`` names; null where there is none.
    """
    columns = signal_columns(capabilities)
    bits = pl.sum_horizontal(
        *(
            pl.col(column).is_not_null().cast(pl.UInt32) * 2**bit
            for bit, column in enumerate(columns)
            if column in sent.columns
        ),
        pl.lit(0, dtype=pl.UInt32),
    )
    found: Counts = np.bincount(sent.select(bits).to_series().to_numpy(), minlength=2 ** len(columns))
    return found


def low_rate(low: float | None, high: float | None) -> bool:
    """Whether the middle of a match rate lies below ``LOW_RATE``; not where nobody knows it."""
    return low is not None and high is not None and (low + high) / 2 < LOW_RATE


@dataclass(frozen=True, slots=True)
class Matched:
    """How many people a platform matches, between two bounds, and how that is known."""

    low: int
    high: int
    computed: str = ""
    """From what it was computed, where the platform shows no size or a mere floor."""


def matched(
    size_low: int | None, size_high: int | None, delivered: int, rate: tuple[float | None, float | None]
) -> Matched | None:
    """The size that the platform shows; where it shows none or a mere floor, the people sent times the match
    rate, as far as that says more; None where nobody knows.
    """
    low, high = size_low or 0, size_high
    if high is not None and (low or not high):
        return Matched(low, high)
    known = None if high is None else Matched(low, high)
    if rate[0] is None or rate[1] is None:
        # Nobody is matched who was not sent; of many people that says nothing.
        small = delivered < min(USEFUL_SIZE, high or USEFUL_SIZE)
        return Matched(0, delivered, "no more were sent") if small else known
    computed = floor(delivered * rate[0]), ceil(delivered * rate[1])
    if high is not None and computed[1] > high:
        return known
    return Matched(*computed, f"{percentage(*rate)} of the {people(delivered)} sent")


def few(found: Matched | None) -> bool:
    """Whether the middle of a size lies below ``USEFUL_SIZE``; not where nobody knows one."""
    return found is not None and (found.low + found.high) / 2 < USEFUL_SIZE


def size_advice(capabilities: Capabilities, found: Matched | None) -> str:
    """What is wrong with a size, the platform's own floor beside it; empty when nothing is."""
    if found is None or not few(found):
        return ""
    floor_, platform = capabilities.minimum_audience, capabilities.platform.value
    shown = size(found.low, found.high)
    verb = "is" if shown == "1" else "are"
    how = f" ({found.computed})" if found.computed else ""
    least = f"{platform} needs {floor_:,} to deliver ads"
    if floor_ >= USEFUL_SIZE:
        return f"{shown} {verb} matched{how}; {least}"
    joined = "and" if found.high < floor_ else "while"
    return f"{shown} {verb} matched{how}; below {USEFUL_SIZE:,} an audience hardly pays, {joined} {least}"


def rate_advice(
    capabilities: Capabilities,
    audience: str,
    rate: tuple[float | None, float | None],
    known: Known,
    *,
    today: date,
    rules_version: int,
) -> list[str]:
    """What a match rate below ``LOW_RATE`` comes from, as far as it can be counted; nothing above it.

    Args:
        capabilities: the platform.
        audience: the name of the audience.
        rate: the bounds of its match rate.
        known: the people who were sent.
        today: from which ages are counted.
        rules_version: of the hashing rules in use.
    """
    low, high = rate
    if low is None or high is None or not low_rate(low, high) or not known.people:
        return []
    return [
        f"{percentage(low, high)} of {people(known.people)} are matched: " + _have(capabilities, known),
        *_missing(capabilities, audience, (low, high), known),
        *_rules(known, rules_version),
        *_ages(known, today),
    ]


def _have(capabilities: Capabilities, known: Known) -> str:
    """Which kinds of identifiers the people have, each person counted once."""
    columns = signal_columns(capabilities)
    groups = list(dict.fromkeys(capabilities.reachable_by))
    bits = [sum(1 << columns.index(column) for column in group) for group in groups]
    counted: dict[tuple[str, ...], int] = {}
    for signal, number in enumerate(known.signals.tolist()):
        if number:
            has = tuple(called(group) for group, bit in zip(groups, bits, strict=True) if signal & bit == bit)
            counted[has] = counted.get(has, 0) + number
    said = []
    for kinds, number in sorted(counted.items(), key=lambda one: -one[1]):
        what = (
            f"{kinds[0]} only" if len(kinds) == 1 else " and ".join(kinds) if kinds else "no known identifier"
        )
        said.append(f"{percent(number / known.people)} have {what}")
    return ", ".join(said) + "."


def _missing(
    capabilities: Capabilities, audience: str, rate: tuple[float, float], known: Known
) -> Iterator[str]:
    came = [Delivered(audience, known.people, *rate)]
    model = match_model(capabilities, audience, known.signals, came)
    for one in model.missing(known.signals):
        if one.matches >= MINIMUM_GAIN:
            yield (
                f"{people(one.people)} have no {one.identifier}: with one, about "
                f"{one.matches:,.0f} more would be matched (what {capabilities.platform.value} is assumed to "
                "make of more identifiers, corrected by what this audience came to)."
            )


def _rules(known: Known, current: int) -> Iterator[str]:
    old = {version: number for version, number in known.rules.items() if version < current}
    if old:
        versions = ", ".join(str(version) for version in sorted(old))
        yield (
            f"{people(sum(old.values()))} are hashed by older rules (version {versions}, now {current}): "
            "land their contacts again."
        )
    elif known.rules:
        yield f"All are hashed by the rules in use (version {current}): that is not the cause."


def _ages(known: Known, today: date) -> Iterator[str]:
    ages = sorted((today - day).days for day in known.stated)
    old = sum(1 for age in ages if age > OLD_DAYS)
    if old >= MANY * known.people and old:
        yield (
            f"The contacts of {people(old)} ({percent(old / known.people)}) were last stated more than "
            f"{OLD_DAYS} days ago (the median of all is {ages[len(ages) // 2]:,} days): many will have "
            "moved to other addresses. Ask for them again."
        )
