from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.customers.orders import (
    ORDER_KEY,
    ORDERS_SCHEMA,
    orders,
    returns_before_first_order,
)
from audience_pipeline.customers.parts import ahead, orders_in_parts

TRANSACTIONS_SCHEMA = {
    "customer_id": pl.String,
    "transaction_date": pl.Date,
    "transaction_at": pl.Datetime("us"),
    "amount_minor": pl.Int64,
    "product_category": pl.String,
    "order_id": pl.String,
    "channel": pl.String,
}


def line(day: int, amount: int, **fields: Any) -> dict[str, Any]:
    return {"customer_id": "a", "transaction_date": date(2025, 1, day), "amount_minor": amount} | fields


def landed(*lines: dict[str, Any]) -> pl.LazyFrame:
    return pl.DataFrame(list(lines), schema=TRANSACTIONS_SCHEMA).lazy()


def made(*lines: dict[str, Any]) -> list[dict[str, Any]]:
    return orders(landed(*lines)).collect().sort(ORDER_KEY).to_dicts()


def test_lines_of_one_order_become_one_row() -> None:
    rows = made(
        line(3, 500, order_id="7", product_category="toys", transaction_at=datetime(2025, 1, 3, 18, 5)),
        line(3, 700, order_id="7", product_category="books", transaction_at=datetime(2025, 1, 3, 9, 59)),
        line(3, 300, order_id="7", product_category="toys", channel="web"),
    )

    assert rows == [
        {
            "customer_id": "a",
            "order_id": "7",
            "order_date": date(2025, 1, 3),
            "kind": "order",
            "amount_minor": 1500,
            "lines": 3,
            "hour": 9,
            "categories": ["books", "toys"],
            "top_category": "toys",
            "channel": "web",
            "units_milli": None,
            "discount_minor": None,
        }
    ]


def test_the_columns_are_those_of_the_schema() -> None:
    assert orders(landed(line(1, 5))).collect_schema() == ORDERS_SCHEMA
    assert orders(landed()).collect().schema == ORDERS_SCHEMA


def test_a_return_before_the_first_order_is_left_out_and_counted() -> None:
    lines = (line(1, -400), line(2, 900), line(3, -100), line(1, -5, customer_id="never bought"))

    rows = made(*lines)

    assert [(row["order_date"].day, row["amount_minor"]) for row in rows] == [(2, 900), (3, -100)]
    left_out = returns_before_first_order(landed(*lines)).collect().to_dicts()
    assert left_out == [{"lines": 2, "amount_minor": -405}]


def test_a_return_on_the_day_of_the_first_order_counts() -> None:
    rows = made(line(2, -400), line(2, 900))

    assert [(row["kind"], row["amount_minor"]) for row in rows] == [("order", 900), ("return", -400)]


def test_a_line_of_zero_makes_no_row() -> None:
    assert made(line(1, 0)) == []
    assert [row["lines"] for row in made(line(1, 0, order_id="7"), line(1, 5, order_id="7"))] == [1]


def test_an_order_over_two_days_has_a_row_for_each() -> None:
    rows = made(line(1, 500, order_id="7"), line(2, 300, order_id="7"))

    assert [(row["order_id"], row["order_date"].day, row["amount_minor"]) for row in rows] == [
        ("7", 1, 500),
        ("7", 2, 300),
    ]


def test_lines_without_an_order_id_share_the_order_of_their_day() -> None:
    rows = made(line(1, 500), line(1, 300), line(2, 200))

    assert [(row["order_id"], row["amount_minor"]) for row in rows] == [
        ("2025-01-01", 800),
        ("2025-01-02", 200),
    ]


def test_lines_without_category_are_no_category() -> None:
    rows = made(line(1, 900), line(1, 100, product_category="toys"), line(2, 5))

    assert [(row["categories"], row["top_category"]) for row in rows] == [(["toys"], "toys"), ([], None)]


def test_equal_categories_are_ranked_by_name_and_returns_by_their_size() -> None:
    rows = made(
        line(1, 500, product_category="toys"),
        line(1, 500, product_category="books"),
        line(2, -100, product_category="books"),
        line(2, -300, product_category="toys"),
    )

    assert [row["top_category"] for row in rows] == ["books", "toys"]


