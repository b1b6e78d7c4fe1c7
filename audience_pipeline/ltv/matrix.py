"""Features as the numbers that models are fitted on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from audience_pipeline.features.catalogue import MODEL_FEATURES
from audience_pipeline.features.columns import Column, Texts

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_MOST_LEVELS = 200
_PRIOR_CUSTOMERS = 30.0
"""A category speaks for itself from about so many customers on."""
_FEW = 1000
"""Up to so many rows are looked up one by one: a query costs more than they do."""
_INNER = 5
"""Parts of the training customers; each is encoded by what the others tell."""


@dataclass(frozen=True, slots=True)
class Customers:
    """Rows of customer features as arrays; one row is one customer as of one day."""

    numbers: Floats
    """(rows, numeric features), missing values NaN."""
    levels: Ints
    """(rows, categories): number of the level, -1 where it is missing or unknown."""
    repeats: Floats
    """Purchase days after the first."""
    recency: Floats
    """Days from the first to the last purchase day."""
    age: Floats
    """Days since the first order."""
    mean: Floats
    """Net revenue so far by purchase days, minor units, at least 0: what came back counts for nothing."""
    first_year: Floats
    """Net revenue so far within the first year, minor units."""
    day: Floats
    """The as-of date, in days since 1970-01-01."""

    def __len__(self) -> int:
        return len(self.age)

    def take(self, rows: Ints | Bools) -> Customers:
        """Some of the rows."""
        return Customers(
            self.numbers[rows], self.levels[rows], self.repeats[rows], self.recency[rows], self.age[rows],
            self.mean[rows], self.first_year[rows], self.day[rows],
        )  # fmt: skip


@dataclass(frozen=True)
class Encoder:
    """Numeric columns in order, and for each category the effect of its levels on spending."""

    numeric: tuple[str, ...]
    levels: dict[str, tuple[str, ...]]
    """Most frequent values in training; others share the missing value."""
    effects: tuple[tuple[float, ...], ...] = ()
    """For each category, and each level: log of spending over what was expected, shrunk to 0."""

    @classmethod
    def fit(cls, features: pl.DataFrame) -> Self:
        """Learn which levels there are; no outcome is looked at."""
        levels = {}
        for feature in MODEL_FEATURES:
            if feature.unit == "category":
                counts = (
                    features.select(pl.col(feature.name).alias("level"))
                    .drop_nulls()
                    .group_by("level")
                    .len()
                    .sort(["len", "level"], descending=[True, False])
                )
                levels[feature.name] = tuple(counts["level"].head(_MOST_LEVELS).to_list())
        numeric = tuple(feature.name for feature in MODEL_FEATURES if feature.unit != "category")
        return cls(numeric, levels)

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of :meth:`encoded`."""
        return (*self.numeric, *self.levels)

    def customers(self, features: pl.DataFrame) -> Customers:
        """Rows of a table of features, in the order given."""

        def floats(name: str) -> Floats:
            # Null becomes NaN all the same.
            return features[name].to_physical().cast(pl.Float64).to_numpy()

        codes = [_codes(features[name], levels) for name, levels in self._numbers.items()]
        return self._customers(features.height, floats, codes)

    def few_customers(self, found: Mapping[str, Column], rows: int) -> Customers:
        """Rows of ``features.columns.feature_columns``; features that are not among them are missing."""
        missing = np.full(rows, np.nan)

        def floats(name: str) -> Floats:
            values = found.get(name, missing)
            assert not isinstance(values, Texts)  # noqa: S101 - names of numbers only
            return values.astype(np.float64, copy=False)

        codes = []
        for name, numbers in self._numbers.items():
            texts = found.get(name)
            given = texts.values() if isinstance(texts, Texts) else [None] * rows
            codes.append(np.array([numbers.get(text, -1) for text in given], dtype=np.int64))
        return self._customers(rows, floats, codes)

    def _customers(self, rows: int, floats: Callable[[str], Floats], codes: list[Ints]) -> Customers:
        numbers = np.empty((rows, len(self.numeric)))
        for at, name in enumerate(self.numeric):
            numbers[:, at] = floats(name)
        days, age = floats("purchase_days"), floats("age_days")
        return Customers(
            numbers=numbers,
            levels=np.column_stack(codes) if codes else np.empty((rows, 0), dtype=np.int64),
            repeats=days - 1.0,
            recency=age - floats("recency_days"),
            age=age,
            mean=np.maximum(floats("observed_minor"), 0.0) / days,
            first_year=floats("first_year_minor"),
            day=floats("first_order") + age,
        )

    @cached_property
    def _numbers(self) -> dict[str, dict[str | None, int]]:
        """The number of each level of each category."""
        return {
            name: {level: number for number, level in enumerate(levels)}
            for name, levels in self.levels.items()
        }

    @cached_property
    def _effects(self) -> list[Floats]:
        return [np.asarray(effects, dtype=np.float64) for effects in self.effects]

    def encoded(self, customers: Customers) -> Floats:
        """The matrix of models: numbers, then the effect of each category's level."""
        columns = [
            _looked_up(effects, customers.levels[:, number]) for number, effects in enumerate(self._effects)
        ]
        return np.column_stack([customers.numbers, *columns])

    def fit_effects(
        self, levels: Ints, spent: Floats, expected: Floats, part: Ints
    ) -> tuple[Encoder, Floats]:
        """Learn the effects of the levels, and encode the training rows by what others tell.

        Args:
            levels: Of the training rows.
            spent: What followed, winsorised, minor units.
            expected: What was expected to follow, minor units.
            part: A number for each row, the same for all rows of a customer: rows are encoded by the
                effects of customers in other parts, so that no customer's outcome is in its own features.

        Returns:
            The encoder with effects of all rows, and one column of effects for each category.
        """
        effects, columns = [], []
        for number, names in enumerate(self.levels.values()):
            code = levels[:, number]
            effects.append(tuple(_effects(code, spent, expected, len(names)).tolist()))
            column = np.zeros(len(code))
            for inner in range(_INNER):
                inside = part % _INNER == inner
                others = _effects(code[~inside], spent[~inside], expected[~inside], len(names))
                column[inside] = _looked_up(others, code[inside])
            columns.append(column)
        encoder = replace(self, effects=tuple(effects))
        return encoder, np.column_stack(columns) if columns else np.empty((len(spent), 0))

    def as_json(self) -> dict[str, Any]:
        """For the model folder."""
        return {
            "numeric": list(self.numeric),
            "levels": {name: list(levels) for name, levels in self.levels.items()},
            "effects": [list(effects) for effects in self.effects],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The inverse of :meth:`as_json`."""
        return cls(
            numeric=tuple(data["numeric"]),
            levels={name: tuple(levels) for name, levels in data["levels"].items()},
            effects=tuple(tuple(effects) for effects in data["effects"]),
        )


def _codes(values: pl.Series, numbers: dict[str | None, int]) -> Ints:
    if values.len() <= _FEW:
        return np.fromiter((numbers.get(v, -1) for v in values.to_list()), np.int64, values.len())
    if not numbers:
        return np.full(values.len(), -1, dtype=np.int64)
    codes = values.replace_strict(list(numbers), list(numbers.values()), default=None, return_dtype=pl.Int64)
    return codes.fill_null(-1).to_numpy()


def _effects(code: Ints, spent: Floats, expected: Floats, levels: int) -> Floats:
    known = code >= 0
    total = float(expected.sum())
    if not known.any() or total <= 0 or spent.sum() <= 0:
        return np.zeros(levels)
    level = float(spent.sum()) / total
    prior = _PRIOR_CUSTOMERS * total / len(expected)
    above = np.bincount(code[known], weights=spent[known], minlength=levels)
    below = np.bincount(code[known], weights=expected[known], minlength=levels)
    ratio = np.maximum(above + prior * level, 0.05 * prior * level) / (level * (below + prior))
    effects: Floats = np.log(ratio)
    return effects


def _looked_up(effects: Floats, code: Ints) -> Floats:
    if not len(effects):
        return np.zeros(len(code))
    found: Floats = np.where(code >= 0, effects[np.maximum(code, 0)], 0.0)
    return found
