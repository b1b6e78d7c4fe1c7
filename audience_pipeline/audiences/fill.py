"""How much of a profile is filled, and with which values, without telling anything of anybody."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import polars as pl

from audience_pipeline.audiences.fields import Field

FEWEST_PEOPLE = 50
"""A value that fewer people share is not shown: it may be about one of them."""
MOST_VALUES = 50
"""A text with more values than this is no classification but words of people; none of them is shown."""
SHOWN_VALUES = 5
_SHOWN = ("text", "boolean")


@dataclass(frozen=True, slots=True)
class Fill:
    """What is known of one field over a whole profile."""

    rate: float
    """Share of the people whose value is known, 0 to 1; 0 where there is nobody."""
    values: Mapping[str, float] = field(default_factory=dict)
    """The most frequent values and their shares of all people, greatest first; of texts and of yes or no."""


def fills(profile: pl.LazyFrame, fields: Collection[Field]) -> Mapping[str, Fill]:
    """Fill rate and most frequent values of fields.

    Args:
        profile: a ``customer_profile``; one of an older version may lack fields.
        fields: those that are wanted.

    Returns:
        Name to what is known; fields that the profile lacks are left out.
    """
    there = profile.collect_schema()
    wanted = [one for one in fields if one.name in there]
    people, *known = (
        profile.select(pl.len().alias(""), *(pl.col(one.name).count() for one in wanted)).collect().row(0)
    )
    found = {}
    for one, count in zip(wanted, known, strict=True):
        shown = _values(profile, one.name, people) if one.type in _SHOWN and count else {}
        found[one.name] = Fill(count / people if people else 0.0, shown)
    return found


def _values(profile: pl.LazyFrame, name: str, people: int) -> Mapping[str, float]:
    counts = (
        profile.select(pl.col(name).cast(pl.String).alias("value"))
        .drop_nulls()
        .group_by("value")
        .len("people")
        .sort("people", "value", descending=[True, False])
        .collect(engine="streaming")
    )
    if counts.height > MOST_VALUES:
        return {}
    shown = counts.filter(pl.col("people") >= FEWEST_PEOPLE).head(SHOWN_VALUES)
    return {value: count / people for value, count in shown.iter_rows()}
