"""How sure a prediction is: what became of customers who looked alike, held out of training.

Rows are parted by age and by the predicted growth (predicted over observed value). In each cell the
shares of actual over observed value give the value that is most often within 30 %, how often it is,
and the bounds that one in ten passes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from audience_pipeline.ltv.boosters import AGE_EDGES, age_bucket
from audience_pipeline.ltv.matrix import Floats

TOLERANCE = 0.3
RULE = 1.29
"""Times the spend so far: hard to beat where data say little, so a cell must earn another factor.

Not 1.3, which floating point would count as a miss for customers who never return.
"""
_MULTIPLES = np.array(
    [1.0, 1.1, 1.2, RULE, 1.4, 1.5, 1.65, 1.8, 2.0, 2.25, 2.5, 3.0, 3.5, 4.0, 5.0, 6.5, 8.0]
)
_ROWS_A_CELL = 400
_MOST_CELLS = 10
_PRIOR_ROWS = 50


@dataclass(frozen=True, slots=True)
class Forecast:
    """Row by row, in minor units: the most likely value, its bounds and its probability."""

    likely: Floats
    p10: Floats
    p90: Floats
    within_30: Floats


@dataclass(frozen=True, slots=True)
class Cell:
    """What became of similar customers: actual over observed value, but for ``within_30``."""

    multiple: float
    within_30: float
    p10: float
    p90: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """Cells by age bucket and predicted growth, and one answer for customers who spent nothing net."""

    edges: tuple[tuple[float, ...], ...]
    """For each age bucket the growths that part its cells."""
    cells: tuple[tuple[Cell, ...], ...]
    nothing_within_30: float
    """How often "no more" was right for customers whose returns ate up their orders."""
    nothing_p90: float
    """For them, actual over predicted remaining value that one in ten passes."""

    @classmethod
    def fit(
        cls, age_days: Floats, observed: Floats, predicted: Floats, actual: Floats, fold: Floats
    ) -> Distribution:
        """From held-out predictions.

        Args:
            age_days: Of each row.
            observed: First-year value so far, minor units.
            predicted: Predicted first-year value, minor units.
            actual: First-year value in the end, minor units.
            fold: Rows of one customer share a fold; probabilities are measured across folds.
        """
        positive = observed > 0
        bucket = age_bucket(age_days)
        growth, ratio = _over(predicted, observed, positive), _over(actual, observed, positive)
        edges, cells = [], []
        for number in range(len(AGE_EDGES) + 1):
            rows = positive & (bucket == number)
            if rows.sum() < _ROWS_A_CELL:
                rows = positive
            count = int(np.clip(rows.sum() // _ROWS_A_CELL, 1, _MOST_CELLS))
            inner = np.unique(np.quantile(growth[rows], np.arange(1, count) / count))
            inner = inner[inner > growth[rows].min()]
            which = np.searchsorted(inner, growth[rows], side="right")
            hits = _hits(ratio[rows])
            level = float(hits[:, _best(hits)].mean())
            edges.append(tuple(inner.tolist()))
            cells.append(
                tuple(
                    _cell(ratio[rows][which == cell], fold[rows][which == cell], level)
                    for cell in range(len(inner) + 1)
                )
            )
        return cls(tuple(edges), tuple(cells), *_nothing(observed, predicted, actual))

    def predict(self, age_days: Floats, observed: Floats, predicted: Floats) -> Forecast:
        """The forecast of each row."""
        positive = observed > 0
        growth = _over(predicted, observed, positive)
        bucket = age_bucket(age_days)
        table = np.zeros((len(observed), 4))
        for number, (edges, cells) in enumerate(zip(self.edges, self.cells, strict=True)):
            rows = bucket == number
            values = np.array([(c.multiple, c.within_30, c.p10, c.p90) for c in cells])
            table[rows] = values[np.searchsorted(np.array(edges), growth[rows], side="right")]
        multiple, within_30, low, high = table.T
        remaining = np.clip(predicted - observed, 0, None)
        return Forecast(
            likely=np.where(positive, observed * multiple, observed),
            p10=np.where(positive, observed * low, observed),
            p90=np.where(positive, observed * high, observed + remaining * self.nothing_p90),
            within_30=np.where(positive, within_30, self.nothing_within_30),
        )

    def as_json(self) -> dict[str, Any]:
        """For the model folder."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Distribution:
        """The inverse of :meth:`as_json`."""
        return cls(
            edges=tuple(tuple(edges) for edges in data["edges"]),
            cells=tuple(tuple(Cell(**cell) for cell in cells) for cells in data["cells"]),
            nothing_within_30=data["nothing_within_30"],
            nothing_p90=data["nothing_p90"],
        )


def _over(value: Floats, observed: Floats, positive: Any) -> Floats:
    return np.divide(value, observed, out=np.ones(len(value)), where=positive)


def _cell(ratio: Floats, fold: Floats, level: float) -> Cell:
    hits = _hits(ratio)
    # The choice is made on the other folds: measured where it was made, it would flatter itself.
    realised = sum(
        hits[fold == number, _best(hits[fold != number] if (fold != number).any() else hits)].sum()
        for number in np.unique(fold)
    )
    return Cell(
        multiple=float(_MULTIPLES[_best(hits)]),
        within_30=float((realised + _PRIOR_ROWS * level) / (len(ratio) + _PRIOR_ROWS)),
        p10=float(np.quantile(ratio, 0.1, method="lower")),
        p90=float(np.quantile(ratio, 0.9, method="higher")),
    )


def _hits(ratio: Floats) -> Any:
    """For each row (down) whether each multiple (across) comes within 30 %."""
    return np.abs(_MULTIPLES - ratio[:, None]) <= TOLERANCE * np.abs(ratio[:, None])


def _best(hits: Any) -> int:
    """The multiple with most hits, where it beats the rule by more than chance."""
    rule = int(np.flatnonzero(_MULTIPLES == RULE)[0])
    best = int(hits.sum(axis=0).argmax())
    gained, lost = (hits[:, best] & ~hits[:, rule]).sum(), (hits[:, rule] & ~hits[:, best]).sum()
    return best if gained - lost > 2 * np.sqrt(gained + lost) else rule


def _nothing(observed: Floats, predicted: Floats, actual: Floats) -> tuple[float, float]:
    rows = observed <= 0
    if rows.sum() < 10:
        return 0.5, 2.0
    remaining = np.clip(predicted - observed, 1, None)[rows]
    right = np.abs(observed - actual)[rows] <= TOLERANCE * np.abs(actual)[rows]
    p90 = float(np.quantile((actual - observed)[rows] / remaining, 0.9, method="higher"))
    return float(right.mean()), max(p90, 0.0)
