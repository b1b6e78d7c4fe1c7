from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.ltv.matrix import Floats
from audience_pipeline.ltv.shap import shap_values


def make_matrix(seed: int, rows: int) -> Floats:
    """Numbers with ties, zeros, both signs and missing values."""
    draw = np.random.default_rng(seed)
    matrix = draw.normal(size=(rows, 6)).round(1)
    matrix[draw.random(matrix.shape) < 0.1] = np.nan
    matrix[:, 5] = draw.integers(-2, 3, rows)
    return matrix


def grown(leaves: int = 8, rounds: int = 20, *, weight: float = 1.0, **more: Any) -> Any:
    matrix = make_matrix(1, 3000)
    filled = np.nan_to_num(matrix)
    label = weight * (filled[:, 0] * (filled[:, 5] > 0) + np.isnan(matrix[:, 1]) + np.abs(filled[:, 2]))
    parameters = {"num_leaves": leaves, "verbosity": -1, "num_threads": 1, "seed": 2, **more}
    return lightgbm.train(parameters, lightgbm.Dataset(matrix, label), rounds)


BOOSTER = grown()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), rows=st.sampled_from([1, 2, 299, 301, 900]))
def test_shap_values_are_those_of_lightgbm(seed: int, rows: int) -> None:
    matrix = make_matrix(seed, rows)

    found = shap_values(BOOSTER, matrix)

    assert found == pytest.approx(BOOSTER.predict(matrix, pred_contrib=True), abs=1e-12)
    assert found.sum(axis=1) == pytest.approx(BOOSTER.predict(matrix, raw_score=True), abs=1e-12)


def test_who_predicts_with_the_same_booster_meanwhile_is_answered_by_all_its_trees() -> None:
    matrix = make_matrix(7, 10_000)
    scores = BOOSTER.predict(matrix, raw_score=True)

    with ThreadPoolExecutor(3) as pool:
        asked = [
            (
                pool.submit(shap_values, BOOSTER, matrix),
                pool.submit(BOOSTER.predict, matrix, raw_score=True, num_threads=1),
            )
            for _ in range(30)
        ]

    assert all(np.array_equal(predicted.result(), scores) for _, predicted in asked)
    assert all(shap.result().sum(axis=1) == pytest.approx(scores, abs=1e-12) for shap, _ in asked)


@pytest.mark.parametrize(
    "booster",
    [
        grown(leaves=31),
        grown(use_missing=False),
        grown(extra_trees=True, feature_fraction=0.5),
        grown(weight=0.0),
        grown(rounds=1, leaves=2),
    ],
    ids=["large trees", "missing values as zeros", "random splits", "nothing to split", "one split"],
)
def test_they_are_whatever_the_trees_look_like(booster: Any) -> None:
    matrix = make_matrix(5, 700)

    assert shap_values(booster, matrix) == pytest.approx(
        booster.predict(matrix, pred_contrib=True), abs=1e-12
    )
