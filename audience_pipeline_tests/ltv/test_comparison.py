from __future__ import annotations

import numpy as np
import pytest

from audience_pipeline.ltv import comparison
from audience_pipeline.ltv.comparison import compare
from audience_pipeline.ltv.evaluation import FIGURES, metrics
from audience_pipeline.ltv.matrix import Floats

NAIVE = "spend so far x 1.29"


@pytest.fixture
def shop() -> tuple[Floats, Floats]:
    draw = np.random.default_rng(2)
    spent = draw.lognormal(3, 1, 2000)
    return spent, spent * draw.lognormal(0.2, 0.3, 2000)


def test_figures_are_those_of_each_forecast_alone(shop: tuple[Floats, Floats]) -> None:
    spent, actual = shop

    found = compare({"predicted": 1.25 * spent}, {NAIVE: 1.29 * spent}, actual)

    model, rule = found.figures
    assert (model["forecast"], rule["forecast"]) == ("predicted", NAIVE)
    alone = metrics(1.25 * spent, actual)
    assert {name: model[name] for name in FIGURES} == alone
    assert model["thousand_within_20"] == 1
    assert 0 < model["thousand_error"] < 0.1


def test_differences_are_paired_and_so_more_certain_than_each_figure(shop: tuple[Floats, Floats]) -> None:
    spent, actual = shop

    found = compare({"predicted": 1.25 * spent}, {NAIVE: 1.29 * spent}, actual)

    row = found.differences[0]
    model, rule = found.figures
    assert row["within_30"] == pytest.approx(model["within_30"] - rule["within_30"])
    assert row["gini"] == pytest.approx(0, abs=1e-12)
    assert row["gini_se"] == pytest.approx(0, abs=1e-9)
    assert 0 < row["within_30_se"] < model["within_30_se"]


def test_the_standard_error_of_a_share_is_the_binomial_one(shop: tuple[Floats, Floats]) -> None:
    spent, actual = shop

    model = compare({"predicted": 1.25 * spent}, {}, actual).figures[0]

    binomial = np.sqrt(model["within_30"] * (1 - model["within_30"]) / len(actual))
    assert model["within_30_se"] == pytest.approx(binomial, rel=0.25)


def test_errors_of_many_customers_are_scaled_from_a_part(
    shop: tuple[Floats, Floats], monkeypatch: pytest.MonkeyPatch
) -> None:
    spent, actual = shop
    whole = compare({"predicted": spent}, {}, actual).figures[0]
    monkeypatch.setattr(comparison, "MOST_ROWS", 500)

    part = compare({"predicted": spent}, {}, actual).figures[0]

    assert part["mae"] == whole["mae"]
    assert part["within_30_se"] == pytest.approx(whole["within_30_se"], rel=0.3)


def test_the_same_seed_gives_the_same_errors(shop: tuple[Floats, Floats]) -> None:
    spent, actual = shop

    one, same, other = (compare({"p": spent}, {}, actual, seed=seed).figures for seed in (7, 7, 8))

    assert one == same
    assert one != other


def test_nobody_gives_figures_without_meaning() -> None:
    found = compare({"predicted": np.zeros(0)}, {NAIVE: np.zeros(0)}, np.zeros(0))

    assert found.figures[0]["mae"] is None
    assert found.differences[0]["within_30_se"] is None
