from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from audience_pipeline.customers.identities import IDENTITIES_SCHEMA, resolve
from audience_pipeline.customers.identities_decisions import DECISIONS_SCHEMA
from audience_pipeline.customers.identities_limits import IdentityLimits
from audience_pipeline.customers.identities_links import Landed
from audience_pipeline_tests.customers.identity_tables import (
    AS_OF,
    LANDINGS,
    customers,
    day,
    email_id,
    h,
    people,
    refusals,
    resolved,
)

ANN = {"first_name": "ann"}
BOB = {"first_name": "bob"}
APART, SHARED = "people with different first names have it", "too many people have it"


def together(*ids: str) -> frozenset[str]:
    return frozenset(ids)


def test_nothing_landed_is_nobody():
    for landed in (
        Landed(),
        Landed(crm=pl.LazyFrame(schema={"customer_id": pl.String, "updated_at": pl.Datetime})),
    ):
        found = resolve(landed, AS_OF, {})

        assert found.identities.schema == IDENTITIES_SCHEMA
        assert found.decisions.schema == DECISIONS_SCHEMA
        assert found.identities.is_empty()


def test_a_customer_without_links_is_one_of_its_own():
    found = resolved(transactions=[{"customer_id": "C2"}, {"customer_id": "C1"}, {"customer_id": "C2"}])

    assert found.identities.schema == IDENTITIES_SCHEMA
    assert found.decisions.schema == DECISIONS_SCHEMA
    assert found.identities["source_id"].to_list() == ["C1", "C2"]
    assert customers(found) == {"C1": "C1", "C2": "C2"}
    assert found.decisions.is_empty()


@pytest.mark.parametrize(
    "rows",
    [
        {"crm": [{"customer_id": "C1", "email": "a"}, {"customer_id": "C2", "email": "a"}]},
        {"crm": [{"customer_id": "C1", "phone": "1"}, {"customer_id": "C2", "phone": "1"}]},
        {"crm": [{"customer_id": "C1", "device_id": "d-17"}, {"customer_id": "C2", "device_id": "d-17"}]},
        {
            "crm": [{"customer_id": "C1", "loyalty_id": "K7"}],
            "transactions": [{"customer_id": "C2", "loyalty_id": "K7"}],
        },
        {
            "crm": [{"customer_id": "C1", "anonymous_id": "b-1"}],
            "web": [{"customer_id": "C2", "anonymous_id": "b-1"}],
        },
        {
            "engagement": [{"customer_id": "C1", "meta_email": h("a")}],
            "consent": [{"customer_id": "C2", "email": "a"}],
        },
        {
            "web": [{"customer_id": "C1", "device_id": "d-17"}],
            "crm": [{"customer_id": "C2", "device_id": "d-17"}],
        },
    ],
)
def test_a_shared_identifier_makes_one_customer_wherever_it_was_said(rows):
    assert people(resolved(**rows)) == {together("C1", "C2")}


def test_a_loyalty_card_without_the_shops_id_is_the_customer_who_has_it():
    found = resolved(
        transactions=[{"customer_id": "loyalty:K7", "loyalty_id": "K7"}],
        crm=[{"customer_id": "C1", "loyalty_id": "K7"}],
    )

    assert customers(found) == {"C1": "C1", "loyalty:K7": "C1"}


def test_a_source_id_is_linked_to_what_it_is_made_of_although_the_column_is_empty():
    found = resolved(
        transactions=[{"customer_id": "loyalty:K7"}],
        engagement=[{"customer_id": email_id("a")}],
        crm=[{"customer_id": "C1", "loyalty_id": "K7", "email": "a"}],
    )

    assert people(found) == {together("C1", "loyalty:K7", email_id("a"))}


def test_a_login_tells_whose_earlier_visits_they_were():
    found = resolved(
        web=[
            {"anonymous_id": "b-1", "day": day(1)},
            {"anonymous_id": "b-1", "customer_id": "C1", "day": day(2)},
            {"anonymous_id": "b-2", "day": day(3)},
        ]
    )

    assert customers(found) == {"C1": "C1", "anonymous:b-1": "C1"}


def test_a_click_brings_a_browser_to_the_customer_and_joins_no_two_of_them():
    clicks = [{"customer_id": "C1", "click_id": "g-1"}, {"anonymous_id": "b-1", "click_id": "g-1"}]

    assert people(resolved(web=clicks)) == {together("C1", "anonymous:b-1")}

    passed_on = resolved(web=[*clicks, {"customer_id": "C2", "click_id": "g-1"}])

    assert people(passed_on) == {together("C1"), together("C2")}
    assert refusals(passed_on)["C2", "click"] == SHARED


