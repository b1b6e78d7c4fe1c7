"""Boosted trees that correct what a purchase model expects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, Self

import numpy as np

from audience_pipeline.ltv.matrix import Bools, Floats, Ints

ROUNDS = 75
BAGS = 4
"""Trees are grown on so many random parts of the customers, and their answers averaged."""
BAGS_OF_FEW = 8
"""The same where rows are fewer than :data:`FEW_ROWS`: a tree grown anew differs more there."""
FEW_ROWS = 60_000
BAG_PERCENT = 70
TWEEDIE_POWER = 1.5
PARAMETERS: dict[str, Any] = {
    "learning_rate": 0.045,
    "num_leaves": 8,
    "extra_trees": True,
    "feature_fraction": 0.5,
    "lambda_l2": 5.0,
    "max_bin": 63,
    "deterministic": True,
    "force_row_wise": True,
    # Several boosters grow at once, each on one thread: two threads in one booster wait for each other
    # at every split, which takes ten times as long where other processes share the cores.
    "num_threads": 1,
    "verbosity": -1,
}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "again": {"objective": "binary"},
    "value": {"objective": "regression"},
    "money": {"objective": "tweedie", "tweedie_variance_power": TWEEDIE_POWER},
}

_TREE, _END = re.compile(r"^Tree=\d+\n", re.MULTILINE), "\nend of trees"
_NO_TREE = "num_leaves=1\nnum_cat=0\nleaf_value=0\nis_linear=0\nshrinkage=1\n\n\n"


def rows_in_leaf(rows: int) -> int:
    """Least rows in a leaf: a customer brings some ten, and leaves must know more than one customer."""
    return int(np.clip(rows // 100, 40, 2000))


@dataclass(frozen=True, slots=True)
class Boosters:
    """Trees of several bags; their mean is added to a starting score."""

    boosters: tuple[Any, ...]
    """Empty where there was nothing to learn."""

    def correction(self, matrix: Floats) -> Floats:
        """What is to be added to the starting score of each row."""
        if not self.boosters or not len(matrix):
            return np.zeros(len(matrix))
        total = np.zeros(len(matrix))
        for booster in self.boosters:
            total += booster.predict(matrix, raw_score=True, num_threads=1)
        return self.mean(total)

    def mean(self, total: Floats) -> Floats:
        """The correction from the sum of the boosters' answers, added one after another."""
        corrected: Floats = total * (1.0 / len(self.boosters))
        return corrected

    def as_texts(self) -> list[str]:
        """LightGBM's own text of each booster."""
        return [booster.model_to_string(num_iteration=-1) for booster in self.boosters]

    @classmethod
    def from_texts(cls, texts: list[str]) -> Self:
        """The inverse of :meth:`as_texts`."""
        return cls(tuple(_booster(text) for text in texts))


class Ground:
    """A matrix that boosters with different labels are grown on; its bins are made once."""

    def __init__(self, matrix: Floats, seed: int) -> None:
        import lightgbm

        self._parameters = PARAMETERS | {"min_data_in_leaf": rows_in_leaf(len(matrix)), "seed": seed}
        # LightGBM takes no subset of a data set without labels.
        nothing = np.zeros(len(matrix))
        self._data = lightgbm.Dataset(matrix, nothing, params=self._parameters).construct()

    def grow(self, kind: str, rows: Ints, label: Floats, start: Floats, seed: int) -> Any | None:
        """One booster on some rows.

        Args:
            kind: Of :data:`OBJECTIVES`.
            rows: Positions in the matrix, ascending.
            label: Of these rows.
            start: Starting scores of these rows.
            seed: Of the features and thresholds that are tried.

        Returns:
            The booster as it reads back from its text, or None where all labels are the same.
        """
        import lightgbm

        if len(rows) < 2 * int(self._parameters["min_data_in_leaf"]) or label.min() == label.max():
            return None
        data = self._data.subset(rows, params=self._parameters).construct()
        data.set_label(label)
        data.set_init_score(start)
        parameters = self._parameters | OBJECTIVES[kind] | {"seed": seed}
        # Read back from text, so that a stored model answers to the last digit what this one does.
        return _booster(lightgbm.train(parameters, data, ROUNDS).model_to_string(num_iteration=-1))


def is_whole(text: str) -> bool:
    """Whether LightGBM's text of a booster goes on to the end of its trees.

    LightGBM reads on beyond the end of one that is cut off, and ends the process.
    """
    return text.startswith("tree\n") and _END in text


def tweedie_deviances(label: Floats, predicted: Floats) -> Floats:
    """Unit deviances of the Tweedie family, without the terms of the label alone (Jørgensen 1987)."""
    power = TWEEDIE_POWER
    left, right = predicted ** (2 - power) / (2 - power), predicted ** (1 - power) / (1 - power)
    deviances: Floats = left - label * right
    return deviances


def bags_for(rows: int) -> int:
    """How many bags to grow on so many training rows."""
    return BAGS if rows >= FEW_ROWS else BAGS_OF_FEW


def bag(part: Ints, number: int) -> Bools:
    """The rows of a bag: the same customers whoever else is in the table. ``part`` is 0 to 99 by customer."""
    shifted = (part + number * 37) % 100
    inside: Bools = shifted < BAG_PERCENT
    return inside


class Joined:
    """Several :class:`Boosters` in one booster, each bag being one of its classes.

    Asking a booster costs more than the trees do for a few rows; for many, it is quicker to ask each bag.
    """

    def __init__(self, several: Sequence[Boosters]) -> None:
        self._several = several
        texts = [text for boosters in several for text in boosters.as_texts()]
        self._booster = _booster(_joined(texts)) if texts else None

    def corrections(self, matrix: Floats) -> list[Floats]:
        """The correction of each, to the last digit."""
        if self._booster is None or not len(matrix):
            return [boosters.correction(matrix) for boosters in self._several]
        answers = self._booster.predict(matrix, raw_score=True, num_threads=1).reshape(len(matrix), -1)
        corrections, at = [], 0
        for boosters in self._several:
            total = np.zeros(len(matrix))
            for _ in boosters.boosters:
                total += answers[:, at]
                at += 1
            corrections.append(boosters.mean(total) if boosters.boosters else total)
        return corrections


def _joined(texts: list[str]) -> str:
    """LightGBM's text of one booster whose classes have the trees of one text each."""
    head, end = texts[0].partition("\nTree=0\n")[0], texts[0][texts[0].index(_END) :]
    said = {"num_class": len(texts), "num_tree_per_iteration": len(texts)}
    # Without their sizes, trees are read one after another; without an objective, scores are raw.
    kept = [
        f"{name}={said.get(name, value)}" if sign else name
        for name, sign, value in (line.partition("=") for line in head.split("\n"))
        if name not in {"tree_sizes", "objective"}
    ]
    trees = [_TREE.split(text[: text.index(_END)])[1:] for text in texts]
    rounds = chain.from_iterable(zip_longest(*trees, fillvalue=_NO_TREE))
    return "\n".join(kept) + "\n" + "".join(f"\nTree={at}\n{tree}" for at, tree in enumerate(rounds)) + end


def _booster(text: str) -> Any:
    import lightgbm

    return lightgbm.Booster(model_str=text)
