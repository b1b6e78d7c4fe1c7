from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.ltv.boosters import (
    BAG_PERCENT,
    BAGS,
    Boosters,
    Ground,
    bag,
    rows_in_leaf,
    tweedie_deviances,
)
from audience_pipeline.ltv.matrix import Floats, Ints

ROWS = 1200


@pytest.fixture(scope="module")
def matrix() -> Floats:
    return np.random.default_rng(1).normal(size=(ROWS, 4))


@pytest.fixture(scope="module")
def ground(matrix: Floats) -> Ground:
    return Ground(matrix, seed=7)


def everybody() -> Ints:
    return np.arange(ROWS)


def test_trees_learn_what_the_start_does_not_know(ground: Ground, matrix: Floats) -> None:
    label, start = 5.0 + np.sign(matrix[:, 0]), np.full(ROWS, 5.0)

    tree = ground.grow("value", everybody(), label, start, seed=1)
    correction = Boosters((tree,)).correction(matrix)

    assert np.corrcoef(correction, label)[0, 1] > 0.9
    assert np.abs(start + correction - label).mean() < 0.5 * np.abs(start - label).mean()


@pytest.mark.parametrize(
    ("kind", "label"), [("again", lambda x: (x > 0).astype(float)), ("money", lambda x: np.exp(x) * (x > 0))]
)
def test_probabilities_and_money_are_corrected_too(
    ground: Ground, matrix: Floats, kind: str, label: object
) -> None:
    assert callable(label)
    wanted = label(matrix[:, 1])

    tree = ground.grow(kind, everybody(), wanted, np.zeros(ROWS), seed=1)

    correction = Boosters((tree,)).correction(matrix)
    assert correction[matrix[:, 1] > 0.5].mean() > 0.5 + correction[matrix[:, 1] < -0.5].mean()


def test_the_same_seed_grows_the_same_trees_and_another_one_others(matrix: Floats) -> None:
    label = matrix[:, 0] + matrix[:, 1]

    def text(seed: int) -> str:
        tree = Ground(matrix, seed=7).grow("value", everybody(), label, np.zeros(ROWS), seed=seed)
        return Boosters((tree,)).as_texts()[0]

    assert text(1) == text(1)
    assert text(1) != text(2)


def test_rows_that_are_not_asked_for_teach_nothing(matrix: Floats) -> None:
    """Bins are made of all rows of the matrix, which hold no label."""
    chosen = np.arange(0, ROWS, 2)
    label = matrix[:, 0].copy()
    other = label.copy()
    other[1::2] = 1000.0

    texts = [
        Boosters(
            (Ground(matrix, 7).grow("value", chosen, some[chosen], np.zeros(len(chosen)), 1),)
        ).as_texts()
        for some in (label, other)
    ]

    assert texts[0] == texts[1]


def test_nothing_is_learnt_from_equal_labels_or_too_few_rows(ground: Ground, matrix: Floats) -> None:
    few = np.arange(2 * rows_in_leaf(ROWS) - 1)

    assert ground.grow("value", everybody(), np.ones(ROWS), np.zeros(ROWS), seed=1) is None
    assert ground.grow("value", few, matrix[few, 0], np.zeros(len(few)), seed=1) is None


def test_without_trees_nothing_is_corrected(matrix: Floats) -> None:
    assert not Boosters(()).correction(matrix).any()
    assert Boosters(()).correction(matrix).shape == (ROWS,)


def test_the_correction_is_the_mean_of_all_bags_and_survives_text(ground: Ground, matrix: Floats) -> None:
    grown = [ground.grow("value", everybody(), matrix[:, 0], np.zeros(ROWS), seed=seed) for seed in (1, 2, 3)]
    alone = [Boosters((tree,)).correction(matrix) for tree in grown]

    together = Boosters(tuple(grown))

    assert together.correction(matrix) == pytest.approx(np.mean(alone, axis=0))
    again = Boosters.from_texts(together.as_texts())
    assert np.array_equal(again.correction(matrix), together.correction(matrix))
    assert again.as_texts() == together.as_texts()


def test_a_row_alone_is_corrected_as_among_others(ground: Ground, matrix: Floats) -> None:
    trees = Boosters((ground.grow("value", everybody(), matrix[:, 0], np.zeros(ROWS), seed=1),))
    whole = trees.correction(matrix)

    for size in (1, 2, 3, 17, 64, 65, 500):
        assert np.array_equal(trees.correction(matrix[:size]), whole[:size])
    assert trees.correction(matrix[:0]).shape == (0,)


def test_missing_values_take_a_way_of_their_own(ground: Ground, matrix: Floats) -> None:
    trees = Boosters((ground.grow("value", everybody(), matrix[:, 0], np.zeros(ROWS), seed=1),))

    assert np.isfinite(trees.correction(np.full((3, 4), np.nan))).all()


def test_leaves_hold_more_than_a_customer_and_less_than_would_blur_a_great_shop() -> None:
    assert [rows_in_leaf(rows) for rows in (10, 10_000, 10_000_000)] == [40, 100, 2000]


def test_bags_hold_most_customers_and_miss_each_now_and_then() -> None:
    part = np.arange(100)

    bags = np.array([bag(part, number) for number in range(BAGS)])

    assert (bags.sum(axis=1) == BAG_PERCENT).all()
    assert len({tuple(one) for one in bags}) == BAGS
    assert bags.any(axis=0).all()
    assert (bags.mean(axis=0) < 1).mean() > 0.5


@given(
    label=st.floats(0.01, 1e6),
    low=st.floats(1e-3, 1e7),
    further=st.floats(1.01, 100.0),
)
def test_a_deviance_is_least_where_the_prediction_is_right(label: float, low: float, further: float) -> None:
    def deviance(predicted: float) -> float:
        return float(tweedie_deviances(np.array([label]), np.array([predicted]))[0])

    assert deviance(label) <= deviance(low) + 1e-6 * abs(deviance(label))
    assert deviance(label * further) < deviance(label * further * 1.01)
    assert deviance(label / further) < deviance(label / further / 1.01)


def test_predicting_something_where_nothing_comes_costs_more_the_more_is_predicted() -> None:
    found = tweedie_deviances(np.zeros(3), np.array([1.0, 10.0, 100.0]))

    assert (np.diff(found) > 0).all()