def test_the_shops_own_id_names_the_customer_and_of_several_the_one_that_landed_first():
    found = resolved(
        engagement=[{"customer_id": email_id("a"), "landing_id": "one", "day": day(1)}],
        crm=[
            {"customer_id": "C1", "email": "a", "landing_id": "three", "day": day(0)},
            {"customer_id": "C2", "email": "a", "landing_id": "two", "day": day(9)},
        ],
    )

    assert set(customers(found).values()) == {"C2"}
    assert found.identities["person_key"].unique().to_list() == [email_id("a")]


def test_of_two_ids_of_one_landing_the_earlier_day_names_the_customer_then_the_lesser_id():
    same = {"email": "a"}
    by_day = resolved(
        crm=[{"customer_id": "C1", "day": day(5), **same}, {"customer_id": "C2", "day": day(4), **same}]
    )
    by_id = resolved(crm=[{"customer_id": "C2", "line": 2, **same}, {"customer_id": "C1", "line": 3, **same}])

    assert set(customers(by_day).values()) == {"C2"}
    assert set(customers(by_id).values()) == {"C1"}


def test_a_customer_keeps_its_id_when_others_join_later():
    first = [{"customer_id": "C9", "email": "a", "landing_id": "one", "day": day(50)}]
    before = resolved(crm=first)
    after = resolved(crm=[*first, {"customer_id": "C1", "email": "a", "landing_id": "two", "day": day(1)}])

    assert customers(before) == {"C9": "C9"}
    assert customers(after) == {"C9": "C9", "C1": "C9"}
    assert after.identities["person_key"].unique().to_list() == ["C9"]


def test_a_browser_that_is_older_than_the_customer_changes_neither_id_nor_key():
    visit = {"anonymous_id": "b-1", "landing_id": "one"}
    known = {"customer_id": "C1", "landing_id": "two"}
    found = resolved(web=[visit, known, {**known, "anonymous_id": "b-1"}])

    assert customers(found) == {"C1": "C1", "anonymous:b-1": "C1"}
    assert found.identities["person_key"].unique().to_list() == ["C1"]


def test_an_id_is_first_seen_where_it_landed_first():
    found = resolved(
        transactions=[{"customer_id": "C1", "landing_id": "two", "day": day(1), "line": 4}],
        crm=[{"customer_id": "C1", "landing_id": "one", "day": day(7), "line": 9}],
    )

    assert found.identities.row(0) == ("C1", "C1", "C1", day(7), 1, 9)


def test_rows_after_the_day_are_not_read():
    rows = [{"customer_id": "C1", "email": "a", "day": AS_OF}]
    later = {"customer_id": "C2", "email": "a", "day": date(2026, 7, 1)}

    assert resolved(crm=[*rows, later]).identities.equals(resolved(crm=rows).identities)


def test_a_contact_without_a_date_has_always_been_one():
    found = resolved(
        crm=[{"customer_id": "C1", "email": "a", "day": None}, {"customer_id": "C2", "email": "a"}]
    )

    assert people(found) == {together("C1", "C2")}
    assert customers(found)["C2"] == "C1"
    assert found.identities["first_seen"].to_list() == [None, day(0)]


def test_an_id_of_a_landing_that_is_not_listed_is_the_newest():
    crm = [
        {"customer_id": "C1", "email": "a", "landing_id": "meanwhile", "day": day(1)},
        {"customer_id": "C2", "email": "a", "landing_id": "three", "day": day(9)},
    ]

    assert set(customers(resolved(crm=crm)).values()) == {"C2"}


@pytest.mark.parametrize(
    ("kind", "column", "most"),
    [("email", "email", 5), ("phone", "phone", 3), ("loyalty", "loyalty_id", 3), ("device", "device_id", 3),
     ("anonymous", "anonymous_id", 3)],
)  # fmt: skip
def test_what_too_many_people_have_joins_nobody(kind, column, most):
    rows = [{"customer_id": f"C{number}", column: "shared-1"} for number in range(most + 1)]

    allowed, refused = resolved(crm=rows[:most]), resolved(crm=rows)

    assert len(people(allowed)) == 1
    assert len(people(refused)) == most + 1
    assert {pair[1] for pair in refusals(refused)} == {kind}
    assert set(refusals(refused).values()) == {SHARED}
    assert refused.decisions.height == most + 1


def test_limits_can_be_set():
    rows = [{"customer_id": "C1", "email": "a"}, {"customer_id": "C2", "email": "a"}]

    assert len(people(resolved(IdentityLimits(email=1), crm=rows))) == 2


