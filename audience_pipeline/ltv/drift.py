"""Whether today's customers still look like those that a model was trained on, and spend as it said.

Inputs: the population stability index (PSI) of each feature. It is the symmetric Kullback-Leibler
divergence of two histograms, ``sum((today - then) * ln(today / then))``; credit scoring watches from 0.1
on and acts from 0.25 on (Siddiqi 2006, "Credit Risk Scorecards"). Samples of the same population give
``(bins - 1) * (1 / n + 1 / m)`` on average (Yurdakul 2018, "Statistical Properties of Population Stability
Index"), which is taken off, so that a small shop raises no alarm by being small.

Customers are compared with those of the same age in days, the ages weighted as in training: a base grows
older every day and larger before Christmas, and neither says that anything has changed. For the same reason
features that only place a day in the week or in the year are left out: the cyclic ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from audience_pipeline.features.catalogue import MODEL_FEATURES
from audience_pipeline.ltv.matrix import Floats
from audience_pipeline.ltv.resampling import interval, resampled_sums

WATCH, ACT = 0.1, 0.25
LEAST_CUSTOMERS = 200
"""Below so many nothing is said."""
LEAST_CALIBRATED = 100
CALIBRATION_TOLERANCE = 0.1
PREDICTIONS = ("predicted_ltv", "next_12m_value", "repeat_probability")

_AGES = (30, 60, 90, 180, 365, 545, 730, 910, 1095)
"""Days that part the age bands."""
_BINS = 10
_LEVELS = 12
_HALF = 0.5
"""Added to each count: an empty bin would have an infinite index."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Histogram:
    """How one column was spread in training: its bins, and counts by age band and bin."""

    edges: tuple[float, ...]
    """Upper bounds of the bins but the last, inclusive; empty for a category."""
    levels: tuple[str, ...]
    """Values with a bin of their own; empty for a number."""
    counts: tuple[tuple[int, ...], ...]
    """By age band, then bin; the last bin holds missing values."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What customers and their predictions looked like when a model was trained: counts, and no customer."""

    as_of: date
    customers: int
    columns: Mapping[str, Histogram]

    @classmethod
    def of(cls, features: pl.DataFrame, predictions: pl.DataFrame, as_of: date) -> Reference:
        """Count the whole base of the day on which a model was trained.

        Args:
            features: Customer features.
            predictions: :data:`PREDICTIONS` of the same rows, in the same order.
            as_of: The day.
        """
        band, columns = _bands(features), {}
        for name, values in _watched(features, predictions).items():
            edges, levels = _binned(values)
            counts = _counts(_bin(values, edges, levels), band, len(edges or levels) + 2)
            columns[name] = Histogram(edges, levels, tuple(tuple(row) for row in counts.tolist()))
        return cls(as_of, features.height, columns)

    def as_json(self) -> str:
        """As text, stable from run to run."""
        columns = {name: asdict(column) for name, column in sorted(self.columns.items())}
        values = {"as_of": self.as_of.isoformat(), "customers": self.customers, "columns": columns}
        return json.dumps(values, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Reference:
        """The inverse of :meth:`as_json`."""
        data = json.loads(text)
        columns = {
            name: Histogram(
                edges=tuple(column["edges"]),
                levels=tuple(column["levels"]),
                counts=tuple(tuple(row) for row in column["counts"]),
            )
            for name, column in data["columns"].items()
        }
        return cls(date.fromisoformat(data["as_of"]), data["customers"], columns)


@dataclass(frozen=True, slots=True)
class Drift:
    """What was found on a day."""

    table: pl.DataFrame
    """``column, psi, state`` (``alike``, ``watch``, ``act``), ``share_missing_then``, ``share_missing_now``,
    the greatest first."""
    sentence: str
    act: bool
    """Whether some column has moved so far that a new model should be trained."""


def drift(reference: Reference | None, features: pl.DataFrame, predictions: pl.DataFrame) -> Drift:
    """Compare a base with that of the training.

    Args:
        reference: Of the model that made the predictions; None where it holds none.
        features: Customer features of the day.
        predictions: :data:`PREDICTIONS` of the same rows, in the same order.
    """
    nothing = pl.DataFrame(
        schema={"column": pl.String, "psi": pl.Float64, "state": pl.String,
                "share_missing_then": pl.Float64, "share_missing_now": pl.Float64}
    )  # fmt: skip
    if reference is None:
        return Drift(nothing, "The model holds no record of what its customers looked like.", act=False)
    few = min(reference.customers, features.height)
    if few < LEAST_CUSTOMERS:
        said = f"{few} customers are too few to tell drift from chance; {LEAST_CUSTOMERS} are needed."
        return Drift(nothing, said, act=False)
    band = _bands(features)
    rows = []
    for name, values in _watched(features, predictions).items():
        then = reference.columns.get(name)
        if then is None:
            continue
        at = _bin(values, then.edges, then.levels)
        before = np.array(then.counts, dtype=np.float64)
        now = _counts(at, band, before.shape[1]).astype(np.float64)
        index, missing_then, missing_now = _index(before, now)
        state = "act" if index >= ACT else "watch" if index >= WATCH else "alike"
        rows.append((name, index, state, missing_then, missing_now))
    table = pl.DataFrame(rows, schema=nothing.schema, orient="row").sort(
        ["psi", "column"], descending=[True, False]
    )
    return Drift(table, _sentence(table, reference), act=bool((table["state"] == "act").any()))


def _sentence(table: pl.DataFrame, reference: Reference) -> str:
    moved = table.filter(pl.col("state") != "alike")
    if moved.is_empty():
        return f"Customers look like those of {reference.as_of}, on which the model was trained."
    worst = ", ".join(f"{name} {psi:.2f}" for name, psi in moved.head(3).select("column", "psi").iter_rows())
    far = int((moved["state"] == "act").sum())
    advice = (
        f"{far} of them by {ACT} or more: look for the cause, and train a new model."
        if far
        else f"None by {ACT} or more: watch it."
    )
    return (
        f"{moved.height} of {table.height} columns have moved since {reference.as_of}, on which the model "
        f"was trained (population stability index of {WATCH} or more; {worst}). {advice}"
    )


def _index(before: Floats, now: Floats) -> tuple[float, float, float]:
    """PSI less its expectation under no drift, and the shares of missing values then and now.

    Bands that one of the two bases has not are left out; today's customers are weighted so that each band
    counts as it did in training.
    """
    both = (before.sum(axis=1) > 0) & (now.sum(axis=1) > 0)
    before, now = before[both], now[both]
    if not before.size:
        return 0.0, 0.0, 0.0
    size, size_now = before.sum(axis=1), now.sum(axis=1)
    weight = size / size.sum() / size_now
    effective = 1 / float((weight**2 * size_now).sum())
    total = float(size.sum())
    used = (before.sum(axis=0) + now.sum(axis=0)) > 0
    then = before.sum(axis=0)[used]
    today = (now * weight[:, None]).sum(axis=0)[used]
    bins = int(used.sum())
    share_then = (then + _HALF) / (total + _HALF * bins)
    share_now = (today * effective + _HALF) / (effective + _HALF * bins)
    index = float(((share_now - share_then) * np.log(share_now / share_then)).sum())
    by_chance = (bins - 1) * (1 / total + 1 / effective)
    missing_now = float((now[:, -1] * weight).sum())
    return max(0.0, index - by_chance), float(before[:, -1].sum() / total), missing_now


def _watched(features: pl.DataFrame, predictions: pl.DataFrame) -> dict[str, pl.Series]:
    """The columns that are compared; age is what the comparison is made along."""
    names = [
        feature.name
        for feature in MODEL_FEATURES
        if feature.unit != "cyclic" and feature.name != "age_days" and feature.name in features.columns
    ]
    return {name: features[name] for name in names} | {name: predictions[name] for name in PREDICTIONS}


def _bands(features: pl.DataFrame) -> Ints:
    return np.searchsorted(np.array(_AGES), features["age_days"].to_numpy(), side="right")


def _binned(values: pl.Series) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Deciles of a number, where they differ; the most frequent values of a category."""
    if values.dtype == pl.String:
        counts = values.drop_nulls().value_counts(name="rows").sort(["rows", values.name], descending=True)
        return (), tuple(counts[values.name].head(_LEVELS).to_list())
    known = values.drop_nulls().cast(pl.Float64).to_numpy()
    if not len(known):
        return (), ()
    inner = np.quantile(known, np.arange(1, _BINS) / _BINS, method="inverted_cdf")
    # Digits beyond these say nothing of a bin, and could be taken for a phone number.
    return tuple(sorted({float(f"{edge:.6g}") for edge in inner.tolist()})), ()


def _bin(values: pl.Series, edges: tuple[float, ...], levels: tuple[str, ...]) -> Ints:
    """The bin of each value; other categories share the last but one, missing values the last."""
    last = len(edges or levels) + 1
    if values.dtype == pl.String:
        places = {level: place for place, level in enumerate(levels)}
        known = values.replace_strict(places, default=last - 1, return_dtype=pl.Int64) if places else None
        at = np.full(values.len(), last - 1) if known is None else known.fill_null(last).to_numpy()
    else:
        numbers = values.cast(pl.Float64).fill_null(0.0).to_numpy()
        at = np.searchsorted(np.array(edges), numbers, side="left")
    return np.where(values.is_null().to_numpy(), last, at).astype(np.int64)


def _counts(at: Ints, band: Ints, bins: int) -> Ints:
    found = np.bincount(band * bins + at, minlength=(len(_AGES) + 1) * bins)
    return found.reshape(len(_AGES) + 1, bins).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What customers really spent over what had been predicted of them."""

    customers: int
    ratio: float | None
    """None without customers, or where nothing had been predicted."""
    low: float | None
    high: float | None
    """Middle 95 % of the ratio in a bootstrap by customer."""

    @property
    def off(self) -> bool:
        """More than 10 % off, and beyond noise; the bootstrap of fewer than 100 customers is too sure."""
        if self.ratio is None or self.low is None or self.high is None or self.customers < LEAST_CALIBRATED:
            return False
        return abs(self.ratio - 1) > CALIBRATION_TOLERANCE and not self.low <= 1 <= self.high

    def as_dict(self) -> dict[str, Any]:
        """As JSON-safe values."""
        return asdict(self)


def calibration(predicted: Floats, actual: Floats) -> Calibration:
    """Sum of ``actual`` over sum of ``predicted``, one value a customer, with its interval."""
    total = float(predicted.sum()) if len(predicted) else 0.0
    if total <= 0:
        return Calibration(len(predicted), None, None, None)
    drawn = resampled_sums(np.column_stack([predicted, actual]))
    kept = drawn[drawn[:, 0] > 0]
    low, high = interval(kept[:, 1] / kept[:, 0])
    return Calibration(len(predicted), float(actual.sum()) / total, low, high)
