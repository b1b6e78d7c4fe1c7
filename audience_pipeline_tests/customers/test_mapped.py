from __future__ import annotations

from datetime import date, datetime
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from audience_pipeline.customers.mapped import mapped, merged_activity, merged_orders, rows_of
from audience_pipeline.customers.orders import ORDERS_SCHEMA, orders
from audience_pipeline.sources.contract import LANDED, Kind

KEY = ["customer_id", "order_id", "order_date", "kind"]
NOBODY = {"C1": "C1", "C2": "C2"}
MERGED = {
    "C1": "C1",
    "C2": "C1",
    "C3": "C3",
    "loyalty:K1": "C3",
    "anonymous:b-1": "C1",
    "C5": "C4",
    "C4": "C4",
}


def identities(who: dict[str, str]) -> pl.LazyFrame:
    return pl.LazyFrame(
        {"source_id": list(who), "customer_id": list(who.values())},
        schema={"source_id": pl.String, "customer_id": pl.String},
    )


def transactions(*rows: dict[str, Any]) -> pl.LazyFrame:
    schema = LANDED[Kind.TRANSACTIONS]
    return pl.LazyFrame([{**dict.fromkeys(schema), **row} for row in rows], schema=schema)


def line(customer_id: str, day: int, amount: int, order_id: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "customer_id": customer_id,
        "transaction_date": date(2026, 1, day),
        "transaction_at": datetime(2026, 1, day, 10),
        "amount_minor": amount,
        "order_id": order_id,
        **more,
    }


def test_source_ids_become_customer_ids_and_unknown_ones_stay():
    table = pl.LazyFrame({"customer_id": ["C2", "C1", "C9", None], "n": [1, 2, 3, 4]})

    result = mapped(table, identities(MERGED)).sort("n").collect()

    assert result.columns == ["customer_id", "n"]
    assert result["customer_id"].to_list() == ["C1", "C1", "C9", None]


def test_another_column_can_be_mapped():
    table = pl.LazyFrame({"who": ["C2"], "customer_id": ["C2"]})

    assert mapped(table, identities(MERGED), "who").collect().row(0) == ("C1", "C2")


def test_where_nobody_is_merged_the_very_table_passes_through():
    table = pl.LazyFrame({"customer_id": ["C2"]})

    assert mapped(table, identities(NOBODY)) is table
    assert merged_orders(table, transactions(), identities(NOBODY)) is table


def test_an_order_whose_lines_stand_under_two_ids_is_one():
    lines = transactions(line("C1", 3, 1000, "A"), line("C2", 3, 500, "A"), line("C7", 3, 1, "B"))

    result = merged_orders(orders(lines), lines, identities(MERGED)).sort(KEY).collect()

    assert result.select("customer_id", "order_id", "amount_minor", "lines").rows() == [
        ("C1", "A", 1500, 2),
        ("C7", "B", 1, 1),
    ]


def test_a_return_before_the_first_order_of_one_id_counts_after_that_of_the_other():
    lines = transactions(line("C1", 3, 1000), line("C2", 5, -400), line("C2", 8, 700))

    result = merged_orders(orders(lines), lines, identities(MERGED)).collect()

    assert result["amount_minor"].sum() == 1300
    assert result["customer_id"].unique().to_list() == ["C1"]


def test_a_customer_whose_lines_stand_under_one_alias_alone_only_gets_its_name():
    lines = transactions(line("loyalty:K1", 3, 1000), line("C5", 3, 10))

    result = merged_orders(orders(lines), lines, identities(MERGED)).sort(KEY).collect()

    assert result["customer_id"].to_list() == ["C3", "C4"]


@given(
    rows=st.lists(
        st.builds(
            line,
            st.sampled_from(["C1", "C2", "C3", "loyalty:K1", "C4", "C5", "C6"]),
            st.integers(1, 9),
            st.integers(-50, 90).map(lambda units: units * 10),
            st.none() | st.sampled_from("AB"),
            product_category=st.none() | st.sampled_from(["shoes", "bags"]),
            channel=st.none() | st.sampled_from(["web", "shop"]),
            discount_minor=st.none() | st.integers(0, 9),
        ),
        max_size=25,
    )
)
def test_merged_orders_are_those_of_transactions_with_the_ids_written_anew(rows):
    lines = transactions(*rows)
    rewritten = lines.with_columns(pl.col("customer_id").replace(MERGED))

    result = merged_orders(orders(lines), lines, identities(MERGED)).collect()

    assert result.schema == ORDERS_SCHEMA
    assert_frame_equal(result.sort(KEY), orders(rewritten).collect().sort(KEY))


def test_activity_of_a_customers_browser_is_the_customers_and_that_of_strangers_nobodys():
    activity = pl.LazyFrame(
        {"customer_id": ["anonymous:b-1", "anonymous:b-2", "C2", "C9"], "events": [1, 2, 3, 4]}
    )

    result = merged_activity(activity, identities(MERGED)).sort("events").collect()
    unmerged = merged_activity(activity, identities(NOBODY)).sort("events").collect()

    assert result.rows() == [("C1", 1), ("C1", 3), ("C9", 4)]
    assert unmerged.rows() == [("C2", 3), ("C9", 4)]


def test_the_rows_of_source_ids_are_those_of_the_customers_that_activity_is_merged_into():
    customers = pl.Series(["C1", "C3", "C9", "anonymous:b-3"])
    seen = ["anonymous:b-1", "anonymous:b-2", "anonymous:b-3", "C1", "C2", "C5", "C9", "loyalty:K1"]
    activity = pl.LazyFrame({"customer_id": seen, "events": range(len(seen))})

    for who in (MERGED, NOBODY):
        merged = merged_activity(activity, identities(who)).collect()
        places = pl.DataFrame({"customer_id": customers}).with_row_index("row")
        expected = merged.join(places, on="customer_id").select("events", "row")
        found = activity.collect().join(
            rows_of(customers, identities(who)), left_on="customer_id", right_on="source_id"
        )

        assert_frame_equal(found.select("events", "row").sort("events"), expected.sort("events"))
