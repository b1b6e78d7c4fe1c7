"""The bootstrap (Efron 1979): how far a figure would move with other customers of the same kind."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from audience_pipeline.ltv.matrix import Floats

DRAWS = 500
SEED = 7
_CELLS = 4_000_000
"""Counts held at once: 32 MB of them."""


def counts(customers: int, draws: int = DRAWS, seed: int = SEED) -> Iterator[npt.NDArray[np.int64]]:
    """How often each customer is drawn, in blocks ``(some draws, customers)``; the same each time."""
    rng = np.random.default_rng(seed)
    size = max(1, _CELLS // max(customers, 1))
    for begin in range(0, draws, size):
        drawn = min(size, draws - begin)
        yield rng.multinomial(customers, np.full(customers, 1 / customers), size=drawn)


def resampled_sums(values: Floats, draws: int = DRAWS, seed: int = SEED) -> Floats:
    """Sums over bootstrap samples of customers, shape ``(draws, columns)``.

    Args:
        values: One row a customer, shape ``(customers, columns)``.
        draws: Bootstrap samples.
        seed: The same seed gives the same samples.
    """
    return np.concatenate([block @ values for block in counts(len(values), draws, seed)])


def interval(samples: Floats) -> tuple[float, float]:
    """The middle 95 % of bootstrap samples."""
    low, high = np.quantile(samples, [0.025, 0.975])
    return float(low), float(high)
