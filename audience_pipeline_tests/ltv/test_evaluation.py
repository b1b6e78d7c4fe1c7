from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from audience_pipeline.ltv.evaluation import (
    FIGURES,
    Judge,
    gain,
    group_numbers,
    groups,
    metrics,
    random_totals,
)

MONEY = st.lists(st.integers(0, 10_000).map(float), min_size=2, max_size=40)
NET = st.lists(st.integers(-500, 10_000).map(float), min_size=2, max_size=40)


def test_a_perfect_forecast_is_perfect() -> None:
    actual = np.array([0.0, 1.0, 2.0, 30.0] * 5) + np.arange(20)

    found = metrics(actual, actual)

    assert (found["mae"], found["rmse"], found["total_ratio"], found["r2"]) == (0, 0, 1, 1)
    assert [found[name] for name in FIGURES if "within" in name] == [1, 1, 1, 1]
    for name in ("gini", "spearman", "top_decile_capture"):
        assert found[name] == pytest.approx(1)
    assert found["decile_mape"] == pytest.approx(0)


@settings(max_examples=60, deadline=None)
@given(actual=st.lists(st.integers(0, 10_000).map(float), min_size=2, max_size=40, unique=True))
def test_knowing_the_truth_scores_one_and_a_constant_nothing(actual: list[float]) -> None:
    value = np.array(actual)

    known, constant = metrics(value, value), metrics(np.full(len(value), value.mean()), value)

    for name in (
        "gini",
        "spearman",
        "r2",
        "total_ratio",
        "within_30",
        "value_within_20",
        "top_decile_capture",
    ):
        assert known[name] == pytest.approx(1)
    assert constant["gini"] == pytest.approx(0, abs=1e-9)
    assert constant["r2"] == pytest.approx(0, abs=1e-9)
    assert constant["total_ratio"] == pytest.approx(1)
    assert constant["spearman"] is None


def test_errors_by_hand() -> None:
    found = metrics(np.array([10.0, 20.0]), np.array([13.0, 40.0]))

    assert found["mae"] == 11.5
    assert found["rmse"] == pytest.approx(np.sqrt((9 + 400) / 2))
    assert found["r2"] == pytest.approx(1 - 409 / (2 * 13.5**2))
    assert found["total_ratio"] == pytest.approx(30 / 53)
    assert found["within_30"] == 0.5
    assert found["within_20"] == 0


def test_shares_within_30_percent_by_customer_and_by_value() -> None:
    found = metrics(np.array([125.0, 5.0, 0.0, -10.0]), np.array([100.0, 1.0, 0.0, -10.0]))

    assert found["within_30"] == 0.75
    assert found["within_20"] == 0.5
    assert found["value_within_30"] == pytest.approx(100 / 101)
    assert found["value_within_20"] == 0


def test_the_gini_by_hand() -> None:
    actual = np.array([0.0, 10.0, 0.0])

    assert metrics(np.array([1.0, 3.0, 2.0]), actual)["gini"] == pytest.approx(1)
    assert metrics(np.array([3.0, 2.0, 1.0]), actual)["gini"] == pytest.approx(0, abs=1e-12)
    assert metrics(np.array([3.0, 1.0, 2.0]), actual)["gini"] == pytest.approx(-1)
    assert metrics(np.array([1.0, 2.0, 2.0]), actual)["gini"] == pytest.approx(0.5)


def test_the_rank_correlation_shares_equal_ranks() -> None:
    found = metrics(np.array([1.0, 2.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0, 4.0]))

    assert found["spearman"] == pytest.approx(4.5 / np.sqrt(4.5 * 5))


def test_the_error_per_decile_by_hand() -> None:
    forecast = np.arange(1.0, 21.0)
    high = np.where(forecast > 18, 4, 2)

    assert metrics(forecast, 2 * forecast)["decile_mape"] == pytest.approx(0.5)
    assert metrics(forecast, high * forecast)["decile_mape"] == pytest.approx((9 * 0.5 + 0.75) / 10)


def test_what_the_top_tenth_brings_by_hand() -> None:
    actual = np.arange(1.0, 11.0)

    worst, best = metrics(-actual, actual), metrics(actual**3, actual)

    assert (worst["top_decile_share"], worst["top_decile_capture"]) == pytest.approx((1 / 55, 0.1))
    assert (best["top_decile_share"], best["top_decile_capture"]) == pytest.approx((10 / 55, 1))


def test_a_constant_ranks_nobody() -> None:
    found = metrics(np.full(100, 5.0), np.arange(100.0))

    assert found["gini"] == pytest.approx(0, abs=1e-12)
    assert found["spearman"] is None
    assert found["decile_mape"] is None
    assert found["top_decile_share"] == pytest.approx(0.1)


