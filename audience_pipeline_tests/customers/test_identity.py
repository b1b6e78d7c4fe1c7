from __future__ import annotations

from datetime import date, datetime
from hashlib import sha256
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.customers.identity import HASHES, IDENTIFIERS_SCHEMA, identifiers

AS_OF = date(2026, 6, 30)
CONTACTS = {
    "landing_id": pl.String,
    "updated_at": pl.Datetime("us"),
    **IDENTIFIERS_SCHEMA,
}


def h(text: str) -> bytes:
    return sha256(text.encode()).digest()


def contacts(*rows: dict[str, Any]) -> pl.LazyFrame:
    defaults = {"landing_id": "l1", "is_competitor": False, "identifier_rules": 1}
    return pl.LazyFrame([{**dict.fromkeys(CONTACTS), **defaults, **row} for row in rows], schema=CONTACTS)


def the_one(frame: pl.LazyFrame) -> dict[str, Any]:
    rows = frame.collect().to_dicts()
    assert len(rows) == 1
    return rows[0]


def test_each_customer_has_one_row_with_the_documented_columns():
    frame = contacts({"customer_id": "b"}, {"customer_id": "a"}, {"customer_id": "b", "country": "DE"})

    result = identifiers(frame, AS_OF).collect()

    assert result["customer_id"].to_list() == ["a", "b"]
    assert dict(result.schema) == IDENTIFIERS_SCHEMA


def test_the_latest_statement_of_each_field_wins():
    frame = contacts(
        {
            "customer_id": "a",
            "updated_at": datetime(2026, 1, 1),
            "meta_email": h("old"),
            "meta_phone": h("phone"),
        },
        {"customer_id": "a", "updated_at": datetime(2026, 2, 1), "meta_email": h("new")},
    )

    row = the_one(identifiers(frame, AS_OF))

    assert (row["meta_email"], row["meta_phone"]) == (h("new"), h("phone"))


def test_an_address_is_taken_whole_even_when_one_platform_cannot_use_it():
    frame = contacts(
        {
            "customer_id": "a",
            "updated_at": datetime(2026, 1, 1),
            "meta_email": h("old"),
            "google_email": h("old"),
        },
        {
            "customer_id": "a",
            "updated_at": datetime(2026, 2, 1),
            "meta_email": h("new"),
            "google_email": None,
        },
    )

    row = the_one(identifiers(frame, AS_OF))

    assert (row["meta_email"], row["google_email"]) == (h("new"), None)


def test_a_statement_after_the_date_is_not_read_and_one_of_that_day_is():
    frame = contacts(
        {"customer_id": "a", "updated_at": datetime(2026, 6, 30, 23, 59), "country": "DE"},
        {"customer_id": "a", "updated_at": datetime(2026, 7, 1), "country": "FR"},
        {"customer_id": "later", "updated_at": datetime(2026, 7, 1), "country": "FR"},
    )

    assert the_one(identifiers(frame, AS_OF))["country"] == "DE"


def test_a_statement_without_a_date_has_always_been_known_and_yields_to_a_dated_one():
    frame = contacts(
        {"customer_id": "a", "country": "DE", "postal_code": "10115"},
        {"customer_id": "a", "updated_at": datetime(2026, 1, 1), "country": "FR"},
    )

    row = the_one(identifiers(frame, date(2020, 1, 1)))
    assert row["country"] == "DE"
    row = the_one(identifiers(frame, AS_OF))
    assert (row["country"], row["postal_code"]) == ("FR", "10115")


def test_without_dates_the_later_landing_wins():
    frame = contacts(
        {"customer_id": "a", "landing_id": "zz", "country": "DE"},
        {"customer_id": "a", "landing_id": "aa", "country": "FR"},
    )

    assert the_one(identifiers(frame, AS_OF, landings=["zz", "aa"]))["country"] == "FR"
    assert the_one(identifiers(frame, AS_OF, landings=["aa", "zz"]))["country"] == "DE"


def test_the_oldest_rule_version_among_the_hashes_is_reported():
    frame = contacts(
        {"customer_id": "a", "updated_at": datetime(2026, 1, 1), "meta_phone": h("p"), "identifier_rules": 1},
        {"customer_id": "a", "updated_at": datetime(2026, 2, 1), "meta_email": h("e"), "identifier_rules": 2},
    )

    assert the_one(identifiers(frame, AS_OF))["identifier_rules"] == 1


def test_a_competitor_is_known_by_the_address_in_use():
    frame = contacts(
        {"customer_id": "a", "updated_at": datetime(2026, 1, 1), "meta_email": h("e"), "is_competitor": True},
        {"customer_id": "a", "updated_at": datetime(2026, 2, 1), "country": "DE", "is_competitor": False},
    )

    assert the_one(identifiers(frame, AS_OF))["is_competitor"] is True


def test_rows_without_a_customer_and_an_empty_table_give_nothing():
    assert identifiers(contacts({"customer_id": None, "country": "DE"}), AS_OF).collect().is_empty()
    assert identifiers(contacts(), AS_OF).collect().is_empty()


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_order_of_the_rows_decides_nothing(data: st.DataObject):
    row = st.fixed_dictionaries(
        {
            "customer_id": st.sampled_from(["a", "b"]),
            "updated_at": st.sampled_from([None, datetime(2026, 1, 1), datetime(2026, 2, 1)]),
            "landing_id": st.sampled_from(["l1", "l2"]),
            **{name: st.sampled_from([None, h("1"), h("2")]) for name in HASHES[:4]},
            "country": st.sampled_from([None, "DE", "FR"]),
            "is_competitor": st.booleans(),
        }
    )
    rows = data.draw(st.lists(row, max_size=8))
    shuffled = data.draw(st.permutations(rows))

    result = identifiers(contacts(*rows), AS_OF).collect()

    assert result.equals(identifiers(contacts(*shuffled), AS_OF).collect())


def test_the_newest_device_counts_and_older_landings_may_have_none():
    frame = contacts(
        {"customer_id": "a", "updated_at": datetime(2026, 1, 1), "device_id": "old"},
        {"customer_id": "a", "updated_at": datetime(2026, 2, 1), "device_id": "new"},
    )

    assert the_one(identifiers(frame, AS_OF))["device_id"] == "new"
    assert the_one(identifiers(frame.drop("device_id"), AS_OF))["device_id"] is None
