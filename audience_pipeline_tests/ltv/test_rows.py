from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from audience_pipeline.features.customer_features import customer_features
from audience_pipeline.ltv.matrix import Encoder
from audience_pipeline.ltv.outliers import Ordinary
from audience_pipeline.ltv.rows import FOLDS, PARTS, Rows, as_they_were, build_rows
from audience_pipeline.ltv.snapshots import (
    UNSEEN_DAYS,
    Horizon,
    first_orders,
    folds,
    labels,
    snapshot_days,
)
from audience_pipeline_tests.ltv.workshop import Workshop

AS_OF = date(2025, 3, 31)


@pytest.fixture(scope="module")
def rows(workshop: Workshop) -> Rows:
    return workshop.rows


def as_of(rows: Rows) -> pl.DataFrame:
    """Who and when of each row, with its window."""
    return rows.frame[rows.snapshot].with_columns(
        pl.Series("first_window", rows.first_window), pl.Series("days", rows.days)
    )


def test_no_window_ends_after_the_last_day_that_may_be_seen(rows: Rows) -> None:
    table = as_of(rows)

    ends = table.select(pl.col("as_of") + pl.duration(days="days"))["as_of"]

    assert ends.max() == AS_OF
    assert (table["as_of"] < AS_OF).all()


def test_first_windows_end_with_day_364_and_others_a_year_after_the_snapshot(rows: Rows) -> None:
    table = as_of(rows)

    first, later = table.filter("first_window"), table.filter(~pl.col("first_window"))
    assert (first["age_days"] + first["days"] == 364).all()
    assert first["days"].min() >= 1  # type: ignore[operator]
    assert set(later["days"]) == {365.0}


def test_all_rows_of_a_customer_share_its_fold_and_its_part(rows: Rows) -> None:
    table = as_of(rows).with_columns(pl.Series("fold", rows.fold), pl.Series("part", rows.part))

    by_customer = table.group_by("customer_id").agg(pl.n_unique("fold", "part"), pl.len())

    assert by_customer["fold"].max() == by_customer["part"].max() == 1
    assert by_customer["len"].median() > 5  # type: ignore[operator]
    assert set(rows.fold) == set(range(FOLDS))
    assert rows.part.max() < PARTS


def test_customers_who_may_have_bought_before_the_data_begin_teach_no_first_year(
    rows: Rows, shop_orders: pl.DataFrame
) -> None:
    begin = shop_orders["order_date"].min()
    assert isinstance(begin, date)

    first = as_of(rows).filter("first_window")["first_order"]
    later = as_of(rows).filter(~pl.col("first_window"))["first_order"]

    assert first.min() == begin + timedelta(days=UNSEEN_DAYS)
    assert later.min() == begin


def test_labels_are_what_was_spent_in_the_window(rows: Rows, shop_orders: pl.DataFrame) -> None:
    chosen = np.random.default_rng(1).choice(len(rows), 60, replace=False)
    table = as_of(rows)

    for row, at in zip(table[chosen.tolist()].iter_rows(named=True), chosen, strict=True):
        window = shop_orders.filter(
            pl.col("customer_id") == row["customer_id"],
            pl.col("order_date") > row["as_of"],
            pl.col("order_date") <= row["as_of"] + timedelta(days=row["days"]),
        )
        assert rows.actual[at] == rows.spent[at] == window["amount_minor"].sum()
        assert rows.ordered[at] == (window["kind"] == "order").any()


def test_some_rows_are_taken_with_their_snapshots(rows: Rows) -> None:
    chosen = np.array([5, 3, len(rows) - 1])

    some = rows.take(chosen)

    assert len(some) == 3
    assert some.age.tolist() == rows.age[chosen].tolist()
    assert some.column("observed_minor").tolist() == rows.column("observed_minor")[chosen].tolist()
    assert some.days.tolist() == rows.days[chosen].tolist()


def test_rows_of_a_day_are_found(rows: Rows, workshop: Workshop) -> None:
    on = rows.on(workshop.newest)

    assert workshop.newest == AS_OF - timedelta(days=365)
    assert set(as_of(rows).filter(pl.Series(on))["as_of"]) == {workshop.newest}
    assert not rows.on(AS_OF).any()