def test_figures_without_meaning_are_none() -> None:
    nobody = metrics(np.zeros(3), np.zeros(3))

    for name in ("total_ratio", "gini", "spearman", "r2", "value_within_30", "top_decile_share"):
        assert nobody[name] is None
    assert nobody["within_30"] == 1
    assert set(metrics(np.zeros(0), np.zeros(0)).values()) == {None}
    assert list(nobody) == list(FIGURES)


@settings(max_examples=60, deadline=None)
@given(actual=NET, data=st.data())
def test_figures_do_not_care_about_the_order_of_rows(actual: list[float], data: st.DataObject) -> None:
    forecast = np.array(
        data.draw(st.lists(st.integers(0, 50).map(float), min_size=len(actual), max_size=len(actual)))
    )
    value, turned = np.array(actual), data.draw(st.permutations(range(len(actual))))

    straight, other = metrics(forecast, value), metrics(forecast[turned], value[turned])

    for name in FIGURES:
        if straight[name] is None:
            assert other[name] is None
        else:
            assert other[name] == pytest.approx(straight[name], rel=1e-6, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(actual=MONEY, data=st.data())
def test_ranks_do_not_care_about_scale(actual: list[float], data: st.DataObject) -> None:
    forecast = np.array(
        data.draw(st.lists(st.integers(0, 50).map(float), min_size=len(actual), max_size=len(actual)))
    )

    one, other = metrics(forecast, np.array(actual)), metrics(forecast * 4, np.array(actual))

    for name in ("gini", "spearman", "top_decile_share", "top_decile_capture"):
        assert one[name] == other[name]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), rows=st.integers(2, 15))
def test_a_weight_is_as_good_as_a_repeated_row(data: st.DataObject, rows: int) -> None:
    numbers = st.lists(st.integers(0, 12).map(float), min_size=rows, max_size=rows)
    forecast, actual = np.array(data.draw(numbers)), np.array(data.draw(numbers))
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows)))
    weights[0] += 1

    weighted = Judge(actual, weights[None].astype(float)).figures(forecast)

    repeated = metrics(np.repeat(forecast, weights), np.repeat(actual, weights))
    for name in set(FIGURES) - {"decile_mape"}:
        if repeated[name] is not None:
            assert weighted[name][0] == pytest.approx(repeated[name], abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(actual=MONEY, data=st.data())
def test_the_rank_correlation_is_the_one_of_scipy(actual: list[float], data: st.DataObject) -> None:
    forecast = data.draw(st.lists(st.integers(0, 9).map(float), min_size=len(actual), max_size=len(actual)))

    found = metrics(np.array(forecast), np.array(actual))["spearman"]

    if found is None:
        assert len(set(forecast)) == 1 or len(set(actual)) == 1
    else:
        assert found == pytest.approx(spearmanr(forecast, actual).statistic, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(actual=MONEY)
def test_no_order_gains_more_than_the_true_one(actual: list[float]) -> None:
    value = np.array(actual) + 1
    shares = np.linspace(0, 1, 6)

    best, reverse = gain(value, value, shares), gain(-value, value, shares)

    assert (best >= shares - 1e-9).all()
    assert (reverse <= shares + 1e-9).all()
    assert best[-1] == reverse[-1] == pytest.approx(1)


def test_groups_part_all_customers_from_the_top() -> None:
    table = groups(np.arange(7.0), np.arange(7.0) * 2, 3)

    assert table["group"].to_list() == [1, 2, 3]
    assert table["customers"].to_list() == [3, 2, 2]
    assert table["predicted"].to_list() == [5, 2.5, 0.5]
    assert table["actual"].to_list() == [10, 5, 1]
    assert groups(np.zeros(0), np.zeros(0)).height == 0


def test_equal_forecasts_are_parted_in_the_order_of_rows() -> None:
    assert group_numbers(np.array([1.0, 1.0, 2.0, 1.0]), 2).tolist() == [1, 2, 1, 2]


def test_totals_of_random_thousands_are_as_wrong_as_every_customer_is() -> None:
    actual = np.random.default_rng(3).lognormal(3, 1, 5000)

    found = random_totals({"high": 1.25 * actual, "shuffled": np.roll(actual, 1)}, actual, draws=200)

    assert found["high"] == pytest.approx(1.25)
    assert found["high"].shape == (200,)
    assert 0.97 < found["shuffled"].mean() < 1.03
    assert 0.03 < found["shuffled"].std() < 0.12


def test_a_million_rows_take_seconds() -> None:
    draw = np.random.default_rng(1)
    actual = draw.lognormal(3, 1, 1_000_000)
    forecast = actual * draw.lognormal(0, 0.5, len(actual))

    start = time.perf_counter()
    found = metrics(forecast, actual)

    assert time.perf_counter() - start < 10
    assert found["gini"] == pytest.approx(0.91, abs=0.01)
