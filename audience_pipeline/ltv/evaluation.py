"""How good predictions are, each beside what anybody could have said without a model."""

from __future__ import annotations

import numpy as np
import polars as pl

from audience_pipeline.ltv.matrix import Floats

GROUPS = 10
_CONSTANT = 1e-12


def metrics(predicted: Floats, actual: Floats) -> dict[str, float | None]:
    """Figures of one forecast over one group of customers, in the unit of its inputs.

    ``gini`` is the normalised Gini of Wang et al. 2019 (equal predictions share their value, so that a
    constant scores 0); ``decile_mape`` the mean over deciles of the prediction of
    ``|mean predicted - mean actual| / mean actual``; ``total_ratio`` predicted over actual total.
    None where a figure has no meaning (nobody spent anything, one customer).
    """
    if not len(actual):
        return dict.fromkeys(
            ("mae", "rmse", "r2", "gini", "spearman", "decile_mape", "total_ratio", "within_30")
        )
    error = predicted - actual
    spread = float(((actual - actual.mean()) ** 2).sum())
    total = float(actual.sum())
    best = _gain(actual, actual)
    return {
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "r2": 1 - float((error**2).sum()) / spread if spread > 0 else None,
        "gini": _gain(predicted, actual) / best if total > 0 and best > _CONSTANT else None,
        "spearman": _spearman(predicted, actual),
        "decile_mape": _decile_mape(predicted, actual),
        "total_ratio": float(predicted.sum()) / total if total > 0 else None,
        "within_30": float((np.abs(error) <= 0.3 * np.abs(actual)).mean()),
    }


def groups(predicted: Floats, actual: Floats, count: int = GROUPS) -> pl.DataFrame:
    """``group`` (1 is the greatest predicted), ``customers``, mean ``predicted`` and ``actual``."""
    order = np.argsort(-predicted, kind="stable")
    parts = [part for part in np.array_split(order, count) if len(part)]
    return pl.DataFrame(
        {
            "group": np.arange(1, len(parts) + 1),
            "customers": [len(part) for part in parts],
            "predicted": [float(predicted[part].mean()) for part in parts],
            "actual": [float(actual[part].mean()) for part in parts],
        },
        schema={"group": pl.Int64, "customers": pl.Int64, "predicted": pl.Float64, "actual": pl.Float64},
    )


def reliability(probability: Floats, hit: Floats, bins: int = GROUPS) -> float:
    """Calibration error of probabilities: mean gap between stated and realised over equal-width bins."""
    which = np.clip((probability * bins).astype(np.int64), 0, bins - 1)
    gaps = [abs(float((probability - hit)[which == number].sum())) for number in range(bins)]
    return sum(gaps) / max(len(hit), 1)


def _gain(score: Floats, value: Floats) -> float:
    """Twice the area between the cumulative share of value, best score first, and the diagonal."""
    order = np.argsort(-score, kind="stable")
    _, start, size = np.unique(-score[order], return_index=True, return_counts=True)
    level = np.add.reduceat(value[order], start) / size
    shared = np.repeat(level, size)
    return float(2 * (np.cumsum(shared) / value.sum()).mean() - 1 - 1 / len(value)) if value.sum() else 0.0


def _spearman(one: Floats, other: Floats) -> float | None:
    ranks = [pl.Series(values).rank("average").to_numpy() for values in (one, other)]
    if min(rank.std() for rank in ranks) < _CONSTANT:
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _decile_mape(predicted: Floats, actual: Floats) -> float | None:
    table = groups(predicted, actual).filter(pl.col("actual") > 0)
    if table.is_empty():
        return None
    gaps = (table["predicted"] - table["actual"]).abs() / table["actual"]
    return float(np.mean(gaps.to_numpy()))
