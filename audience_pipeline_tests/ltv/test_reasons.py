from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from audience_pipeline.ltv.model import LtvModel
from audience_pipeline.ltv.outlook import Weights
from audience_pipeline.ltv.reasons import REASONS_SCHEMA, contributions, frequent_topics, reasons_table
from audience_pipeline.ltv.seasons import Seasons
from audience_pipeline.ltv.snapshots import LAST_AGE
from audience_pipeline.ltv.training import Trained
from audience_pipeline.ltv.wording import effect_in_words

BELIEVED: Weights = (0.4, 0.3, 0.3)
DISBELIEVED: Weights = (1.0, 0.0, 0.0)
OF_PURCHASES = {"orders", "order value", "season now"}
"""What the purchase model knows."""


def trusting(model: LtvModel, first_year: Weights, next_12m: Weights) -> LtvModel:
    """The model as it were had its trees been worth that much on held-out customers."""
    ages = len(model.calibration.first_year_weights)
    calibration = replace(
        model.calibration, first_year_weights=(first_year,) * ages, next_12m_weights=next_12m
    )
    return replace(model, calibration=calibration)


@pytest.fixture(scope="module")
def model(trained: Trained) -> LtvModel:
    return trusting(trained.model, BELIEVED, BELIEVED)


@pytest.fixture(scope="module")
def table(model: LtvModel, features: pl.DataFrame) -> pl.DataFrame:
    return reasons_table(model, features)


@pytest.mark.parametrize("weights", [BELIEVED, DISBELIEVED, (0.0, 0.5, 0.5)])
def test_contributions_add_up_to_the_forecast_beside_that_of_a_typical_customer(
    trained: Trained, features: pl.DataFrame, weights: Weights
) -> None:
    model = trusting(trained.model, weights, weights)
    customers = model.outlook.encoder.customers(features)
    days = np.where(customers.age < LAST_AGE, LAST_AGE - customers.age, 365.0)
    outlook = model.outlook.predict(customers, days)
    purchase = weights[0]

    found = contributions(model, customers)

    blended = purchase * np.log(outlook.purchase + 1) + (1 - purchase) * np.log(outlook.money)
    assert found.forecast == pytest.approx(blended, abs=1e-9)
    assert found.by_topic.sum(axis=1) + found.reference == pytest.approx(blended, abs=1e-9)


def test_customers_of_the_same_age_are_compared_with_the_same_typical_one(
    model: LtvModel, features: pl.DataFrame
) -> None:
    found = contributions(model, model.outlook.encoder.customers(features))
    same = features.select("age_days").with_columns(pl.Series("reference", found.reference))

    spread = same.group_by("age_days").agg(pl.col("reference").max() - pl.col("reference").min())

    assert same["reference"].n_unique() > 50
    assert spread["reference"].max() == pytest.approx(0.0, abs=1e-9)


def test_trees_that_are_not_trusted_give_no_reasons(trained: Trained, features: pl.DataFrame) -> None:
    young = pl.col("age_days") < LAST_AGE
    only_later = trusting(trained.model, DISBELIEVED, BELIEVED)

    told = reasons_table(only_later, features.filter(young), 20)
    later = reasons_table(only_later, features.filter(~young), 20)

    assert set(told["topic"]) == OF_PURCHASES
    assert later["topic"].n_unique() > 4, "after the first year the next twelve months are explained"


def test_the_greatest_effects_come_first_and_are_told_as_they_are(table: pl.DataFrame) -> None:
    size = pl.col("effect").log1p().abs()
    falling = table.group_by("customer_id", maintain_order=True).agg(
        (size.diff().max() < 0.01).fill_null(value=True).alias("falling"), pl.col("rank"), pl.col("topic")
    )

    assert falling["falling"].all()
    assert all(ranks == list(range(1, len(ranks) + 1)) for ranks in falling["rank"].to_list())
    assert table["rank"].max() == 3
    assert (falling["topic"].list.n_unique() == falling["topic"].list.len()).all()
    assert (table["effect"].abs() >= 0.005).all()
    assert all(
        reason.endswith(f": {effect_in_words(effect)}")
        for reason, effect in table.select("reason", "effect").iter_rows()
    )


def test_the_category_that_the_shop_was_made_with_is_told(table: pl.DataFrame) -> None:
    books = table.filter(pl.col("reason").str.contains("books"))
    toys = table.filter(pl.col("reason").str.contains("toys"))

    assert books.height > 50
    assert toys.height > 20
    assert (books["effect"] > 0).mean() > 0.9  # type: ignore[operator]
    assert (toys["effect"] < 0).mean() > 0.9  # type: ignore[operator]


