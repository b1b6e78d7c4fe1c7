from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from audience_pipeline.ltv.calibration import AGE_BUCKETS, Odds
from audience_pipeline.ltv.distribution import (
    MULTIPLES,
    RULE,
    Distribution,
    Prospects,
)
from audience_pipeline.ltv.matrix import Bools, Floats, Ints
from audience_pipeline.ltv.tables import Residuals

AS_STATED = Odds((0.0,) * AGE_BUCKETS, (1.0,) * AGE_BUCKETS)
SPREAD = 0.5
RESIDUALS = Residuals(
    centres=(0.5,),
    ordered=(tuple(SPREAD * norm.ppf(np.clip(np.linspace(0, 1, 101), 0.001, 0.999))),),
    idle=(0.0,) * 101,
    low=0.1,
    high=0.9,
)


def by_hand(margin: float = 0.0, residuals: Residuals = RESIDUALS) -> Distribution:
    """Nothing more with the one probability, log-normal with the other."""
    return Distribution((residuals,) * AGE_BUCKETS, AS_STATED, (margin,) * AGE_BUCKETS)


def prospects(observed: float, again: float, more: float) -> Prospects:
    return Prospects(
        np.zeros(1, dtype=np.int64), *(np.array([value]) for value in (observed, again, np.log(more)))
    )


