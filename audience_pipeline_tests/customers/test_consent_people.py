"""Whom a statement reaches, and what holds for a person with several names."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import polars as pl

from audience_pipeline.customers.consent import ConsentPolicy
from audience_pipeline_tests.customers.consent_frames import (
    NOON,
    contact,
    decide,
    digest,
    email_id,
    identities,
    said,
    visit,
)

LATER = NOON + timedelta(days=1)
ANN, BOB = digest("ann"), digest("bob")
AMERICAN = [contact("a", "US"), contact("b", "US")]


def test_a_merge_that_joins_an_opted_out_person_with_a_consenting_one_is_opted_out():
    merged = identities(a="a", b="a")

    for denied, granted in ((NOON, LATER), (LATER, NOON)):
        people = decide(
            said("denied", denied, "b"), said("granted", granted, "a"), contacts=AMERICAN, identities=merged
        )

        assert set(people) == {"a"}
        assert (people["a"]["opted_out"], people["a"]["advertising"]) == (True, False)
        assert people["a"]["statement_at"] == denied


def test_a_merge_keeps_a_denial_for_one_platform_too():
    [row] = decide(
        said("denied", NOON, "b", platform="meta"),
        said("granted", LATER, "a"),
        contacts=AMERICAN,
        identities=identities(a="a", b="a"),
    ).values()

    assert (row["opted_out"], row["advertising"], row["advertising_meta"]) == (False, True, False)


def test_an_opt_out_by_an_address_reaches_everybody_who_ever_had_it():
    contacts = [
        contact("a", "US", updated_at=datetime(2026, 1, 1), meta_email=ANN),
        contact("a", "US", updated_at=datetime(2026, 5, 1), meta_email=BOB),
        contact("b", "US", updated_at=datetime(2026, 5, 2), meta_email=ANN),
        contact("c", "US", meta_email=BOB),
    ]

    people = decide(said("denied", customer=None, meta_email=ANN), contacts=contacts)

    assert {name: row["opted_out"] for name, row in people.items()} == {"a": True, "b": True, "c": False}


def test_an_opt_out_that_names_a_customer_and_an_address_reaches_both():
    contacts = [contact("a", "US"), contact("b", "US", meta_phone=ANN)]

    people = decide(said("denied", customer="a", meta_phone=ANN), contacts=contacts)

    assert [row["opted_out"] for row in people.values()] == [True, True]


def test_a_grant_that_names_a_customer_and_an_address_speaks_for_that_customer_alone():
    contacts = [contact("a", "DE"), contact("b", "DE", meta_email=ANN)]

    people = decide(said("granted", customer="a", meta_email=ANN), contacts=contacts)

    assert [row["advertising"] for row in people.values()] == [True, False]


def test_an_opt_out_by_an_address_reaches_whoever_had_it_in_a_newsletter_or_a_statement():
    opened = pl.LazyFrame({"customer_id": ["a", None], "meta_email": [ANN, BOB]})
    out = said("denied", LATER, customer=None, meta_email=ANN)

    by_newsletter = decide(out, contacts=AMERICAN, named_by=[opened])
    by_statement = decide(out, said("granted", NOON, "a", meta_email=ANN), contacts=AMERICAN)

    for people in (by_newsletter, by_statement):
        assert {name: row["opted_out"] for name, row in people.items()} == {"a": True, "b": False}


def test_a_denial_with_an_address_does_not_hand_it_to_a_later_grant():
    grant = said("granted", LATER, customer=None, meta_email=ANN)

    people = decide(said("denied", NOON, "a", meta_email=ANN), grant, contacts=AMERICAN)

    assert people["a"]["opted_out"]


def test_an_opt_out_by_a_loyalty_card_reaches_whoever_has_shown_it():
    shown = pl.LazyFrame({"customer_id": ["a", "b"], "loyalty_id": ["7", "8"]})

    people = decide(said("denied", customer="id:loyalty:7"), contacts=AMERICAN, named_by=[shown])

    assert {name: row["opted_out"] for name, row in people.items()} == {"a": True, "b": False}


def test_a_reader_known_by_an_address_alone_is_opted_out_by_it():
    people = decide(
        said("denied", customer=None, meta_email=ANN),
        customers=(email_id("ann"), email_id("bob")),
        policy=ConsentPolicy(unknown_country_needs_consent=False),
    )

    assert people[email_id("ann")]["opted_out"] is True
    assert people[email_id("bob")]["opted_out"] is False


def test_such_a_reader_may_be_named_as_we_list_them():
    """Landing puts ``id:`` before a shop's own id that looks like one of our names."""
    contacts = [contact("a", "US", meta_email=ANN)]

    people = decide(
        said("denied", customer=f"id:{email_id('ann')}"), contacts=contacts, customers=(email_id("ann"),)
    )

    assert people[email_id("ann")]["opted_out"] is True
    assert people["a"]["opted_out"] is True


