from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from audience_pipeline.features.customer_features import customer_features
from audience_pipeline.ltv.drift import PREDICTIONS, Reference, calibration, drift

MakeOrders = Callable[..., pl.DataFrame]
BEGIN = date(2023, 1, 1)
DAY = BEGIN + timedelta(days=640)


def base_of(orders: pl.DataFrame, day: date = DAY) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Features of a day, and predictions that follow from them."""
    features = customer_features(orders.lazy(), day).collect().sort("customer_id")
    spent = pl.col("first_year_minor") * 0.01
    predictions = features.select(
        (spent * 1.3).alias("predicted_ltv"),
        (pl.col("net_365d_minor") * 0.011).alias("next_12m_value"),
        (1 / (1 + pl.col("recency_days") / 90)).alias("repeat_probability"),
    )
    assert tuple(predictions.columns) == PREDICTIONS
    return features, predictions


@pytest.fixture(scope="module")
def then(make: MakeOrders) -> Reference:
    return Reference.of(*base_of(make(3000, seed=1)), DAY)


def test_a_fresh_sample_of_the_same_population_raises_no_alarm(then: Reference, make: MakeOrders) -> None:
    found = drift(then, *base_of(make(3000, seed=2)))

    assert not found.act
    assert found.table["psi"].max() < 0.1
    assert found.sentence.startswith("Customers look like those of 2024-10-02")


@pytest.mark.parametrize("customers", [250, 400])
def test_a_small_sample_of_it_raises_none_either(make: MakeOrders, customers: int) -> None:
    """Without the correction the index of deciles is 0.08 by chance alone."""
    small = Reference.of(*base_of(make(customers, seed=3)), DAY)

    found = drift(small, *base_of(make(customers, seed=4)))

    assert not found.act


@pytest.mark.parametrize("later", [30, 120, 180])
def test_a_base_that_only_grew_older_raises_none(then: Reference, make: MakeOrders, later: int) -> None:
    found = drift(then, *base_of(make(3000, seed=1), DAY + timedelta(days=later)))

    assert not found.act, found.sentence


def test_twice_the_prices_raise_one_and_it_names_what_moved(then: Reference, make: MakeOrders) -> None:
    dearer = make(3000, seed=2).with_columns(pl.col("amount_minor") * 2)

    found = drift(then, *base_of(dearer))

    assert found.act
    worst = found.table.filter(pl.col("state") == "act")["column"].to_list()
    assert {"first_order_minor", "order_value_mean_minor"} <= set(worst)
    assert "orders" not in worst
    assert "look for the cause, and train a new model" in found.sentence


def test_a_category_that_was_renamed_raises_one(then: Reference, make: MakeOrders) -> None:
    renamed = make(3000, seed=2).with_columns(pl.col("top_category").str.to_uppercase())

    found = drift(then, *base_of(renamed))

    assert found.table.filter(pl.col("column") == "first_category")["state"].item() == "act"


def test_values_that_went_missing_raise_one(then: Reference, make: MakeOrders) -> None:
    features, predictions = base_of(make(3000, seed=2))

    gone = features.with_columns(pl.lit(None, dtype=pl.String).alias("channel"))
    found = drift(then, gone, predictions)

    row = found.table.row(by_predicate=pl.col("column") == "channel", named=True)
    assert (row["state"], row["share_missing_then"], row["share_missing_now"]) == ("act", 0.0, 1.0)


def test_what_the_calendar_alone_moves_is_not_looked_at(then: Reference) -> None:
    watched = set(then.columns)

    assert not {"age_days", "first_order", "first_order_month_sin", "first_order_weekday_cos"} & watched
    assert not {name for name in watched if "month" in name or "quarter" in name}
    assert {"orders", "recency_days", "first_year_minor", "predicted_ltv", "channel"} <= watched


def test_a_reference_holds_counts_and_comes_back_from_its_file(then: Reference) -> None:
    text = then.as_json()

    assert Reference.from_json(text) == then
    assert "c0" not in text
    for column in then.columns.values():
        assert sum(map(sum, column.counts)) == then.customers


def test_too_few_customers_and_a_model_without_a_reference_are_no_drift(
    then: Reference, make: MakeOrders
) -> None:
    features, predictions = base_of(make(150, seed=2))

    assert "too few" in drift(then, features, predictions).sentence
    assert not drift(then, features, predictions).act
    assert not drift(None, features, predictions).act


def spent(customers: int, level: float, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    predicted = rng.gamma(2, 50, customers)
    return predicted, predicted * level * rng.gamma(2, 0.5, customers)


def test_customers_who_spend_a_third_less_than_predicted_are_told() -> None:
    found = calibration(*spent(2000, 0.67))

    assert found.off
    assert found.ratio == pytest.approx(0.67, abs=0.05)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.ratio < found.high < 1


@pytest.mark.parametrize(("customers", "level"), [(2000, 1.0), (50_000, 0.95), (15, 0.7)])
def test_a_right_level_a_small_error_and_few_customers_are_not(customers: int, level: float) -> None:
    assert not calibration(*spent(customers, level)).off


def test_nobody_has_no_ratio() -> None:
    nobody = calibration(np.array([]), np.array([]))

    assert (nobody.customers, nobody.ratio, nobody.off) == (0, None, False)