def base(size: int, seed: int = 2, *, tells: bool = True) -> tuple[Prospects, Floats, Bools, Ints]:
    """Customers who differ, if their prospects tell, in how probably they return and for how much."""
    rng = np.random.default_rng(seed)
    observed = rng.lognormal(8, 0.8, size)
    again = rng.beta(1, 1.5, size) if tells else np.full(size, 0.2)
    log_value = np.log(observed) + (rng.normal(0.3, 0.8, size) if tells else 0.0)
    ordered = rng.random(size) < again
    followed = np.where(ordered, np.exp(log_value + rng.normal(0, 0.6, size)), 0.0)
    bucket = np.arange(size) % AGE_BUCKETS
    return (
        Prospects(bucket, observed, again, log_value),
        followed,
        ordered,
        (np.arange(size) // AGE_BUCKETS) % 3,
    )


@pytest.mark.parametrize("again", [0.05, 0.3, 0.5, 0.8, 1.0])
def test_bounds_are_quantiles_of_the_mixture(again: float) -> None:
    forecast = by_hand().predict(prospects(1000.0, again, 800.0))

    def bound(level: float) -> float:
        if level <= 1 - again:
            return 1000.0
        return 1000.0 + 800.0 * float(np.exp(SPREAD * norm.ppf((level - 1 + again) / again)))

    assert forecast.p10[0] == pytest.approx(bound(0.1), rel=0.01)
    assert forecast.p90[0] == pytest.approx(bound(0.9), rel=0.01)


@pytest.mark.parametrize(("again", "more"), [(0.1, 800.0), (0.5, 300.0), (0.9, 4000.0), (0.6, 50.0)])
def test_the_likely_value_is_the_multiple_that_most_futures_come_close_to(again: float, more: float) -> None:
    rng = np.random.default_rng(3)
    futures = 1000 + np.where(rng.random(100_000) < again, more * rng.lognormal(0, SPREAD, 100_000), 0.0)

    forecast = by_hand().predict(prospects(1000.0, again, more))

    close = [(np.abs(futures - 1000 * multiple) <= 0.3 * futures).mean() for multiple in MULTIPLES]
    assert forecast.within_30[0] == pytest.approx(max(close), abs=0.02)
    chosen = float((np.abs(futures - forecast.likely[0]) <= 0.3 * futures).mean())
    assert chosen == pytest.approx(max(close), abs=0.02)


def test_another_multiple_than_the_rule_must_gain_more_than_the_margin() -> None:
    some = prospects(1000.0, 0.9, 4000.0)

    assert by_hand(0.3).predict(some).likely[0] > 2000
    assert by_hand(9.0).predict(some).likely[0] == 1000 * RULE
    assert by_hand(9.0).predict(some).within_30[0] < by_hand(0.3).predict(some).within_30[0]


def test_probabilities_and_bounds_hold_for_new_customers() -> None:
    new, followed, _, _ = base(21_000, seed=3)
    actual = new.observed + followed

    forecast = Distribution.fit(*base(21_000)).predict(new)

    hit = np.abs(forecast.likely - actual) <= 0.3 * actual
    for part in np.array_split(np.argsort(forecast.within_30), 10):
        assert hit[part].mean() == pytest.approx(forecast.within_30[part].mean(), abs=0.04)
    for number in range(AGE_BUCKETS):
        of_age = new.bucket == number
        assert (actual > forecast.p90)[of_age].mean() == pytest.approx(0.1, abs=0.02)
        assert (actual < forecast.p10)[of_age].mean() <= 0.12
    assert (forecast.p10 <= forecast.p90).all()
    rule = np.abs(RULE * new.observed - actual) <= 0.3 * actual
    assert hit.mean() > rule.mean() + 0.02


def test_the_rule_stays_where_nothing_is_gained() -> None:
    known = base(7000, tells=False)

    forecast = Distribution.fit(*known).predict(known[0])

    assert forecast.likely.tolist() == (known[0].observed * RULE).tolist()


def test_a_sure_growth_is_predicted_instead_of_the_rule() -> None:
    known, _, _, fold = base(7000)
    sure = replace(known, again=np.full(7000, 0.97), log_value=np.log(3 * known.observed))
    rng = np.random.default_rng(1)
    ordered = rng.random(7000) < 0.97
    followed = np.where(ordered, 3 * known.observed, 0.0)

    forecast = Distribution.fit(sure, followed, ordered, fold).predict(sure)

    assert np.abs(forecast.likely / known.observed - 4).max() <= 0.3 * 4
    assert forecast.within_30.min() > 0.9


def test_returns_alone_lower_the_lower_bound_and_no_more_than_what_was_spent() -> None:
    known, followed, ordered, fold = base(7000)
    back = ~ordered & (np.arange(7000) % 2 == 0)

    forecast = Distribution.fit(
        known, np.where(back, -2.0 * known.observed, followed), ordered, fold
    ).predict(known)

    assert (forecast.p10 < known.observed).any()
    assert (forecast.p10 >= 0.0).all()


def test_orders_whose_value_came_back_whole_are_no_error() -> None:
    known, followed, ordered, fold = base(3000)
    followed = np.where(ordered & (np.arange(3000) % 4 == 0), -100.0, followed)

    forecast = Distribution.fit(known, followed, ordered, fold).predict(known)

    for values in (forecast.likely, forecast.p10, forecast.p90, forecast.within_30):
        assert np.isfinite(values).all()


def test_who_sent_everything_back_is_expected_to_stay_as_it_is() -> None:
    forecast = by_hand().predict(
        Prospects(np.zeros(2, dtype=np.int64), np.array([0.0, -50.0]), np.full(2, 0.2), np.full(2, 5.0))
    )

    assert forecast.likely.tolist() == [0.0, -50.0]
    assert forecast.within_30.tolist() == [0.8, 0.8]
    assert (forecast.p90 >= forecast.p10).all()


@given(
    observed=st.floats(-1e6, 1e9),
    again=st.floats(1e-6, 1 - 1e-6),
    log_value=st.floats(-5.0, 25.0),
    bucket=st.integers(0, AGE_BUCKETS - 1),
)
def test_any_customer_has_an_ordered_range_and_a_probability(
    observed: float, again: float, log_value: float, bucket: int
) -> None:
    some = Prospects(np.array([bucket]), *(np.array([value]) for value in (observed, again, log_value)))

    forecast = by_hand(0.02).predict(some)

    assert forecast.p10[0] <= forecast.p90[0]
    assert 0.0 <= forecast.within_30[0] <= 1.0
    assert forecast.p10[0] >= min(observed, 0.0)
    assert np.isfinite([forecast.likely[0], forecast.p90[0]]).all()


def test_money_in_another_unit_gives_the_same_forecast_in_it() -> None:
    known, followed, ordered, fold = base(4200)
    yen = replace(known, observed=known.observed * 128, log_value=known.log_value + np.log(128))

    one = Distribution.fit(known, followed, ordered, fold).predict(known)
    other = Distribution.fit(yen, followed * 128, ordered, fold).predict(yen)

    assert other.likely == pytest.approx(one.likely * 128, rel=1e-6)
    assert other.p90 == pytest.approx(one.p90 * 128, rel=1e-6)
    assert other.within_30 == pytest.approx(one.within_30, abs=1e-3)


def test_it_survives_json() -> None:
    distribution = Distribution.fit(*base(3000))

    assert Distribution.from_json(json.loads(json.dumps(distribution.as_json()))) == distribution


@pytest.mark.parametrize("size", [1, 10, 40])
def test_few_rows_still_give_an_answer(size: int) -> None:
    known = base(size)

    forecast = Distribution.fit(*known).predict(known[0])

    assert np.isfinite(forecast.likely).all()
    assert ((forecast.within_30 >= 0) & (forecast.within_30 <= 1)).all()


def test_a_customer_alone_has_the_forecast_it_has_among_others() -> None:
    known = base(3000)
    distribution = Distribution.fit(*known)
    whole = distribution.predict(known[0])

    for size in (0, 1, 2, 7, 64, 999):
        few = distribution.predict(known[0].take(slice(0, size)))
        for name in ("likely", "p10", "p90", "within_30"):
            assert np.array_equal(getattr(few, name), getattr(whole, name)[:size])