def made(orders: pl.DataFrame) -> Rows:
    """Rows of some customers' orders, as training makes them."""
    ordinary = Ordinary.of(orders.lazy())
    tamed = ordinary.tamed(orders.lazy())
    giant = ordinary.outliers(orders.lazy())["customer_id"].implode()
    days = snapshot_days(first_orders(orders.lazy(), AS_OF), AS_OF)
    features = customer_features(tamed, days.lazy()).collect().sort("customer_id", "as_of")
    of_giants = pl.col("customer_id").is_in(giant)
    raw = customer_features(orders.filter(of_giants).lazy(), days.filter(of_giants).lazy()).collect()
    return build_rows(
        features,
        as_they_were(features, raw),
        labels(tamed, features, AS_OF),
        labels(orders.lazy(), features, AS_OF),
        Encoder.fit(features),
        Horizon(365, None),
        seed=7,
    )


def test_giant_orders_are_learnt_as_typical_ones_and_measured_as_they_were(
    shop_orders: pl.DataFrame,
) -> None:
    some = shop_orders.filter(pl.col("customer_id") < "c00300")
    first = pl.col("order_date") == pl.col("order_date").min().over("customer_id")
    usual = Ordinary.of(some.lazy()).typical_minor
    early = some.filter(first & (pl.col("order_date") < date(2024, 1, 1)) & (pl.col("kind") == "order"))
    whose = early["customer_id"][0]
    more = early.head(1).with_columns(
        pl.lit(1000 * usual, dtype=pl.Int64).alias("amount_minor"),
        pl.lit("giant").alias("order_id"),
        (pl.col("order_date") + pl.duration(days=100)),
    )

    bent = made(pl.concat([some, more]).sort("customer_id", "order_date", "order_id", "kind"))

    own = (bent.frame["customer_id"] == whose).to_numpy()[bent.snapshot]
    before, after = own & bent.first_window & (bent.age < 100), own & bent.first_window & (bent.age >= 100)
    assert (bent.actual[before] - bent.spent[before] > 998 * usual).all()
    assert (bent.actual[after] == bent.spent[after]).all()
    assert before.any()
    assert after.any()
    assert (bent.actual[~own] == bent.spent[~own]).all()
    # What customers have spent so far is a fact, while features hold no giant order.
    assert (bent.column("first_year_minor")[after] > 998 * usual).all()
    assert (bent.customers.first_year[bent.snapshot[after]] > 998 * usual).all()
    assert (bent.customers.mean[bent.snapshot[after]] < 100 * usual).all()


def test_a_later_order_changes_no_row_whose_window_was_over(shop_orders: pl.DataFrame) -> None:
    some = shop_orders.filter(pl.col("customer_id") < "c00300")
    late = some.filter(pl.col("kind") == "order").group_by("customer_id", maintain_order=True).first()
    late = late.select(some.columns).with_columns(
        pl.lit(AS_OF).alias("order_date"), pl.lit("late").alias("order_id")
    )

    before, after = made(some), made(pl.concat([some, late]).sort("customer_id", "order_date", "order_id"))

    over = as_of(before).select((pl.col("as_of") + pl.duration(days="days") < AS_OF).alias("over"))
    still = over["over"].to_numpy()
    assert before.frame.equals(after.frame)
    assert np.array_equal(before.customers.numbers, after.customers.numbers, equal_nan=True)
    assert np.array_equal(before.spent[still], after.spent[still])
    assert not np.array_equal(before.spent, after.spent)


def test_folds_are_stable_and_independent_of_parts() -> None:
    customers = pl.Series("customer_id", [f"c{number}" for number in range(6000)])

    fold, part = folds(customers, FOLDS, 7).to_numpy(), folds(customers, PARTS, 8).to_numpy()

    for number in range(FOLDS):
        assert (part[fold == number] < 50).mean() == pytest.approx(0.5, abs=0.03)
