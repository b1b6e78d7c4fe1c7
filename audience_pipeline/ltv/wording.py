"""Numbers as they are said: money, shares, counts, days and effects."""

from __future__ import annotations

import math

_MAJOR = 0.01
_LEAST, _MANY = 0.01, 10.0


def effect_in_words(effect: float) -> str:
    """A relative change, such as ``+45 %`` for 0.45; from tenfold on it is said how many times as much.

    Args:
        effect: From -1 on: 0 changes nothing.
    """
    if 1.0 + effect < _LEAST:
        return "below -99 %"
    if 1.0 + effect >= _MANY:
        return f"{1.0 + effect:,.0f} times as much"
    return f"{100 * effect:+.0f} %"


def money(minor: float) -> str:
    """Minor units as major ones."""
    return f"{minor * _MAJOR:,.2f}"


def percent(share: float) -> str:
    """A share as a percentage."""
    return f"{100 * share:.0f} %"


def figure(value: float) -> str:
    """A number with separators, whole where it is."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def count(value: float, one: str, many: str = "") -> str:
    """So many of something."""
    return f"{figure(value)} {one if value == 1 else many or one + 's'}"


def day_count(value: float) -> str:
    """Whole days."""
    whole = math.floor(value + 0.5)
    return f"{whole:,} day{'' if whole == 1 else 's'}"


def ago(days: int) -> str:
    """So many days ago."""
    return "today" if days == 0 else f"{day_count(days)} ago"


def times(count: int) -> str:
    """How often."""
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")
