from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.features.catalogue import FEATURES_SCHEMA
from audience_pipeline.segments.behaviours import BEHAVIOURS, BY_COLUMN, Scale
from audience_pipeline.segments.charts import segment_sizes
from audience_pipeline.segments.discovery import SMALLEST_SHARE, discover
from audience_pipeline.segments.model import assign, load, save
from audience_pipeline.segments.naming import EVERYBODY, names
from audience_pipeline.segments.scorecards import scorecards

NO_PREDICTIONS = pl.DataFrame(
    schema={
        "customer_id": pl.String,
        "predicted_ltv": pl.Float64,
        "next_12m_value": pl.Float64,
        "repeat_probability": pl.Float64,
    }
)


def shop(customers: int, seed: int = 1) -> pl.DataFrame:
    """Three kinds of customers: loyal ones, new ones, and those who bought little and left."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, customers, p=[0.2, 0.3, 0.5])
    orders = np.choose(
        kind, [rng.poisson(12, customers) + 4, np.ones(customers), rng.poisson(0.3, customers) + 1]
    )
    value = np.choose(kind, [9000, 4000, 1500]) * rng.lognormal(0, 0.3, customers)
    age = np.choose(
        kind,
        [
            rng.integers(500, 900, customers),
            rng.integers(0, 40, customers),
            rng.integers(400, 800, customers),
        ],
    )
    recency = np.choose(kind, [rng.integers(0, 30, customers), age, rng.integers(300, 400, customers)])
    return features(
        customers, orders=orders, age_days=age, recency_days=recency, order_value_mean_minor=value
    )


def features(customers: int, **columns: np.ndarray) -> pl.DataFrame:
    known = {"customer_id": [f"c{n:06d}" for n in range(customers)], **columns}
    frame = pl.DataFrame(known).with_columns(
        (pl.col("orders") * pl.col("order_value_mean_minor")).alias("observed_minor"),
        pl.lit(3).alias("categories"),
        pl.lit(0.0).alias("return_share"),
    )
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype, strict=False).alias(name)
        for name, dtype in FEATURES_SCHEMA.items()
    )


def test_every_behaviour_is_a_feature():
    assert {behaviour.column for behaviour in BEHAVIOURS} <= set(FEATURES_SCHEMA)


def test_the_kinds_of_customers_of_a_shop_are_found_and_named_for_what_they_do():
    frame = shop(1_500)

    model = discover(frame)
    found = {segment.name.lower(): segment for segment in model.segments}

    assert any("loyal" in name for name in found)
    assert any("new" in name for name in found)
    assert any("small spenders" in name or "quiet" in name for name in found)
    assert "loyal" in model.segments[0].name.lower()


def test_the_same_customers_in_another_order_give_the_same_model():
    frame = shop(600)

    assert discover(frame) == discover(frame.sample(fraction=1, shuffle=True, seed=3))
    assert discover(frame).to_json() == discover(frame).to_json()


def test_names_are_unique_and_say_more_than_numbers():
    given_names = [segment.name for segment in discover(shop(900)).segments]

    assert len(set(given_names)) == len(given_names)
    assert all(sum(letter.isalpha() for letter in name) >= 5 for name in given_names)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.floats(-3, 3), min_size=8, max_size=8), min_size=1, max_size=8))
def test_names_are_unique_whatever_the_groups(centres: list[list[float]]):
    scales = [Scale(behaviour.column, 0, 9, 1, 1) for behaviour in BEHAVIOURS]

    given_names = names(centres, scales)

    assert len(set(given_names)) == len(centres)
    assert given_names == names(centres, scales)


def test_a_word_is_used_only_where_it_is_true():
    age = BY_COLUMN["age_days"]

    assert [age.word(-1, days) for days in (40, 480)] == ["new", "later"]
    assert BY_COLUMN["orders"].word(1.0, 1.2) == ""


def test_no_segment_is_tiny_and_every_customer_has_one():
    frame = shop(1_000)
    model = discover(frame)

    assigned = assign(model, frame)

    assert assigned["customer_id"].to_list() == sorted(frame["customer_id"])
    assert assigned.null_count().sum_horizontal().item() == 0
    assert assigned["segment_id"].value_counts()["count"].min() >= SMALLEST_SHARE * frame.height


def test_a_customer_alone_gets_the_segment_that_they_get_among_all():
    frame = shop(300)
    model = discover(frame)
    together = assign(model, frame)

    alone = pl.concat(assign(model, frame[row]) for row in range(0, 300, 7))

    assert alone.sort("customer_id").equals(together.join(alone.select("customer_id"), on="customer_id"))


@pytest.mark.parametrize("customers", [1, 2, 10, 30])
def test_a_handful_of_customers_is_enough(customers: int):
    frame = shop(customers)

    model = discover(frame)

    assert 1 <= len(model.segments) <= max(1, customers // 5)
    assert assign(model, frame).height == customers


def test_customers_who_are_all_alike_are_one_segment():
    alike = np.full(50, 2)

    model = discover(
        features(50, orders=alike, age_days=alike, recency_days=alike, order_value_mean_minor=alike)
    )

    assert [segment.name for segment in model.segments] == [EVERYBODY]


def test_two_kinds_without_variation_inside_are_two_segments():
    kind = np.repeat([1, 20], 40)

    model = discover(
        features(80, orders=kind, age_days=kind * 30, recency_days=kind, order_value_mean_minor=kind * 100)
    )

    assert len(model.segments) == 2


def test_no_customers_is_an_error_that_says_what_to_do():
    with pytest.raises(ValueError, match="land transactions first"):
        discover(shop(10).clear())


def test_unknown_behaviour_counts_as_average():
    frame = shop(400)
    model = discover(frame)

    blank = frame.head(5).with_columns(pl.lit(None, dtype=pl.Float64).alias("order_value_mean_minor"))

    assert assign(model, blank).height == 5


def test_a_missing_feature_is_named():
    frame = shop(200)

    with pytest.raises(ValueError, match="recency_days"):
        assign(discover(frame), frame.drop("recency_days"))


def test_a_model_survives_its_file(tmp_path: Path):
    model = discover(shop(200))
    save(model, tmp_path / "segments.json")

    assert load(tmp_path / "segments.json") == model
    assert [path.name for path in tmp_path.iterdir()] == ["segments.json"]


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"version": 99}', '{"version": 1, "scales": [{"x": 1}]}']
)
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: str):
    (tmp_path / "segments.json").write_text(content)

    with pytest.raises(ValueError, match="not a segment model"):
        load(tmp_path / "segments.json")


def test_scorecards_count_everybody_and_average_in_major_units():
    frame = pl.DataFrame(
        {
            "customer_id": ["a", "b", "c"],
            "orders": [1, 3, 2],
            "age_days": [10, 20, 30],
            "recency_days": [1, 2, 3],
            "order_value_mean_minor": [1000.0, 3000.0, 500.0],
            "observed_minor": [1000, 9000, 1000],
        }
    )
    assigned = pl.DataFrame(
        {"customer_id": ["a", "b", "c"], "segment_id": ["s1", "s1", "s2"], "segment": ["Big", "Big", "Small"]}
    )
    predictions = pl.DataFrame(
        {"customer_id": ["a", "b"], "predicted_ltv": [10.0, 20.0], "next_12m_value": [1.0, 2.0],
         "repeat_probability": [0.25, 0.75]}
    )  # fmt: skip

    cards = scorecards(assigned, frame, predictions).to_dicts()

    assert cards[0] == {
        "segment_id": "s1", "segment": "Big", "customers": 2, "share": pytest.approx(2 / 3), "orders": 2.0,
        "days_since_first_order": 15.0, "days_since_last_order": 1.5, "average_order_value": 20.0,
        "observed_value": 50.0, "predicted_ltv": 15.0, "next_12m_value": 1.5, "repeat_probability": 0.5,
    }  # fmt: skip
    assert (cards[1]["customers"], cards[1]["predicted_ltv"]) == (1, None)


def test_the_picture_of_sizes_is_a_png_and_the_same_each_time():
    frame = shop(200)
    cards = scorecards(assign(discover(frame), frame), frame, NO_PREDICTIONS)

    picture = segment_sizes(cards)

    assert picture.startswith(b"\x89PNG")
    assert picture == segment_sizes(cards)


def test_twenty_thousand_customers_take_seconds():
    frame = shop(20_000)
    started = time.perf_counter()

    model = discover(frame)

    assert time.perf_counter() - started < 30
    assert len(model.segments) >= 3
