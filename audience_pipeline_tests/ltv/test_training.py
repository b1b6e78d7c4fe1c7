from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from audience_pipeline.features.customer_features import customer_features
from audience_pipeline.ltv import training
from audience_pipeline.ltv.minimum import TooLittleHistory
from audience_pipeline.ltv.scoring import score
from audience_pipeline.ltv.snapshots import AGES, first_orders, snapshot_days, training_rows
from audience_pipeline.ltv.training import Trained, train

BEGIN = date(2023, 1, 1)
AS_OF = date(2025, 3, 31)

Make = Callable[..., pl.DataFrame]


def scores(trained: Trained, orders: pl.DataFrame) -> pl.DataFrame:
    features = customer_features(orders.lazy(), AS_OF)
    return score(trained.model, features, prediction_date=AS_OF, model_version="1")


def test_neither_later_rows_nor_their_order_nor_threads_change_the_model(
    trained: Trained, shop_orders: pl.DataFrame
) -> None:
    later = shop_orders.with_columns(
        pl.lit(AS_OF + timedelta(days=1)).alias("order_date"), pl.col("amount_minor") * 100
    )
    mixed = pl.concat([shop_orders, later]).sample(fraction=1, shuffle=True, seed=3)

    again = train(mixed.lazy(), AS_OF, threads=1)

    assert again.report.as_json() == trained.report.as_json()
    assert scores(again, shop_orders).equals(scores(trained, shop_orders))


def test_another_seed_gives_another_model(trained: Trained, shop_orders: pl.DataFrame) -> None:
    other = train(shop_orders.lazy(), AS_OF, seed=8)

    assert not scores(other, shop_orders).equals(scores(trained, shop_orders))


def test_no_customer_is_predicted_by_trees_that_saw_it() -> None:
    fold = np.array([0.0, 1.0, 2.0, 0.0, 1.0])

    grown = training._grown(lambda inside: inside, fold, 2)  # type: ignore[type-var]

    assert [fold[inside].tolist() for inside in grown] == [
        [1.0, 2.0, 1.0],
        [0.0, 2.0, 0.0],
        [0.0, 1.0, 0.0, 1.0],
        fold.tolist(),
    ]


def test_all_snapshots_of_a_customer_share_its_fold(shop_orders: pl.DataFrame) -> None:
    days = snapshot_days(first_orders(shop_orders.lazy(), AS_OF), AS_OF)
    numbers = training.folds(days["customer_id"], training.FOLDS, 7)

    folds_of = days.with_columns(numbers.alias("fold")).group_by("customer_id").agg(pl.col("fold").n_unique())

    assert folds_of["fold"].max() == 1


def test_customers_who_were_there_when_the_data_began_do_not_teach_first_years(
    shop_orders: pl.DataFrame,
) -> None:
    first = first_orders(shop_orders.lazy(), AS_OF)
    rows = training_rows(shop_orders.lazy(), snapshot_days(first, AS_OF), AS_OF)

    fresh = training._fresh(rows, first, AS_OF)
    one_cohort = first.filter(pl.col("first_order") < BEGIN + timedelta(days=80))

    assert fresh["first_order"].min() == first["first_order"].min() + timedelta(days=90)
    assert training._fresh(rows, one_cohort, AS_OF).height == rows.height


