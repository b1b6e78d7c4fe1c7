from __future__ import annotations

import json

import numpy as np
import pytest

from audience_pipeline.ltv.distribution import RULE, Distribution


def rows(size: int, seed: int = 2) -> dict[str, np.ndarray]:
    """Customers of whom the less returns, the less growth is predicted."""
    rng = np.random.default_rng(seed)
    growth = rng.uniform(1.05, 3, size)
    observed = np.exp(rng.normal(8, 1, size))
    returns = rng.random(size) < (growth - 1) / 2
    actual = observed * np.where(returns, 1 + rng.exponential(2, size), 1)
    return {
        "age_days": np.zeros(size),
        "observed": observed,
        "predicted": observed * growth,
        "actual": actual,
        "fold": np.floor(rng.random(size) * 3),
    }


def test_probabilities_and_bounds_hold_for_new_customers() -> None:
    known, new = rows(20_000), rows(20_000, seed=3)

    forecast = Distribution.fit(**known).predict(new["age_days"], new["observed"], new["predicted"])

    hit = np.abs(forecast.likely - new["actual"]) <= 0.3 * new["actual"]
    assert hit.mean() == pytest.approx(forecast.within_30.mean(), abs=0.015)
    for low, high in ((0, 0.5), (0.5, 0.7), (0.7, 1)):
        inside = (forecast.within_30 >= low) & (forecast.within_30 < high)
        assert hit[inside].mean() == pytest.approx(forecast.within_30[inside].mean(), abs=0.03)
    assert (new["actual"] > forecast.p90).mean() == pytest.approx(0.1, abs=0.015)
    assert (new["actual"] < forecast.p10).mean() <= 0.11


def test_a_sure_growth_is_predicted_instead_of_the_rule() -> None:
    data = rows(3000)
    data["actual"] = data["observed"] * 4
    forecast = Distribution.fit(**data).predict(data["age_days"], data["observed"], data["predicted"])

    assert np.abs(forecast.likely - data["actual"]).max() <= 0.3 * data["actual"].max()
    assert forecast.within_30.min() > 0.9


def test_the_rule_stays_where_data_say_little() -> None:
    data = rows(3000)
    data["actual"] = data["observed"].copy()
    forecast = Distribution.fit(**data).predict(data["age_days"], data["observed"], data["predicted"])

    assert forecast.likely.tolist() == (data["observed"] * RULE).tolist()


def test_customers_who_sent_everything_back_are_expected_to_stay_away() -> None:
    data = rows(3000)
    data["observed"][:100] = data["actual"][:100] = 0.0
    distribution = Distribution.fit(**data)

    forecast = distribution.predict(np.zeros(2), np.array([0.0, -50.0]), np.array([10.0, 20.0]))

    assert forecast.likely.tolist() == [0.0, -50.0]
    assert forecast.within_30.tolist() == [1.0, 1.0]
    assert (forecast.p90 >= forecast.p10).all()


def test_it_survives_json() -> None:
    data = rows(2000)
    distribution = Distribution.fit(**data)

    again = Distribution.from_json(json.loads(json.dumps(distribution.as_json())))

    assert again == distribution


def test_few_rows_and_equal_predictions_still_give_an_answer() -> None:
    data = rows(40)
    data["predicted"] = data["observed"] * 2.0
    forecast = Distribution.fit(**data).predict(data["age_days"] + 300, data["observed"], data["predicted"])

    assert np.isfinite(forecast.likely).all()
    assert ((forecast.within_30 > 0) & (forecast.within_30 <= 1)).all()
