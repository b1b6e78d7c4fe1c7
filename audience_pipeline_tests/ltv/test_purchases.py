from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, gamma

from audience_pipeline.ltv.matrix import Floats
from audience_pipeline.ltv.purchases import OrderRate, OrderValue, PurchaseModel, robust_ceiling
from audience_pipeline.ltv.seasons import Seasons

WEEK = 7.0
PUBLISHED = OrderRate(r=0.243, alpha=4.414 * WEEK / 30, a=0.793, b=2.426)
"""CDNOW, weeks 1 to 39, one customer in ten (Fader, Hardie and Lee 2005)."""
VALUES = OrderValue(p=6.0, q=4.0, level=1500.0, ceiling=1e6)
PRIOR_MEAN = 6.0 * 1500.0 / 3.0


def one(value: float) -> Floats:
    return np.array([float(value)])


def expected(rate: OrderRate, repeats: float, recency: float, age: float, days: float) -> float:
    return float(rate.expected(one(repeats), one(recency), one(age), one(days))[0])


def alive(rate: OrderRate, repeats: float, recency: float, age: float) -> float:
    return float(rate.alive(one(repeats), one(recency), one(age))[0])


def integrated(
    rate: OrderRate, repeats: float, recency: float, age: float, days: float
) -> tuple[float, float]:
    """Expected orders and P(alive) by integration over every pace and every risk of leaving."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    at, weight = (nodes + 1) / 2, weights / 2
    pace = gamma.ppf(at, rate.r, scale=1 / (30.0 * rate.alpha))[:, None]
    leaving = beta.ppf(at, rate.a, rate.b)[None, :]
    mass = weight[:, None] * weight[None, :] * pace**repeats
    stays = mass * (1 - leaving) ** repeats * np.exp(-pace * age)
    left = mass * leaving * (1 - leaving) ** max(repeats - 1, 0) * np.exp(-pace * recency) * (repeats > 0)
    still = stays.sum() / (stays + left).sum()
    orders = stays * -np.expm1(-pace * leaving * days) / leaving
    return float(orders.sum() / (stays + left).sum()), float(still)


def simulated(rate: OrderRate, customers: int, days: float, seed: int) -> tuple[Floats, Floats, Floats]:
    """Repeats, recency and age of customers who buy at random and leave after some order."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(1, days, customers).round()
    pace = rng.gamma(rate.r, 1 / (30.0 * rate.alpha), customers)
    leaving = rng.beta(rate.a, rate.b, customers)
    repeats, recency = np.zeros(customers), np.zeros(customers)
    active = np.ones(customers, dtype=bool)
    while active.any():
        following = recency + rng.exponential(1 / np.maximum(pace, 1e-12))
        active &= following <= age
        repeats += active
        recency = np.where(active, following, recency)
        active &= rng.random(customers) >= leaving
    return repeats, np.floor(recency), age


HISTORIES = [
    (0, 0, 100, 365),
    (0, 0, 0, 365),
    (1, 5, 300, 365),
    (2, 213, 272, 273),
    (7, 300, 310, 90),
    (30, 350, 360, 30),
]


def test_a_published_example_comes_out_as_published() -> None:
    """Two repeats, the last after 30.43 of 38.86 weeks: 1.226 more in 39 weeks (Fader and Hardie 2005)."""
    assert expected(PUBLISHED, 2, 30.43 * WEEK, 38.86 * WEEK, 39 * WEEK) == pytest.approx(1.226, abs=0.001)


@pytest.mark.parametrize("history", HISTORIES)
def test_expectations_agree_with_numerical_integration(history: tuple[float, float, float, float]) -> None:
    orders, still = integrated(PUBLISHED, *history)

    assert expected(PUBLISHED, *history) == pytest.approx(orders, rel=0.002)
    assert alive(PUBLISHED, *history[:3]) == pytest.approx(still, rel=0.002)


def test_a_fit_finds_what_customers_were_made_with() -> None:
    truth = OrderRate(r=0.6, alpha=2.0, a=0.8, b=2.5)
    repeats, recency, age = simulated(truth, 15_000, 500, seed=5)

    found = OrderRate.fit(repeats, recency, age)

    assert found.r == pytest.approx(truth.r, rel=0.1)
    assert found.r / found.alpha == pytest.approx(truth.r / truth.alpha, rel=0.05)
    assert found.a / (found.a + found.b) == pytest.approx(truth.a / (truth.a + truth.b), rel=0.1)
    new, later = np.zeros(1), np.array([400.0])
    assert found.expected(new, new, new, later) == pytest.approx(
        truth.expected(new, new, new, later), rel=0.05
    )