def test_too_many_snapshots_are_thinned_by_whole_customers(
    shop_orders: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = snapshot_days(first_orders(shop_orders.lazy(), AS_OF), AS_OF)
    monkeypatch.setattr(training, "MAX_ROWS", days.height // 2)

    kept = training._thinned(days, seed=7)

    assert 0.3 < kept.height / days.height < 0.6
    whole = days.filter(pl.col("customer_id").is_in(kept["customer_id"].unique().implode()))
    assert kept.equals(whole)


def test_the_report_compares_with_what_needs_no_model(trained: Trained) -> None:
    metrics = trained.report.metrics

    for age in AGES:
        at = metrics.filter((pl.col("target") == "ltv") & (pl.col("age_days") == age))
        assert at["forecast"].to_list() == [
            "predicted_ltv",
            "likely_ltv",
            "spend so far x 1.29",
            "last 12 months",
            "global mean",
        ]
        assert at["total_ratio"][0] == pytest.approx(1, abs=0.1)
        assert at["rmse"][0] < at["rmse"][4]
    next_12m = metrics.filter(pl.col("target") == "next_12m")
    assert next_12m["gini"][0] > next_12m["gini"][2]
    assert next_12m["mae"][0] < next_12m["mae"][2]


def test_stated_probabilities_come_true(trained: Trained) -> None:
    table = trained.report.probabilities

    assert (table["calibration_error"] < 0.07).all()
    assert ((table["within_30_stated"] - table["within_30_realised"]).abs() < 0.05).all()
    assert (table["above_p90"] < 0.14).all()
    assert (table["below_p10"] < 0.12).all()


def test_quintiles_of_held_out_customers_are_ranked_as_predicted(trained: Trained) -> None:
    table = trained.report.quintile_table(90)

    assert table["ltv_quintile"].to_list() == [1, 2, 3, 4, 5]
    assert table["customers"].max() - table["customers"].min() <= 1
    assert table["predicted_ltv"].is_sorted(descending=True)
    assert table["actual_ltv"].is_sorted(descending=True)


def test_the_report_is_plain_json(trained: Trained) -> None:
    found = json.loads(trained.report.as_json())

    assert found["summary"]["as_of"] == "2025-03-31"
    assert found["summary"]["customers"] == 1500
    assert sum(row["gain"] for row in found["importances"] if row["model"] == "predicted_ltv") == (
        pytest.approx(1)
    )


def test_ten_giant_cancelled_orders_do_not_bend_the_others(
    trained: Trained, shop_orders: pl.DataFrame
) -> None:
    orders = shop_orders.filter(pl.col("kind") == "order").unique("customer_id", maintain_order=True)
    giants = orders.gather_every(150).with_columns(
        pl.col("amount_minor") * 1000, (pl.col("order_id") + "x").alias("order_id")
    )
    cancelled = giants.with_columns(-pl.col("amount_minor"), pl.lit("return").alias("kind"))
    bent = pl.concat([shop_orders, giants, cancelled])

    both = scores(trained, shop_orders).join(
        scores(train(bent.lazy(), AS_OF), bent), on="customer_id", suffix="_bent"
    )

    others = both.filter(~pl.col("customer_id").is_in(giants["customer_id"].implode()))
    for name in ("predicted_ltv", "likely_ltv", "next_12m_value"):
        assert others[f"{name}_bent"].sum() == pytest.approx(others[name].sum(), rel=0.05)
    moved = (others["predicted_ltv_bent"] / others["predicted_ltv"] - 1).abs()
    assert moved.quantile(0.95) < 0.05


def test_categories_that_tell_who_comes_back_are_used(make: Make) -> None:
    loud = make(2500, seed=21, signal=6.0)
    first = customer_features(loud.lazy(), AS_OF).collect()

    predictions = scores(train(loud.lazy(), AS_OF), loud).join(
        first.select("customer_id", "first_category", "orders"), on="customer_id"
    )

    new = predictions.filter((pl.col("age_days") < 60) & (pl.col("orders") == 1))
    growth = (
        new.with_columns((pl.col("predicted_ltv") / pl.col("observed_value")).alias("growth"))
        .group_by("first_category")
        .agg(pl.col("growth").median())
    )
    by_category = dict(growth.iter_rows())
    assert by_category["books"] > 1.2 * by_category["toys"]


@pytest.mark.parametrize(
    ("customers", "days", "parts"),
    [
        (120, 821, ["120 customers", "500 are needed"]),
        (700, 120, ["orders cover", "183 are needed"]),
        (700, 300, ["0 customers have been observed for 365 days", "200 are needed"]),
    ],
)
def test_too_little_history_is_refused_with_what_is_missing(
    make: Make, customers: int, days: int, parts: list[str]
) -> None:
    as_of = BEGIN + timedelta(days=days - 1)

    with pytest.raises(TooLittleHistory) as refused:
        train(make(customers, days=days).lazy(), as_of)

    for part in parts:
        assert part in str(refused.value)
    assert refused.value.suffices_on is not None
    assert refused.value.suffices_on > as_of
    assert str(refused.value.suffices_on) in str(refused.value)


def test_no_history_is_refused_too(shop_orders: pl.DataFrame) -> None:
    with pytest.raises(TooLittleHistory, match="no order up to 2022"):
        train(shop_orders.lazy(), date(2022, 1, 1))


def test_the_day_on_which_history_suffices_is_right(make: Make) -> None:
    orders = make(700, days=500)
    with pytest.raises(TooLittleHistory) as refused:
        train(orders.lazy(), BEGIN + timedelta(days=400))

    day = refused.value.suffices_on
    assert day is not None
    first = first_orders(orders.lazy(), BEGIN + timedelta(days=499))
    assert (first["first_order"] <= day - timedelta(days=365)).sum() >= 200


def test_progress_is_told(shop_orders: pl.DataFrame) -> None:
    told: list[tuple[str, float]] = []

    with pytest.raises(TooLittleHistory):
        train(shop_orders.clear().lazy(), AS_OF, progress=lambda step, share: told.append((step, share)))

    assert told == [("looking at past days", 0.0)]
