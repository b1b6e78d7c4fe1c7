from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from audience_pipeline.features.catalogue import FEATURES_SCHEMA, MODEL_FEATURES
from audience_pipeline.ltv.matrix import Encoder, Floats, Ints

CATEGORIES = [feature.name for feature in MODEL_FEATURES if feature.unit == "category"]
NO_CATEGORIES = Encoder(numeric=(), levels={})


def table(first_category: list[str | None]) -> pl.DataFrame:
    """Features of customers who differ in their first category alone."""
    count = len(first_category)
    given = {
        "customer_id": [f"c{number}" for number in range(count)],
        "first_category": first_category,
        "purchase_days": [2] * count,
        "age_days": [40] * count,
        "recency_days": [10] * count,
        "observed_minor": [900] * count,
        "first_year_minor": [800] * count,
    }
    return pl.DataFrame(
        {name: given.get(name, [None] * count) for name in FEATURES_SCHEMA}, schema=FEATURES_SCHEMA
    )


def of_categories(levels: int) -> Encoder:
    return Encoder(numeric=(), levels={"first_category": tuple(f"l{number}" for number in range(levels))})


def outcomes(customers: int = 2000, rows_each: int = 3) -> tuple[Ints, Floats, Floats, Ints]:
    """Levels, what was spent and expected, and the part of each customer, some rows for each."""
    rng = np.random.default_rng(4)
    level = rng.integers(-1, 4, customers)
    spent = rng.exponential(100, customers) * (1 + np.maximum(level, 0))
    part = rng.integers(0, 100, customers)
    each = [np.repeat(values, rows_each) for values in (level, spent, part)]
    return each[0][:, None], each[1], np.full(customers * rows_each, 200.0), each[2]


def test_levels_are_known_by_how_often_they_occur_and_others_are_missing_values() -> None:
    encoder = Encoder.fit(table(["toys", "books", "books", None, "art"]))

    assert encoder.levels["first_category"] == ("books", "art", "toys")
    found = encoder.customers(table(["books", "toys", "spaceships", None]))
    assert found.levels[:, CATEGORIES.index("first_category")].tolist() == [0, 2, -1, -1]


def test_only_the_most_frequent_levels_are_told_apart() -> None:
    many = [f"l{number:03d}" for number in range(300)]

    levels = Encoder.fit(table([*many, "l299"])).levels["first_category"]

    assert len(levels) == 200
    assert levels[0] == "l299"


def test_a_table_of_many_rows_is_read_as_one_of_few() -> None:
    features = table([["toys", "books", "odd", None][number % 4] for number in range(1500)])
    encoder = Encoder.fit(table(["toys", "books", "books"]))

    whole = encoder.customers(features)

    for begin in (0, 700, 1499):
        few = encoder.customers(features.slice(begin, 20))
        assert np.array_equal(few.levels, whole.levels[begin : begin + 20])
        assert np.array_equal(few.numbers, whole.numbers[begin : begin + 20], equal_nan=True)


def test_customers_are_described_by_repeats_recency_age_and_value() -> None:
    found = Encoder.fit(table(["toys"])).customers(table(["toys"]))

    assert (found.repeats[0], found.recency[0], found.age[0]) == (1.0, 30.0, 40.0)
    assert (found.mean[0], found.first_year[0]) == (450.0, 800.0)


def test_who_sent_more_back_than_was_seen_to_be_bought_has_no_mean_below_nothing() -> None:
    features = table(["toys"]).with_columns(pl.lit(-500, dtype=pl.Int64).alias("observed_minor"))

    assert Encoder.fit(features).customers(features).mean[0] == 0.0


def test_missing_numbers_stay_missing() -> None:
    encoder = Encoder.fit(table(["toys"]))

    found = dict(zip(encoder.numeric, encoder.customers(table([None])).numbers[0], strict=True))

    assert np.isnan(found["days_to_second_order"])
    assert found["age_days"] == 40.0


def test_nobody_has_a_matrix_of_no_rows_and_all_columns(features: pl.DataFrame) -> None:
    encoder = Encoder.fit(features)
    levels, spent, expected, part = outcomes()
    encoder, _ = Encoder(encoder.numeric, {"first_category": ("a", "b", "c", "d")}).fit_effects(
        levels, spent, expected, part
    )

    assert encoder.encoded(encoder.customers(features.clear())).shape == (0, len(encoder.names))