@pytest.mark.shared_data
def test_cdnow_gives_the_published_parameters(shared_data: Path) -> None:
    """The publication fits one customer in ten; all of them lie within its sampling errors, and the pull."""
    end = date(1997, 9, 30)
    seen = (
        pl.scan_csv(shared_data / "cdnow.csv.gz", try_parse_dates=True)
        .filter(pl.col("transaction_date") <= end)
        .group_by("customer_id")
        .agg(
            pl.col("transaction_date").n_unique().alias("days"),
            pl.col("transaction_date").min().alias("first"),
            pl.col("transaction_date").max().alias("last"),
        )
        .select(
            (pl.col("days") - 1).cast(pl.Float64).alias("repeats"),
            (pl.col("last") - pl.col("first")).dt.total_days().cast(pl.Float64).alias("recency"),
            (pl.lit(end) - pl.col("first")).dt.total_days().cast(pl.Float64).alias("age"),
        )
        .collect()
    )

    found = OrderRate.fit(seen["repeats"].to_numpy(), seen["recency"].to_numpy(), seen["age"].to_numpy())

    assert seen.height == 23_570
    assert found.r == pytest.approx(0.243, rel=0.1)
    assert found.alpha * 30 / WEEK == pytest.approx(4.414, rel=0.15)
    assert found.a == pytest.approx(0.793, rel=0.25)
    assert found.b == pytest.approx(2.426, rel=0.3)
    assert found.a / (found.a + found.b) == pytest.approx(0.793 / (0.793 + 2.426), rel=0.1)
    history = (2, 30.43 * WEEK, 38.86 * WEEK)
    assert expected(found, *history, 39 * WEEK) == pytest.approx(1.226, rel=0.05)


def test_silence_makes_it_less_probable_that_a_customer_is_still_there() -> None:
    ages = np.arange(60.0, 1000.0, 20.0)
    same = np.ones_like(ages)

    found = PUBLISHED.alive(5 * same, 60 * same, ages)

    assert (np.diff(found) < 0).all()
    assert found[0] > 0.8
    assert found[-1] < 0.05


def test_nobody_has_left_before_a_second_order() -> None:
    """Customers of this model leave after an order that they repeat, never after the first one."""
    assert alive(PUBLISHED, 0, 0, 5000) == 1.0


def test_no_days_bring_no_orders_and_more_days_bring_more() -> None:
    days = np.linspace(0.0, 2000.0, 50)
    same = np.ones_like(days)

    found = PUBLISHED.expected(3 * same, 100 * same, 200 * same, days)

    assert found[0] == 0.0
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("repeats", [50.0, 170.0, 171.0, 400.0, 1500.0, 10_000.0])
def test_customers_with_giant_histories_keep_their_pace(repeats: float) -> None:
    found = expected(PUBLISHED, repeats, 1000, 1000, 100)

    assert 0.9 * repeats / 10 < found < repeats / 10


def test_nothing_jumps_where_the_formula_has_a_pole() -> None:
    around = [
        expected(OrderRate(0.5, 2.0, a, 3.0), 2, 50, 90, 365) for a in (0.99, 0.9995, 1.0, 1.0005, 1.01)
    ]

    assert around == sorted(around, reverse=True)
    assert around[0] == pytest.approx(around[-1], rel=0.02)


@given(
    parameters=st.tuples(*[st.floats(0.05, 20.0)] * 4),
    repeats=st.integers(0, 3000),
    recency=st.floats(0.0, 1.0),
    age=st.floats(0.0, 10_000.0),
    days=st.floats(0.0, 730.0),
)
def test_any_history_has_a_finite_expectation_below_its_pace(
    parameters: tuple[float, float, float, float], repeats: int, recency: float, age: float, days: float
) -> None:
    rate = OrderRate(*parameters)

    found = expected(rate, repeats, recency * age if repeats else 0.0, age, days)

    pace = (rate.r + repeats) / (rate.alpha + age / 30)
    assert 0.0 <= found <= pace * days / 30 * 1.00001
    assert 0.0 <= alive(rate, repeats, recency * age if repeats else 0.0, age) <= 1.0


def test_how_often_a_history_occurs_is_its_weight() -> None:
    histories = simulated(PUBLISHED, 1500, 300, seed=6)

    found = OrderRate.fit(*histories)
    thrice = OrderRate.fit(*(np.tile(column, 3) for column in histories))

    for name in ("r", "alpha", "a", "b"):
        assert getattr(thrice, name) == pytest.approx(getattr(found, name), rel=0.15)


