from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.features.customer_features import customer_features
from audience_pipeline.ltv.quintiles import by_cut_points, cut_points, ranked
from audience_pipeline.ltv.scoring import ACTUALS_SCHEMA, PREDICTIONS_SCHEMA, actuals, score, score_in_parts
from audience_pipeline.ltv.training import Trained

AS_OF = date(2025, 3, 31)


def test_predictions_have_the_columns_of_the_product_in_their_order(
    trained: Trained, shop_orders: pl.DataFrame
) -> None:
    found = score(
        trained.model, customer_features(shop_orders.lazy(), AS_OF), prediction_date=AS_OF, model_version="3"
    )

    assert found.schema == PREDICTIONS_SCHEMA
    assert found["customer_id"].is_sorted()
    assert found.null_count().sum_horizontal().item() == 0
    assert set(found["model_version"]) == {"3"}
    assert set(found["ltv_quintile"]) == {1, 2, 3, 4, 5}


def test_without_a_model_all_predicted_columns_are_null(shop_orders: pl.DataFrame) -> None:
    found = score(
        None, customer_features(shop_orders.lazy(), AS_OF), prediction_date=AS_OF, model_version=None
    )

    assert found.schema == PREDICTIONS_SCHEMA
    known = ["customer_id", "prediction_date", "age_days", "observed_value"]
    assert found.select(known).null_count().sum_horizontal().item() == 0
    assert found.drop(known).drop_nulls().is_empty()
    assert all(found[name].null_count() == found.height for name in found.columns if name not in known)


def test_a_base_scored_in_parts_is_the_base_scored_at_once(
    trained: Trained, shop_orders: pl.DataFrame
) -> None:
    features = customer_features(shop_orders.lazy(), AS_OF)
    whole = score(trained.model, features, prediction_date=AS_OF, model_version="3")
    part = pl.col("customer_id").hash() % 3
    parts = [shop_orders.filter(part == number) for number in range(3)]

    found = score_in_parts(trained.model, parts, as_of=AS_OF, model_version="3")

    assert found.equals(whole)
    assert score_in_parts(trained.model, [], as_of=AS_OF, model_version="3").schema == PREDICTIONS_SCHEMA


def test_quintiles_of_a_base_in_parts_are_fifths_of_that_base_and_not_of_the_one_trained_on(
    trained: Trained, shop_orders: pl.DataFrame
) -> None:
    base = score(
        trained.model,
        customer_features(shop_orders.lazy(), AS_OF),
        prediction_date=AS_OF,
        model_version="3",
    )
    best = shop_orders.join(base.filter(pl.col("ltv_quintile") <= 2), on="customer_id", how="semi")
    part = pl.col("customer_id").hash() % 2

    found = score_in_parts(
        trained.model, [best.filter(part == number) for number in range(2)], as_of=AS_OF, model_version="3"
    )

    sizes = found.group_by("ltv_quintile").len().sort("ltv_quintile")
    assert sizes["ltv_quintile"].to_list() == [1, 2, 3, 4, 5]
    assert sizes["len"].max() - sizes["len"].min() <= 1  # type: ignore[operator]


def test_each_customer_can_be_scored_as_it_stood_some_days_after_its_first_order(
    trained: Trained, shop_orders: pl.DataFrame
) -> None:
    told: list[int] = []

    found = score_in_parts(
        trained.model,
        [shop_orders],
        as_of=AS_OF,
        model_version="3",
        observe_days=30,
        progress=told.append,
    )

    assert set(found["age_days"]) == {30}
    assert found["prediction_date"].n_unique() > 30
    assert told == [found.height] == [shop_orders["customer_id"].n_unique()]


def test_what_comes_after_the_observed_days_is_not_looked_at(
    trained: Trained, shop_orders: pl.DataFrame
) -> None:
    first = pl.col("order_date").filter(pl.col("kind") == "order").min().over("customer_id")
    seen = shop_orders.filter(pl.col("order_date") <= first + pl.duration(days=30))

    whole, short = (
        score_in_parts(trained.model, [orders], as_of=AS_OF, model_version="3", observe_days=30)
        for orders in (shop_orders, seen)
    )

    assert seen.height < 0.9 * shop_orders.height
    assert short.equals(whole)


def test_rows_after_the_last_day_are_not_looked_at(trained: Trained, shop_orders: pl.DataFrame) -> None:
    day = date(2024, 6, 30)
    past = shop_orders.filter(pl.col("order_date") <= day)

    whole, short = (
        score_in_parts(trained.model, [orders], as_of=day, model_version="3")
        for orders in (shop_orders, past)
    )

    assert short.equals(whole)


def test_nobody_can_be_scored_too(trained: Trained, shop_orders: pl.DataFrame) -> None:
    nobody = customer_features(shop_orders.lazy(), date(2020, 1, 1))

    for model in (trained.model, None):
        found = score(model, nobody, prediction_date=AS_OF, model_version="1")
        assert found.is_empty()
        assert found.schema == PREDICTIONS_SCHEMA


