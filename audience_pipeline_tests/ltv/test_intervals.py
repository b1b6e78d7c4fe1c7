from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.ltv.intervals import (
    best_multiple,
    ceiling,
    confidence_by_orders,
    future_value,
    hits,
    reliability,
    reliability_by_chance,
    reliability_table,
    risk_coverage,
    skill,
    tails,
)

RATIOS = st.lists(st.integers(10, 600).map(lambda cents: cents / 100), min_size=1, max_size=30)


def test_reliability_is_the_gap_between_stated_and_realised() -> None:
    stated = np.r_[np.full(1000, 0.65), np.full(1000, 0.25)]
    came_true = np.r_[np.ones(600), np.zeros(400), np.ones(250), np.zeros(750)]

    assert reliability(stated, came_true) == pytest.approx(0.025)
    assert reliability(np.ones(10), np.ones(10)) == 0
    assert reliability(np.zeros(0), np.zeros(0)) == 0


def test_the_table_has_a_row_for_each_bin_with_customers() -> None:
    table = reliability_table(np.array([0.61, 0.69, 1.0, 0.05]), np.array([1.0, 0.0, 1.0, 0.0]))

    assert table.rows() == [
        (0.0, 0.1, 1, 0.05, 0.0),
        (0.6, 0.7, 2, pytest.approx(0.65), 0.5),
        (0.9, 1.0, 1, 1.0, 1.0),
    ]


def test_probabilities_that_are_right_still_show_an_error_on_few_customers() -> None:
    draw = np.random.default_rng(4)
    stated = draw.uniform(0.3, 0.9, 400)

    found = [reliability(stated, (draw.random(400) < stated).astype(float)) for _ in range(300)]

    assert reliability_by_chance(stated) == pytest.approx(np.mean(found), rel=0.06)
    assert reliability_by_chance(np.tile(stated, 100)) == pytest.approx(reliability_by_chance(stated) / 10)
    assert reliability_by_chance(np.zeros(0)) == 0


def test_tails_are_what_lies_outside_the_bounds() -> None:
    actual, low, high = np.array([1.0, 5.0, 9.0, 9.5]), np.full(4, 1.0), np.full(4, 9.0)

    assert tails(actual, low, high) == (0.25, 0)
    assert tails(actual - 1, low, high) == (0, 0.25)


def test_the_rule_of_thumb_hits_who_never_returns() -> None:
    assert hits(np.array([1.29, 1.29, 1.29]), np.array([1.0, 1.85, 1.79])).tolist() == [1, 0, 1]


def test_skill_is_the_part_of_the_misses_that_is_avoided() -> None:
    assert skill(0.8, 0.6) == pytest.approx(0.5)
    assert skill(0.6, 0.8) == pytest.approx(-1)
    assert skill(1, 1) is None


def test_who_is_surest_comes_first_and_who_is_equally_sure_shares() -> None:
    hit = np.array([1.0, 1.0, 0.0, 0.0])

    shares = (0.25, 0.5, 1.0)
    assert risk_coverage(np.array([4.0, 3.0, 2.0, 1.0]), hit, shares).tolist() == [1, 1, 0.5]
    assert risk_coverage(np.array([1.0, 2.0, 3.0, 4.0]), hit, shares).tolist() == [0, 0, 0.5]
    assert risk_coverage(np.zeros(4), hit, shares).tolist() == [0.5, 0.5, 0.5]


def test_groups_by_number_of_orders_are_as_sure_as_they_were_right() -> None:
    orders = np.array([1, 1, 2, 3, 4, 5, 40])
    hit = np.array([1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0])

    assert confidence_by_orders(orders, hit).tolist() == [0.5, 0.5, 1, 0.5, 0.5, 0, 0]


@pytest.mark.parametrize(
    ("log_sd", "share"),
    [(0.20, 0.878), (0.25, 0.784), (0.299, 0.70), (0.40, 0.561), (0.75, 0.320), (1.2, 0.204)],
)
def test_the_ceiling_of_log_normal_truth(log_sd: float, share: float) -> None:
    assert ceiling(log_sd) == pytest.approx(share, abs=0.001)


def test_nothing_is_uncertain_without_spread() -> None:
    assert ceiling(0) == 1


def test_the_ceiling_holds_for_what_is_still_to_come() -> None:
    draw = np.random.default_rng(5)
    forecast = draw.lognormal(3, 1, 40_000)
    came = np.where(draw.random(40_000) < 0.25, 0, forecast * draw.lognormal(0.4, 0.75, 40_000))
    observed = draw.lognormal(3, 1, 40_000)

    found = future_value(observed, observed + forecast, observed + came)

    assert found["returners"] == pytest.approx(0.75, abs=0.01)
    assert found["future_log_sd"] == pytest.approx(0.75, abs=0.01)
    assert found["future_ceiling"] == pytest.approx(0.32, abs=0.005)
    assert found["future_within_30"] == pytest.approx(0.32, abs=0.01)


def test_there_is_no_ceiling_where_nobody_returns() -> None:
    found = future_value(np.ones(5), np.full(5, 1.2), np.ones(5))

    assert found["returners"] == 0
    assert found["future_ceiling"] is None


def test_the_best_multiple_in_hindsight_by_hand() -> None:
    multiple, share = best_multiple(np.array([10.0, 10.0, 10.0, 10.0]), np.array([10.0, 18.0, 90.0, 10.0]))

    assert share == 0.75
    assert 1.26 <= multiple <= 1.3
    assert best_multiple(np.zeros(4), np.array([0.0, 1.0, 0.0, 2.0])) == (1, 0.5)


@settings(max_examples=60, deadline=None)
@given(ratios=RATIOS, multiple=st.floats(0.1, 8))
def test_no_constant_multiple_hits_more_than_the_best(ratios: list[float], multiple: float) -> None:
    actual = np.array(ratios)

    best = best_multiple(np.ones(len(actual)), actual)[1]

    assert hits(np.full(len(actual), multiple), actual).mean() <= best + 1e-12