def test_some_rows_are_taken_with_everything_that_is_known_of_them(features: pl.DataFrame) -> None:
    encoder = Encoder.fit(features)
    chosen = np.array([5, 2, 900])

    taken = encoder.customers(features).take(chosen)
    alone = encoder.customers(features[chosen.tolist()])

    for name in ("numbers", "levels", "repeats", "recency", "age", "mean", "first_year"):
        assert np.array_equal(getattr(taken, name), getattr(alone, name), equal_nan=True)


def test_a_level_that_spends_more_than_expected_has_a_greater_effect() -> None:
    encoder, _ = of_categories(4).fit_effects(*outcomes())

    (effects,) = encoder.effects
    assert list(effects) == sorted(effects)
    assert effects[0] < 0 < effects[3]
    assert effects[3] - effects[0] == pytest.approx(np.log(4), abs=0.2)


def test_a_level_of_few_customers_says_little() -> None:
    levels, spent, expected, part = outcomes()
    levels = np.where(levels == 3, 2, levels)
    levels[:3] = 3
    spent[:3] = 100_000.0

    encoder, _ = of_categories(4).fit_effects(levels, np.minimum(spent, 1000.0), expected, part)

    assert 0 < encoder.effects[0][3] < 0.5


def test_levels_that_spend_nothing_or_less_keep_finite_effects() -> None:
    levels, spent, expected, part = outcomes()
    spent = np.where(levels[:, 0] == 0, -100.0, spent)

    encoder, column = of_categories(5).fit_effects(levels, spent, expected, part)

    assert np.isfinite(encoder.effects[0]).all()
    assert np.isfinite(column).all()
    assert encoder.effects[0][4] == 0.0


@pytest.mark.parametrize("spent", [0.0, -5.0])
def test_where_nobody_spends_no_level_has_an_effect(spent: float) -> None:
    levels, _, expected, part = outcomes()

    encoder, column = of_categories(4).fit_effects(levels, np.full(len(part), spent), expected, part)

    assert encoder.effects == ((0.0,) * 4,)
    assert not column.any()


def test_the_encoded_value_of_a_customer_does_not_know_its_own_outcome() -> None:
    levels, spent, expected, part = outcomes()
    before = of_categories(4).fit_effects(levels, spent, expected, part)[1][:, 0]

    for customer in (0, 7, 100):
        own = slice(3 * customer, 3 * customer + 3)
        changed = spent.copy()
        changed[own] = 5000.0
        after = of_categories(4).fit_effects(levels, changed, expected, part)[1][:, 0]

        assert after[own].tolist() == before[own].tolist()
        if levels[3 * customer, 0] >= 0:
            assert (after != before).any()


def test_rows_of_a_customer_share_what_others_tell() -> None:
    column = of_categories(4).fit_effects(*outcomes())[1][:, 0]

    assert (column.reshape(-1, 3) == column.reshape(-1, 3)[:, :1]).all()


def test_missing_and_unknown_levels_have_no_effect() -> None:
    levels, spent, expected, part = outcomes()

    _, column = of_categories(4).fit_effects(levels, spent, expected, part)

    assert not column[levels[:, 0] < 0].any()


def test_new_customers_are_encoded_by_all_that_was_learnt(features: pl.DataFrame) -> None:
    base = Encoder.fit(features)
    customers = base.customers(features)
    spent = np.where(customers.levels[:, CATEGORIES.index("first_category")] == 0, 300.0, 100.0)
    part = np.arange(len(spent)) % 100

    encoder, _ = base.fit_effects(customers.levels, spent, np.full(len(spent), 150.0), part)
    matrix = encoder.encoded(customers)

    assert matrix.shape == (len(spent), len(encoder.names))
    assert encoder.names[-len(CATEGORIES) :] == tuple(CATEGORIES)
    column = matrix[:, encoder.names.index("first_category")]
    code = customers.levels[:, CATEGORIES.index("first_category")]
    effects = np.array(encoder.effects[CATEGORIES.index("first_category")])
    assert column.tolist() == np.where(code >= 0, effects[code], 0.0).tolist()


def test_without_categories_only_numbers_are_encoded() -> None:
    encoder, columns = NO_CATEGORIES.fit_effects(
        np.empty((5, 0), dtype=np.int64), np.ones(5), np.ones(5), np.arange(5)
    )

    assert columns.shape == (5, 0)
    assert encoder.names == ()


def test_an_encoder_survives_json(features: pl.DataFrame) -> None:
    encoder = Encoder.fit(features)
    customers = encoder.customers(features)
    encoder, _ = encoder.fit_effects(
        customers.levels, np.ones(len(customers)), np.ones(len(customers)), np.arange(len(customers))
    )

    assert Encoder.from_json(json.loads(json.dumps(encoder.as_json()))) == encoder
