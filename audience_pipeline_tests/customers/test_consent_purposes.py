"""Purposes, erasure, signals in files, and statements that have only a day."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.customers.consent import ConsentPolicy
from audience_pipeline_tests.customers.consent_frames import (
    NOON,
    Row,
    contact,
    decide,
    digest,
    identities,
    said,
    visit,
)

LATER = NOON + timedelta(days=1)
DAY = datetime(2026, 6, 1)


def of_a(*events: Row, country: str | None = "DE", **options: Any) -> Row:
    return decide(*events, contacts=[contact("a", country)], **options)["a"]


def test_google_is_told_of_both_purposes_so_it_needs_both():
    advertising = said("granted")
    both = of_a(advertising, said("granted", purpose="personalisation"))
    one = of_a(advertising)

    assert (both["advertising_google"], both["personalisation"], both["opted_out_google"]) == (
        True, True, False,
    )  # fmt: skip
    assert (one["advertising_google"], one["advertising_meta"], one["opted_out_google"]) == (
        False, True, False,
    )  # fmt: skip


def test_where_silence_is_a_yes_google_needs_only_that_personalisation_is_not_denied():
    silent = of_a(country="US")
    denied = of_a(said("denied", purpose="personalisation"), country="US")

    assert silent["advertising_google"] is True
    assert (denied["advertising"], denied["advertising_meta"], denied["advertising_google"]) == (
        True, True, False,
    )  # fmt: skip
    assert (denied["opted_out"], denied["opted_out_google"], denied["opted_out_meta"]) == (False, True, False)


def test_personalisation_alone_is_no_consent_to_advertising():
    row = of_a(said("granted", purpose="personalisation"))

    assert (row["personalisation"], row["advertising"], row["advertising_google"]) == (True, False, False)


def test_personalisation_on_one_platform_is_decided_for_that_platform():
    denial = said("denied", purpose="personalisation", platform="google")
    row = of_a(denial, country="US")

    assert (row["personalisation"], row["personalisation_google"], row["advertising_google"]) == (
        True, False, False,
    )  # fmt: skip


def test_a_question_that_asked_for_both_counts_for_both_where_the_shop_says_so():
    policy = ConsentPolicy(advertising_covers_personalisation=True)
    denial = said("denied", NOON - timedelta(days=9), purpose="personalisation")

    assert of_a(said("granted"), policy=policy)["advertising_google"] is True
    assert of_a(said("granted"), denial, policy=policy)["advertising_google"] is False
    assert of_a(policy=policy)["personalisation"] is False


@pytest.mark.parametrize("signal", ["gpc", "ccpa"])
@pytest.mark.parametrize("country", ["US", "DE", None])
def test_a_signal_in_a_consent_file_is_a_denial_wherever_somebody_lives(signal: str, country: str | None):
    row = of_a(said("granted"), said("denied", LATER, signal=signal), country=country)

    assert (row["opted_out"], row["decided_by"], row["personalisation"]) == (True, "signal", False)


def test_a_signal_is_a_denial_whatever_its_row_says_besides():
    row = of_a(said("granted", signal="ccpa", platform="meta", purpose="personalisation"), country="US")

    assert (row["opted_out"], row["opted_out_tiktok"]) == (True, True)


def test_an_erasure_is_never_lifted():
    erased = said("erase", platform="meta", purpose="personalisation")
    row = of_a(erased, said("granted", LATER), said("granted", LATER, purpose="personalisation"))

    assert (row["erased"], row["opted_out"], row["statement_at"], row["decided_by"]) == (
        True, True, NOON, "statement",
    )  # fmt: skip
    assert not any(value for name, value in row.items() if name.startswith(("advertising", "personal")))


def test_an_erasure_by_address_holds_for_whoever_has_it():
    contacts = [contact("a", "US", meta_email=digest("ann")), contact("b", "US", meta_email=digest("ann"))]
    people = decide(
        said("erase", customer=None, meta_email=digest("ann")),
        *(said("granted", LATER, customer) for customer in "ab"),
        contacts=contacts,
    )

    assert [row["advertising"] for row in people.values()] == [False, False]


def test_out_in_and_out_within_a_second_is_out_and_the_other_way_round_in():
    moments = [NOON + timedelta(microseconds=n) for n in (1, 2, 3)]

    def last_of(*statuses: str) -> bool:
        return bool(of_a(*map(said, statuses, moments))["advertising"])

    assert last_of("denied", "granted", "denied") is False
    assert last_of("granted", "denied", "granted") is True


@pytest.mark.parametrize("hour", [0, 9, 23])
def test_a_denial_given_as_a_day_wins_over_every_grant_of_that_day(hour: int):
    grant = said("granted", DAY + timedelta(hours=hour))

    assert of_a(said("denied", DAY), grant)["opted_out"] is True
    assert of_a(said("denied", DAY), said("granted", DAY + timedelta(days=1)))["advertising"] is True


def test_a_grant_given_as_a_day_is_older_than_every_denial_of_that_day():
    denial = said("denied", DAY + timedelta(microseconds=1))

    assert of_a(said("granted", DAY), denial)["opted_out"] is True
    assert of_a(said("granted", DAY), denial)["statement_at"] == denial["event_at"]


def test_a_day_of_the_as_of_date_itself_is_seen():
    assert of_a(said("denied", DAY), country="US", as_of=DAY.date())["opted_out"] is True


def test_the_moment_that_is_shown_is_the_one_that_was_stated():
    assert of_a(said("denied", DAY))["statement_at"] == DAY


def test_a_decision_names_source_and_legal_basis_of_its_statement():
    row = of_a(
        said("denied", NOON, source="till", legal_basis="opt-out"),
        said("granted", LATER, source="sign-up", legal_basis="consent"),
    )

    assert (row["source"], row["legal_basis"]) == ("sign-up", "consent")


def test_of_two_sources_of_one_instant_the_same_is_named_in_any_order():
    rows = [said("denied", source=source, legal_basis=basis) for source, basis in (("b", "x"), ("a", "y"))]

    answers = [of_a(*order) for order in (rows, rows[::-1])]

    assert answers[0] == answers[1]
    assert (answers[0]["source"], answers[0]["legal_basis"]) == ("a", "y")


statements = st.builds(
    said,
    st.sampled_from(["granted", "denied", "erase"]),
    st.sampled_from([DAY, NOON, NOON + timedelta(microseconds=1), LATER]),
    st.sampled_from(["a", "b", None]),
    meta_email=st.sampled_from([None, digest("ann")]),
    purpose=st.sampled_from([None, "advertising", "personalisation"]),
    platform=st.sampled_from([None, "meta", "google"]),
    signal=st.sampled_from([None, None, None, "ccpa"]),
)
worlds = st.fixed_dictionaries(
    {
        "contacts": st.sampled_from(
            [
                [contact("a", "US"), contact("b", "DE", meta_email=digest("ann"))],
                [contact("a", "US", meta_email=digest("ann")), contact("b", None)],
                [contact("a", "US", meta_email=digest("ann")), contact("b", "US", meta_email=digest("ann"))],
            ]
        ),
        "identities": st.sampled_from(
            [identities(a="a", b="b"), identities(a="a", b="a"), identities(**{"b": "b", "anonymous:x": "b"})]
        ),
        "web": st.lists(
            st.builds(visit, st.sampled_from([NOON, LATER]), anonymous_id=st.sampled_from(["x", "y"])),
            max_size=2,
        ),
    }
)


@given(st.lists(statements, max_size=6), worlds, statements)
def test_a_denial_more_makes_nobody_sendable(events: list[Row], world: dict[str, Any], more: Row):
    denial = {**more, "status": "denied"} if more["status"] == "granted" else more

    before = decide(*events, customers=("a", "b"), **world)
    after = decide(*events, denial, customers=("a", "b"), **world)

    assert set(before) == set(after)
    gained = [
        (name, column)
        for name, row in after.items()
        for column, value in row.items()
        if column.startswith(("advertising", "personalisation")) and value and not before[name][column]
    ]
    assert gained == []


@given(st.lists(statements, max_size=6).flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))),
       worlds)  # fmt: skip
def test_the_order_of_rows_decides_nothing(rows: tuple[list[Row], list[Row]], world: dict[str, Any]):
    given_order, another = rows
    turned = {**world, "contacts": world["contacts"][::-1], "web": world["web"][::-1]}

    assert decide(*given_order, customers=("a", "b"), **world) == decide(
        *another, customers=("b", "a"), **turned
    )


@given(st.lists(statements, max_size=6), worlds)
def test_repeating_statements_changes_nothing(events: list[Row], world: dict[str, Any]):
    assert decide(*events, **world) == decide(*events, *events, **world)
