"""Columns of the contacts that the workspace keeps for its audiences."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.sources.contract import CONTRACTS, Kind
from audience_pipeline.sources.kept import MOST, refuse, safe_name
from audience_pipeline.sources.options import ReadOptions

CONTACTS = "customer_id,country,Favourite Store,points\nc1,US, Soho ,12\nc2,US,,\nc3,US,Bronx,\n"
KEEP = ("Favourite Store", "points")


def extras(shop):
    return [text and json.loads(text) for text in shop.rows(Kind.CRM)["extra"].to_list()]


def test_kept_columns_land_as_one_object_under_safe_names(shop):
    shop.land(CONTACTS, Kind.CRM, keep=KEEP)
    assert extras(shop) == [
        {"favourite_store": "Soho", "points": "12"},
        None,
        {"favourite_store": "Bronx"},
    ]


def test_nothing_else_of_the_file_is_kept(shop):
    shop.land(CONTACTS, Kind.CRM, keep=("points",))
    shop.land(CONTACTS.replace("US", "DE"), Kind.CRM)
    assert [extra for extra in extras(shop) if extra] == [{"points": "12"}]


def test_kept_columns_of_json_and_parquet_land_too(shop, tmp_path):
    shop.land('[{"customer_id": "j", "country": "US", "points": 7, "vip": true}]', Kind.CRM, keep=["vip"])
    path = tmp_path / "crm.parquet"
    pl.DataFrame(
        {"customer_id": ["p"], "country": ["US"], "points": [7.0], 'say "hi"': ['a"b\\c']}
    ).write_parquet(path)
    shop.land(path, Kind.CRM, keep=["points", 'say "hi"'])
    landed = dict(shop.rows(Kind.CRM).select("customer_id", "extra").rows())
    assert {name: json.loads(text) for name, text in landed.items()} == {
        "j": {"vip": "true"},
        "p": {"points": "7", "say_hi": 'a"b\\c'},
    }


def test_kept_columns_alone_are_worth_a_file(shop):
    shop.land("customer_id,tier\nc1,gold\n", Kind.CRM, keep=["tier"])
    assert extras(shop) == [{"tier": "gold"}]


def test_addresses_and_numbers_in_kept_columns_are_left_out_counted_and_written_nowhere(shop):
    report = shop.land(
        "customer_id,country,note\nc1,US,call 212-555-0123\nc2,US,ann.smith@example.org\nc3,US,2125550123\n"
        "c4,US,vip\n",
        Kind.CRM,
        keep=["note"],
    )
    assert extras(shop) == [None, None, None, {"note": "vip"}]
    assert "note: 3 values are or could be an e-mail address or phone number, left out" in report.notices
    written = b"".join(path.read_bytes() for path in shop.lake.rglob("*") if path.is_file())
    assert not [secret for secret in (b"ann.smith", b"555-0123", b"2125550123") if secret in written]


def test_a_column_that_is_not_in_the_file_is_said_and_no_fault(shop):
    report = shop.land(CONTACTS, Kind.CRM, keep=("points", "Shoe size"))
    assert extras(shop)[0] == {"points": "12"}
    assert "the file has no shoe_size, which is to be kept: it is lost for its rows" in report.notices


def test_a_column_that_is_nearly_in_the_file_is_asked_about(shop):
    message = shop.refusal(CONTACTS, Kind.CRM, keep=["Favorite Store"])
    assert "keep names 'Favorite Store', which is not in the file; is 'Favourite Store' meant?" in message


def test_a_column_with_a_meaning_of_its_own_cannot_be_kept(shop):
    assert "which has a meaning of its own (country)" in shop.refusal(CONTACTS, Kind.CRM, keep=["country"])
    message = shop.refusal(CONTACTS, Kind.CRM, keep=["Favourite Store"], columns={"state": "Favourite Store"})
    assert "keep names 'Favourite Store', which has a meaning of its own (state)" in message


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.CRM])
def test_only_contacts_have_columns_to_keep(shop, kind):
    header = ",".join(CONTRACTS[kind].names)
    assert f"{kind} keeps no other columns" in shop.refusal(f"{header},tier\n", kind, keep=["tier"])


@pytest.mark.parametrize(
    "column",
    [
        *("email", "E-Mail", "EmailAddress", "Phone Number", "mobile", "First Name", "lastName", "name"),
        *("Vorname", "Straße", "street_address", "Date of Birth", "IBAN"),
    ],
)
def test_who_somebody_is_cannot_be_kept(column):
    with pytest.raises(ValueError, match=r"keep names .* who somebody is or how to reach them"):
        ReadOptions(keep=["tier", column])


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ([f"c{number}" for number in range(MOST + 1)], "at most 50"),
        (["Shoe size", "shoe_size"], "several columns that are called shoe_size"),
        (["\u5e97"], "without a letter a to z"),
        ([" "], "without a letter a to z"),
    ],
)
def test_what_cannot_be_kept_is_told(columns, why):
    with pytest.raises(ValueError, match=why):
        refuse(columns)


@given(st.text(max_size=80))
def test_safe_names_are_safe_and_stay(text):
    name = safe_name(text)
    assert len(name) <= 60
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")
    assert safe_name(name) == name


def test_safe_names_read_like_the_column():
    assert [safe_name(name) for name in ("FavouriteStore", "Größe (EU)", "crm.points", "VIP level 2")] == [
        "favourite_store",
        "grosse_eu",
        "crm_points",
        "vip_level_2",
    ]
