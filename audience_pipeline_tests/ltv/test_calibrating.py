from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from audience_pipeline.ltv.calibrating import (
    PURCHASES_ALONE,
    TREES_ALONE,
    Forecasts,
    calibrate,
    held_tables,
)
from audience_pipeline.ltv.calibration import age_bucket
from audience_pipeline.ltv.held import HELD_SCHEMA
from audience_pipeline.ltv.matrix import Floats
from audience_pipeline.ltv.outlook import Outlook
from audience_pipeline.ltv.rows import Rows
from audience_pipeline.ltv.snapshots import AGES
from audience_pipeline_tests.ltv.workshop import Workshop


@pytest.fixture(scope="module")
def rows(workshop: Workshop) -> Rows:
    return workshop.rows


def forecasts(rows: Rows, outlook: Outlook, newest: date) -> Forecasts:
    return calibrate(rows, outlook, newest)[2]


def test_no_fold_is_calibrated_by_its_own_customers(workshop: Workshop, rows: Rows) -> None:
    own = rows.fold == 1
    other = replace(
        rows,
        spent=np.where(own, 5 * rows.spent + 3000, rows.spent),
        ordered=np.where(own, True, rows.ordered),
    )

    before = workshop.forecasts
    after = forecasts(other, workshop.held.outlook, workshop.newest)

    assert np.array_equal(before.remaining[own], after.remaining[own])
    assert np.array_equal(before.repeat[own], after.repeat[own])
    first = own[rows.first_window]
    for name in ("likely", "p10", "p90", "within_30"):
        assert np.array_equal(getattr(before.forecast, name)[first], getattr(after.forecast, name)[first])
    assert not np.array_equal(before.remaining[~own], after.remaining[~own])
    assert not np.array_equal(before.forecast.p90[~first], after.forecast.p90[~first])


def test_the_level_of_the_next_year_is_that_of_the_newest_complete_one(
    workshop: Workshop, rows: Rows
) -> None:
    later = ~rows.first_window
    older = later & ~rows.on(workshop.newest)
    before = workshop.trained.model.calibration

    other, _, _ = calibrate(
        replace(rows, spent=np.where(older, 9 * rows.spent, rows.spent)),
        workshop.held.outlook,
        workshop.newest,
    )
    newer, _, _ = calibrate(
        replace(rows, spent=np.where(rows.on(workshop.newest) & later, 2 * rows.spent, rows.spent)),
        workshop.held.outlook,
        workshop.newest,
    )

    assert older.any()
    assert other.next_12m == before.next_12m
    assert other.repeat == before.repeat
    outlook = workshop.held.outlook.take(rows.on(workshop.newest) & later)
    assert newer.next_year(outlook).sum() == pytest.approx(2 * before.next_year(outlook).sum(), rel=0.05)


def test_totals_of_held_out_customers_come_true(workshop: Workshop, rows: Rows) -> None:
    first, newest = rows.first_window, ~rows.first_window & rows.on(workshop.newest)

    for which in (first, newest):
        assert workshop.forecasts.remaining[which].sum() == pytest.approx(rows.spent[which].sum(), rel=0.05)
    assert workshop.forecasts.repeat[newest].mean() == pytest.approx(rows.ordered[newest].mean(), abs=0.02)


def imitated(rows: Rows, purchase: Floats, trees: Floats) -> Outlook:
    return Outlook(purchase, np.full(len(rows), 0.3), np.log(trees + 1.0), trees, trees)


def test_trees_are_trusted_as_far_as_held_out_customers_bear_out(workshop: Workshop, rows: Rows) -> None:
    rng = np.random.default_rng(1)
    right = np.maximum(rows.spent, 0.0) * rng.gamma(5, 0.2, len(rows)) + 200.0
    blind = np.full(len(rows), right.mean())

    def weights(outlook: Outlook) -> set[tuple[float, float, float]]:
        calibration, _, _ = calibrate(rows, outlook, workshop.newest)
        return {*calibration.first_year_weights, calibration.next_12m_weights}

    assert weights(imitated(rows, blind, right)) == {TREES_ALONE}
    assert weights(imitated(rows, right, blind)) == {PURCHASES_ALONE}
    assert weights(imitated(rows, right, right)) == {PURCHASES_ALONE}


def test_trust_in_trees_is_a_share_and_shared_evenly(workshop: Workshop) -> None:
    calibration = workshop.trained.model.calibration

    for purchase, hurdle, money in (*calibration.first_year_weights, calibration.next_12m_weights):
        assert purchase + hurdle + money == pytest.approx(1.0)
        assert hurdle == money >= 0.0
        assert purchase >= 0.0


