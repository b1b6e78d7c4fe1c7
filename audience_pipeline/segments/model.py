"""A found set of segments: who belongs where, kept as readable JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from audience_pipeline.segments.behaviours import Scale, standardise

VERSION = 1


@dataclass(frozen=True, slots=True)
class Segment:
    """A group of customers who behave alike."""

    segment_id: str
    name: str
    centre: tuple[float, ...]
    """Per behaviour, standard deviations from the average customer."""
    share: float
    """Of the customers whom the segments were found by."""


@dataclass(frozen=True, slots=True)
class SegmentModel:
    """What is needed to say to which segment a customer belongs, and how the segments were found."""

    scales: tuple[Scale, ...]
    segments: tuple[Segment, ...]
    """By mean observed value, the greatest first."""
    customers: int
    """How many customers the segments were found by."""
    seed: int
    stability: Mapping[int, float]
    """Per number of segments tried, how alike the groups are that bootstrap samples give (mean ARI)."""

    def to_json(self) -> str:
        """The model as JSON; :meth:`from_json` gives an equal one back."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> SegmentModel:
        """Read a model.

        Raises:
            ValueError: the text is not a segment model of this version.
        """
        try:
            data = json.loads(text)
            if data.pop("version") != VERSION:
                raise ValueError("another version")
            data["scales"] = tuple(Scale(**scale) for scale in data["scales"])
            data["segments"] = tuple(
                Segment(**{**segment, "centre": tuple(segment["centre"])}) for segment in data["segments"]
            )
            data["stability"] = {int(count): value for count, value in data["stability"].items()}
            return cls(**data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"not a segment model of version {VERSION}: discover the segments anew"
            ) from error


def assign(model: SegmentModel, features: pl.DataFrame) -> pl.DataFrame:
    """The segment of each customer: the one whose centre is nearest.

    Args:
        model: the segments.
        features: ``customer_features`` of any customers.

    Returns:
        ``customer_id, segment_id, segment``, sorted by ``customer_id``.

    Raises:
        ValueError: a column that the model needs is missing.
    """
    customers = standardise(features, model.scales)
    nearest = np.zeros(features.height, dtype=np.int64)
    smallest = np.full(features.height, np.inf)
    for index, segment in enumerate(model.segments):
        distance = np.zeros(features.height)
        # Column by column, so that a customer's distance does not depend on who else is in the table.
        for column, centre in enumerate(segment.centre):
            distance += (customers[:, column] - centre) ** 2
        closer = distance < smallest
        nearest[closer], smallest[closer] = index, distance[closer]
    order = pl.Series(nearest)
    ids = pl.Series([segment.segment_id for segment in model.segments], dtype=pl.String)
    names = pl.Series([segment.name for segment in model.segments], dtype=pl.String)
    return features.select(
        "customer_id", ids.gather(order).alias("segment_id"), names.gather(order).alias("segment")
    ).sort("customer_id")


def save(model: SegmentModel, path: Path) -> None:
    """Write a model, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(model.to_json(), encoding="utf-8")
    part.replace(path)


def load(path: Path) -> SegmentModel:
    """Read a model that :func:`save` wrote.

    Raises:
        ValueError: the file is not a segment model of this version.
    """
    return SegmentModel.from_json(path.read_text(encoding="utf-8"))
