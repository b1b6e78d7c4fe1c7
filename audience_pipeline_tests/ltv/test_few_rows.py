"""A few rows go other ways than many, for their time alone."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from audience_pipeline.features.customer_features import customer_features
from audience_pipeline.ltv.boosters import Boosters, Ground, Joined
from audience_pipeline.ltv.tables import FEW_ROWS, LEVELS, Residuals, Tables
from audience_pipeline.ltv.training import Trained

ROWS = 900


@pytest.mark.parametrize("size", [1, 2, FEW_ROWS // 2, FEW_ROWS, FEW_ROWS + 1, 300])
def test_customers_are_predicted_in_parts_of_any_size_as_together(
    trained: Trained, shop_orders: pl.DataFrame, size: int
) -> None:
    features = (
        customer_features(shop_orders.lazy(), date(2024, 12, 1)).collect().sort("customer_id").head(600)
    )
    together = trained.model.predict(features)

    parts = [trained.model.predict(features.slice(begin, size)) for begin in range(0, 20 * size, size)]

    assert features["age_days"].min() < 15
    assert_frame_equal(pl.concat(parts), together.head(20 * size), check_exact=True)


def test_joined_trees_answer_as_each_bag_does() -> None:
    rng = np.random.default_rng(3)
    matrix = rng.normal(size=(ROWS, 5))
    label, everybody, start = matrix[:, 0] + matrix[:, 1], np.arange(ROWS), np.zeros(ROWS)
    grown = [Ground(matrix, 7).grow("value", everybody, label, start, seed) for seed in (1, 2, 3)]
    # One whose growth ended early, as where nothing more was gained.
    short = type(grown[0])(model_str=grown[2].model_to_string(num_iteration=9))
    several = [Boosters((grown[0], short, grown[1])), Boosters(()), Boosters((grown[2],))]

    joined = Joined(several)

    for size in (0, 1, 7, ROWS):
        for found, boosters in zip(joined.corrections(matrix[:size]), several, strict=True):
            assert np.array_equal(found, boosters.correction(matrix[:size]))
    nothing = Joined([Boosters(()), Boosters(())])
    assert [one.tolist() for one in nothing.corrections(matrix[:2])] == [[0.0, 0.0], [0.0, 0.0]]


def test_ages_are_looked_up_together_as_one_by_one() -> None:
    rng = np.random.default_rng(4)

    def residuals(groups: int) -> Residuals:
        ordered = tuple(tuple(np.sort(rng.normal(size=len(LEVELS)).round(1)).tolist()) for _ in range(groups))
        idle = tuple(np.sort(-rng.random(len(LEVELS))).tolist())
        return Residuals(tuple(np.linspace(0.2, 0.8, groups).tolist()), ordered, idle, 0.1, 0.9)

    tables = Tables.of([residuals(3), residuals(1), residuals(2)])
    age, again = np.array([2, 0, 1, 0, 2]), np.array([0.0, 0.35, 0.5, 0.8, 1.0])
    # Values that occur in the tables, and some below and above all.
    values = np.column_stack([rng.normal(size=(5, 40)).round(1), np.full(5, -np.inf), np.full(5, 9.0)])

    for group in range(3):
        for inclusive in (False, True):
            together = tables.ordered_below(age, group, values, inclusive=inclusive)
            alone = [
                tables.ordered_below(int(one), group, row[None, :], inclusive=inclusive)[0]
                for one, row in zip(age, values, strict=True)
            ]
            assert np.array_equal(together, alone)
    shares = np.array(list(tables.shares(age, again)))
    assert np.allclose(shares.sum(axis=0), 1.0)
    assert shares[0, 2] == 1.0  # an age with one group has no other
    assert np.allclose(shares[:, 1], [0.5, 0.5, 0.0])