def test_stored_cut_points_give_the_quintiles_of_the_base(
    trained: Trained, shop_orders: pl.DataFrame
) -> None:
    features = customer_features(shop_orders.lazy(), AS_OF).collect()

    by_rank = score(trained.model, features, prediction_date=AS_OF, model_version="1")
    by_cuts = score(
        trained.model, features, prediction_date=AS_OF, model_version="1", quintile_by="cut_points"
    )

    assert by_rank["ltv_quintile"].to_list() == by_cuts["ltv_quintile"].to_list()


def test_equal_values_are_ranked_by_customer() -> None:
    table = pl.DataFrame({"customer_id": ["e", "b", "d", "a", "c"], "predicted_ltv": [5.0] * 5})

    assert ranked(table).to_list() == [5, 2, 4, 1, 3]


def test_quintiles_that_are_there_already_do_not_stay() -> None:
    table = pl.DataFrame({"customer_id": list("abcde"), "predicted_ltv": [1.0, 2.0, 3.0, 4.0, 5.0]})

    assert ranked(table.with_columns(pl.lit(1).alias("ltv_quintile"))).to_list() == [5, 4, 3, 2, 1]


def test_a_customer_without_prediction_has_no_quintile() -> None:
    table = pl.DataFrame({"customer_id": ["a", "b"], "predicted_ltv": [None, 3.0]})

    assert ranked(table).to_list() == [None, 1]


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.floats(-1e6, 1e9), min_size=1, max_size=60))
def test_quintiles_part_the_base_evenly_and_by_value(values: list[float]) -> None:
    table = pl.DataFrame({"customer_id": [f"{n:03d}" for n in range(len(values))], "predicted_ltv": values})

    found = table.with_columns(ranked(table).alias("q")).sort(["predicted_ltv"], descending=True)

    sizes = found["q"].value_counts()["count"]
    assert np.ptp(sizes.to_numpy()) <= 1
    edges = found.group_by("q").agg(
        pl.col("predicted_ltv").min().alias("low"), pl.col("predicted_ltv").max().alias("high")
    )
    edges = edges.sort("q")
    assert all(low >= high for low, high in zip(edges["low"][:-1], edges["high"][1:], strict=True))


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.floats(-1e6, 1e9), min_size=5, max_size=60, unique=True))
def test_cut_points_agree_with_ranks_where_values_differ(values: list[float]) -> None:
    table = pl.DataFrame({"customer_id": [f"{n:03d}" for n in range(len(values))], "predicted_ltv": values})

    alone = by_cut_points(table["predicted_ltv"], cut_points(table["predicted_ltv"]))

    assert alone.to_list() == ranked(table).to_list()


def test_actual_spend_is_compared_once_the_first_year_is_over(
    trained: Trained, shop_orders: pl.DataFrame
) -> None:
    then = date(2024, 9, 30)
    predictions = score(
        trained.model, customer_features(shop_orders.lazy(), then), prediction_date=then, model_version="1"
    )

    found = actuals(predictions, shop_orders.lazy(), AS_OF)

    assert found.schema == ACTUALS_SCHEMA
    first = shop_orders.filter(pl.col("kind") == "order").group_by("customer_id").agg(pl.min("order_date"))
    expected = first.filter(
        pl.col("order_date").is_between(then - timedelta(days=363), AS_OF - timedelta(days=364))
    )
    assert set(found["customer_id"]) == set(expected["customer_id"])
    spent = (
        shop_orders.join(first.rename({"order_date": "first"}), on="customer_id")
        .filter(pl.col("order_date") < pl.col("first") + pl.duration(days=365))
        .group_by("customer_id")
        .agg(pl.col("amount_minor").sum() * 0.01)
    )
    assert found.join(spent, on="customer_id").select(
        (pl.col("actual_ltv") == pl.col("amount_minor")).all()
    ).item()  # fmt: skip


def test_actuals_do_not_read_orders_after_their_day(trained: Trained, shop_orders: pl.DataFrame) -> None:
    then, now = date(2024, 3, 31), date(2024, 12, 31)
    predictions = score(
        trained.model, customer_features(shop_orders.lazy(), then), prediction_date=then, model_version="1"
    )
    past = shop_orders.filter(pl.col("order_date") <= now)

    assert actuals(predictions, shop_orders.lazy(), now).equals(actuals(predictions, past.lazy(), now))


def test_null_predictions_have_no_actuals(shop_orders: pl.DataFrame) -> None:
    then = date(2024, 3, 31)
    nothing = score(
        None, customer_features(shop_orders.lazy(), then), prediction_date=then, model_version=None
    )

    assert actuals(nothing, shop_orders.lazy(), AS_OF).is_empty()
