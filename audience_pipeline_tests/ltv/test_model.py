from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audience_pipeline.features.catalogue import FEATURES_SCHEMA, MODEL_FEATURES
from audience_pipeline.features.customer_features import customer_features
from audience_pipeline.ltv import model as model_module
from audience_pipeline.ltv.model import LtvModel, confidence
from audience_pipeline.ltv.scoring import score
from audience_pipeline.ltv.training import Trained

AS_OF = date(2025, 3, 31)
MONEY = ("predicted_ltv", "likely_ltv", "ltv_p10", "ltv_p90", "next_12m_value")
CATEGORIES = [feature.name for feature in MODEL_FEATURES if feature.unit == "category"]
NEEDED = {"first_order", "age_days", "observed_minor", "first_year_minor", "purchase_days", "recency_days"}
"""Features that every customer has."""


@pytest.fixture(scope="module")
def model(trained: Trained) -> LtvModel:
    return trained.model


@pytest.fixture(scope="module")
def whole(model: LtvModel, features: pl.DataFrame) -> pl.DataFrame:
    return model.predict(features)


@pytest.fixture(scope="module")
def scored(features: pl.DataFrame, whole: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([features, whole], how="horizontal")


def sane(found: pl.DataFrame) -> None:
    """What holds for whatever customer."""
    numbers = found.drop("confidence")
    assert found.null_count().sum_horizontal().sum() == 0
    assert np.isfinite(numbers.to_numpy()).all()
    assert found["within_30_probability"].is_between(0, 1).all()
    assert found["repeat_probability"].is_between(0, 1).all()
    assert (found["ltv_p10"] <= found["ltv_p90"]).all()
    assert (found["next_12m_value"] >= 0).all()
    assert found["confidence"].is_in(["high", "medium", "low"]).all()


def test_a_customer_alone_gets_the_numbers_of_the_batch(
    model: LtvModel, features: pl.DataFrame, shop_orders: pl.DataFrame
) -> None:
    whole = score(model, features, prediction_date=AS_OF, model_version="1", quintile_by="cut_points")

    for customer in features.sample(25, seed=4)["customer_id"].to_list():
        own = shop_orders.filter(pl.col("customer_id") == customer)
        alone = score(
            model,
            customer_features(own.lazy(), AS_OF),
            prediction_date=AS_OF,
            model_version="1",
            quintile_by="cut_points",
        )
        assert alone.equals(whole.filter(pl.col("customer_id") == customer))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(begin=st.integers(0, 1499), size=st.integers(0, 400))
def test_a_part_of_any_size_gives_the_bits_of_the_whole(
    model: LtvModel, features: pl.DataFrame, whole: pl.DataFrame, begin: int, size: int
) -> None:
    assert model.predict(features.slice(begin, size)).equals(whole.slice(begin, size))


def test_each_of_many_customers_alone_gives_the_bits_of_the_whole(
    model: LtvModel, features: pl.DataFrame, whole: pl.DataFrame
) -> None:
    alone = pl.concat([model.predict(features.slice(row, 1)) for row in range(0, 1500, 15)])

    assert alone.equals(whole.gather_every(15))


def test_mixed_rows_give_mixed_answers(model: LtvModel, features: pl.DataFrame, whole: pl.DataFrame) -> None:
    order = np.random.default_rng(1).permutation(features.height).tolist()

    assert model.predict(features[order]).equals(whole[order])


def test_neither_chunks_nor_threads_change_anything(
    model: LtvModel, features: pl.DataFrame, whole: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_module, "_CHUNK", 401)

    assert model.predict(features).equals(whole)
    assert model.predict(features, threads=3).equals(whole)


def test_a_stored_model_answers_the_same(
    model: LtvModel, features: pl.DataFrame, whole: pl.DataFrame, tmp_path: Path
) -> None:
    model.save(tmp_path / "model")

    again = LtvModel.load(tmp_path / "model")

    assert again.predict(features).equals(whole)
    assert (again.cuts, again.as_of, again.horizon_days) == (model.cuts, AS_OF, 365)
    assert again.calibration == model.calibration
    assert again.distribution == model.distribution


def test_a_model_folder_is_text_and_the_same_each_time(model: LtvModel, tmp_path: Path) -> None:
    model.save(tmp_path / "one")
    LtvModel.load(tmp_path / "one").save(tmp_path / "two")

    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert "model.json" in files
    assert {name.split("-")[0] for name in files} == {"again", "value", "money", "model.json"}
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == files
    for name in files:
        text = (tmp_path / "one" / name).read_text(encoding="utf-8")
        assert text == (tmp_path / "two" / name).read_text(encoding="utf-8")


def test_a_folder_without_a_model_or_with_another_format_says_so(model: LtvModel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model\.json is missing"):
        LtvModel.load(tmp_path)
    model.save(tmp_path)
    stored = json.loads((tmp_path / "model.json").read_text("utf-8"))
    (tmp_path / "model.json").write_text(json.dumps(stored | {"format": 99}), encoding="utf-8")
    with pytest.raises(ValueError, match="format 99"):
        LtvModel.load(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9])
def test_trees_that_are_cut_off_are_no_model(model: LtvModel, tmp_path: Path, share: float) -> None:
    """LightGBM would read on behind their end, and take the process with it."""
    model.save(tmp_path)
    trees = tmp_path / "money-0.txt"
    text = trees.read_text(encoding="utf-8")
    trees.write_text(text[: int(share * text.index("end of trees"))], encoding="utf-8")

    with pytest.raises(ValueError, match="cut off"):
        LtvModel.load(tmp_path)


def test_once_the_first_year_is_over_the_value_is_a_fact(scored: pl.DataFrame) -> None:
    facts = scored.filter(pl.col("age_days") >= 364)

    spent = pl.Series(facts["first_year_minor"].to_numpy() / 100.0)
    assert facts.height > 500
    for name in ("predicted_ltv", "likely_ltv", "ltv_p10", "ltv_p90"):
        assert facts[name].to_list() == spent.to_list()
    assert set(facts["within_30_probability"]) == {1.0}
    assert set(facts["confidence"]) == {"high"}
    assert (facts["next_12m_value"] > 0).all()


def test_the_last_day_of_a_first_year_is_a_fact_and_the_day_before_a_forecast(
    model: LtvModel, features: pl.DataFrame
) -> None:
    row = features.filter(pl.col("age_days").is_between(300, 363)).head(1)
    last, before = (model.predict(row.with_columns(pl.lit(age).alias("age_days"))) for age in (364, 363))

    assert last["within_30_probability"].item() == 1.0
    assert last["predicted_ltv"].item() == row["first_year_minor"].item() / 100.0
    assert before["within_30_probability"].item() < 1.0
    assert before["predicted_ltv"].item() > row["first_year_minor"].item() / 100.0


def test_predictions_obey_their_laws(scored: pl.DataFrame) -> None:
    young = scored.filter((pl.col("age_days") < 364) & (pl.col("observed_minor") > 0))
    observed = pl.Series(young["first_year_minor"].to_numpy() / 100.0)

    sane(scored.select([*MONEY, "within_30_probability", "repeat_probability", "confidence"]))
    assert (young["predicted_ltv"] > observed).all()
    assert (young["likely_ltv"] >= observed).all()
    assert (young["ltv_p90"] >= observed).all()
    assert (young["ltv_p10"] >= 0).all()


def test_confidence_is_a_name_for_the_probability(scored: pl.DataFrame) -> None:
    for name, low, high in (("low", 0.0, 0.4), ("medium", 0.4, 0.7), ("high", 0.7, 1.01)):
        some = scored.filter(pl.col("confidence") == name)["within_30_probability"]
        assert ((some >= low) & (some < high)).all()


@pytest.mark.parametrize(
    ("probability", "expected"),
    [(0.7, "high"), (0.6999, "medium"), (0.4, "medium"), (0.3999, "low"), (None, None)],
)
def test_confidence_follows_the_probability(probability: float | None, expected: str | None) -> None:
    assert pl.select(confidence(pl.lit(probability, dtype=pl.Float64))).item() == expected


def test_an_empty_table_is_answered_by_one(
    model: LtvModel, features: pl.DataFrame, whole: pl.DataFrame
) -> None:
    found = model.predict(features.clear())

    assert found.is_empty()
    assert found.schema == whole.schema


def test_categories_never_seen_are_missing_values(model: LtvModel, features: pl.DataFrame) -> None:
    unknown = features.with_columns(pl.lit("spaceships").alias(name) for name in CATEGORIES)
    missing = features.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in CATEGORIES)

    assert model.predict(unknown).equals(model.predict(missing))