def test_what_says_the_same_of_a_single_order_is_one_reason(model: LtvModel, features: pl.DataFrame) -> None:
    told = reasons_table(model, features.filter(pl.col("purchase_days") == 1), 20)

    assert not {"rhythm", "spending", "trend"} & set(told["topic"])


def test_a_customer_alone_has_the_reasons_that_it_has_among_others(
    model: LtvModel, features: pl.DataFrame, table: pl.DataFrame
) -> None:
    for customer in features.sample(20, seed=5)["customer_id"]:
        own = pl.col("customer_id") == customer
        alone = reasons_table(model, features.filter(own))

        assert alone.equals(table.filter(own))


def test_threads_change_nothing(model: LtvModel, features: pl.DataFrame) -> None:
    many = pl.concat([features] * 15)

    assert many.height > 20_000, "more than are explained at once"
    assert reasons_table(model, many, threads=2).equals(reasons_table(model, many, threads=1))


def test_the_model_gives_a_list_of_sentences_for_each_row(
    model: LtvModel, features: pl.DataFrame, table: pl.DataFrame
) -> None:
    lists = model.reasons(features.reverse(), 2).reverse()

    first = table.filter(pl.col("rank") <= 2).group_by("customer_id", maintain_order=True).agg("reason")
    asked = features.select("customer_id").join(first, on="customer_id", how="left", maintain_order="left")
    assert lists.name == "reasons"
    assert lists.to_list() == [reasons or [] for reasons in asked["reason"].to_list()]


def test_nobody_has_no_reasons(model: LtvModel, features: pl.DataFrame) -> None:
    assert reasons_table(model, features.clear()).schema == REASONS_SCHEMA
    assert model.reasons(features.clear()).dtype == pl.List(pl.String)


def test_a_stored_model_tells_the_same(
    model: LtvModel, features: pl.DataFrame, table: pl.DataFrame, tmp_path: Path
) -> None:
    model.save(tmp_path / "model")

    assert reasons_table(LtvModel.load(tmp_path / "model"), features).equals(table)


def test_the_time_of_the_year_is_a_reason_of_its_own(trained: Trained, features: pl.DataFrame) -> None:
    """Twice as much is ordered from April to June, which is all that remains of the oldest first years."""
    model = trusting(trained.model, DISBELIEVED, DISBELIEVED)
    spring = Seasons((0.9, 0.9, 0.9, 2.0, 2.0, 2.0, *[0.55] * 6))
    ending = features.filter(pl.col("age_days").is_between(280, 330))

    def of(seasons: Seasons) -> LtvModel:
        purchases = replace(model.outlook.purchases, seasons=seasons)
        return replace(model, outlook=replace(model.outlook, purchases=purchases))

    told = reasons_table(of(spring), ending, 9).filter(pl.col("topic") == "season now")
    plain, sold = (
        contributions(one, model.outlook.encoder.customers(ending)) for one in (of(Seasons()), of(spring))
    )

    assert told.height == ending.height > 20
    assert told["effect"].to_list() == pytest.approx([1.0] * told.height, abs=0.02)
    assert set(told["reason"].str.head(33)) == {"the time of the year is March: +1"}
    place = [topic.name for topic in sold.topics].index("season now")
    others = np.arange(len(sold.topics)) != place
    some = plain.forecast > np.log(100)  # of less, the cent that is added to all takes a part
    assert some.sum() > 20
    assert sold.by_topic[some][:, others] == pytest.approx(plain.by_topic[some][:, others], abs=0.02)


def test_trees_that_learnt_nothing_are_silent(model: LtvModel, features: pl.DataFrame) -> None:
    bare = replace(model.outlook, money=replace(model.outlook.money, boosters=()))

    assert set(reasons_table(replace(model, outlook=bare), features)["topic"]) == OF_PURCHASES


def test_the_most_frequent_topics_are_shares_of_a_quintile() -> None:
    reasons = pl.DataFrame(
        {
            "customer_id": ["a", "a", "b", "c", "x"],
            "rank": [1, 2, 1, 1, 1],
            "topic": ["orders", "returns", "orders", "orders", "orders"],
            "reason": [""] * 5,
            "effect": [0.5, -0.1, 0.7, -0.2, 9.0],
        },
        schema=REASONS_SCHEMA,
    )
    predictions = pl.DataFrame({"customer_id": ["a", "b", "c", "d", "x"], "ltv_quintile": [1, 1, 2, 2, None]})

    found = frequent_topics(reasons, predictions, 1)

    assert found.rows() == [(1, "orders", "more", 1.0, pytest.approx(0.6)), (2, "orders", "less", 0.5, -0.2)]
