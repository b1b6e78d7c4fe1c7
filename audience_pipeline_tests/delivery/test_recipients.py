from __future__ import annotations

from hashlib import sha256

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.delivery.recipients import (
    PEOPLE,
    fingerprints,
    keys,
    members,
    near,
    recipients,
    remote_name,
)
from audience_pipeline.platforms.contract import CAPABILITIES, GOOGLE, META, Platform

HASH = sha256(b"x").digest()
COLUMNS = {
    **{f"{platform}_email": pl.Binary for platform in ("meta", "google", "tiktok")},
    "meta_phone": pl.Binary,
    "google_phone": pl.Binary,
    **{f"meta_{part}_name": pl.Binary for part in ("first", "last")},
    **{f"google_{part}_name": pl.Binary for part in ("given", "family")},
    "country": pl.String,
    "postal_code": pl.String,
}


def table(**people) -> pl.DataFrame:
    rows = [{"customer_id": name, **dict.fromkeys(COLUMNS), **values} for name, values in people.items()]
    return pl.DataFrame(rows, schema={"customer_id": pl.String, **COLUMNS})


def sent(platform: Platform, **people) -> dict[str, dict[str, str]]:
    found = recipients(platform, table(**people))
    return {one.customer_id: dict(one.identifiers) for one in members(found, CAPABILITIES[platform])}


def test_hashes_become_hex_and_places_stay_plain() -> None:
    assert sent(Platform.META, a={"meta_email": HASH, "country": "US", "postal_code": "94045"}) == {
        "a": {"meta_email": HASH.hex(), "postal_code": "94045", "country": "US"}
    }


@pytest.mark.parametrize("platform", Platform)
def test_only_the_columns_of_the_platform_are_sent(platform) -> None:
    everything = {name: HASH if kind == pl.Binary else "US" for name, kind in COLUMNS.items()}

    (identifiers,) = sent(platform, a=everything).values()

    assert tuple(identifiers) == CAPABILITIES[platform].identifiers


def test_customers_that_a_platform_cannot_be_told_of_are_left_out() -> None:
    people = {"named": {"meta_first_name": HASH, "country": "US"}, "known": {"meta_phone": HASH}}

    assert list(sent(Platform.META, **people)) == ["known"]


def test_an_address_for_google_is_sent_whole_or_not_at_all() -> None:
    whole = {
        "google_given_name": HASH,
        "google_family_name": HASH,
        "country": "US",
        "postal_code": "94045",
    }
    part = {**whole, "postal_code": "", "google_email": HASH}

    assert sent(Platform.GOOGLE, whole=whole, part=part, nothing={**whole, "country": None}) == {
        "part": {"google_email": HASH.hex()},
        "whole": {
            "google_given_name": HASH.hex(),
            "google_family_name": HASH.hex(),
            "country": "US",
            "postal_code": "94045",
        },
    }


def test_recipients_stand_by_customer_with_their_fingerprint() -> None:
    people = table(b={"meta_phone": HASH}, a={"meta_email": HASH})

    found = recipients(Platform.META, people)

    assert found.columns == [*PEOPLE, *META.identifiers]
    assert found["customer_id"].to_list() == ["a", "b"]
    assert found["fingerprint"].equals(fingerprints(found, META.identifiers))
    assert found.equals(recipients(Platform.META, people.reverse()))


def test_a_table_without_a_needed_column_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no column tiktok_email, which tiktok needs"):
        recipients(Platform.TIKTOK, table(a={}).drop("tiktok_email"))


def test_a_table_of_nobody_gives_nobody() -> None:
    assert recipients(Platform.META, table(a={}).clear()).height == 0
    assert recipients(Platform.META, table(a={})).height == 0


def number(text: bytes) -> int:
    return int.from_bytes(sha256(text).digest()[:8], "little")


def test_a_fingerprint_is_the_sum_that_the_ledger_remembers() -> None:
    """Written out, and as constants: ledgers of earlier versions must go on being understood."""
    frame = recipients(
        Platform.META,
        table(
            email={"meta_email": HASH},
            whole={"meta_email": HASH, "meta_phone": HASH, "postal_code": "94045", "country": "US"},
        ),
    )

    email = number(b"x") * (number(b"meta_email") | 1)
    rest = (
        number(b"x") * (number(b"meta_phone") | 1)
        + number(b"94045") * (number(b"postal_code") | 1)
        + number(b"US") * (number(b"country") | 1)
    )
    assert frame["fingerprint"].to_list() == [email % 2**64, (email + rest) % 2**64]
    assert frame["fingerprint"].to_list() == [12169330653385381071, 10777511225549787936]


def test_nothing_has_the_fingerprint_zero() -> None:
    assert fingerprints(table(a={}), ["meta_email", "country"]).to_list() == [0]
    assert fingerprints(table(a={}), []).to_list() == [0]


def test_what_is_too_short_for_a_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="meta_email holds a hash of fewer than 8 bytes"):
        fingerprints(table(a={"meta_email": b"short"}), ["meta_email"])


def test_people_have_a_key_for_each_complete_group() -> None:
    address = {
        "google_given_name": HASH,
        "google_family_name": HASH,
        "country": "US",
        "postal_code": "94045",
    }
    found = recipients(
        Platform.GOOGLE,
        table(a={"google_email": HASH, **address}, b={"google_phone": HASH}, c=address),
    )

    by_customer = {name[0]: set(some["key"]) for name, some in keys(found, GOOGLE).group_by("customer_id")}

    assert {name: len(some) for name, some in by_customer.items()} == {"a": 2, "b": 1, "c": 1}
    assert by_customer["c"] < by_customer["a"]
    assert by_customer["b"].isdisjoint(by_customer["a"])


values = st.one_of(st.none(), st.sampled_from([sha256(bytes([one])).digest() for one in range(3)]))
places = st.one_of(st.none(), st.sampled_from(["A", "B"]))
rows = st.lists(
    st.fixed_dictionaries(
        {name: places if name in ("country", "postal_code") else values for name in GOOGLE.identifiers}
    ),
    max_size=6,
)


@given(some=rows, others=rows)
def test_nobody_who_shares_a_key_is_overlooked_as_near(some, others) -> None:
    left, right = (
        recipients(Platform.GOOGLE, table(**{f"{side}{at}": row for at, row in enumerate(people)}))
        for side, people in (("a", some), ("b", others))
    )

    shared = keys(left, GOOGLE).join(keys(right, GOOGLE), on="key", how="semi")["customer_id"]

    assert set(shared) <= set(near(left, right, GOOGLE)["customer_id"])


def test_names_are_cut_and_stay_different() -> None:
    names = {remote_name("shop ", f"{'x' * 40}{end}", 30) for end in "ab"}

    assert len(names) == 2
    assert {len(name) for name in names} == {30}
    assert remote_name("shop ", "best", 30) == "shop best"
