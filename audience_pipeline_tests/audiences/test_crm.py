from __future__ import annotations

from datetime import date, datetime
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.audiences.crm import crm_fields, loyalty_members

TODAY = date(2026, 3, 15)
CONTACTS = {
    "customer_id": pl.String,
    "updated_at": pl.Datetime("us"),
    "landing_id": pl.String,
    "loyalty_id": pl.String,
    "extra": pl.String,
}
Row = dict[str, Any]


def said(extra: str | None, at: datetime | None = None, landing: str = "l1", who: str = "a") -> Row:
    return {"customer_id": who, "updated_at": at, "landing_id": landing, "loyalty_id": None, "extra": extra}


def read(*rows: Row, columns: tuple[str, ...] = ("tier", "Shoe Size")) -> dict[str, Row]:
    contacts = pl.LazyFrame(list(rows), schema=CONTACTS)
    frame = crm_fields(contacts, TODAY, columns, landings=("l1", "l2")).collect()
    return {row.pop("customer_id"): row for row in frame.to_dicts()}


def test_the_newest_statement_that_has_a_value_wins_per_field() -> None:
    found = read(
        said('{"tier": "gold", "shoe_size": "42"}', datetime(2026, 1, 1)),
        said('{"tier": "silver"}', datetime(2026, 2, 1)),
        said('{"tier": " ", "shoe_size": null}', datetime(2026, 3, 1)),
        said('{"tier": "none"}', datetime(2026, 3, 16)),
    )

    assert found == {"a": {"crm_tier": "silver", "crm_shoe_size": "42"}}


def test_a_statement_without_a_date_is_older_than_any_with_one_and_the_later_landing_wins() -> None:
    assert (
        read(said('{"tier": "old"}', None, "l2"), said('{"tier": "new"}', datetime(2020, 1, 1)))["a"][
            "crm_tier"
        ]
        == "new"
    )
    assert (
        read(said('{"tier": "second"}', None, "l2"), said('{"tier": "first"}'))["a"]["crm_tier"] == "second"
    )


@given(st.permutations([said('{"tier": "a"}'), said('{"tier": "b"}'), said(None), said('{"tier": "c"}')]))
def test_the_order_of_the_rows_decides_nothing(rows: list[Row]) -> None:
    assert read(*rows)["a"]["crm_tier"] == "c"


def test_whoever_has_no_kept_column_has_no_row() -> None:
    assert read(said(None)) == {}


def test_a_loyalty_card_counts_from_the_crm_and_from_sales_that_name_nothing_else() -> None:
    contacts = pl.LazyFrame(
        [
            said(None, datetime(2026, 3, 15), who="a") | {"loyalty_id": "1"},
            said(None, datetime(2026, 3, 16), who="b") | {"loyalty_id": "2"},
        ],
        schema=CONTACTS,
    )
    identities = pl.LazyFrame({"source_id": ["a", "b", "loyalty:3"], "customer_id": ["a", "b", "c"]})

    found = loyalty_members(contacts, identities, TODAY).collect()["customer_id"]

    assert sorted(found) == ["a", "c"]
