from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import polars as pl

from audience_pipeline.customers.orders import ORDERS_SCHEMA
from audience_pipeline.features.customer_features import customer_features
from audience_pipeline.ltv.snapshots import (
    AGES,
    HORIZON_DAYS,
    HORIZONS,
    MIN_COMPLETE,
    UNSEEN_DAYS,
    calendar_days,
    first_orders,
    folds,
    labels,
    longest_horizon,
    snapshot_days,
)

FIRST = date(2023, 1, 1)
AS_OF = FIRST + timedelta(days=800)


def row(day: int, amount: int, customer: str = "a") -> dict[str, Any]:
    return {
        "customer_id": customer,
        "order_id": f"{customer}{day}",
        "order_date": FIRST + timedelta(days=day),
        "kind": "order" if amount > 0 else "return",
        "amount_minor": amount,
        "lines": 1,
        "categories": [],
    }


def table(*rows: dict[str, Any]) -> pl.LazyFrame:
    return pl.DataFrame(list(rows), schema=ORDERS_SCHEMA).lazy()


def training_rows(orders: pl.LazyFrame, days: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Features of snapshots with what happened afterwards."""
    features = customer_features(orders, days.lazy()).collect().sort("customer_id", "as_of")
    return features.join(labels(orders, features, as_of), on=["customer_id", "as_of"], how="left")


def seen(rows: pl.LazyFrame, day: int, as_of: date = AS_OF) -> dict[str, Any]:
    asked = pl.DataFrame({"customer_id": ["a"], "as_of": [FIRST + timedelta(days=day)]})
    (found,) = training_rows(rows, asked, as_of).to_dicts()
    return found


def test_the_remaining_first_year_begins_the_day_after_and_ends_with_day_364() -> None:
    rows = table(row(0, 1), row(30, 10), row(31, 100), row(364, 1000), row(365, 10_000))

    assert seen(rows, 30)["remaining_minor"] == 1100
    assert seen(rows, 30)["first_year_minor"] == 11


def test_the_next_year_is_365_days_after_the_snapshot() -> None:
    rows = table(row(0, 1), row(30, 10), row(395, 100), row(396, 1000))

    assert seen(rows, 30)["next_12m_minor"] == 100


def test_labels_are_net_of_returns_and_a_return_is_no_order() -> None:
    found = seen(table(row(0, 900), row(40, -300)), 30)

    assert (found["remaining_minor"], found["next_12m_minor"]) == (-300, -300)
    assert found["orders_again"] is False


def test_nobody_who_returns_is_a_zero_and_not_a_gap() -> None:
    found = seen(table(row(0, 900)), 30)

    assert (found["remaining_minor"], found["next_12m_minor"], found["orders_again"]) == (0, 0, False)


def test_a_label_that_reaches_beyond_the_data_is_unknown() -> None:
    rows = table(row(0, 900), row(700, 100))

    incomplete = seen(rows, 30, FIRST + timedelta(days=363))
    assert incomplete["remaining_minor"] is None
    assert incomplete["next_12m_minor"] is None
    first_year_over = seen(rows, 30, FIRST + timedelta(days=364))
    assert first_year_over["remaining_minor"] == 0
    assert first_year_over["next_12m_minor"] is None
    assert seen(rows, 30, FIRST + timedelta(days=395))["next_12m_minor"] == 0


def test_a_first_year_that_is_over_is_nothing_to_predict() -> None:
    rows = table(row(0, 900), row(500, 100))

    assert seen(rows, 363)["remaining_minor"] == 0
    assert seen(rows, 364)["remaining_minor"] is None


def test_no_feature_of_a_snapshot_knows_what_came_after(shop_orders: pl.DataFrame) -> None:
    end = date(2025, 3, 31)
    days = snapshot_days(first_orders(shop_orders.lazy(), end), end).sample(300, seed=1)
    targets = ["remaining_minor", "orders_remaining", "next_12m_minor", "orders_again"]
    later = (
        shop_orders.join(days, on="customer_id")
        .filter(pl.col("order_date") > pl.col("as_of"))
        .select(shop_orders.columns)
        .unique(["customer_id", "order_id", "order_date", "kind"])
    )
    asked = days.unique("customer_id", keep="first", maintain_order=True)
    censored = shop_orders.join(asked, on="customer_id").filter(pl.col("order_date") <= pl.col("as_of"))

    with_future = training_rows(shop_orders.lazy(), asked, end)
    without = training_rows(censored.select(shop_orders.columns).lazy(), asked, end)

    assert later.height > 0
    assert with_future.drop(targets).equals(without.drop(targets))
    assert (without["remaining_minor"].drop_nulls() == 0).all()


def test_rows_after_the_as_of_date_move_neither_features_nor_labels(shop_orders: pl.DataFrame) -> None:
    end = date(2024, 9, 30)
    past = shop_orders.filter(pl.col("order_date") <= end)

    def rows_of(orders: pl.DataFrame) -> pl.DataFrame:
        days = snapshot_days(first_orders(orders.lazy(), end), end)
        return training_rows(orders.lazy(), days, end)

    assert rows_of(shop_orders).equals(rows_of(past))


def test_customers_are_looked_at_at_all_ages_once_their_first_year_is_over() -> None:
    rows = table(row(0, 1), row(436, 1, "b"), row(437, 1, "c"))
    first = first_orders(rows, AS_OF)

    days = snapshot_days(first, AS_OF).join(first, on="customer_id")

    ages = (
        days.with_columns((pl.col("as_of") - pl.col("first_order")).dt.total_days().alias("age"))
        .group_by("customer_id")
        .agg(pl.col("age").sort())
    )
    by_customer = dict(ages.iter_rows())
    assert set(AGES) <= set(by_customer["a"])
    assert set(AGES) <= set(by_customer["b"])
    assert "c" not in by_customer


def test_calendar_days_leave_a_whole_year_for_the_label() -> None:
    first = first_orders(table(*(row(day, 1, f"c{day}") for day in range(0, 700, 5))), AS_OF)

    found = calendar_days(first, AS_OF)

    assert found[0] == AS_OF - timedelta(days=365)
    assert found == sorted(found, reverse=True)


def test_a_customer_keeps_its_fold_whoever_else_is_there() -> None:
    many = pl.Series("customer_id", [f"c{number}" for number in range(3000)])

    found = folds(many, 3, seed=7)

    assert folds(many.reverse(), 3, seed=7).to_list() == found.reverse().to_list()
    assert folds(many[5:6], 3, seed=7)[0] == found[5]
    assert min(found.value_counts()["count"]) > 900
    assert folds(many, 3, seed=8).to_list() != found.to_list()


def joined(*spans: tuple[int, int, int]) -> pl.DataFrame:
    """First orders: so many customers, evenly from the one day to the other."""
    days = [
        begin + (end - begin) * number // max(count - 1, 1)
        for count, begin, end in spans
        for number in range(count)
    ]
    return pl.DataFrame(
        {
            "customer_id": [f"c{number:05d}" for number in range(len(days))],
            "first_order": [FIRST + timedelta(days=day) for day in days],
        }
    )


def test_whole_years_are_learnt_from_where_they_are_complete() -> None:
    found = longest_horizon(joined((2000, 0, 800)), AS_OF)

    assert found is not None
    assert found.days == HORIZON_DAYS
    assert found.fresh_from == FIRST + timedelta(days=UNSEEN_DAYS)


def test_without_a_complete_year_the_longest_complete_window_is_learnt_from() -> None:
    end = FIRST + timedelta(days=300)

    found = longest_horizon(joined((1200, 0, 300)), end)

    assert found is not None
    assert found.days in HORIZONS
    assert found.days < HORIZON_DAYS
    complete = joined((1200, 0, 300)).filter(pl.col("first_order") <= end - timedelta(days=found.days - 1))
    if found.fresh_from is not None:
        complete = complete.filter(pl.col("first_order") >= found.fresh_from)
    assert complete.height >= MIN_COMPLETE


def test_shorter_windows_of_new_customers_are_better_than_years_of_old_ones() -> None:
    """A shop that is older than its file: all its old customers seem new in the first weeks."""
    end = FIRST + timedelta(days=400)

    found = longest_horizon(joined((3000, 0, 60), (3000, 90, 400)), end)

    assert found is not None
    assert found.fresh_from == FIRST + timedelta(days=UNSEEN_DAYS)
    assert 120 <= found.days < HORIZON_DAYS


def test_in_a_file_of_one_cohort_everybody_is_new() -> None:
    found = longest_horizon(joined((2000, 0, 80)), AS_OF)

    assert found is not None
    assert (found.days, found.fresh_from) == (HORIZON_DAYS, None)


def test_nothing_is_learnt_where_no_window_is_complete() -> None:
    assert longest_horizon(joined((2000, 0, 80)), FIRST + timedelta(days=85)) is None
    assert longest_horizon(joined((150, 0, 700)), AS_OF) is None
    assert longest_horizon(joined(), AS_OF) is None


def test_a_shorter_horizon_shortens_both_windows_and_no_other_age_is_looked_at() -> None:
    rows = table(row(0, 1), row(30, 10), row(119, 100), row(120, 1000), row(150, 10_000), row(151, 100_000))
    first = first_orders(rows, AS_OF)
    asked = pl.DataFrame({"customer_id": ["a"], "as_of": [FIRST + timedelta(days=30)]})

    after = labels(rows, customer_features(rows, asked.lazy()).collect(), AS_OF, horizon=120)

    assert after["remaining_minor"].item() == 100
    assert after["next_12m_minor"].item() == 100 + 1000 + 10_000
    ages = snapshot_days(first, AS_OF, 120).join(first, on="customer_id").filter(
        pl.col("as_of") < FIRST + timedelta(days=300)
    ).select((pl.col("as_of") - pl.col("first_order")).dt.total_days())  # fmt: skip
    assert set(ages.to_series()) <= {age for age in AGES if age < 119}
    assert calendar_days(first, AS_OF, 120)[0] == AS_OF - timedelta(days=120)


def test_orders_after_the_last_day_are_no_first_orders() -> None:
    rows = table(row(0, 5), row(10, 5, "b"), row(11, -5, "c"))

    assert first_orders(rows, FIRST + timedelta(days=9))["customer_id"].to_list() == ["a"]
    assert first_orders(rows, AS_OF)["customer_id"].to_list() == ["a", "b"]