def test_customers_of_whom_little_is_known_are_predicted(model: LtvModel, features: pl.DataFrame) -> None:
    blank = features.with_columns(
        pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in FEATURES_SCHEMA.items()
        if name not in {"customer_id", "as_of", *NEEDED}
    )

    sane(model.predict(blank))


def test_who_has_sent_everything_back_or_more_is_predicted(model: LtvModel, features: pl.DataFrame) -> None:
    young = features.filter(pl.col("age_days") < 364)

    for left in (0, -12_345, -(10**12)):
        money = [pl.lit(left, dtype=pl.Int64).alias(name) for name in ("observed_minor", "first_year_minor")]
        found = model.predict(young.with_columns(money))
        sane(found)
        assert set(found["likely_ltv"]) == {left / 100.0}
        assert (found["predicted_ltv"] >= left / 100.0).all()


@pytest.mark.parametrize("age", [0, 1, 363, 364, 365, 3650, 10_000])
def test_customers_of_any_age_are_predicted(model: LtvModel, features: pl.DataFrame, age: int) -> None:
    as_old = features.head(100).with_columns(
        pl.lit(age, dtype=pl.Int64).alias("age_days"),
        pl.min_horizontal("recency_days", pl.lit(age)).cast(pl.Int64).alias("recency_days"),
    )

    sane(model.predict(as_old))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_values_of_features_give_a_sane_prediction(
    model: LtvModel, features: pl.DataFrame, data: st.DataObject
) -> None:
    integers, floats = st.integers(-(10**13), 10**13), st.floats(-1e12, 1e12)
    kinds: dict[pl.DataType, st.SearchStrategy[float]] = {pl.Int64(): integers, pl.Float64(): floats}
    values = data.draw(
        st.fixed_dictionaries(
            {
                name: st.one_of(st.none(), kinds[dtype])
                for name, dtype in FEATURES_SCHEMA.items()
                if dtype in kinds and name not in NEEDED
            }
        )
    )
    age = data.draw(st.integers(0, 10_000))
    known = {
        "age_days": age,
        "recency_days": data.draw(st.integers(0, age)),
        "purchase_days": data.draw(st.integers(1, 5000)),
        "observed_minor": data.draw(st.integers(-(10**13), 10**13)),
        "first_year_minor": data.draw(st.integers(-(10**13), 10**13)),
    }
    row = features.head(1).with_columns(
        pl.lit(value, dtype=FEATURES_SCHEMA[name]).alias(name) for name, value in (values | known).items()
    )

    sane(model.predict(row))


