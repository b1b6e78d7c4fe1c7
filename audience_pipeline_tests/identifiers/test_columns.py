"""The column version says what the scalar version says, and keeps no raw value."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.identifiers import HASH_COLUMNS, contact_hashes, hashed

SCALAR = {
    "meta_email": ("meta", "email", "email"),
    "google_email": ("google", "email", "email"),
    "tiktok_email": ("tiktok", "email", "email"),
    "meta_phone": ("meta", "phone", "phone"),
    "google_phone": ("google", "phone", "phone"),
    "meta_first_name": ("meta", "first_name", "first_name"),
    "meta_last_name": ("meta", "last_name", "last_name"),
    "google_given_name": ("google", "given_name", "first_name"),
    "google_family_name": ("google", "family_name", "last_name"),
}
RAW_SCHEMA = dict.fromkeys(("customer_id", "email", "phone", "first_name", "last_name", "country"), pl.String)

emails = st.one_of(
    st.sampled_from(
        ["Ada.B+x@Gmail.com", " ada@example.com\u200b", "test@test.com", "ÄDA@x.de", "", "no address"]
    ),
    st.emails(),
    st.text(max_size=12),
)
phones = st.one_of(
    st.sampled_from(
        ["+49 30 12345678", "030 12345678", "(657)777-0000", "0000000000", "\u0661\u0662\u0663", ""]
    ),
    st.from_regex(r"\+?[0-9 ()-]{6,16}", fullmatch=True),
)
names = st.one_of(
    st.sampled_from(["Valéry", "Vale\u0301ry", " O'Brien Jr.", "İ", "--"]), st.text(max_size=10)
)
contacts = st.lists(
    st.fixed_dictionaries(
        {
            "customer_id": st.integers(0, 5).map(lambda number: f"c{number}"),
            "email": st.none() | emails,
            "phone": st.none() | phones,
            "first_name": st.none() | names,
            "last_name": st.none() | names,
            "country": st.none() | st.sampled_from(["US", "gb", "DE", "xx", ""]),
        }
    ),
    max_size=12,
)


def _scalar(row: dict[str, str | None], column: str, default_region: str | None) -> bytes | None:
    platform, identifier, source = SCALAR[column]
    value, country = row[source], row["country"]
    region = country if country in ("US", "gb", "DE") else default_region
    wire = None if value is None else hashed(platform, identifier, value, region)
    return None if wire is None else bytes.fromhex(wire)


@given(contacts, st.sampled_from([None, "US", "de"]))
@settings(max_examples=60, deadline=None)
def test_columns_and_scalars_agree(rows: list[dict[str, str | None]], default_region: str | None) -> None:
    frame = contact_hashes(pl.DataFrame(rows, schema=RAW_SCHEMA), default_region)

    assert frame["customer_id"].to_list() == [row["customer_id"] for row in rows]
    for column in HASH_COLUMNS:
        assert frame[column].to_list() == [_scalar(row, column, default_region) for row in rows], column


def test_only_ids_hashes_and_the_kind_of_domain_come_out() -> None:
    raw = pl.DataFrame(
        {
            "customer_id": ["1", "2", "ada@example.com"],
            "email": ["ada@gmail.com", "ada@acme.example", "ada@mailinator.com"],
            "phone": ["030 12345678", None, "x"],
            "vat": ["DE1", "DE2", "DE3"],
        }
    )

    frame = contact_hashes(raw, "DE")

    assert frame.columns == ["customer_id", *HASH_COLUMNS, "email_domain_kind"]
    assert {frame.schema[column] for column in HASH_COLUMNS} == {pl.Binary()}
    assert frame["email_domain_kind"].to_list() == ["free", "business", "disposable"]
    assert frame["meta_email"].bin.size().to_list() == [32, 32, 32]
    assert frame["meta_phone"].is_null().to_list() == [False, True, True]
    assert frame["meta_first_name"].null_count() == 3
    assert "example.com" not in frame["customer_id"].str.join(" ").item()


def test_a_row_keeps_its_place_and_its_country_reads_its_phone() -> None:
    raw = pl.DataFrame(
        {
            "customer_id": ["b", "a", "b"],
            "phone": ["020 7946 0958", "020 7946 0958", None],
            "country": ["United Kingdom", None, "GB"],
        }
    )

    frame = contact_hashes(raw, None)

    assert frame["customer_id"].to_list() == ["b", "a", "b"]
    expected = hashed("google", "phone", "+442079460958")
    assert expected is not None
    assert frame["google_phone"].to_list() == [bytes.fromhex(expected), None, None]


def test_contacts_without_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="customer_id"):
        contact_hashes(pl.DataFrame({"email": ["ada@example.com"]}), None)
