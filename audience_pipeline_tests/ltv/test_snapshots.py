from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import polars as pl

from audience_pipeline.customers.orders import ORDERS_SCHEMA
from audience_pipeline.ltv.snapshots import (
    AGES,
    calendar_days,
    first_orders,
    folds,
    snapshot_days,
    training_rows,
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


def labels(rows: pl.LazyFrame, day: int, as_of: date = AS_OF) -> dict[str, Any]:
    asked = pl.DataFrame({"customer_id": ["a"], "as_of": [FIRST + timedelta(days=day)]})
    (found,) = training_rows(rows, asked, as_of).to_dicts()
    return found


def test_the_remaining_first_year_begins_the_day_after_and_ends_with_day_364() -> None:
    rows = table(row(0, 1), row(30, 10), row(31, 100), row(364, 1000), row(365, 10_000))

    assert labels(rows, 30)["remaining_minor"] == 1100
    assert labels(rows, 30)["first_year_minor"] == 11


def test_the_next_year_is_365_days_after_the_snapshot() -> None:
    rows = table(row(0, 1), row(30, 10), row(395, 100), row(396, 1000))

    assert labels(rows, 30)["next_12m_minor"] == 100


def test_labels_are_net_of_returns_and_a_return_is_no_order() -> None:
    found = labels(table(row(0, 900), row(40, -300)), 30)

    assert (found["remaining_minor"], found["next_12m_minor"]) == (-300, -300)
    assert found["orders_again"] is False


def test_nobody_who_returns_is_a_zero_and_not_a_gap() -> None:
    found = labels(table(row(0, 900)), 30)

    assert (found["remaining_minor"], found["next_12m_minor"], found["orders_again"]) == (0, 0, False)


def test_a_label_that_reaches_beyond_the_data_is_unknown() -> None:
    rows = table(row(0, 900), row(700, 100))

    incomplete = labels(rows, 30, FIRST + timedelta(days=363))
    assert incomplete["remaining_minor"] is None
    assert incomplete["next_12m_minor"] is None
    first_year_over = labels(rows, 30, FIRST + timedelta(days=364))
    assert first_year_over["remaining_minor"] == 0
    assert first_year_over["next_12m_minor"] is None
    assert labels(rows, 30, FIRST + timedelta(days=395))["next_12m_minor"] == 0


def test_a_first_year_that_is_over_is_nothing_to_predict() -> None:
    rows = table(row(0, 900), row(500, 100))

    assert labels(rows, 363)["remaining_minor"] == 0
    assert labels(rows, 364)["remaining_minor"] is None


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
