from __future__ import annotations

from hashlib import sha256

import polars as pl
import pytest

from audience_pipeline.delivery.recipients import members_for, remote_name
from audience_pipeline.platforms.contract import CAPABILITIES, Platform

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
    recipients = members_for(platform, people, table(**people))
    return {name: dict(one.member.identifiers) for name, one in recipients.items()}


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


def test_only_eligible_customers_are_sent_by_customer() -> None:
    people = table(**{name: {"meta_email": HASH} for name in "cab"})

    assert list(members_for(Platform.META, ["c", "a", "a", "unknown"], people)) == ["a", "c"]


def test_fingerprints_do_not_depend_on_the_order_of_rows() -> None:
    people = table(a={"meta_email": HASH}, b={"meta_phone": HASH})

    assert members_for(Platform.META, "ab", people) == members_for(Platform.META, "ba", people.reverse())


def test_a_table_without_a_needed_column_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no column tiktok_email, which tiktok needs"):
        members_for(Platform.TIKTOK, ["a"], table(a={}).drop("tiktok_email"))


def test_nobody_eligible_is_nobody_sent() -> None:
    assert members_for(Platform.META, [], table(a={"meta_email": HASH})) == {}


def test_names_are_cut_and_stay_different() -> None:
    names = {remote_name("shop ", f"{'x' * 40}{end}", 30) for end in "ab"}

    assert len(names) == 2
    assert {len(name) for name in names} == {30}
    assert remote_name("shop ", "best", 30) == "shop best"