def test_browsers_of_a_customer_do_not_count_as_people():
    web = [{"customer_id": "C1", "device_id": "d-17"}]
    web += [{"anonymous_id": f"b-{number}", "device_id": "d-17"} for number in range(9)]

    assert len(people(resolved(web=web))) == 1


def test_a_browser_that_many_log_in_from_is_nobodys():
    web = [{"customer_id": f"C{number}", "anonymous_id": "kiosk"} for number in range(4)]
    found = resolved(web=[*web, {"anonymous_id": "kiosk"}])

    assert people(found) == {together(f"C{number}") for number in range(4)}
    assert refusals(found)["anonymous:kiosk", "anonymous"] == SHARED


@pytest.mark.parametrize(
    ("column", "value"),
    [("device_id", "00000000-0000-0000-0000-000000000000"), ("device_id", "0000"), ("loyalty_id", "N/A"),
     ("loyalty_id", "00000000"), ("loyalty_id", "9999999999"), ("device_id", ""),
     ("anonymous_id", "undefined"),
     ("device_id", "ffffffff-ffff-ffff-ffff-ffffffffffff"), ("loyalty_id", "---"), ("email", "")],
)  # fmt: skip
def test_a_value_that_stands_for_nobody_joins_nobody(column, value):
    found = resolved(crm=[{"customer_id": "C1", column: value}, {"customer_id": "C2", column: value}])

    assert people(found) == {together("C1"), together("C2")}
    assert set(refusals(found).values()) == {"stands for nobody"}


@pytest.mark.parametrize("value", ["1", "77", "K-1000", "a1", "testa", "10000000", "b0000"])
def test_a_short_or_round_value_may_be_somebodys(value):
    crm = [{"customer_id": "C1", "loyalty_id": value}, {"customer_id": "C2", "loyalty_id": value}]

    assert people(resolved(crm=crm)) == {together("C1", "C2")}


@pytest.mark.parametrize(
    ("kind", "column"),
    [("email", "email"), ("phone", "phone"), ("device", "device_id"), ("anonymous", "anonymous_id"),
     ("loyalty", "loyalty_id")],
)  # fmt: skip
def test_people_with_different_first_names_are_not_joined(kind, column):
    found = resolved(
        crm=[{"customer_id": "C1", column: "x-1", **ANN}, {"customer_id": "C2", column: "x-1", **BOB}]
    )

    assert people(found) == {together("C1"), together("C2")}
    assert refusals(found) == {("C2", kind): APART}


def test_of_a_shared_address_those_with_the_same_first_name_are_one():
    crm = [
        {"customer_id": "C1", "email": "a", **ANN},
        {"customer_id": "C2", "email": "a", **BOB},
        {"customer_id": "C3", "email": "a", **ANN},
    ]
    found = resolved(crm=crm)

    assert people(found) == {together("C1", "C3"), together("C2")}


def test_whoever_has_the_address_of_two_people_and_no_name_is_neither():
    crm = [{"customer_id": "C1", "email": "a", **ANN}, {"customer_id": "C2", "email": "a", **BOB}]
    found = resolved(
        crm=[*crm, {"customer_id": "C3", "email": "a"}], engagement=[{"customer_id": email_id("a")}]
    )

    assert people(found) == {together("C1"), together("C2"), together("C3"), together(email_id("a"))}
    assert refusals(found)["C3", "email"] == APART
    assert refusals(found)[email_id("a"), "email"] == APART


def test_somebody_without_a_name_does_not_bring_two_people_together():
    crm = [
        {"customer_id": "C1", "phone": "1", **ANN},
        {"customer_id": "C2", "email": "a", **BOB},
        {"customer_id": "C3", "phone": "1", "email": "a"},
    ]
    found = resolved(crm=crm)

    assert people(found) == {together("C1"), together("C2", "C3")}, "the e-mail address is the stronger link"
    assert refusals(found) == {("C3", "phone"): "a better link leads to a person with another first name"}


def test_of_two_links_as_strong_the_older_one_holds():
    crm = [
        {"customer_id": "C1", "email": "a", **ANN},
        {"customer_id": "C2", "email": "b", **BOB},
        {"customer_id": "C3", "email": "a", "landing_id": "three"},
        {"customer_id": "C3", "email": "b", "landing_id": "two"},
    ]

    assert people(resolved(crm=crm)) == {together("C1"), together("C2", "C3")}


