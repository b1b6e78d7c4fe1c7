"""What the people are like whom each platform holds of an audience: shares, platform beside platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from audience_pipeline.audiences.composition import NOT_KNOWN, coded
from audience_pipeline.platforms.contract import Platform

DESCRIBED_BY: Mapping[str, str] = {"ltv_quintile": "LTV quintile", "country": "country", "segment": "segment"}
"""Fields of the profile by which platforms are compared, in words."""
NO_CUSTOMER = "(no customer any more)"
"""Delivered, but not in the newest profile: merged with somebody, or erased."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ShareOn:
    """One value of a field, on each platform. Shares lie between 0 and 1."""

    field: str
    value: str
    people: Mapping[Platform, int]
    shares: Mapping[Platform, float]

    @property
    def spread(self) -> float:
        """The largest share less the smallest."""
        return max(self.shares.values()) - min(self.shares.values()) if self.shares else 0.0


class Profile:
    """The newest profile, to look delivered customers up in: twenty thousand of a million in milliseconds."""

    def __init__(self, customers: pl.Series, fields: Sequence[pl.Series] = ()) -> None:
        """Take ``customer_id`` (String, each once) and columns of its rows; Enums as they are."""
        self.customers = customers
        hashes = customers.hash().to_numpy()
        self._order: Rows = np.argsort(hashes)
        self._hashes = hashes[self._order]
        self.fields: dict[str, tuple[list[str], npt.NDArray[np.uint32]]] = {}
        for column in fields:
            values = column if isinstance(column.dtype, pl.Enum) else coded(column)
            dtype = values.dtype
            names = dtype.categories.to_list() if isinstance(dtype, pl.Enum) else []
            codes = values.to_physical().cast(pl.UInt32).fill_null(len(names)).to_numpy()
            self.fields[column.name] = ([*names, NOT_KNOWN, NO_CUSTOMER], codes)

    def rows(self, customers: pl.Series) -> Rows:
        """The row of each customer, -1 for those who are not there."""
        if not len(self._hashes) or not len(customers):
            return np.full(len(customers), -1, dtype=np.int64)
        asked = customers.hash().to_numpy()
        # Ascending questions are answered several times faster.
        order = np.argsort(asked)
        places = np.empty(len(asked), dtype=np.int64)
        places[order] = np.searchsorted(self._hashes, asked[order])
        rows = self._order[np.minimum(places, len(self._order) - 1)]
        there = (self.customers.gather(rows) == customers).fill_null(value=False).to_numpy()
        return np.where(there, rows, -1)

    def counted(self, field: str, rows: Rows) -> dict[str, int]:
        """Number of people per value of a field, values that nobody has included."""
        names, codes = self.fields[field]
        known = codes[rows[rows >= 0]]
        counts = np.bincount(known, minlength=len(names))
        counts[-1] = np.count_nonzero(rows < 0)
        return dict(zip(names, counts.tolist(), strict=True))


def shares(profile: Profile, rows: Mapping[Platform, Rows]) -> list[ShareOn]:
    """What the people of each platform are like, the most frequent values of a field first.

    Args:
        profile: the newest profile.
        rows: per platform the rows of the people in the audience there, each person once; platforms that
            hold nobody are left out.
    """
    there = {platform: found for platform, found in rows.items() if len(found)}
    table: list[ShareOn] = []
    for field in profile.fields:
        counts = {platform: profile.counted(field, found) for platform, found in there.items()}
        values = next(iter(counts.values()), {})
        found = [
            ShareOn(
                field,
                value,
                {platform: of[value] for platform, of in counts.items()},
                {platform: of[value] / len(there[platform]) for platform, of in counts.items()},
            )
            for value in values
            if any(of[value] for of in counts.values())
        ]
        if field != "ltv_quintile":
            found.sort(key=lambda one: -sum(one.people.values()))
        table += found
    return table
