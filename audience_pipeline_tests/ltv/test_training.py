from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from audience_pipeline.features.customer_features import customer_features
from audience_pipeline.ltv import training
from audience_pipeline.ltv.minimum import TooLittleHistory
from audience_pipeline.ltv.outliers import OUTLIERS_SCHEMA
from audience_pipeline.ltv.report_tables import BASELINES, PURCHASE_MODEL
from audience_pipeline.ltv.scoring import score
from audience_pipeline.ltv.snapshots import AGES, first_orders, snapshot_days
from audience_pipeline.ltv.training import RECIPE, Trained, train

BEGIN = date(2023, 1, 1)
AS_OF = date(2025, 3, 31)

Make = Callable[..., pl.DataFrame]


def scores(trained: Trained, orders: pl.DataFrame) -> pl.DataFrame:
    features = customer_features(orders.lazy(), AS_OF)
    return score(trained.model, features, prediction_date=AS_OF, model_version="1")


def stored(trained: Trained, folder: Path) -> dict[str, bytes]:
    trained.model.save(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@dataclass(frozen=True)
class Example:
    orders: pl.DataFrame
    as_of: date
    trained: Trained


@pytest.fixture(scope="module")
def loud(make: Make) -> Example:
    """A shop whose first category tells who will come back."""
    orders = make(2500, seed=21, signal=6.0)
    return Example(orders, AS_OF, train(orders.lazy(), AS_OF))


@pytest.fixture(scope="module")
def young(make: Make) -> Example:
    """A shop of less than eight months."""
    orders, as_of = make(900, days=230, seed=5), BEGIN + timedelta(days=229)
    return Example(orders, as_of, train(orders.lazy(), as_of))


def test_neither_later_rows_nor_their_order_nor_threads_nor_a_listener_change_a_byte_of_the_model(
    trained: Trained, shop_orders: pl.DataFrame, tmp_path: Path
) -> None:
    later = shop_orders.with_columns(
        pl.lit(AS_OF + timedelta(days=1)).alias("order_date"), pl.col("amount_minor") * 100
    )
    mixed = pl.concat([shop_orders, later]).sample(fraction=1, shuffle=True, seed=3)

    told: list[tuple[str, float]] = []
    again = train(mixed.lazy(), AS_OF, threads=1, progress=lambda step, share: told.append((step, share)))

    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert stored(again, tmp_path / "again") == stored(trained, tmp_path / "first")
    assert again.report.as_json() == trained.report.as_json()
    assert again.held.ltv.equals(trained.held.ltv)
    assert again.held.next_12m.equals(trained.held.next_12m)
    assert scores(again, shop_orders).equals(scores(trained, shop_orders))


def test_the_model_states_what_it_was_trained_on(trained: Trained) -> None:
    summary = trained.report.summary

    assert (trained.model.as_of, trained.model.horizon_days) == (AS_OF, 365)
    assert summary["as_of"] == "2025-03-31"
    assert summary["customers"] == 1500
    assert summary["horizon_days"] == 365
    assert summary["first_orders_known_from"] == str(BEGIN + timedelta(days=90))
    assert summary["outliers"] == 0
    assert trained.outliers.is_empty()
    assert trained.outliers.schema == OUTLIERS_SCHEMA
    assert summary["parameters"] == json.loads(json.dumps({**RECIPE, "seed": 7}))


def test_the_report_is_plain_json(trained: Trained) -> None:
    found = json.loads(trained.report.as_json())

    gains: dict[str, float] = {}
    for row in found["importances"]:
        gains[row["model"]] = gains.get(row["model"], 0.0) + row["gain"]
    assert len(gains) == 3
    assert list(gains.values()) == pytest.approx([1.0, 1.0, 1.0])


def test_the_report_compares_with_what_needs_no_model(trained: Trained) -> None:
    metrics = trained.report.metrics

    for age in AGES:
        at = metrics.filter((pl.col("target") == "ltv") & (pl.col("age_days") == age))
        assert at["forecast"].to_list() == ["predicted_ltv", "likely_ltv", *BASELINES]
        rmse = dict(at.select("forecast", "rmse").iter_rows())
        assert rmse["predicted_ltv"] < rmse["global mean"]
        assert rmse["predicted_ltv"] < rmse["last 12 months"]


def test_totals_of_held_out_customers_come_true(trained: Trained) -> None:
    """Within the error of chance, which the purchases of some 650 customers have."""
    for table in (*trained.held.ltv.partition_by("age_days"), trained.held.next_12m):
        predicted, actual = table["predicted"].to_numpy(), table["actual"].to_numpy()
        error = (predicted - actual).std() * np.sqrt(table.height)
        assert abs(predicted.sum() - actual.sum()) < min(3 * error, 0.1 * actual.sum())


def test_stated_probabilities_come_true(trained: Trained) -> None:
    held = trained.held.ltv.with_columns(
        ((pl.col("likely") - pl.col("actual")).abs() <= 0.3 * pl.col("actual").abs()).alias("hit")
    ).sort("within_30_probability")

    stated, hit = held["within_30_probability"].to_numpy(), held["hit"].to_numpy()
    for part in np.array_split(np.arange(len(hit)), 10):
        assert hit[part].mean() == pytest.approx(stated[part].mean(), abs=0.08)
    parts = [abs(hit[part].mean() - stated[part].mean()) for part in np.array_split(np.arange(len(hit)), 10)]
    assert np.mean(parts) < 0.03
    high = held.filter(pl.col("within_30_probability") >= 0.7)["hit"].to_numpy()
    assert high.mean() >= 0.7


def test_one_in_ten_ends_above_the_range_and_at_most_one_below(trained: Trained) -> None:
    for table in trained.held.ltv.partition_by("age_days"):
        error = 3 * np.sqrt(0.1 * 0.9 / table.height)
        above = (table["actual"] > table["p90"]).to_numpy().mean()
        assert above < 0.1 + error
        if (table["p90"] > table["observed_value"]).all():
            assert above > 0.1 - error
        assert (table["actual"] < table["p10"]).to_numpy().mean() < 0.12
    everybody = trained.held.ltv.filter(pl.col("age_days") <= 90)
    assert 0.08 <= (everybody["actual"] > everybody["p90"]).to_numpy().mean() <= 0.12


def test_the_probability_of_another_order_comes_true(trained: Trained) -> None:
    held = trained.held.next_12m.sort("repeat_probability")
    stated, happened = held["repeat_probability"].to_numpy(), held["repeated"].to_numpy()

    assert stated.mean() == pytest.approx(happened.mean(), abs=0.03)
    for part in np.array_split(np.arange(len(stated)), 5):
        assert stated[part].mean() == pytest.approx(happened[part].mean(), abs=0.1)


def test_quintiles_of_held_out_customers_are_ranked_as_predicted(trained: Trained) -> None:
    table = trained.report.quintile_table(90)

    assert table["ltv_quintile"].to_list() == [1, 2, 3, 4, 5]
    assert table["customers"].max() - table["customers"].min() <= 1  # type: ignore[operator]
    assert table["predicted_ltv"].is_sorted(descending=True)
    assert table["actual_ltv"].is_sorted(descending=True)


def test_signals_that_orders_carry_rank_better_than_the_purchase_model(loud: Example) -> None:
    metrics = loud.trained.report.metrics.filter(pl.col("target") == "ltv", pl.col("age_days") <= 60)

    for at in metrics.sort("age_days").partition_by("age_days"):
        gini = dict(at.select("forecast", "gini").iter_rows())
        # The later it is, the more do orders tell by themselves.
        assert gini["predicted_ltv"] > gini[PURCHASE_MODEL] + (0.15 if at["age_days"][0] == 0 else 0.0)
    trust = loud.trained.report.summary["trust_in_trees"]
    assert trust[0] > 0.9


def test_categories_that_tell_who_comes_back_are_used(loud: Example) -> None:
    first = customer_features(loud.orders.lazy(), AS_OF).collect()
    predictions = scores(loud.trained, loud.orders).join(
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
    gains = loud.trained.report.importances.filter(pl.col("model") == "expected value")
    assert {"first_category", "top_category"} <= set(gains["feature"].head(10))


def test_without_a_complete_year_a_shorter_one_is_learnt_from_and_it_is_said(young: Example) -> None:
    report = young.trained.report

    days = report.summary["horizon_days"]
    assert 90 <= days < 230
    assert young.trained.model.horizon_days == days
    assert set(young.trained.held.ltv["days"]) == set(young.trained.held.next_12m["days"]) == {days}
    assert report.summary["window_days"] == days
    warned = [warning for warning in report.summary["warnings"] if f"{days} days" in warning]
    assert any("extrapolated" in warning for warning in warned)


def test_a_year_that_is_extrapolated_holds_more_than_the_days_that_were_learnt_from(young: Example) -> None:
    model = young.trained.model
    features = customer_features(young.orders.lazy(), young.as_of).collect().sort("customer_id")
    features = features.filter(pl.col("age_days") < model.horizon_days - 30)

    year, learnt = model.predict(features), model.predict(features, days=model.horizon_days)

    for name in ("predicted_ltv", "next_12m_value"):
        total, short = year[name].to_numpy().sum(), learnt[name].to_numpy().sum()
        assert short < total < 365 / model.horizon_days * short
        assert (year[name] > learnt[name]).mean() > 0.95  # type: ignore[operator]
    assert year["repeat_probability"].to_numpy().mean() > learnt["repeat_probability"].to_numpy().mean()


def test_what_was_held_back_at_the_end_of_a_short_history_is_measured_in_its_own_window(
    young: Example,
) -> None:
    held = young.trained.held.ltv
    spent = young.orders.select("customer_id", "order_date", "amount_minor")

    found = (
        held.join(spent, on="customer_id")
        .filter(pl.col("order_date") < pl.col("first_order") + pl.duration(days="days"))
        .group_by("customer_id", "age_days", "actual")
        .agg((pl.col("amount_minor").sum() * 0.01).alias("spent"))
    )

    assert found.height == held.height
    assert found["actual"].to_numpy() == pytest.approx(found["spent"].to_numpy())


@pytest.mark.parametrize(
    ("customers", "days", "parts"),
    [
        (499, 821, ["customers have bought", "500 are needed"]),
        (700, 150, ["orders cover", "183 are needed"]),
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
    assert str(refused.value.suffices_on) in str(refused.value)


def test_no_history_is_refused_too(shop_orders: pl.DataFrame) -> None:
    with pytest.raises(TooLittleHistory, match="no order up to 2022"):
        train(shop_orders.lazy(), date(2022, 1, 1))


def test_too_many_snapshots_are_thinned_over_all_customers_and_days(
    shop_orders: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = snapshot_days(first_orders(shop_orders.lazy(), AS_OF), AS_OF)
    monkeypatch.setattr(training, "MAX_SNAPSHOTS", days.height // 2)

    kept = training._thinned(days, seed=7)

    assert 0.45 < kept.height / days.height < 0.55
    assert kept.join(days, on=["customer_id", "as_of"], how="anti").is_empty()
    assert kept["customer_id"].n_unique() > 0.9 * days["customer_id"].n_unique()
    some = days.filter(pl.col("customer_id") < "c00700")
    monkeypatch.setattr(training, "MAX_SNAPSHOTS", days.height)
    assert training._thinned(some, seed=7).equals(some)
