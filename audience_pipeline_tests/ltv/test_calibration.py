from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.ltv.calibration import (
    AGE_BUCKETS,
    AGE_EDGES,
    Level,
    Odds,
    age_bucket,
    winsorised,
)
from audience_pipeline.ltv.matrix import Bools, Floats


def spending(size: int = 8000, seed: int = 1) -> tuple[Floats, Floats]:
    """Expected values, and what happened: nothing for most, and on average what was expected."""
    rng = np.random.default_rng(seed)
    expected = rng.lognormal(6, 1, size)
    return expected, np.where(rng.random(size) < 0.3, expected / 0.3 * rng.gamma(2, 0.5, size), 0.0)


def happening(size: int = 20_000, seed: int = 2) -> tuple[Floats, Bools]:
    rng = np.random.default_rng(seed)
    probability = rng.beta(1, 3, size)
    return probability, rng.random(size) < probability


def test_a_level_brings_the_total_to_what_happened() -> None:
    expected, actual = spending()

    level = Level.fit(expected * 1.7, actual)

    assert level.applied(expected * 1.7).sum() == pytest.approx(actual.sum(), rel=0.001)
    new, happened = spending(seed=3)
    assert level.applied(new * 1.7).sum() == pytest.approx(happened.sum(), rel=0.05)


def test_what_is_right_already_is_left_as_it_is() -> None:
    expected, actual = spending(40_000)

    found = Level.fit(expected, actual).applied(expected)

    assert np.abs(found / expected - 1).max() < 0.12
    assert np.median(np.abs(found / expected - 1)) < 0.05


def test_forecasts_that_exaggerate_differences_are_brought_together() -> None:
    expected, actual = spending(40_000)
    exaggerated = expected**1.3

    found = Level.fit(exaggerated, actual).applied(exaggerated)

    order = np.argsort(expected)
    for part in np.array_split(order, 8):
        assert found[part].sum() == pytest.approx(expected[part].sum(), rel=0.15)


@given(
    seed=st.integers(0, 10_000),
    size=st.integers(1, 4000),
    spread=st.floats(0.01, 3.0),
    values=st.lists(st.floats(1e-3, 1e9), min_size=2, max_size=30),
)
def test_a_level_keeps_the_order_of_predictions(
    seed: int, size: int, spread: float, values: list[float]
) -> None:
    rng = np.random.default_rng(seed)
    level = Level.fit(rng.lognormal(3, spread, size), rng.lognormal(3, 2, size) * (rng.random(size) < 0.5))
    ascending = np.sort(values)

    found = level.applied(ascending)

    assert (found > 0).all()
    assert (np.diff(found) >= -1e-9 * found[1:]).all()


def test_forecasts_that_are_upside_down_keep_their_order() -> None:
    """The order is what trees and purchase model agreed on; a level says how much, and not who."""
    expected = np.sort(np.random.default_rng(7).lognormal(6, 0.3, 8000))
    actual = expected[::-1] ** 2 / expected.mean()

    found = Level.fit(expected, actual).applied(expected)

    assert (np.diff(found) > 0).all()
    assert found.sum() == pytest.approx(actual.sum(), rel=0.001)


def test_one_giant_label_does_not_raise_everybody() -> None:
    expected, actual = spending()
    giant = actual.copy()
    giant[0] = 1000 * actual.max()

    usual, bent = (Level.fit(expected, labels).applied(expected) for labels in (actual, giant))

    assert bent.sum() == pytest.approx(usual.sum(), rel=0.05)


def test_few_rows_share_one_level() -> None:
    expected, actual = spending(300)

    factors = Level.fit(expected, actual).applied(expected) / expected

    assert np.ptp(factors) < 1e-9


def test_where_nothing_is_known_nothing_is_changed() -> None:
    values = np.array([1.0, 50.0])
    nobody = np.zeros(0)

    for predicted, actual in ((nobody, nobody), (values, np.zeros(2)), (np.zeros(2), values)):
        assert Level.fit(predicted, actual).applied(values) == pytest.approx(values)


