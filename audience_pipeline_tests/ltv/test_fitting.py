from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from audience_pipeline.ltv.fitting import (
    Base,
    HeldOutlook,
    fit_final,
    fit_outlook,
    fit_purchases,
    hold_out_folds,
    log_spent,
)
from audience_pipeline.ltv.matrix import Encoder
from audience_pipeline.ltv.outlook import KINDS, OutlookModel
from audience_pipeline.ltv.rows import FOLDS, Rows
from audience_pipeline_tests.ltv.workshop import Workshop


@pytest.fixture(scope="module")
def some(workshop: Workshop) -> Rows:
    """Rows of every fifth customer, which teach fast."""
    return workshop.rows.take(workshop.rows.part % 5 == 0)


@pytest.fixture(scope="module")
def held(workshop: Workshop, some: Rows) -> HeldOutlook:
    return held_out(some, workshop.base, workshop.encoder)


def held_out(rows: Rows, base: Base, encoder: Encoder, threads: int = 1) -> HeldOutlook:
    return hold_out_folds(rows, base, encoder, seed=7, threads=threads, tell=lambda _share: None)


def bent(rows: Rows, which: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Rows:
    """Other outcomes of some rows."""
    return replace(
        rows,
        spent=np.where(which, 3 * np.abs(rows.spent) + 5000, rows.spent),
        ordered=rows.ordered | which,
    )


def texts(model: OutlookModel) -> list[list[str]]:
    return [getattr(model, kind).as_texts() for kind in KINDS]


def test_no_customer_is_predicted_by_what_its_own_fold_has_done(
    workshop: Workshop, some: Rows, held: HeldOutlook
) -> None:
    own = some.fold == 0

    other = held_out(bent(some, own), workshop.base, workshop.encoder)

    for name in ("purchase", "again", "log_value", "money"):
        before, after = getattr(held.outlook, name), getattr(other.outlook, name)
        assert np.array_equal(before[own], after[own])
    assert not np.array_equal(held.outlook.again[~own], other.outlook.again[~own])


def test_the_purchase_model_of_a_fold_is_fitted_without_it(
    workshop: Workshop, some: Rows, held: HeldOutlook
) -> None:
    base, own = workshop.base, workshop.base.fold == 0
    busier = replace(
        base.customers,
        repeats=np.where(own, base.customers.repeats + 5, base.customers.repeats),
        recency=np.where(own, base.customers.age, base.customers.recency),
        mean=np.where(own, 4 * base.customers.mean, base.customers.mean),
    )

    other = held_out(some, replace(base, customers=busier), workshop.encoder)

    own_rows = some.fold == 0
    assert np.array_equal(held.outlook.purchase[own_rows], other.outlook.purchase[own_rows])
    assert (held.outlook.purchase[~own_rows] != other.outlook.purchase[~own_rows]).all()


def test_trees_learn_from_the_rows_inside_alone(workshop: Workshop, some: Rows) -> None:
    inside = some.fold != 1
    purchases = fit_purchases(workshop.base, workshop.base.fold != 1)

    def model(rows: Rows) -> OutlookModel:
        return fit_outlook(rows, inside, purchases, workshop.encoder, bags=1, seed=7, threads=1)

    known, other = model(some), model(bent(some, ~inside))

    assert texts(known) == texts(other)
    assert known.encoder == other.encoder
    assert known.encoder.effects


def test_threads_change_nothing(workshop: Workshop, some: Rows) -> None:
    one, two = (
        fit_final(some, workshop.base, workshop.encoder, 1.0, seed=7, threads=threads) for threads in (1, 2)
    )

    assert texts(one) == texts(two)
    assert one.as_json() == two.as_json()


def test_another_seed_grows_other_trees_and_progress_tells_of_each_fold(
    workshop: Workshop, some: Rows, held: HeldOutlook
) -> None:
    told: list[float] = []

    other = hold_out_folds(some, workshop.base, workshop.encoder, seed=8, threads=1, tell=told.append)

    assert not np.array_equal(held.outlook.again, other.outlook.again)
    assert np.array_equal(held.outlook.purchase, other.outlook.purchase)
    assert told == pytest.approx([(number + 1) / FOLDS for number in range(FOLDS)])


def test_held_out_forecasts_tell_who_orders_and_how_much(workshop: Workshop) -> None:
    rows, outlook = workshop.rows, workshop.held.outlook
    buyers = rows.ordered & (rows.spent > 0)

    assert outlook.again[rows.ordered].mean() > 1.5 * outlook.again[~rows.ordered].mean()
    assert np.corrcoef(outlook.log_value[buyers], np.log(rows.spent[buyers]))[0, 1] > 0.4
    assert outlook.money.sum() == pytest.approx(rows.spent.sum(), rel=0.15)
    assert outlook.hurdle.sum() == pytest.approx(rows.spent.sum(), rel=0.15)


def test_the_mean_of_logarithms_is_made_a_mean_by_what_was_left_over(workshop: Workshop) -> None:
    """Residuals of logarithms spread, so that their mean alone would be too low (Duan 1983)."""
    assert 1.0 < workshop.held.smear < 2.0
    outlook = workshop.held.outlook
    assert outlook.hurdle == pytest.approx(outlook.again * np.exp(outlook.log_value) * workshop.held.smear)


def test_an_empty_fold_is_no_error(workshop: Workshop, some: Rows) -> None:
    two = some.take(some.fold != 2)

    found = held_out(two, workshop.base, workshop.encoder)

    assert (found.outlook.money > 0).all()


def test_tiny_revenues_do_not_rule_the_logarithms() -> None:
    spent = np.array([1.0, 1000.0, 2000.0, 3000.0])

    assert np.exp(log_spent(spent)) == pytest.approx([75.0, 1000.0, 2000.0, 3000.0])
    assert log_spent(np.zeros(0)).shape == (0,)