def test_customers_of_day_0_tell_nothing_about_the_pace() -> None:
    repeats, recency, age = simulated(PUBLISHED, 1000, 300, seed=7)
    more = np.zeros(500)

    with_new = OrderRate.fit(np.r_[repeats, more], np.r_[recency, more], np.r_[age, more])

    assert with_new == OrderRate.fit(repeats, recency, age)
    nobody = OrderRate.fit(more, more, more)
    assert np.isfinite([nobody.r, nobody.alpha, nobody.a, nobody.b]).all()


def test_where_nobody_ever_returns_little_is_expected() -> None:
    age = np.linspace(10, 400, 600)
    found = OrderRate.fit(np.zeros(600), np.zeros(600), age)

    assert 0 <= expected(found, 0, 0, 200, 365) < 0.05


def test_order_values_are_shrunk_towards_the_mean_of_all_less_with_every_order() -> None:
    counts = np.array([1.0, 2.0, 5.0, 20.0, 1000.0])

    high = VALUES.expected(counts, np.full(5, 3 * PRIOR_MEAN))
    low = VALUES.expected(counts, np.full(5, PRIOR_MEAN / 3))

    assert (np.diff(high) > 0).all()
    assert (np.diff(low) < 0).all()
    assert ((high > PRIOR_MEAN) & (high < 3 * PRIOR_MEAN)).all()
    assert ((low > PRIOR_MEAN / 3) & (low < PRIOR_MEAN)).all()
    assert high[-1] == pytest.approx(3 * PRIOR_MEAN, rel=0.01)
    assert VALUES.expected(counts, np.full(5, PRIOR_MEAN)) == pytest.approx(PRIOR_MEAN)


def test_a_fit_finds_the_values_that_orders_were_made_with() -> None:
    rng = np.random.default_rng(8)
    count: Floats = 1.0 + rng.poisson(1.0, 20_000).astype(np.float64)
    scale = VALUES.level / rng.gamma(VALUES.q, 1.0, 20_000)
    mean: Floats = rng.gamma(VALUES.p * count, scale / count)

    found = OrderValue.fit(count, mean)

    assert found.p * found.level / (found.q - 1) == pytest.approx(PRIOR_MEAN, rel=0.03)
    for orders in (1.0, 4.0):
        seen = np.array([500.0, 3000.0, 12_000.0])
        assert found.expected(np.full(3, orders), seen) == pytest.approx(
            VALUES.expected(np.full(3, orders), seen), rel=0.12
        )


def test_an_order_value_above_the_ceiling_counts_as_much_as_the_ceiling() -> None:
    rng = np.random.default_rng(9)
    mean = rng.lognormal(8, 0.6, 2000)
    giants = np.r_[mean, np.full(10, 1000 * np.median(mean))]

    usual, bent = OrderValue.fit(np.ones(2000), mean), OrderValue.fit(np.ones(2010), giants)

    assert bent.expected(one(1), one(1e12)) == bent.expected(one(1), one(bent.ceiling))
    assert bent.expected(one(2), one(3000)) == pytest.approx(usual.expected(one(2), one(3000)), rel=0.05)
    assert bent.ceiling < giants.max()


def test_what_came_back_is_worth_nothing_and_no_order_values_are_no_error() -> None:
    assert 0 < VALUES.expected(one(1), one(-500))[0] == VALUES.expected(one(1), one(0))[0] < PRIOR_MEAN
    nothing = OrderValue.fit(np.ones(3), np.zeros(3))
    assert np.isfinite(nothing.expected(np.ones(2), np.array([0.0, 100.0]))).all()


def test_the_ceiling_lies_above_every_ordinary_order_and_below_a_thousandfold_one() -> None:
    orders = np.random.default_rng(10).lognormal(8, 0.8, 50_000)

    ceiling = robust_ceiling(orders)

    assert orders.max() < ceiling < 1000 * np.median(orders)
    giants = np.r_[orders, np.full(10, 1000 * np.median(orders))]
    assert robust_ceiling(giants) == pytest.approx(ceiling, rel=0.02)
    assert robust_ceiling(np.array([0.0, -5.0])) == 0.0


@given(
    values=st.lists(st.floats(1.0, 1e6), min_size=1, max_size=50),
    times=st.floats(0.01, 100.0),
)
def test_the_ceiling_is_in_the_currency_of_the_orders(values: list[float], times: float) -> None:
    orders = np.array(values)

    assert robust_ceiling(orders * times) == pytest.approx(robust_ceiling(orders) * times, rel=1e-6)


def test_a_purchase_model_survives_json() -> None:
    model = PurchaseModel(PUBLISHED, VALUES, Seasons())

    assert PurchaseModel.from_json(json.loads(json.dumps(model.as_json()))) == model
