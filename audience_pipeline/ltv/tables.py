"""Residuals of all ages and groups as arrays: a few rows are looked up at once, many table by table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from audience_pipeline.ltv.matrix import Floats, Ints

LEVELS = np.linspace(0.0, 1.0, 101)
"""Of the quantiles that are kept."""
_STEPS = len(LEVELS) - 1
FEW_ROWS = 64
"""Up to so many rows of different ages are looked up together; more are better parted by age."""


@dataclass(frozen=True, slots=True)
class Residuals:
    """What happened to similar customers, as 101 quantiles each."""

    centres: tuple[float, ...]
    """Mean probability of ordering again in each group; between two of them both count, by distance."""
    ordered: tuple[tuple[float, ...], ...]
    """For each group: logarithm of what followed less the predicted one, of those who ordered."""
    idle: tuple[float, ...]
    """What followed over the observed value, of those who did not: nothing, or returns."""
    low: float
    """Level of the lower bound that one customer in ten falls below."""
    high: float
    """Level of the upper bound that one in ten passes."""


@dataclass(frozen=True, slots=True)
class Tables:
    """:class:`Residuals` of several ages; groups that an age does not have count for nothing there."""

    ordered: Floats
    """(ages, groups, levels)"""
    idle: Floats
    """(ages, levels)"""
    bounds: Floats
    """(2, ages): levels of the lower and of the upper bound."""
    _centres: Floats
    _widths: Floats
    """(ages, groups): to the centre of the next group; infinite after the last."""
    _lexical: npt.NDArray[np.complex128]
    """All of ``ordered`` after one another, the number of the table before the value."""

    @classmethod
    def of(cls, residuals: Sequence[Residuals]) -> Self:
        """From one for each age."""
        groups = max(len(one.centres) for one in residuals)
        centres = np.zeros((len(residuals), groups))
        widths = np.full((len(residuals), groups), np.inf)
        ordered = np.zeros((len(residuals), groups, len(LEVELS)))
        for age, one in enumerate(residuals):
            count = len(one.centres)
            centres[age, :count] = one.centres
            # Where centres coincide the next group begins at once.
            widths[age, : count - 1] = np.maximum(np.diff(one.centres), 1e-300)
            ordered[age, :count] = one.ordered
        idle = np.array([one.idle for one in residuals])
        bounds = np.array([[one.low for one in residuals], [one.high for one in residuals]])
        return cls(ordered, idle, bounds, centres, widths, _lexical(ordered))

    def shares(self, age: Ints | int, again: Floats) -> Iterator[Floats]:
        """Of each group, what it counts at each row; the shares of a row sum to 1.

        Args:
            age: Number of the age of each row, or of all.
            again: Probability of ordering again.
        """
        groups = self.ordered.shape[1]
        position = np.zeros(len(again))
        for group in range(groups - 1):
            way = (again - self._centres[age, group]) / self._widths[age, group]
            position += np.minimum(np.maximum(way, 0.0), 1.0)
        for group in range(groups):
            yield np.maximum(1.0 - np.abs(position - group), 0.0)

    def ordered_below(self, age: Ints | int, group: int, values: Floats, *, inclusive: bool) -> Ints:
        """(rows, values): how many of the group's residuals are below each value of the row."""
        side: Literal["right", "left"] = "right" if inclusive else "left"
        if isinstance(age, int):
            alone: Ints = self.ordered[age, group].searchsorted(values, side)
            return alone
        # numpy compares complex numbers by their real part and then by their imaginary one.
        table = (age * self.ordered.shape[1] + group)[:, None]
        asked = np.empty(values.shape, dtype=np.complex128)
        asked.real, asked.imag = table, values
        count: Ints = self._lexical.searchsorted(asked, side) - table * len(LEVELS)
        return count

    def idle_below(self, values: Floats, *, inclusive: bool) -> Ints:
        """(ages, values): how many of the kept quantiles of idle customers are below each value."""
        side: Literal["right", "left"] = "right" if inclusive else "left"
        return np.array([table.searchsorted(values, side) for table in self.idle])

    def idle_at(self, age: Ints, level: Floats) -> Floats:
        """The nearest kept quantile of idle customers."""
        found: Floats = self.idle[age, np.rint(level * _STEPS).astype(np.int64)]
        return found

    def ordered_at(self, age: Ints, group: int, level: Floats) -> Floats:
        """The group's residual at a level, interpolated between the kept ones."""
        place = level * _STEPS
        below = np.minimum(place.astype(np.int64), _STEPS - 1)
        low = self.ordered[age, group, below]
        found: Floats = low + (place - below) * (self.ordered[age, group, below + 1] - low)
        return found


def _lexical(ordered: Floats) -> npt.NDArray[np.complex128]:
    tables = ordered.reshape(-1, len(LEVELS))
    joined = np.empty(tables.shape, dtype=np.complex128)
    joined.real, joined.imag = np.arange(len(tables))[:, None], tables
    return joined.ravel()