def test_a_factor_has_bounds_and_nothing_expected_is_no_error() -> None:
    values = np.full(100, 100.0)

    level = Level.fit(values, values * 1e6)

    assert np.isfinite(level.applied(np.array([0.0, 1.0, 1e12]))).all()
    assert (level.applied(np.array([0.0, 1.0, 1e12])) >= 0).all()


def test_probabilities_that_are_right_are_left_as_they_are() -> None:
    probability, happened = happening(60_000)
    bucket = np.arange(len(probability)) % AGE_BUCKETS

    found = Odds.fit(probability, happened, bucket).applied(probability, bucket)

    assert np.abs(found - probability).max() < 0.05
    assert np.abs(found - probability).mean() < 0.01


@pytest.mark.parametrize("bent", [lambda p: p**2, lambda p: p / 2, lambda p: p**0.3])
def test_probabilities_that_are_off_come_true_afterwards(bent: object) -> None:
    assert callable(bent)
    probability, happened = happening()
    bucket = np.zeros(len(probability), dtype=np.int64)
    odds = Odds.fit(bent(probability), happened, bucket)

    new, again = happening(seed=5)
    found = odds.applied(bent(new), np.zeros(len(new), dtype=np.int64))

    assert found.mean() == pytest.approx(again.mean(), abs=0.01)
    for part in np.array_split(np.argsort(found), 10):
        assert found[part].mean() == pytest.approx(again[part].mean(), abs=0.04)


def test_each_age_has_its_own_odds_and_an_age_without_customers_those_of_all() -> None:
    probability, happened = happening()
    bucket = np.where(np.arange(len(probability)) % 2 == 0, 0, 3)
    late = bucket == 3
    off = np.where(late, probability / 2, probability)

    odds = Odds.fit(off, happened, bucket)

    assert odds.applied(off[late], bucket[late]).mean() == pytest.approx(happened[late].mean(), abs=0.01)
    assert odds.applied(off[~late], bucket[~late]).mean() == pytest.approx(happened[~late].mean(), abs=0.01)
    assert odds.shift[0] < odds.shift[5] < odds.shift[3]
    assert odds.shift[1] == odds.shift[5]


def test_few_rows_hardly_move_a_probability() -> None:
    bucket = np.zeros(3, dtype=np.int64)

    odds = Odds.fit(np.full(3, 0.3), np.ones(3, dtype=bool), bucket)

    assert 0.3 < odds.applied(np.array([0.3]), bucket[:1])[0] < 0.6
    nobody = Odds.fit(np.zeros(0), np.zeros(0, dtype=bool), bucket[:0])
    assert nobody.applied(np.array([0.3]), bucket[:1])[0] == pytest.approx(0.3)


@given(
    probability=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=50),
    seed=st.integers(0, 1000),
)
def test_odds_keep_the_order_and_stay_probabilities(probability: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    bucket = np.zeros(500, dtype=np.int64)
    odds = Odds.fit(rng.random(500), rng.random(500) < 0.5, bucket)

    found = odds.applied(np.sort(probability), bucket[: len(probability)])

    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) >= 0).all()


def test_ages_are_parted_at_the_edges() -> None:
    edges = np.array(AGE_EDGES, dtype=float)

    assert age_bucket(edges).tolist() == list(range(1, AGE_BUCKETS))
    assert age_bucket(edges - 1).tolist() == list(range(AGE_BUCKETS - 1))
    assert age_bucket(np.array([0.0, 10_000.0])).tolist() == [0, AGE_BUCKETS - 1]


def test_giant_labels_are_cut_either_way_and_ordinary_ones_are_not() -> None:
    label = np.r_[np.random.default_rng(6).lognormal(5, 1, 5000), 1e9, -1e9]

    found = winsorised(label)

    assert np.array_equal(found[:-2], label[:-2])
    assert found[-2] == -found[-1] < 1e6
    assert winsorised(np.zeros(0)).shape == (0,)
