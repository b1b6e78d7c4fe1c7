"""Columns as arrays of whole numbers, sorted and summed: what orders and features are computed with.

Everything here is exact: no result depends on the order of rows, on what else is in the table or on
how many rows there are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

NONE = -1
"""The number of a missing text."""
ABOVE = np.int64(2**62)
"""Above any amount, hour or rank: what a missing value counts as where the least is sought."""

_WORD = 63
_FEW = 4000
"""Texts that are looked at one by one sooner than polars is asked."""


def whole(column: pl.Series, missing: int = 0) -> Ints:
    """A column as 64-bit integers."""
    numbers = column.cast(pl.Int64)
    found: Ints = (numbers.fill_null(missing) if numbers.null_count() else numbers).to_numpy()
    return found


class Numbers:
    """Numbers for texts, from 0 on as they are met; equal texts have the same one in every column asked."""

    def __init__(self) -> None:
        self._kind = pl.Categorical(pl.Categories.random())
        # polars forgets the categories with the last column that has them.
        self._met: list[pl.Series] = []
        self.count = 0
        """How many there are so far."""

    def __call__(self, texts: pl.Series) -> Ints:
        """The number of each text; :data:`NONE` where there is none."""
        self._met.append(texts.cast(self._kind))
        found = whole(self._met[-1].to_physical(), NONE)
        self.count = max(self.count, int(found.max()) + 1) if len(found) else self.count
        return found


def ranks(texts: pl.Series) -> tuple[Ints, list[str | None]]:
    """The place of each text among the distinct ones, and those in their order, ended by None."""
    if len(texts) <= _FEW:
        given = texts.to_list()
        names = sorted(set(given) - {None})
        places: dict[str | None, int] = {name: at for at, name in enumerate(names)} | {None: NONE}
        return np.array(list(map(places.__getitem__, given)), dtype=np.int64), [*names, None]
    numbers = Numbers()
    number = numbers(texts)
    met = numbers.count
    first = np.empty(met + 1, dtype=np.int64)
    first[number[::-1]] = np.arange(len(number))[::-1]
    unsorted = texts[first[:met]].to_list()
    order = sorted(range(met), key=unsorted.__getitem__)
    place = np.full(met + 1, NONE)
    place[order] = np.arange(met)
    return place[number], [*(unsorted[at] for at in order), None]


def named(names: list[str | None], places: Ints) -> pl.Series:
    """The inverse of :func:`ranks`; places that are :data:`NONE` or :data:`ABOVE` become null."""
    last = len(names) - 1
    known = np.where(places < 0, last, np.minimum(places, last))
    if len(known) <= _FEW:
        return pl.Series([names[place] for place in known.tolist()], dtype=pl.String)
    return pl.Series(names, dtype=pl.String)[known]


def ordered(*columns: Ints) -> Ints:
    """Positions of the rows sorted by the columns, the first counting most."""
    keys: list[Ints] = []
    width = _WORD
    for column in columns:
        least = column.min() if len(column) else 0
        bits = int(column.max() - least).bit_length() if len(column) else 0
        if keys and width + bits <= _WORD:
            keys[-1] = (keys[-1] << bits) | (column - least)
            width += bits
        else:
            keys.append(column - least)
            width = bits
    found: Ints = np.argsort(keys[0], kind="stable") if len(keys) == 1 else np.lexsort(keys[::-1])
    return found


def starts(*columns: npt.NDArray[Any]) -> Ints:
    """Where a run of equal rows begins, in columns of one length."""
    if not len(columns[0]):
        return np.empty(0, dtype=np.int64)
    changed = columns[0][1:] != columns[0][:-1]
    for column in columns[1:]:
        changed |= column[1:] != column[:-1]
    found = np.empty(np.count_nonzero(changed) + 1, dtype=np.int64)
    found[0] = 0
    np.add(changed.nonzero()[0], 1, out=found[1:])
    return found


def lengths(begins: Ints, rows: int) -> Ints:
    """Lengths of the runs that begin at some positions, of so many rows altogether."""
    found = np.empty(len(begins), dtype=np.int64)
    np.subtract(begins[1:], begins[:-1], out=found[:-1])
    found[-1:] = rows - begins[-1:]
    return found


def running(values: Ints) -> Ints:
    """Sums of the first 0, 1, 2, ... values: ``s[end] - s[begin]`` is the sum of a stretch, exactly."""
    total = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=total[1:])
    return total


def greatest(values: Ints, begin: Ints, end: Ints) -> Ints:
    """The greatest of each stretch ``values[begin:end]``, none of them empty, sorted by where they begin."""
    edges = np.empty(2 * len(begin), dtype=np.int64)
    edges[::2], edges[1::2] = begin, end
    found: Ints = np.maximum.reduceat(np.append(values, NONE), edges)[::2]
    return found


def by_runs(function: np.ufunc, values: Ints, begins: Ints) -> Ints:
    """A sum, maximum or minimum over each run of rows."""
    found: Ints = function.reduceat(values, begins) if len(begins) else values[:0]
    return found


def first_of_greatest(place: Ints, weight: Ints, begins: Ints) -> Ints:
    """Of each run the place with the greatest weight, of several the first; :data:`NONE` where all are."""
    known = place >= 0
    weight = np.where(known, weight, NONE)
    most = np.repeat(by_runs(np.maximum, weight, begins), lengths(begins, len(place)))
    chosen = known & (weight == most)
    least = by_runs(np.minimum, np.where(chosen, place, ABOVE), begins)
    return np.where(least < ABOVE, least, NONE)


def nullable(values: Ints, known: npt.NDArray[np.bool_]) -> pl.Series:
    """Values that are null where they are not known."""
    column = pl.Series(values)
    return column if known.all() else column.set(pl.Series(~known), None)
