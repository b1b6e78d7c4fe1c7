from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import polars as pl
import pytest

from audience_pipeline.ltv import backtest
from audience_pipeline.ltv.backtest import hold_out, later_cohort, next_period, train_and_test
from audience_pipeline.ltv.held import HELD_SCHEMA, HeldOut
from audience_pipeline.ltv.snapshots import first_orders
from audience_pipeline.ltv.training import Trained

BEGIN = date(2023, 1, 1)
AS_OF = date(2025, 3, 31)
LONG_DAYS = 1130
LONG_END = BEGIN + timedelta(days=LONG_DAYS - 1)
COHORT_BEGIN = LONG_END - timedelta(days=364 + 91)
"""The last day that the model of a later cohort sees."""

Make = Callable[..., pl.DataFrame]


@pytest.fixture(scope="module")
def small(make: Make) -> pl.DataFrame:
    return make(900, seed=31)


@pytest.fixture(scope="module")
def out(small: pl.DataFrame) -> pl.Series:
    """Customers to hold out."""
    return small["customer_id"].unique().sort().gather_every(5)


@pytest.fixture(scope="module")
def held(small: pl.DataFrame, out: pl.Series) -> HeldOut:
    return hold_out(small.lazy(), AS_OF, out, (0, 30, 90))


@pytest.fixture(scope="module")
def long(make: Make) -> pl.DataFrame:
    """Three years of a shop."""
    return make(1500, days=LONG_DAYS, seed=32)


@pytest.fixture(scope="module")
def later(long: pl.DataFrame) -> HeldOut:
    found = later_cohort(long.lazy(), LONG_END)
    assert found is not None
    return found


PREDICTED = (
    "observed_value", "last_12m", "purchase_model", "global_mean", "predicted", "likely", "p10", "p90",
    "within_30_probability", "repeat_probability",
)  # fmt: skip


def predicted(table: pl.DataFrame) -> pl.DataFrame:
    return table.select("customer_id", "as_of", "age_days", *PREDICTED)


def first_window(orders: pl.DataFrame, held: pl.DataFrame, days: int) -> dict[str, float]:
    """What each customer spent in its first days, major units."""
    spent = orders.join(held.unique("customer_id").select("customer_id", "first_order"), on="customer_id")
    inside = spent.filter(pl.col("order_date") < pl.col("first_order") + pl.duration(days=days))
    return dict(inside.group_by("customer_id").agg(pl.col("amount_minor").sum() * 0.01).iter_rows())


def test_what_held_out_customers_do_later_reaches_no_prediction_of_anybody(
    small: pl.DataFrame, out: pl.Series, held: HeldOut
) -> None:
    """Neither their own first days' predictions nor, through the model, those of other held-out customers."""
    first = pl.col("order_date") == pl.col("order_date").min().over("customer_id")
    is_out = pl.col("customer_id").is_in(out.implode())
    richer = small.with_columns(
        pl.when(is_out & ~first)
        .then(pl.col("amount_minor") * 50)
        .otherwise("amount_minor")
        .alias("amount_minor")
    )

    found = hold_out(richer.lazy(), AS_OF, out, (0,))

    day_0 = held.ltv.filter(pl.col("age_days") == 0)
    assert predicted(found.ltv).equals(predicted(day_0))
    assert found.ltv["actual"].to_numpy().sum() > 2 * day_0["actual"].to_numpy().sum()


def test_held_out_customers_are_those_whose_window_is_over_at_each_age(
    small: pl.DataFrame, out: pl.Series, held: HeldOut
) -> None:
    first = first_orders(small.lazy(), AS_OF).filter(pl.col("customer_id").is_in(out.implode()))
    over = first.filter(pl.col("first_order") <= AS_OF - timedelta(days=364))

    assert held.ltv.schema == held.next_12m.schema == HELD_SCHEMA
    for age in (0, 30, 90):
        assert set(held.ltv.filter(pl.col("age_days") == age)["customer_id"]) == set(over["customer_id"])
    known = first.filter(pl.col("first_order") <= AS_OF - timedelta(days=365))
    assert set(held.next_12m["customer_id"]) == set(known["customer_id"])
    assert set(held.next_12m["as_of"]) == {AS_OF - timedelta(days=365)}


