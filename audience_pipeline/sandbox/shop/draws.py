"""Random numbers: a generator per block of customers and stage, and a few distributions."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

BLOCK = 2_000
"""Customers drawn together. A block is always drawn whole, so that customer i stays the same in a
larger shop; part of the model: another size gives another shop."""


class Stage(IntEnum):
    """What is drawn. Each stage has its own generator, so that one effect leaves the others alone."""

    LATENT = 0
    SIGNS = 1
    ORDERS = 2
    LINES = 3
    RETURNS = 4
    WEB = 5
    ENGAGEMENT = 6
    PEOPLE = 7
    CONTACTS = 8
    CONSENT = 9
    POPULATION = 10
    DIRT = 11
    LINKS = 12
    READERS = 13


def generator(seed: int, block: int, stage: Stage) -> np.random.Generator:
    """The generator of one stage of one block."""
    return np.random.Generator(np.random.SFC64([seed, block, int(stage)]))


def choose(draw: np.random.Generator, shares: Sequence[float], tilt: Floats) -> Ints:
    """One of k choices per row, with log odds ``log(shares) + tilt``; tilt is (n, k)."""
    best: Ints = np.argmax(np.log(np.asarray(shares)) + tilt + draw.gumbel(size=tilt.shape), axis=1)
    return best


def choose_plain(draw: np.random.Generator, shares: Sequence[float], rows: int) -> Ints:
    """One of k choices per row with the same shares for all."""
    cumulative = np.cumsum(shares) / np.sum(shares)
    return np.minimum(np.searchsorted(cumulative, draw.random(rows), side="right"), len(shares) - 1)


def pick(values: Sequence[str | None], index: npt.NDArray[np.integer]) -> pl.Series:
    """The values at those positions, as a column."""
    return pl.Series(list(values), dtype=pl.String).gather(pl.Series(index))


def scramble(values: npt.NDArray[np.uint64], salt: int) -> npt.NDArray[np.uint64]:
    """64 well-mixed bits per value (splitmix64): a hash that does not change between versions."""
    with np.errstate(over="ignore"):
        mixed = values + np.uint64((salt * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) % 2**64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))
