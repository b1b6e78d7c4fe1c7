from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from audience_pipeline.features.customer_features import customer_features
from audience_pipeline.ltv.boosters import MoneyModel, RepeatModel, Start, calibration
from audience_pipeline.ltv.model import LtvModel, confidence
from audience_pipeline.ltv.scoring import score
from audience_pipeline.ltv.training import Trained

AS_OF = date(2025, 3, 31)


@pytest.fixture(scope="session")
def features(shop_orders: pl.DataFrame) -> pl.DataFrame:
    return customer_features(shop_orders.lazy(), AS_OF).collect().sort("customer_id")


def test_a_customer_alone_gets_the_numbers_of_the_batch(
    trained: Trained, features: pl.DataFrame, shop_orders: pl.DataFrame
) -> None:
    whole = score(trained.model, features, prediction_date=AS_OF, model_version="1", quintile_by="cut_points")
    chosen = features.sample(60, seed=4)["customer_id"].to_list()

    for customer in chosen:
        own = shop_orders.filter(pl.col("customer_id") == customer)
        alone = score(
            trained.model,
            customer_features(own.lazy(), AS_OF),
            prediction_date=AS_OF,
            model_version="1",
            quintile_by="cut_points",
        )
        assert alone.equals(whole.filter(pl.col("customer_id") == customer))


def test_batches_of_any_size_give_the_same_bits(trained: Trained, features: pl.DataFrame) -> None:
    whole = trained.model.predict(features)

    for size in (1, 2, 3, 5, 7, 16, 33, 100):
        assert trained.model.predict(features.head(size)).equals(whole.head(size))


def test_a_stored_model_answers_the_same(trained: Trained, features: pl.DataFrame, tmp_path: Path) -> None:
    trained.model.save(tmp_path / "model")

    again = LtvModel.load(tmp_path / "model")

    assert again.predict(features).equals(trained.model.predict(features))
    assert again.cuts == trained.model.cuts
    assert again.as_of == trained.model.as_of


def test_a_model_folder_is_text_and_the_same_each_time(trained: Trained, tmp_path: Path) -> None:
    trained.model.save(tmp_path / "one")
    LtvModel.load(tmp_path / "one").save(tmp_path / "two")

    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["model.json", "next_12m.txt", "remaining.txt", "repeat.txt"]
    for name in files:
        text = (tmp_path / "one" / name).read_text(encoding="utf-8")
        assert text == (tmp_path / "two" / name).read_text(encoding="utf-8")


def test_a_folder_without_a_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model\.json is missing"):
        LtvModel.load(tmp_path)
    (tmp_path / "model.json").write_text('{"format": 99}', encoding="utf-8")
    with pytest.raises(ValueError, match="format 99"):
        LtvModel.load(tmp_path)


def test_once_the_first_year_is_over_the_value_is_a_fact(trained: Trained, features: pl.DataFrame) -> None:
    scored = pl.concat([features, trained.model.predict(features)], how="horizontal")
    facts = scored.filter(pl.col("age_days") >= 365)

    spent = facts["first_year_minor"] * 0.01
    for name in ("predicted_ltv", "likely_ltv", "ltv_p10", "ltv_p90"):
        assert facts[name].to_list() == spent.to_list()
    assert set(facts["within_30_probability"]) == {1.0}
    assert set(facts["confidence"]) == {"high"}
    assert (facts["next_12m_value"] > 0).all()


def test_predictions_obey_their_laws(trained: Trained, features: pl.DataFrame) -> None:
    scored = pl.concat([features, trained.model.predict(features)], how="horizontal")
    new = scored.filter((pl.col("age_days") < 364) & (pl.col("observed_minor") > 0))

    assert (new["predicted_ltv"] > new["observed_minor"] * 0.01).all()
    assert (new["ltv_p10"] <= new["ltv_p90"]).all()
    assert new["within_30_probability"].is_between(0, 1).all()
    assert scored["repeat_probability"].is_between(0, 1).all()
    assert scored["next_12m_value"].is_finite().all()


def test_an_empty_table_is_scored_as_one(trained: Trained, features: pl.DataFrame) -> None:
    assert trained.model.predict(features.clear()).is_empty()


def test_categories_never_seen_are_missing_values(trained: Trained, features: pl.DataFrame) -> None:
    unknown = features.with_columns(pl.lit("spaceships").alias("first_category"))
    missing = features.with_columns(pl.lit(None, dtype=pl.String).alias("first_category"))

    assert trained.model.predict(unknown).equals(trained.model.predict(missing))


@pytest.mark.parametrize(
    ("probability", "expected"), [(0.7, "high"), (0.6999, "medium"), (0.4, "medium"), (0.3999, "low")]
)
def test_confidence_follows_the_probability(probability: float, expected: str) -> None:
    assert pl.select(confidence(pl.lit(probability))).item() == expected


def test_without_any_further_spending_nothing_is_expected() -> None:
    matrix, zeros, ones = np.ones((600, 2)), np.zeros(600), np.ones(600)

    money = MoneyModel.fit(matrix, ones * 100, zeros, ones, [], seed=1)
    never = RepeatModel.fit(matrix, zeros, [], seed=1)

    assert not money.predict(matrix, ones * 100, ones, zeros).any()
    assert not never.predict(matrix).any()


def test_calibration_makes_totals_match_but_not_for_one_giant_order() -> None:
    age, predicted = np.zeros(1000), np.full(1000, 100.0)
    actual = np.full(1000, 150.0)
    giant = actual.copy()
    giant[0] = 1e9

    (usual, *_) = calibration(actual, predicted, age, by_age=True)
    (bent, *_) = calibration(giant, predicted, age, by_age=True)

    assert usual == pytest.approx(1.5)
    assert bent == pytest.approx(1.5, rel=0.05)


def test_the_start_scales_with_spending_up_to_a_bound() -> None:
    start = Start.fit(np.full(1000, 100.0))

    low, high, giant, huge = np.exp(start.log(np.array([100.0, 200.0, 1e6, 1e9])))

    assert high - low == pytest.approx(50)
    assert giant == pytest.approx(huge)


def test_other_factors_keep_the_trees(trained: Trained) -> None:
    doubled = tuple(2 * factor for factor in trained.model.remaining.factors)
    changed = replace(trained.model, remaining=trained.model.remaining.calibrated(doubled))

    assert changed.remaining.booster is trained.model.remaining.booster
    assert changed.remaining.factors == doubled
