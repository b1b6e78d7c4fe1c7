from __future__ import annotations

import pytest

from audience_pipeline.customers.identities_growth import counts, growth
from audience_pipeline.customers.identities_limits import IdentityLimits
from audience_pipeline.customers.identities_links import holders
from audience_pipeline.customers.identities_story import story
from audience_pipeline_tests.customers.identity_tables import (
    AS_OF,
    LANDINGS,
    day,
    email_id,
    h,
    landed,
    resolved,
)

FILES = {"one": "crm.csv", "two": "shop.csv"}
SEQUENCES = {LANDINGS[name]: file for name, file in FILES.items()}


def sentences(told: dict, name: str) -> list[str]:
    return [row["sentence"] for row in told[name]]


def test_a_merge_is_told_with_its_file_and_line():
    crm = [
        {"customer_id": "C1", "email": "a", "line": 3},
        {"customer_id": "C2", "email": "a", "line": 17, "day": day(59)},
    ]
    found = resolved(crm=crm)

    told = story(found.identities, found.decisions, "C1", FILES, SEQUENCES)

    assert sentences(told, "merges") == [
        "C2 is the same person as C1: same e-mail hash, 2026-03-01, crm.csv line 17"
    ]
    assert (told["customer_id"], told["person_key"], told["refusals"]) == ("C1", "C1", [])
    assert told["aliases"] == [
        {"source_id": "C1", "named_by": "the shop's id", "first_seen": day(0), "file": "crm.csv", "line": 3},
        {
            "source_id": "C2",
            "named_by": "the shop's id",
            "first_seen": day(59),
            "file": "crm.csv",
            "line": 17,
        },
    ]


def test_a_refusal_is_told_to_both_whom_it_is_about():
    crm = [
        {"customer_id": "C1", "phone": "1", "first_name": "ann"},
        {"customer_id": "C2", "phone": "1", "first_name": "bob", "line": 9, "day": None},
    ]
    found = resolved(crm=crm)
    both = [story(found.identities, found.decisions, one, FILES, SEQUENCES) for one in ("C1", "C2")]

    reason = "people with different first names have it (2026-01-01, crm.csv)"
    said = f"C1 is not joined to C2 by the phone hash that they share: {reason}"
    assert [sentences(told, "refusals") for told in both] == [[said], [said]]


def test_a_placeholder_is_told_as_what_it_is():
    found = resolved(crm=[{"customer_id": "C1", "device_id": "0000", "line": 2, "landing_id": "three"}])

    told = story(found.identities, found.decisions, "C1", FILES, SEQUENCES)

    assert sentences(told, "refusals") == [
        "C1 is joined to nobody by its device id, which stands for nobody (2026-01-01, line 2)"
    ]


def test_a_browser_of_nobody_has_reasons_too():
    web = [{"customer_id": f"C{number}", "anonymous_id": "kiosk"} for number in range(4)]
    found = resolved(web=[*web, {"anonymous_id": "kiosk"}])

    told = story(found.identities, found.decisions, "anonymous:kiosk", FILES, SEQUENCES)

    assert told["customer_id"] is None
    assert len(told["refusals"]) == 1
    assert told["refusals"][0]["reason"] == "too many people have it"


def test_whoever_had_an_address_is_found_by_its_hash_up_to_the_day():
    rows = landed(
        crm=[{"customer_id": "C1", "email": "a"}, {"customer_id": "C2", "email": "b"}],
        engagement=[{"customer_id": email_id("a"), "meta_email": h("a")}],
        consent=[{"customer_id": "C3", "email": "a", "day": AS_OF.replace(year=2027)}],
    )

    assert holders(rows, AS_OF, "email", h("a").hex()[:32]) == ["C1", email_id("a")]


@pytest.mark.parametrize(("length", "full"), [(3, 0), (4, 1), (5, 5)])
def test_growth_is_of_customers_who_were_there_before(length, full):
    crm = [{"customer_id": f"C{number}", "email": "a"} for number in range(length)]
    before = resolved(crm=[{"customer_id": one} for one in ("C0", "C1", "C2", "C9")])
    limits = IdentityLimits(component=4)
    after = resolved(limits, crm=[*crm, {"customer_id": "C9"}])

    grown = growth(after, before.identities, limits.component)

    assert grown.customers_before == 4
    assert grown.joined == (2 if length < 5 else 0)
    assert grown.share_joined == grown.joined / 4
    assert grown.at_the_limit == full


def test_counts_are_of_ids_customers_and_links():
    found = resolved(
        crm=[{"customer_id": "C1", "email": "a"}, {"customer_id": "C2", "email": "a"}, {"customer_id": "C3"}],
        web=[{"customer_id": "C1", "anonymous_id": "b-1"}, {"anonymous_id": "b-1"}],
    )

    assert counts(found.identities, found.decisions) == {
        "source_ids": 4,
        "browsers": 1,
        "customers": 2,
        "merged_people": 1,
        "links": [
            {"decision": "merged", "kind": "anonymous", "reason": "same browser", "links": 1},
            {"decision": "merged", "kind": "email", "reason": "same e-mail hash", "links": 1},
        ],
    }
