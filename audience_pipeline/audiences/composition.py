"""What an audience is made of, beside the whole base: shares, and an index where 100 means the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from audience_pipeline.audiences.masks import Mask

COMPOSED_OF: Mapping[str, str] = {
    "ltv_quintile": "LTV quintile",
    "country": "country",
    "segment": "segment",
    "churn_risk": "churn risk",
    "top_category": "top category",
    "first_category": "first category",
}
"""Fields of the profile that an audience is described by, in words; those that it lacks are left out."""
MOST_VALUES = 8
"""Values of a field that are shown; the others are added up."""
NOT_KNOWN, OTHERS = "(not known)", "(others)"


@dataclass(frozen=True, slots=True)
class Share:
    """One value of a field."""

    field: str
    value: str
    members: int
    share: float
    """Of the members, 0 to 1."""
    base_share: float
    """Of all customers, 0 to 1."""

    @property
    def index(self) -> int | None:
        """The share as a percentage of that in the base: 100 is the same, 200 twice as many."""
        return round(100 * self.share / self.base_share) if self.base_share else None


def composition_fields(columns: Sequence[str]) -> list[str]:
    """The fields of a profile that its audiences are described by; one category, the best known."""
    fields = [name for name in COMPOSED_OF if name in columns]
    if "top_category" in fields and "first_category" in fields:
        fields.remove("first_category")
    return fields


def coded(column: pl.Series) -> pl.Series:
    """A column as an Enum of its values as text: a small number per customer, counted in no time."""
    text = column.cast(pl.String)
    return text.cast(pl.Enum(text.drop_nulls().unique().sort()))


def composition(members: Mask, fields: Sequence[pl.Series]) -> list[Share]:
    """The shares of every field, the most frequent values in the audience first; quintiles in their order.

    Args:
        members: who is in the audience, row by row of the profile.
        fields: columns of the same profile, ``coded``.
    """
    chosen = np.flatnonzero(members)
    found = []
    for column in fields:
        categories = column.dtype.categories.to_list() if isinstance(column.dtype, pl.Enum) else []
        values = [*categories, NOT_KNOWN]
        codes = column.to_physical().cast(pl.UInt32).fill_null(len(categories)).to_numpy()
        base, here = (np.bincount(one, minlength=len(values)).tolist() for one in (codes, codes[chosen]))
        counted = list(zip(values, here, base, strict=True))
        found += _shares(column.name, counted, len(chosen), max(len(codes), 1))
    return found


def _shares(field: str, counted: list[tuple[str, int, int]], members: int, customers: int) -> list[Share]:
    present = [row for row in counted if row[2]]
    if field != "ltv_quintile":
        present.sort(key=lambda row: (-row[1], -row[2], row[0]))
    shown, rest = present[:MOST_VALUES], present[MOST_VALUES:]
    if rest:
        shown.append((OTHERS, sum(row[1] for row in rest), sum(row[2] for row in rest)))
    return [
        Share(field, value, here, here / members if members else 0.0, base / customers)
        for value, here, base in shown
    ]
