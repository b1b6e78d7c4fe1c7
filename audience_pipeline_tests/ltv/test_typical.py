from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.ltv.matrix import Floats
from audience_pipeline.ltv.outlook import Expectation
from audience_pipeline.ltv.snapshots import LAST_AGE
from audience_pipeline.ltv.typical import Typical

YOUNG, OLD = 0.0, 700.0


def expectation(orders: Floats, value: Floats) -> Expectation:
    return Expectation(orders=orders, alive=np.ones(len(orders)), order_value=value)


def fitted(rows: int = 301, giant: float = 0.0) -> tuple[Typical, Expectation]:
    """A third of the rows on the first day, a third after 180 days, a third after the first year."""
    draw = np.random.default_rng(3)
    age = np.repeat([YOUNG, 180.0, OLD], rows)
    days = np.where(age < LAST_AGE, LAST_AGE - age, 365.0)
    expected = expectation(days * draw.gamma(2, 0.003, 3 * rows), np.exp(draw.normal(8, 0.5, 3 * rows)))
    expected.orders[:10] += giant
    return Typical.fit(expected, days, age, age < LAST_AGE, np.ones(len(age))), expected


def test_half_of_the_customers_are_above_the_typical_one() -> None:
    typical, expected = fitted()
    rows = slice(301, 602)
    age, days = np.full(301, 180.0), np.full(301, LAST_AGE - 180.0)

    money, value = typical.money(age, days, np.ones(301, dtype=bool))

    assert np.mean(np.log(expected.order_value[rows] + 1) > value) == pytest.approx(0.5, abs=0.01)
    assert money == pytest.approx(money[0])
    orders = np.median(expected.orders[rows])
    assert np.exp(money[0]) == pytest.approx(orders * np.exp(value[0]) + 1)


def test_a_few_giants_change_nothing() -> None:
    usual, _ = fitted()
    bent, _ = fitted(giant=1e6)

    assert bent.daily_orders[0] == pytest.approx(usual.daily_orders[0], abs=0.1)


@given(st.floats(0, 363), st.floats(0, 363))
def test_less_is_left_of_the_first_year_the_older_a_customer_is(one: float, other: float) -> None:
    """Of customers who order as often at every age."""
    typical = Typical((0.0, 330.0), (-5.0, -5.0), (8.0, 8.0), -5.0, 8.0)
    age = np.array(sorted((one, other)))

    money, _ = typical.money(age, LAST_AGE - age, np.ones(2, dtype=bool))

    assert money[0] >= money[1]


def test_a_typical_customer_lives_at_an_ordinary_time_of_the_year() -> None:
    age, days, season = np.array([10.0] * 5), np.full(5, 100.0), np.array([0.5, 1.0, 2.0, 1.0, 4.0])
    expected = expectation(0.3 * season, np.full(5, 2000.0))

    typical = Typical.fit(expected, days, age, np.ones(5, dtype=bool), season)

    assert np.exp(typical.daily_orders[0]) == pytest.approx(0.003)


def test_after_the_first_year_everybody_is_compared_with_the_same() -> None:
    typical, expected = fitted()
    ages = np.array([364.0, 700.0, 3000.0])

    money, value = typical.money(ages, np.full(3, 365.0), np.zeros(3, dtype=bool))

    assert len(set(money)) == len(set(value)) == 1
    assert value[0] == pytest.approx(np.median(np.log(expected.order_value[602:] + 1)))


@pytest.mark.parametrize("first", [True, False])
def test_one_kind_of_window_stands_in_where_the_other_is_missing(first: bool) -> None:
    age, days = np.array([10.0, 12.0]), np.array([100.0, 100.0])
    expected = expectation(np.array([0.5, 0.5]), np.array([2000.0, 2000.0]))

    typical = Typical.fit(expected, days, age, np.full(2, first), np.ones(2))
    found = [typical.money(age, days, np.full(2, window))[0][0] for window in (True, False)]

    assert found == pytest.approx([np.log(0.5 * 2001 + 1)] * 2)


def test_without_rows_nobody_is_typical() -> None:
    nothing = np.array([])
    with pytest.raises(ValueError, match="training rows"):
        Typical.fit(expectation(nothing, nothing), nothing, nothing, np.array([], dtype=bool), nothing)


def test_it_is_stored_to_the_last_digit() -> None:
    typical, _ = fitted()

    assert Typical.from_json(json.loads(json.dumps(typical.as_json()))) == typical
