"""What a model is made of: the same data, parameters and code give the same model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

import audience_pipeline
from audience_pipeline.ltv.training import RECIPE

_CODE = (
    "customers/arrays.py", "customers/order_rows.py", "customers/orders.py", "customers/parts.py", "features",
    "ltv",
)  # fmt: skip
_DECIDES_NOTHING = (
    "backtest", "batching", "challenge", "champion_history", "charts", "comparison", "drift", "evaluation",
    "expectations", "files", "holdout", "html", "importances", "intervals", "measured", "paired", "phrases",
    "promotion", "reasons", "recipe", "registry", "report", "resampling", "service", "shap", "store",
    "topics", "verdict",
)  # fmt: skip
"""Modules of ``ltv`` whose names begin like this measure, show, keep, serve or compare models. Every other
one counts: a module that nobody thought of here costs a training too many, and never a stale model."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a model is made of; the same recipe gives the same model."""

    as_of: date
    data: str
    """Of :func:`fingerprint`."""
    code: str
    """Of :func:`code_version`."""
    parameters: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """A short name for the recipe."""
        parts = [self.as_of.isoformat(), self.data, self.code, dict(self.parameters)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def recipe_of(
    orders: pl.LazyFrame, as_of: date, activity: pl.LazyFrame | None = None, *, seed: int = 7
) -> Recipe:
    """The recipe of a model before it is trained."""
    parameters = {**RECIPE, "seed": seed}
    return Recipe(as_of, fingerprint(orders, as_of, activity), code_version(), parameters)


def fingerprint(orders: pl.LazyFrame, as_of: date, activity: pl.LazyFrame | None = None) -> str:
    """A digest of the rows up to ``as_of``, lists in them included, whatever the order of the rows."""
    frames = [orders.filter(pl.col("order_date") <= as_of)]
    if activity is not None:
        frames.append(activity.filter(pl.col("activity_date") <= as_of))
    parts: list[int] = []
    for frame in frames:
        names = sorted(frame.collect_schema().names())
        row = pl.struct(names).hash(seed=7)
        # Sums of both halves of the hash: a sum of the whole would overflow, and xor forgets pairs.
        parts += frame.select(
            pl.len().alias("rows"),
            (row % 2**32).sum().alias("low"),
            (row // 2**32).sum().alias("high"),
        ).collect(engine="streaming").row(0)  # fmt: skip
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def code_version() -> str:
    """A digest of the source that decides what a model says."""
    root = Path(audience_pipeline.__file__).parent
    digest = hashlib.sha256()
    for file in code_files():
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def code_files() -> list[Path]:
    """The files that :func:`code_version` looks at, sorted."""
    root = Path(audience_pipeline.__file__).parent
    return sorted(
        file
        for name in _CODE
        for file in [root / name, *(root / name).glob("*.py")]
        if file.is_file() and not file.stem.startswith(_DECIDES_NOTHING)
    )