def test_actual_values_of_held_out_customers_are_those_of_their_orders(
    small: pl.DataFrame, held: HeldOut
) -> None:
    spent = first_window(small, held.ltv, 365)
    for customer, actual in held.ltv.select("customer_id", "actual").iter_rows():
        assert actual == pytest.approx(spent[customer])

    end = AS_OF - timedelta(days=365)
    after = small.filter(pl.col("order_date") > end).join(held.next_12m, on="customer_id", how="semi")
    by_customer = dict(after.group_by("customer_id").agg(pl.col("amount_minor").sum() * 0.01).iter_rows())
    for customer, actual in held.next_12m.select("customer_id", "actual").iter_rows():
        assert actual == pytest.approx(by_customer.get(customer, 0.0))
    again = set(after.filter(pl.col("kind") == "order")["customer_id"])
    assert set(held.next_12m.filter("repeated")["customer_id"]) == again


def test_held_out_customers_are_predicted_sensibly(held: HeldOut) -> None:
    for table in (*held.ltv.partition_by("age_days"), held.next_12m):
        actual, found = table["actual"].to_numpy(), table["predicted"].to_numpy()
        assert found.sum() == pytest.approx(actual.sum(), rel=0.35)
    assert (held.ltv["predicted"] >= held.ltv["observed_value"]).all()
    assert (held.ltv["purchase_model"] >= held.ltv["observed_value"]).all()


def test_nothing_after_the_training_day_reaches_what_is_predicted_of_a_later_cohort(
    long: pl.DataFrame, later: HeldOut
) -> None:
    """But for what a customer had itself bought by the day on which it is predicted."""
    cohort = later.ltv["customer_id"].unique().implode()
    first = pl.col("order_date") == pl.col("order_date").min().over("customer_id")
    after = pl.col("order_date") > COHORT_BEGIN
    bent = long.with_columns(
        pl.when(after & ~(first & pl.col("customer_id").is_in(cohort)))
        .then(pl.col("amount_minor") * 30)
        .otherwise("amount_minor")
        .alias("amount_minor")
    )

    found = later_cohort(bent.lazy(), LONG_END)

    assert found is not None
    day_0 = pl.col("age_days") == 0
    assert predicted(found.ltv.filter(day_0)).equals(predicted(later.ltv.filter(day_0)))
    assert predicted(found.next_12m).equals(predicted(later.next_12m))
    assert not found.next_12m["actual"].equals(later.next_12m["actual"])


def test_a_later_cohort_came_after_the_training_day_and_its_years_are_over(
    long: pl.DataFrame, later: HeldOut
) -> None:
    first = later.ltv["first_order"]

    assert first.min() > COHORT_BEGIN  # type: ignore[operator]
    assert first.max() <= LONG_END - timedelta(days=364)  # type: ignore[operator]
    assert set(later.next_12m["as_of"]) == {COHORT_BEGIN}
    assert set(later.ltv["days"]) == {365}
    spent = first_window(long, later.ltv, 365)
    for customer, actual in later.ltv.select("customer_id", "actual").iter_rows():
        assert actual == pytest.approx(spent[customer])


def test_a_short_history_has_no_later_cohort(small: pl.DataFrame) -> None:
    assert later_cohort(small.lazy(), AS_OF - timedelta(days=200)) is None
    assert later_cohort(small.clear().lazy(), AS_OF) is None


def test_a_later_cohort_is_reported_beside_held_out_customers(
    long: pl.DataFrame, later: HeldOut, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[HeldOut | None] = []

    def watched(*_args: object, later: HeldOut | None = None, **_kwargs: object) -> Trained:
        given.append(later)
        return trained

    monkeypatch.setattr(backtest, "train", watched)
    monkeypatch.setattr(backtest, "later_cohort", lambda *_args, **_kwargs: later)

    assert train_and_test(long.lazy(), LONG_END) is trained
    assert given == [later]


def test_the_next_period_is_predicted_for_everybody_who_was_there(
    shop_orders: pl.DataFrame, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = date(2024, 9, 30)
    monkeypatch.setattr(backtest, "fit", lambda *_args, **_kwargs: trained)

    found = next_period(shop_orders.lazy(), day, 180)

    assert found.schema == HELD_SCHEMA
    assert set(found["days"]) == {180}
    assert set(found["customer_id"]) == set(first_orders(shop_orders.lazy(), day)["customer_id"])
    after = shop_orders.filter(
        pl.col("order_date").is_between(day, day + timedelta(days=180), closed="right"),
        pl.col("customer_id").is_in(found["customer_id"].implode()),
    )
    total = after["amount_minor"].to_numpy().sum() * 0.01
    assert found["actual"].to_numpy().sum() == pytest.approx(total)
    assert found["predicted"].to_numpy().sum() == pytest.approx(total, rel=0.3)