def test_a_shorter_window_holds_less(model: LtvModel, features: pl.DataFrame, whole: pl.DataFrame) -> None:
    half = model.predict(features, days=180)
    newest = (features["age_days"] < 60) & (features["observed_minor"] > 0)

    assert (half["next_12m_value"] < whole["next_12m_value"]).mean() > 0.9  # type: ignore[operator]
    assert half["next_12m_value"].to_numpy().sum() < 0.8 * whole["next_12m_value"].to_numpy().sum()
    assert half.filter(newest)["predicted_ltv"].sum() < whole.filter(newest)["predicted_ltv"].sum()
    over = features["age_days"] >= 179
    assert set(half.filter(over)["within_30_probability"]) == {1.0}


def test_who_was_there_yesterday_is_more_likely_to_return_than_who_has_long_been_silent(
    scored: pl.DataFrame,
) -> None:
    buyers = scored.filter((pl.col("age_days") > 400) & (pl.col("purchase_days") >= 3))

    fresh = buyers.filter(pl.col("recency_days") < 60)["repeat_probability"].mean()
    silent = buyers.filter(pl.col("recency_days") > 300)["repeat_probability"].mean()
    assert isinstance(fresh, float)
    assert isinstance(silent, float)
    assert fresh > 2 * silent


def test_the_cut_points_are_those_of_the_base(model: LtvModel, whole: pl.DataFrame) -> None:
    for number, cut in enumerate(model.cuts, start=1):
        above = (whole["predicted_ltv"] >= cut).mean()
        assert above == pytest.approx(number / 5, abs=0.002)
