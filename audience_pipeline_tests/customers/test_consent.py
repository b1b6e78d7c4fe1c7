from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.customers.consent import ConsentPolicy, consent
from audience_pipeline.customers.identity import IDENTIFIERS_SCHEMA
from audience_pipeline_tests.customers.consent_frames import AS_OF, EVENTS, NOON

HASH = sha256(b"someone").digest()


def said(status: str, at: datetime = NOON, **more: Any) -> dict[str, Any]:
    defaults = {"customer_id": "a", "purpose": "advertising"}
    return {**dict.fromkeys(EVENTS), **defaults, "event_at": at, "status": status, **more}


def identifiers(**countries: str | None) -> pl.LazyFrame:
    rows = [
        {"customer_id": customer, "country": country, "meta_email": HASH if customer == "a" else None}
        for customer, country in countries.items()
    ]
    return pl.LazyFrame(
        rows,
        schema={
            "customer_id": pl.String,
            "country": pl.String,
            "meta_email": pl.Binary,
            "meta_phone": pl.Binary,
        },
    )


def of_a(*statements: dict[str, Any], country: str | None = "DE", **options: Any) -> dict[str, Any]:
    frame = consent(
        pl.LazyFrame(list(statements), schema=EVENTS),
        identifiers(a=country),
        AS_OF,
        customers=pl.LazyFrame({"customer_id": ["a"]}),
        **options,
    ).collect()
    assert frame.height == 1
    return frame.to_dicts()[0]


def test_silence_means_no_in_europe_and_where_the_country_is_unknown():
    assert [of_a(country=country)["advertising"] for country in ("DE", "GB", "CH", "NO", None)] == [False] * 5
    assert of_a(country="US")["advertising"] is True
    assert (
        of_a(country=None, policy=ConsentPolicy(unknown_country_needs_consent=False))["advertising"] is True
    )
    assert of_a(country="US", policy=ConsentPolicy(consent_needed=frozenset({"US"})))["advertising"] is False
    assert of_a()["decided_by"] == "default"
    assert of_a()["opted_out"] is False


def test_the_latest_statement_wins():
    later = NOON + timedelta(seconds=1)

    assert of_a(said("denied"), said("granted", later))["advertising"] is True
    row = of_a(said("denied", later), said("granted"), country="US")
    assert (row["advertising"], row["opted_out"], row["decided_by"], row["statement_at"]) == (
        False, True, "statement", later,
    )  # fmt: skip


def test_out_in_and_out_within_a_second_is_out():
    moments = [NOON + timedelta(microseconds=n) for n in (1, 2, 3)]
    statements = [
        said(status, at) for status, at in zip(("denied", "granted", "denied"), moments, strict=True)
    ]

    assert of_a(*statements)["opted_out"] is True


def test_of_contradicting_statements_of_one_instant_the_denial_wins():
    assert of_a(said("granted"), said("denied"))["opted_out"] is True
    assert of_a(said("denied"), said("granted"))["opted_out"] is True


def test_statements_after_the_date_are_not_read_and_those_of_that_day_are():
    assert of_a(said("granted", datetime(2026, 7, 1)))["advertising"] is False
    assert of_a(said("granted", datetime(2026, 6, 30, 23, 59, 59)))["advertising"] is True


def test_another_purpose_says_nothing_about_advertising():
    assert of_a(said("granted", purpose="personalisation"))["advertising"] is False


def test_a_denial_for_one_platform_holds_there_alone():
    row = of_a(said("granted"), said("denied", NOON + timedelta(days=1), platform="meta"))

    assert (row["advertising"], row["advertising_meta"], row["advertising_tiktok"]) == (True, False, True)
    assert (row["opted_out"], row["opted_out_meta"], row["opted_out_tiktok"]) == (False, True, False)


def test_a_grant_for_one_platform_speaks_where_nothing_else_was_said():
    row = of_a(said("granted", platform="tiktok"))

    assert (row["advertising"], row["advertising_tiktok"], row["advertising_meta"]) == (False, True, False)


def test_a_denial_for_everything_is_not_lifted_by_a_grant_for_one_platform():
    row = of_a(said("denied"), said("granted", NOON + timedelta(days=1), platform="meta"))

    assert (row["advertising_meta"], row["opted_out"], row["opted_out_meta"]) == (False, True, True)


def test_a_statement_by_address_reaches_the_customer_also_by_an_old_address():
    given = {"customer_id", "country", "meta_email", "is_competitor", "identifier_rules"}
    contacts = pl.LazyFrame(
        {
            "customer_id": ["a", "a"],
            "updated_at": [datetime(2026, 1, 1), datetime(2026, 2, 1)],
            "landing_id": ["l", "l"],
            "country": ["US", None],
            "meta_email": [HASH, sha256(b"new").digest()],
            "is_competitor": [False, False],
            "identifier_rules": pl.Series([1, 1], dtype=pl.Int32),
        }
    ).with_columns(
        *(
            pl.lit(None, dtype=dtype).alias(name)
            for name, dtype in IDENTIFIERS_SCHEMA.items()
            if name not in given
        ),
    )
    events = pl.LazyFrame([said("denied", customer_id=None, meta_email=HASH)], schema=EVENTS)

    frame = consent(
        events, contacts, AS_OF, customers=pl.LazyFrame({"customer_id": ["a", "shop only"]})
    ).collect()

    assert frame.select("customer_id", "opted_out").rows() == [("a", True), ("shop only", False)]


def test_a_shared_address_or_number_speaks_once_for_everybody_who_has_it():
    number = sha256(b"number").digest()
    contacts = identifiers(a="US", b="US", c="US").with_columns(
        meta_email=pl.when(pl.col("customer_id") == "c").then(None).otherwise(pl.lit(HASH)),
        meta_phone=pl.when(pl.col("customer_id") != "a").then(pl.lit(number)),
    )
    by_address = said("denied", customer_id=None, meta_email=HASH)
    by_either = said("denied", customer_id=None, meta_email=HASH, meta_phone=number)

    def out(statement: dict[str, Any]) -> list[str]:
        found = consent(
            pl.LazyFrame([statement], schema=EVENTS),
            contacts,
            AS_OF,
            customers=contacts.select("customer_id"),
        )
        return found.filter("opted_out").collect()["customer_id"].to_list()

    assert out(by_address) == ["a", "b"]
    assert out(by_either) == ["a", "b", "c"]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["granted", "denied"]),
            st.integers(0, 3),
            st.sampled_from([None, "meta", "google"]),
        ),
        max_size=6,
    )
)
def test_nobody_who_denied_everything_last_is_allowed_anywhere(statements: list[tuple[str, int, str | None]]):
    row = of_a(
        *(said(status, NOON + timedelta(days=day), platform=platform) for status, day, platform in statements)
    )
    general = [(day, status == "denied") for status, day, platform in statements if platform is None]

    assert row["opted_out"] == (bool(general) and max(general)[1])
    if row["opted_out"]:
        assert not any(value for name, value in row.items() if name.startswith("advertising"))
