"""Forecasts beside naive ones on the same customers: figures, differences, and how far chance moves them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from audience_pipeline.ltv.evaluation import FIGURES, Judge, random_totals
from audience_pipeline.ltv.matrix import Floats

SAMPLES = 100
MOST_ROWS = 5_000
"""Customers that take part in the bootstrap; errors of more are scaled by the root of their number."""
PROMISED_TOTAL = 0.2
"""Users are promised the total of 1,000 customers to within this share."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Figures of several forecasts of the same values, as rows of tables."""

    figures: list[dict[str, Any]]
    """For each forecast: ``forecast``, :data:`FIGURES`, ``thousand_within_20`` (share of random groups of
    1,000 customers whose total is within 20 %), ``thousand_error`` (their total's absolute relative error
    that one group in ten exceeds), and standard errors ``<figure>_se``."""
    differences: list[dict[str, Any]]
    """For each forecast and each baseline: ``forecast``, ``baseline`` and, forecast minus baseline on the
    same customers, :data:`FIGURES` with their standard errors ``<figure>_se``."""


def compare(
    forecasts: Mapping[str, Floats], baselines: Mapping[str, Floats], actual: Floats, *, seed: int = 7
) -> Compared:
    """Measure forecasts and baselines, and by how much they differ.

    Standard errors come from a bootstrap over customers (Efron 1979) in which every forecast is judged on
    the same samples, so that differences are paired. Of more than 5,000 customers so many are drawn and
    the errors scaled by the root of the share, which holds for figures that settle with the root of the
    number of customers, as all of these do.

    Args:
        forecasts: Of the model, by name, each (rows,); one row a customer.
        baselines: Naive forecasts, by name.
        actual: What was really spent, (rows,).
        seed: Of the samples.
    """
    both = {**forecasts, **baselines}
    judge = Judge(actual)
    figures = {name: judge.figures(values) for name, values in both.items()}
    drawn, scale = _resampled(both, actual, seed)
    totals = random_totals(both, actual, seed=seed)
    return Compared(
        figures=[
            {"forecast": name}
            | {key: _plain(figures[name][key][0]) for key in FIGURES}
            | _thousand(totals[name])
            | {f"{key}_se": _error(drawn[name][key], scale) for key in FIGURES}
            for name in both
        ],
        differences=[
            {"forecast": name, "baseline": other}
            | {key: _plain(figures[name][key][0] - figures[other][key][0]) for key in FIGURES}
            | {f"{key}_se": _error(drawn[name][key] - drawn[other][key], scale) for key in FIGURES}
            for name in forecasts
            for other in baselines
        ],
    )


def _resampled(
    forecasts: Mapping[str, Floats], actual: Floats, seed: int
) -> tuple[dict[str, dict[str, Floats]], float]:
    """Figures of each forecast over bootstrap samples, and the factor of their errors."""
    draw = np.random.default_rng(seed)
    rows, scale = len(actual), 1.0
    if rows > MOST_ROWS:
        chosen = np.sort(draw.choice(rows, MOST_ROWS, replace=False))
        forecasts = {name: values[chosen] for name, values in forecasts.items()}
        actual, scale, rows = actual[chosen], float(np.sqrt(MOST_ROWS / rows)), MOST_ROWS
    if not rows:
        return {name: Judge(actual).figures(values) for name, values in forecasts.items()}, scale
    picked = draw.integers(0, rows, (SAMPLES, rows)) + np.arange(SAMPLES)[:, None] * rows
    weights = np.bincount(picked.ravel(), minlength=SAMPLES * rows).reshape(SAMPLES, rows)
    judge = Judge(actual, weights.astype(np.float64))
    return {name: judge.figures(values) for name, values in forecasts.items()}, scale


def _thousand(ratio: Floats) -> dict[str, float | None]:
    error = np.abs(ratio - 1)
    known = error[np.isfinite(error)]
    if not len(known):
        return {"thousand_within_20": None, "thousand_error": None}
    return {
        "thousand_within_20": float((known <= PROMISED_TOTAL).mean()),
        "thousand_error": float(np.quantile(known, 0.9)),
    }


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _error(samples: Floats, scale: float) -> float | None:
    known = samples[np.isfinite(samples)]
    return float(known.std(ddof=1) * scale) if len(known) > 1 else None
