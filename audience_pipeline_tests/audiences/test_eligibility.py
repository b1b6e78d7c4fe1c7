from __future__ import annotations

import hashlib
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.audiences.eligibility import (
    REASONS,
    eligibility,
    opted_out,
    sendable,
    standing,
    without_consent,
)
from audience_pipeline.platforms.contract import CAPABILITIES, GOOGLE, META, TIKTOK, Capabilities, Platform

COLUMNS = sorted({column for one in CAPABILITIES.values() for column in one.identifiers})
MAYBE = st.none() | st.booleans()
TEXT = {"country", "postal_code"}


def members(*rows: tuple[str, bool]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema={"customer_id": pl.String, "holdout": pl.Boolean}, orient="row")


def own(customer: str) -> bytes:
    """A hash that nobody else has."""
    return hashlib.sha256(customer.encode()).digest()


def people(**known: set[str]) -> pl.DataFrame:
    rows = [
        {"customer_id": customer}
        | {
            column: (("DE" if column in TEXT else own(customer)) if column in columns else None)
            for column in COLUMNS
        }
        for customer, columns in known.items()
    ]
    schema = {"customer_id": pl.String} | {
        column: pl.String if column in TEXT else pl.Binary for column in COLUMNS
    }
    return pl.DataFrame(rows, schema=schema)


def said(**allowed: dict[str, Any]) -> pl.DataFrame:
    flags = ["opted_out", *(f"opted_out_{p}" for p in Platform)]
    grants = ["advertising", *(f"advertising_{p}" for p in Platform)]
    rows = [
        {"customer_id": customer} | dict.fromkeys(flags, False) | dict.fromkeys(grants, True) | more
        for customer, more in allowed.items()
    ]
    schema = {"customer_id": pl.String} | dict.fromkeys([*flags, *grants], pl.Boolean)
    return pl.DataFrame(rows, schema=schema)


def decide(
    capabilities: Capabilities, row: tuple[str, bool], identifiers: pl.DataFrame, consent: pl.DataFrame
) -> Any:
    decided = eligibility(members(row), identifiers, consent, capabilities)
    assert decided.columns == ["customer_id", "eligible", "reason"]
    assert decided["eligible"].item() == (decided["reason"].item() is None)
    return decided["reason"].item()


def test_the_first_reason_that_applies_is_told():
    nobody, out = people(a=set()), {"opted_out": True, "advertising_meta": False}

    assert decide(META, ("a", True), nobody, said(a=out)) == "holdout"
    assert decide(META, ("a", False), nobody, said(a=out)) == "opted_out"
    assert decide(META, ("a", False), nobody, said(a={"advertising_meta": False})) == "no_consent"
    assert decide(META, ("a", False), nobody, said(a={})) == "no_identifier"
    assert decide(META, ("a", False), people(a={"meta_email"}), said(a={})) is None


def test_a_denial_for_one_platform_holds_there():
    consent = said(a={"opted_out_tiktok": True, "advertising_tiktok": False})
    identifiers = people(a={"meta_email", "tiktok_email"})

    assert decide(TIKTOK, ("a", False), identifiers, consent) == "opted_out"
    assert decide(META, ("a", False), identifiers, consent) is None


def test_whoever_is_unknown_is_not_sent():
    assert decide(META, ("a", False), people(), said(a={})) == "no_identifier"
    assert decide(META, ("a", False), people(a={"meta_email"}), said()) == "no_consent"
    unsaid = said(a={"advertising_meta": None})
    assert decide(META, ("a", False), people(a={"meta_email"}), unsaid) == "no_consent"


@pytest.mark.parametrize("capabilities", CAPABILITIES.values(), ids=str)
def test_somebody_is_reached_by_any_complete_group_of_identifiers_and_by_no_part_of_one(
    capabilities: Capabilities,
):
    for group in capabilities.reachable_by:
        assert decide(capabilities, ("a", False), people(a=set(group)), said(a={})) is None
        if len(group) > 1:
            assert decide(capabilities, ("a", False), people(a=set(group[1:])), said(a={})) == "no_identifier"


def test_the_order_of_the_members_is_kept():
    rows = [("b", False), ("a", False), ("c", True)]

    assert eligibility(members(*rows), people(), said(), GOOGLE)["customer_id"].to_list() == ["b", "a", "c"]