def test_an_opt_out_by_an_address_that_a_customer_gets_later_keeps_that_customer_out():
    """An import after the request brings nobody in."""
    contacts = [contact("new", "US", updated_at=LATER, meta_email=ANN)]

    people = decide(said("denied", customer=None, meta_email=ANN), contacts=contacts, customers=("new",))

    assert people["new"]["opted_out"] is True


def test_an_unknown_id_that_is_imported_later_is_opted_out():
    people = decide(said("denied", customer="new"), contacts=[contact("new", "US")], customers=())

    assert people["new"]["opted_out"] is True


def test_addresses_of_the_days_after_the_date_link_nothing():
    contacts = [contact("a", "US", updated_at=LATER, meta_email=ANN)]

    people = decide(said("denied", NOON, None, meta_email=ANN), contacts=contacts, as_of=date(2026, 6, 1))

    assert people["a"]["opted_out"] is False


def test_a_person_with_addresses_in_two_countries_gets_the_stricter_rule():
    contacts = [contact("a", "US"), contact("b", "DE")]

    assert decide(contacts=contacts, identities=identities(a="a", b="a"))["a"]["advertising"] is False


def test_an_id_without_a_country_does_not_make_a_known_country_unknown():
    contacts = [contact("a", "US"), contact("b", None)]

    assert decide(contacts=contacts, identities=identities(a="a", b="a"))["a"]["advertising"] is True


def test_the_latest_country_of_an_id_counts_and_of_undated_ones_the_later_landing():
    moved = [contact("a", "DE", updated_at=NOON), contact("a", "US", updated_at=LATER)]
    corrected = [contact("a", "DE", landing_id="one"), contact("a", "US", landing_id="two")]

    assert decide(contacts=moved)["a"]["advertising"] is True
    assert decide(contacts=corrected, landings=("one", "two"))["a"]["advertising"] is True
    assert decide(contacts=corrected, landings=("two", "one"))["a"]["advertising"] is False


def test_a_browser_with_global_privacy_control_opts_its_customer_out_where_the_law_says_so():
    browser = identities(**{"a": "a", "anonymous:x": "a"})
    outcome = {
        country: decide(contacts=[contact("a", country)], web=[visit(anonymous_id="x")], identities=browser)[
            "a"
        ]["opted_out"]
        for country in ("US", "DE", "AU", None)
    }

    assert outcome == {"US": True, "DE": False, "AU": False, None: True}


def test_the_countries_whose_signals_count_are_a_setting():
    policy = ConsentPolicy(signal_countries=frozenset({"AU"}), unknown_country_signals=False)
    outcome = [
        decide(contacts=[contact("a", country)], web=[visit(customer_id="a")], policy=policy)["a"][
            "opted_out"
        ]
        for country in ("US", "AU", None)
    ]

    assert outcome == [False, True, False]


def test_a_signal_is_told_from_a_statement_and_denies_both_purposes():
    row = decide(contacts=[contact("a", "US")], web=[visit(customer_id="a")])["a"]

    assert (row["decided_by"], row["statement_at"], row["source"], row["legal_basis"]) == (
        "signal", NOON, "global privacy control", "opt-out",
    )  # fmt: skip
    assert (row["advertising"], row["personalisation"]) == (False, False)


def test_a_consent_after_the_signal_counts_and_one_before_does_not():
    browser = {"identities": identities(**{"a": "a", "anonymous:x": "a"}), "contacts": [contact("a", "US")]}

    after = decide(said("granted", LATER), web=[visit(NOON, anonymous_id="x")], **browser)["a"]
    before = decide(said("granted", NOON), web=[visit(LATER, anonymous_id="x")], **browser)["a"]

    assert (after["opted_out"], before["opted_out"]) == (False, True)


def test_visits_without_the_signal_and_after_the_date_say_nothing():
    web = [visit(gpc=False, customer_id="a"), visit(gpc=None, customer_id="a")]
    web.append(visit(datetime(2026, 7, 1), customer_id="a"))

    row = decide(contacts=[contact("a", "US")], web=web)["a"]

    assert (row["opted_out"], row["decided_by"]) == (False, "default")


def test_a_browser_of_nobody_gets_no_row():
    assert set(decide(web=[visit(anonymous_id="x")])) == {"a"}
