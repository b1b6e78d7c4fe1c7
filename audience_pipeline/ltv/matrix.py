"""Features as the numbers that trees are grown on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from audience_pipeline.features.catalogue import MODEL_FEATURES

Floats = npt.NDArray[np.float64]

_MOST_LEVELS = 60


@dataclass(frozen=True, slots=True)
class Encoder:
    """The columns of the matrix, and the numbers of the categories seen in training."""

    names: tuple[str, ...]
    levels: dict[str, tuple[str, ...]]
    """Category columns: their most frequent values, the most frequent first."""

    @classmethod
    def fit(cls, features: pl.DataFrame) -> Encoder:
        """Learn the categories of the training rows; rare ones share the missing value."""
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
        return cls(tuple(feature.name for feature in MODEL_FEATURES), levels)

    @property
    def categorical(self) -> list[int]:
        """Positions of the category columns."""
        return [self.names.index(name) for name in self.levels]

    def matrix(self, features: pl.DataFrame) -> Floats:
        """Rows in the order given, columns in the order of ``names``; null becomes NaN."""
        columns = [
            self._codes(features[name], self.levels[name])
            if name in self.levels
            else features[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            for name in self.names
        ]
        return np.column_stack(columns) if columns else np.empty((features.height, 0))

    @staticmethod
    def _codes(values: pl.Series, levels: tuple[str, ...]) -> Floats:
        if not levels:
            return np.full(values.len(), np.nan)
        codes = values.replace_strict(
            list(levels), list(range(len(levels))), default=None, return_dtype=pl.Float64
        )
        return codes.fill_null(float("nan")).to_numpy()

    def as_json(self) -> dict[str, Any]:
        """For the model folder."""
        return {"names": list(self.names), "levels": {name: list(v) for name, v in self.levels.items()}}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Encoder:
        """The inverse of :meth:`as_json`."""
        return cls(tuple(data["names"]), {name: tuple(v) for name, v in data["levels"].items()})
