"""Finds groups of customers who behave alike, as many as the data supports."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from audience_pipeline.segments.behaviours import Matrix, fit_scales, standardise
from audience_pipeline.segments.model import Segment, SegmentModel
from audience_pipeline.segments.naming import names

FEWEST, MOST = 3, 8
STABLE = 0.85
"""Mean adjusted Rand index between the groups of the sample and of its bootstraps."""
BOOTSTRAPS = 8
SMALLEST_SHARE = 0.01
SMALLEST_GROUP = 5
"""Customers: fewer are people, not a group."""
_FITTED, _RESAMPLED = 100_000, 10_000

Labels = npt.NDArray[np.int64]


def discover(features: pl.DataFrame, *, seed: int = 7) -> SegmentModel:
    """Group customers by k-means over their standardised behaviours.

    The number of groups is the largest from 3 to 8 that bootstrap samples find again and whose smallest
    group is not too small; where none is stable, 3, or fewer for a handful of customers or for customers
    who are all alike.

    Args:
        features: ``customer_features`` of a date, one row per customer.
        seed: the same features and seed give the same model, in whatever order the rows come.

    Raises:
        ValueError: there are no customers.
    """
    if features.is_empty():
        raise ValueError("there are no customers to find segments among: land transactions first")
    features = features.sort("customer_id")
    scales = fit_scales(features)
    everybody = standardise(features, scales)
    rng = np.random.default_rng(seed)
    sample = _sample(everybody, _FITTED, rng)
    model, stability = _groups(sample, rng, seed)
    labels = _nearest(everybody, model)
    value = features["observed_minor"].to_numpy().astype(np.float64)
    groups = sorted(
        np.unique(labels), key=lambda group: (-value[labels == group].mean(), tuple(model[group]))
    )
    centres = [tuple(float(x) for x in model[group]) for group in groups]
    return SegmentModel(
        scales=scales,
        segments=tuple(
            Segment(f"s{rank}", name, centre, float((labels == group).mean()))
            for rank, (group, name, centre) in enumerate(
                zip(groups, names(centres, scales), centres, strict=True), start=1
            )
        ),
        customers=features.height,
        seed=seed,
        stability=stability,
    )


def _groups(sample: Matrix, rng: np.random.Generator, seed: int) -> tuple[Matrix, dict[int, float]]:
    """The centres of the groups, and the stability of each number of groups that was tried."""
    small = _sample(sample, _RESAMPLED, rng)
    limit = min(MOST, len(small) // SMALLEST_GROUP, len(np.unique(small, axis=0)) if small.size else 1)
    resamples = [rng.integers(0, len(small), len(small)) for _ in range(BOOTSTRAPS)]
    stability: dict[int, float] = {}
    for count in range(limit, FEWEST - 1, -1):
        stability[count] = _stability(small, resamples, count, seed)
        if stability[count] >= STABLE:
            centres = _fit(sample, count, seed)
            if _is_sizeable(sample, centres):
                return centres, stability
    for count in range(min(limit, FEWEST), 1, -1):
        centres = _fit(sample, count, seed)
        if _is_sizeable(sample, centres):
            return centres, stability
    return sample.mean(axis=0, keepdims=True), stability


def _stability(small: Matrix, resamples: list[Labels], count: int, seed: int) -> float:
    from sklearn.metrics import adjusted_rand_score

    labels = _nearest(small, _fit(small, count, seed))
    found = [
        adjusted_rand_score(labels, _nearest(small, _fit(small[rows], count, seed + turn)))
        for turn, rows in enumerate(resamples, start=1)
    ]
    return float(np.mean(found))


def _fit(rows: Matrix, count: int, seed: int) -> Matrix:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    # With several threads the sums of the centres, and so their last digits, depend on who comes first.
    with threadpool_limits(1), warnings.catch_warnings():
        # A bootstrap of many alike customers may hold fewer distinct ones than groups: a fact, not a fault.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model: Any = KMeans(count, n_init=4, random_state=seed).fit(rows)
    return np.asarray(model.cluster_centers_, dtype=np.float64)


def _nearest(rows: Matrix, centres: Matrix) -> Labels:
    distances = np.stack([((rows - centre) ** 2).sum(axis=1) for centre in centres], axis=1)
    return np.asarray(distances.argmin(axis=1), dtype=np.int64)


def _is_sizeable(rows: Matrix, centres: Matrix) -> bool:
    smallest = np.bincount(_nearest(rows, centres), minlength=len(centres)).min()
    return bool(smallest >= max(SMALLEST_GROUP, SMALLEST_SHARE * len(rows)))


def _sample(rows: Matrix, size: int, rng: np.random.Generator) -> Matrix:
    if len(rows) <= size:
        return rows
    return rows[np.sort(rng.choice(len(rows), size, replace=False))]