def test_those_without_a_name_stay_together_between_two_people():
    crm = [
        {"customer_id": "C1", "phone": "1", **ANN},
        {"customer_id": "C2", "email": "a", **BOB},
        {"customer_id": "C3", "phone": "1", "loyalty_id": "K1"},
        {"customer_id": "C4", "email": "a", "loyalty_id": "K1"},
    ]

    assert people(resolved(crm=crm)) == {together("C1"), together("C2", "C3", "C4")}


def test_a_card_is_its_holders_even_where_an_address_speaks_for_another():
    crm = [
        {"customer_id": "C1", "email": "a", **ANN},
        {"customer_id": "C2", "loyalty_id": "K1", **BOB},
        {"customer_id": "loyalty:K1", "loyalty_id": "K1", "email": "a"},
    ]

    assert people(resolved(crm=crm)) == {together("C1"), together("C2", "loyalty:K1")}


def test_the_newest_first_name_counts():
    crm = [
        {"customer_id": "C1", "email": "a", **ANN, "day": day(1)},
        {"customer_id": "C1", **BOB, "day": day(2)},
        {"customer_id": "C2", "email": "a", **BOB},
    ]

    assert people(resolved(crm=crm)) == {together("C1", "C2")}


def chain(length: int, column: str) -> list[dict[str, str]]:
    """Each has a value in common with the next."""
    return [
        {"customer_id": f"C{number:02}", column: f"x-{number + more}"}
        for number in range(length)
        for more in (0, 1)
    ]


def test_a_customer_has_so_many_ids_and_no_more():
    assert len(people(resolved(crm=chain(20, "email")))) == 1

    found = resolved(crm=chain(21, "email"))

    assert len(people(found)) == 21
    assert set(refusals(found).values()) == {"the customer would have too many ids"}


def test_where_a_group_is_too_large_the_weakest_kinds_are_dropped_until_it_fits():
    crm = [*chain(30, "device_id"), *chain(15, "phone"), *chain(4, "email")]
    found = resolved(crm=crm)

    assert len(people(found)) == 16, "without devices fifteen have a chain of phone numbers"
    assert {kind for _, kind in refusals(found)} == {"device"}


def test_browsers_have_a_limit_of_their_own():
    web = [{"customer_id": "C1", "anonymous_id": f"b-{number}"} for number in range(30)]
    web += [{"anonymous_id": f"b-{number}"} for number in range(30)]

    assert len(people(resolved(web=web))) == 1
    assert customers(resolved(IdentityLimits(browsers=29), web=web)) == {"C1": "C1"}


def test_a_merge_is_dated_by_the_statement_that_made_it_possible():
    crm = [
        {"customer_id": "C1", "landing_id": "one", "line": 2, "day": day(0)},
        {"customer_id": "C2", "email": "a", "landing_id": "two", "line": 17, "day": day(3)},
        {"customer_id": "C1", "email": "a", "landing_id": "three", "line": 5, "day": day(6)},
    ]
    found = resolved(crm=crm)

    assert found.decisions.rows() == [
        ("C1", "C2", "C1", "email", "merged", "same e-mail hash", day(6), "three", 5)
    ]


def test_every_link_that_two_ids_share_is_told():
    crm = [
        {"customer_id": "C1", "email": "a", "phone": "1"},
        {"customer_id": "C2", "email": "a", "phone": "1"},
    ]

    assert resolved(crm=crm).decisions["reason"].to_list() == ["same e-mail hash", "same phone hash"]


def test_an_erased_person_is_still_resolved():
    consent = [{"customer_id": "C2", "email": "a", "status": "erase"}]

    assert people(resolved(crm=[{"customer_id": "C1", "email": "a"}], consent=consent)) == {
        together("C1", "C2")
    }


def test_a_table_of_an_older_landing_without_the_new_columns_is_read():
    crm = pl.LazyFrame(
        {"customer_id": ["C1", "C2"], "updated_at": [None, None], "meta_email": [h("a"), h("a")]},
        schema_overrides={"updated_at": pl.Datetime},
    )

    assert people(resolve(Landed(crm=crm), AS_OF, LANDINGS)) == {together("C1", "C2")}


def test_a_customer_whose_addresses_are_too_many_keeps_the_browsers() -> None:
    chain = [{"customer_id": f"C{n}", "email": f"m{n + more}"} for n in range(30) for more in (0, 1)]
    web = [{"customer_id": "C0", "anonymous_id": "b0"}, {"anonymous_id": "b0"}]

    found = resolved(crm=chain, web=web)

    assert customers(found)["anonymous:b0"] == "C0"
    assert max(len(ids) for ids in people(found)) == 2
    assert set(refusals(found).values()) == {"the customer would have too many ids"}