LINES = st.lists(
    st.builds(
        line,
        day=st.integers(1, 6),
        amount=st.integers(-3, 5),
        customer_id=st.sampled_from(["a", "b"]),
        order_id=st.sampled_from([None, "7", "8"]),
        product_category=st.sampled_from([None, "toys", "books"]),
        channel=st.sampled_from([None, "web", "shop"]),
    ),
    max_size=20,
)


@settings(max_examples=30, deadline=None)
@given(lines=LINES, shuffled=st.randoms(use_true_random=False))
def test_the_order_of_lines_and_the_engine_change_nothing(lines: list[dict[str, Any]], shuffled: Any) -> None:
    whole = orders(landed(*lines)).collect().sort(ORDER_KEY)
    shuffled.shuffle(lines)

    assert whole.equals(orders(landed(*lines)).collect(engine="streaming").sort(ORDER_KEY))
    assert whole.select(ORDER_KEY).is_unique().all()


@settings(max_examples=30, deadline=None)
@given(lines=LINES)
def test_no_money_is_lost_but_returns_before_the_first_order(lines: list[dict[str, Any]]) -> None:
    kept = sum(row["amount_minor"] for row in made(*lines))
    left_out = returns_before_first_order(landed(*lines)).collect()["amount_minor"].sum()

    assert kept + left_out == sum(line["amount_minor"] for line in lines)


def test_pieces_and_discounts_are_summed_over_the_lines_that_have_them() -> None:
    lines = [
        line(1, 500, quantity=Decimal("1.5"), discount_minor=20),
        line(1, 500, quantity=Decimal(-2)),
        line(1, 500, discount_minor=5),
        line(2, 500),
        line(3, 500, quantity=Decimal(10**10), discount_minor=0),
    ]
    schema = TRANSACTIONS_SCHEMA | {"quantity": pl.Decimal(18, 3), "discount_minor": pl.Int64}

    rows = orders(pl.DataFrame(lines, schema=schema).lazy()).collect().sort(ORDER_KEY)

    assert rows["units_milli"].to_list() == [3500, None, None]
    assert rows["discount_minor"].to_list() == [25, None, 0]


def many_lines() -> pl.DataFrame:
    draw = Random(5)
    return landed(
        *(
            line(
                draw.randrange(1, 20),
                draw.choice([-5, 7, 9]),
                customer_id=f"c{draw.randrange(40)}",
                order_id=draw.choice([None, "7", "8"]),
                product_category=draw.choice([None, "toys", "books", "art"]),
                channel=draw.choice([None, "web", "shop"]),
            )
            for _ in range(900)
        )
    ).collect()


def test_orders_made_in_parts_are_the_same_and_leave_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = many_lines()
    whole = orders(lines.lazy()).collect().sort(ORDER_KEY)
    monkeypatch.setattr("audience_pipeline.customers.orders.LINES_AT_ONCE", 100)
    monkeypatch.setattr("audience_pipeline.customers.parts.LINES_AT_ONCE", 100)
    monkeypatch.setattr("audience_pipeline.customers.arrays._FEW", 10)

    at_once = orders(lines.lazy()).collect()
    parts = list(orders_in_parts(lines.lazy(), tmp_path, lines.height))

    assert at_once.sort(ORDER_KEY).equals(whole)
    assert pl.concat(parts).sort(ORDER_KEY).equals(whole)
    assert len(parts) > 3
    assert sum(part["customer_id"].n_unique() for part in parts) == whole["customer_id"].n_unique()
    assert not list(tmp_path.rglob("*.parquet"))


def test_few_lines_make_one_part_and_lines_without_an_order_none(tmp_path: Path) -> None:
    assert len(list(orders_in_parts(landed(line(1, 5)), tmp_path, 1))) == 1
    assert list(orders_in_parts(landed(line(1, -5)), tmp_path, 1)) == []


def test_the_next_item_is_made_while_one_is_worked_on_and_its_error_comes_in_its_place() -> None:
    second_is_made = Event()

    def items() -> Iterator[int | None]:
        yield 0
        second_is_made.set()
        yield None
        raise ValueError("no more")

    found = ahead(items())

    assert next(found) == 0
    assert second_is_made.wait(timeout=10)
    assert next(found) is None
    with pytest.raises(ValueError, match="no more"):
        next(found)
    assert list(ahead(iter([1, 2, 3]))) == [1, 2, 3]