def test_somebody_who_stands_twice_in_a_table_is_an_error_and_not_sent_twice():
    twice = pl.concat([said(a={}), said(a={})])

    with pytest.raises(pl.exceptions.ComputeError):
        eligibility(members(("a", False)), people(), twice, META)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from("abcdef"),
        st.tuples(st.booleans(), MAYBE, MAYBE, MAYBE, st.sets(st.sampled_from(COLUMNS))),
        min_size=1,
    ),
    st.sampled_from(sorted(CAPABILITIES)),
)
def test_nobody_held_out_opted_out_or_without_consent_is_ever_eligible(
    rows: dict[str, Any], platform: Platform
):
    flags = {
        customer: {"opted_out": out, f"opted_out_{platform}": out_here, f"advertising_{platform}": granted}
        for customer, (_, out, out_here, granted, _) in rows.items()
    }
    decided = eligibility(
        members(*((customer, values[0]) for customer, values in rows.items())),
        people(**{customer: values[4] for customer, values in rows.items()}),
        said(**flags),
        CAPABILITIES[platform],
    )

    stands = standing(
        people(**{customer: values[4] for customer, values in rows.items()}),
        said(**flags),
        CAPABILITIES[platform],
    )
    free = {customer for customer, values in rows.items() if not values[0]}
    assert set(decided.filter("eligible")["customer_id"]) == set(sendable(stands)["customer_id"]) & free
    refused = {"opted_out", "no_consent"}
    gone = set(decided.filter(pl.col("reason").is_in(refused))["customer_id"])
    assert gone == set(without_consent(stands)["customer_id"]) & free
    for customer, eligible, reason in decided.iter_rows():
        held_out, out, out_here, granted, known = rows[customer]
        reachable = any(set(group) <= known for group in CAPABILITIES[platform].reachable_by)
        assert eligible == (not held_out and not out and not out_here and granted is True and reachable)
        assert eligible or reason in REASONS


@pytest.mark.parametrize(
    ("platform", "column", "out"),
    [
        (Platform.META, "meta_email", True),
        (Platform.META, "meta_phone", True),
        (Platform.TIKTOK, "tiktok_email", True),
        (Platform.TIKTOK, "google_email", False),
        # A reader is known by the hash that Meta wants, which nobody else has but at the same address.
        (Platform.GOOGLE, "meta_email", True),
    ],
)
def test_an_opt_out_holds_for_the_addresses_that_somebody_moved_away_from(
    platform: Platform, column: str, out: bool
) -> None:
    one = CAPABILITIES[platform]
    names = {*one.identifiers, "meta_email", "google_email", "tiktok_email", "meta_phone"}
    hashes = {name: [name.encode() + b"1", name.encode() + b"2"] for name in sorted(names)}
    identifiers = pl.DataFrame({"customer_id": ["denied", "granted"], **hashes})
    consent = pl.DataFrame(
        {
            "customer_id": ["denied", "granted"],
            f"advertising_{platform}": [False, True],
            "opted_out": [True, False],
            f"opted_out_{platform}": [True, False],
        }
    )
    members = pl.DataFrame({"customer_id": ["denied", "granted"], "holdout": [False, False]})
    before = pl.DataFrame({"customer_id": ["denied", "denied"], column: [column.encode() + b"2", None]})
    harmless = before.with_columns(customer_id=pl.lit("granted"))

    decided = eligibility(members, identifiers, consent, one, before)

    assert decided["reason"].to_list() == ["opted_out", "opted_out" if out else None]
    assert ("granted" in opted_out(identifiers, consent, one, before).to_list()) is out
    assert opted_out(identifiers, consent, one, harmless).to_list() == ["denied"]
    assert opted_out(identifiers, consent, one).to_list() == ["denied"]


@pytest.mark.parametrize("shared", ["meta_email", "meta_phone"])
def test_an_opt_out_wins_over_the_consent_of_somebody_with_the_same_address(shared: str) -> None:
    """A household: the platform would find the person who opted out through the row of the other."""
    hashes = {name: [None, None] for name in META.identifiers if name not in {"country", "postal_code"}}
    hashes["meta_email"] = [b"a" * 32, b"b" * 32]
    hashes["meta_phone"] = [b"1" * 32, b"2" * 32]
    hashes[shared] = [b"x" * 32, b"x" * 32]
    identifiers = pl.DataFrame(
        {"customer_id": ["denied", "granted"], **hashes},
        schema_overrides=dict.fromkeys(hashes, pl.Binary),
    )
    consent = pl.DataFrame(
        {
            "customer_id": ["denied", "granted"],
            "advertising_meta": [False, True],
            "opted_out": [True, False],
            "opted_out_meta": [True, False],
        }
    )
    members = pl.DataFrame({"customer_id": ["denied", "granted"], "holdout": [False, False]})

    decided = eligibility(members, identifiers, consent, META)

    assert decided["eligible"].to_list() == [False, False]
    assert decided["reason"].to_list() == ["opted_out", "opted_out"]
    assert opted_out(identifiers, consent, META).to_list() == ["denied", "granted"]
