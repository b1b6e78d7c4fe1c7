from __future__ import annotations

import polars as pl
import pytest

from audience_pipeline.audiences.lists import listed
from audience_pipeline.identifiers.customer_ids import pseudonym
from audience_pipeline.identifiers.text import digest

EMAIL, PHONE = digest("ann@shop.example"), digest("12125550123")
IDENTIFIERS = pl.DataFrame(
    {"customer_id": ["a", "b"], "meta_email": [EMAIL, None], "meta_phone": [PHONE, PHONE]},
    schema={"customer_id": pl.String, "meta_email": pl.Binary, "meta_phone": pl.Binary},
)


def entries(*rows: tuple[str, bytes]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"kind": pl.String, "value": pl.Binary}, orient="row")


def test_an_identifier_that_two_customers_share_means_both():
    assert listed(entries(("phone", PHONE)), IDENTIFIERS).to_list() == ["a", "b"]


def test_each_customer_is_found_once():
    both = entries(("phone", PHONE), ("email", EMAIL), ("customer_id", digest("a")))

    assert listed(both, IDENTIFIERS).to_list() == ["a", "b"]


def test_a_hash_counts_only_as_what_it_is_of():
    assert listed(entries(("email", PHONE), ("phone", EMAIL), ("customer_id", EMAIL)), IDENTIFIERS).is_empty()


def test_an_empty_identifier_is_no_identifier():
    assert listed(entries(("customer_id", digest(""))), IDENTIFIERS).is_empty()
    assert listed(entries(), IDENTIFIERS).is_empty()


@pytest.mark.parametrize(
    ("kind", "value", "source"),
    [
        ("customer_id", digest("old"), "old"),
        ("customer_id", digest("loyalty:77"), "loyalty:77"),
        ("email", EMAIL, f"email:{EMAIL.hex()[:32]}"),
        ("phone", PHONE, f"phone:{PHONE.hex()[:32]}"),
        ("email", EMAIL, pseudonym("Ann@shop.example")),
    ],
)
def test_a_customer_is_found_by_every_source_that_became_them(kind: str, value: bytes, source: str):
    identities = pl.DataFrame({"source_id": [source, "z"], "customer_id": ["merged", "z"]})
    nobody = IDENTIFIERS.clear()

    assert listed(entries((kind, value)), nobody, identities).to_list() == ["merged"]
    assert listed(entries((kind, value)), nobody).is_empty()


def test_a_customer_is_found_by_every_address_and_number_that_was_ever_theirs():
    before = pl.LazyFrame(
        {
            "customer_id": ["a", "old", "nobody", "b"],
            "meta_email": [digest("a@before.example"), None, EMAIL, None],
            "meta_phone": [None, digest("4930123456"), None, None],
        },
        schema_overrides={"meta_email": pl.Binary, "meta_phone": pl.Binary},
    )
    identities = pl.DataFrame({"source_id": ["a", "old"], "customer_id": ["a", "merged"]})
    moved = entries(("email", digest("a@before.example")), ("phone", digest("4930123456")))

    assert listed(moved, IDENTIFIERS, identities, addresses=before).to_list() == ["a", "merged"]
    assert listed(moved, IDENTIFIERS, identities).is_empty()


def test_a_customer_without_identifiers_is_found_by_the_id():
    found = listed(entries(("customer_id", digest("x"))), IDENTIFIERS, customers=pl.Series(["x", "y"]))

    assert found.to_list() == ["x"]


def test_a_device_is_found_where_devices_are_known():
    device = "ab0e4567-e89b-12d3-a456-426614174000"
    known = IDENTIFIERS.with_columns(pl.Series("device_id", [None, device]))

    assert listed(entries(("device_id", digest(device))), known).to_list() == ["b"]
    assert listed(entries(("device_id", digest(device))), IDENTIFIERS).is_empty()
