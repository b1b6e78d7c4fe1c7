from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from audience_pipeline.ltv.boosters import Boosters
from audience_pipeline.ltv.matrix import Customers
from audience_pipeline.ltv.outlook import KINDS, WINDOW_COLUMNS, Outlook, OutlookModel, expect
from audience_pipeline.ltv.training import Trained


@pytest.fixture(scope="module")
def model(trained: Trained) -> OutlookModel:
    return trained.model.outlook


@pytest.fixture(scope="module")
def untaught(model: OutlookModel) -> OutlookModel:
    """A model whose trees had nothing to learn."""
    nothing = Boosters(())
    return replace(model, again=nothing, value=nothing, money=nothing, smear=1.0)


@pytest.fixture(scope="module")
def customers(model: OutlookModel, features: pl.DataFrame) -> Customers:
    return model.encoder.customers(features)


def year(customers: Customers) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.full(len(customers), 365.0)


def test_what_is_expected_is_orders_times_their_value(model: OutlookModel, customers: Customers) -> None:
    found = expect(model.purchases, customers, year(customers))

    assert np.array_equal(found.money, found.orders * found.order_value)
    assert ((found.alive >= 0) & (found.alive <= 1)).all()
    assert (found.order_value > 0).all()


def test_without_trees_the_purchase_model_stands(untaught: OutlookModel, customers: Customers) -> None:
    found = untaught.predict(customers, year(customers))

    orders = expect(untaught.purchases, customers, year(customers)).orders
    assert found.again == pytest.approx(np.clip(1 - np.exp(-orders), 1e-4, 1 - 1e-4))
    assert found.money == pytest.approx(found.purchase + 1.0)
    much = orders > 0.01
    assert found.hurdle[much] == pytest.approx(found.purchase[much], rel=0.02, abs=3)


def test_a_longer_window_holds_more(model: OutlookModel, customers: Customers) -> None:
    short, long = (expect(model.purchases, customers, days * year(customers)).money for days in (0.5, 1.0))

    assert (short <= long).all()
    assert (short < long).mean() > 0.9


def test_the_days_after_the_window_ends_bring_nothing(model: OutlookModel, customers: Customers) -> None:
    found = expect(model.purchases, customers, np.zeros(len(customers)))

    assert not found.money.any()
    assert np.isfinite(found.columns(np.zeros(len(customers)))).all()
    assert np.isfinite([found.again_start, found.value_start, found.money_start]).all()


def test_trees_take_a_window_that_they_have_not_seen_for_the_longest_that_they_have(
    model: OutlookModel, customers: Customers
) -> None:
    expected = expect(model.purchases, customers, 2 * year(customers))

    matrix = model.matrix(customers, expected, 2 * year(customers))

    assert matrix.shape == (len(customers), len(model.names))
    assert set(matrix[:, model.names.index(WINDOW_COLUMNS[0])]) == {model.longest}


def test_shares_of_a_forecast_are_those_of_a_geometric_mean() -> None:
    outlook = Outlook(*(np.array([value]) for value in (99.0, 0.5, 3.0, 399.0, 899.0)))

    assert outlook.blended((1.0, 0.0, 0.0))[0] == pytest.approx(100)
    assert outlook.blended((0.0, 1.0, 0.0))[0] == pytest.approx(400)
    assert outlook.blended((0.0, 0.0, 1.0))[0] == pytest.approx(900)
    assert outlook.blended((0.0, 0.5, 0.5))[0] == pytest.approx(600)


def test_the_hurdle_is_the_probability_times_the_value(model: OutlookModel, customers: Customers) -> None:
    found = model.predict(customers, year(customers))

    assert found.hurdle == pytest.approx(found.again * np.exp(found.log_value) * model.smear)
    assert ((found.again > 0) & (found.again < 1)).all()
    assert (found.money > 0).all()


def test_an_outlook_model_survives_json_and_text(model: OutlookModel, customers: Customers) -> None:
    texts = {kind: getattr(model, kind).as_texts() for kind in KINDS}

    again = OutlookModel.from_json(json.loads(json.dumps(model.as_json())), texts)

    old, new = model.predict(customers, year(customers)), again.predict(customers, year(customers))
    for name in ("purchase", "again", "log_value", "hurdle", "money"):
        assert np.array_equal(getattr(old, name), getattr(new, name))
