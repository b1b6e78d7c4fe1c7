from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.ltv.evaluation import metrics, reliability

MONEY = st.lists(st.floats(0, 1e5), min_size=2, max_size=40)


def test_a_perfect_forecast_is_perfect() -> None:
    actual = np.array([0.0, 1.0, 2.0, 30.0])

    found = metrics(actual, actual)

    assert (found["mae"], found["rmse"], found["total_ratio"], found["within_30"]) == (0, 0, 1, 1)
    assert found["gini"] == pytest.approx(1)
    assert found["spearman"] == pytest.approx(1)
    assert found["decile_mape"] == pytest.approx(0)


def test_known_figures() -> None:
    found = metrics(np.array([10.0, 20.0]), np.array([13.0, 40.0]))

    assert found["mae"] == 11.5
    assert found["rmse"] == pytest.approx(np.sqrt((9 + 400) / 2))
    assert found["total_ratio"] == pytest.approx(30 / 53)
    assert found["within_30"] == 0.5


def test_a_constant_ranks_nobody() -> None:
    found = metrics(np.full(100, 5.0), np.arange(100.0))

    assert found["gini"] == pytest.approx(0, abs=1e-9)
    assert found["spearman"] is None


def test_figures_without_meaning_are_none() -> None:
    nobody = metrics(np.zeros(3), np.zeros(3))

    assert nobody["total_ratio"] is None
    assert nobody["gini"] is None
    assert nobody["within_30"] == 1
    assert set(metrics(np.zeros(0), np.zeros(0)).values()) == {None}


@settings(max_examples=40, deadline=None)
@given(actual=MONEY, data=st.data())
def test_ranks_do_not_care_about_scale_or_the_order_of_rows(actual: list[float], data: st.DataObject) -> None:
    predicted = data.draw(st.lists(st.integers(0, 50), min_size=len(actual), max_size=len(actual)))
    one, value = np.array(predicted, dtype=float), np.array(actual)
    turned = np.arange(len(value))[::-1]

    straight, other = metrics(one, value), metrics(one[turned] * 3, value[turned])

    for name in ("gini", "spearman"):
        if straight[name] is None or other[name] is None:
            assert straight[name] == other[name]
        else:
            assert straight[name] == pytest.approx(other[name], abs=1e-6)


def test_reliability_is_the_gap_between_stated_and_realised() -> None:
    stated = np.full(1000, 0.65)
    hit = np.r_[np.ones(600), np.zeros(400)]

    assert reliability(stated, hit) == pytest.approx(0.05)
    assert reliability(np.ones(10), np.ones(10)) == 0