def test_held_out_tables_have_their_columns_and_one_row_for_each_customer_and_age(workshop: Workshop) -> None:
    held = workshop.trained.held

    assert held.ltv.schema == held.next_12m.schema == HELD_SCHEMA
    assert held.ltv.select("customer_id", "age_days").is_unique().all()
    assert held.next_12m["customer_id"].is_unique().all()
    assert set(held.ltv["age_days"]) == set(AGES)
    assert set(held.next_12m["as_of"]) == {workshop.newest}
    unknown = ["likely", "p10", "p90", "within_30_probability"]
    assert held.next_12m.drop(unknown).null_count().sum_horizontal().item() == 0
    assert held.next_12m.select(unknown).null_count().sum_horizontal().item() == 4 * held.next_12m.height
    assert held.ltv.drop("repeat_probability", "repeated").null_count().sum_horizontal().item() == 0


def test_actual_values_are_those_of_the_orders_in_major_units(
    workshop: Workshop, shop_orders: pl.DataFrame
) -> None:
    held = workshop.trained.held
    spent = shop_orders.select("customer_id", "order_date", "amount_minor")
    year = held.ltv.join(spent, on="customer_id").filter(
        pl.col("order_date") < pl.col("first_order") + pl.duration(days=365)
    )
    found = year.group_by("customer_id", "age_days", "actual").agg(pl.col("amount_minor").sum() * 0.01)
    assert found.height == held.ltv.height
    assert found["actual"].to_numpy() == pytest.approx(found["amount_minor"].to_numpy())

    after = spent.filter(
        pl.col("order_date") > workshop.newest, pl.col("order_date") <= workshop.newest + timedelta(days=365)
    )
    total = after.join(held.next_12m, on="customer_id", how="semi")["amount_minor"].to_numpy().sum() * 0.01
    assert held.next_12m["actual"].sum() == pytest.approx(total)


def test_giant_orders_stay_in_the_actual_values(workshop: Workshop, rows: Rows) -> None:
    whose = rows.frame["customer_id"][int(rows.snapshot[rows.first_window][0])]
    own = (rows.frame["customer_id"] == whose).to_numpy()[rows.snapshot] & rows.first_window
    giant = replace(rows, actual=np.where(own, rows.actual + 1e9, rows.actual))

    found = held_tables(giant, workshop.held.outlook, workshop.forecasts, workshop.newest, 365)

    before = workshop.trained.held.ltv
    moved = (found.ltv["actual"] - before["actual"]).to_numpy()
    assert moved == pytest.approx(np.where(before["customer_id"] == whose, 1e7, 0.0), abs=0.01)
    assert found.ltv["predicted"].equals(before["predicted"])


def test_the_global_mean_beside_a_customer_is_that_of_others(workshop: Workshop, rows: Rows) -> None:
    own = rows.fold == 0
    richer = replace(rows, actual=np.where(own, rows.actual + 1e6, rows.actual))

    found = held_tables(richer, workshop.held.outlook, workshop.forecasts, workshop.newest, 365)

    whose = pl.Series(rows.frame["customer_id"].gather(rows.snapshot[own])).unique().implode()
    for before, after in (
        (workshop.trained.held.ltv, found.ltv),
        (workshop.trained.held.next_12m, found.next_12m),
    ):
        in_fold = before["customer_id"].is_in(whose)
        assert after.filter(in_fold)["global_mean"].equals(before.filter(in_fold)["global_mean"])
        assert (after.filter(~in_fold)["global_mean"] > before.filter(~in_fold)["global_mean"]).all()


def test_an_age_of_few_customers_shares_the_level_of_all(workshop: Workshop, rows: Rows) -> None:
    bucket = age_bucket(rows.age)
    few = rows.first_window & (bucket == 2)
    kept = ~few | (np.cumsum(few) <= 100)

    calibration, _, _ = calibrate(
        rows.take(kept), workshop.held.outlook.take(np.flatnonzero(kept)), workshop.newest
    )

    all_ages = rows.take(kept & rows.first_window)
    whole = replace(all_ages, customers=replace(rows.customers, age=np.zeros(len(rows.customers))))
    outlook = workshop.held.outlook.take(np.flatnonzero(kept & rows.first_window))
    common, _, _ = calibrate(whole, outlook, workshop.newest)
    assert calibration.first_year[2] == common.first_year[0]
    assert calibration.first_year[3] != calibration.first_year[2]
