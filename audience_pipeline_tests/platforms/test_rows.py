"""The people of a batch on the wire: the text that is written is the JSON that the platform reads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.identifiers import hashed
from audience_pipeline.platforms.contract import GOOGLE, META, TIKTOK, Member, MembersRefusedError
from audience_pipeline.platforms.members import checked
from audience_pipeline.platforms.rows import google_members, meta_rows
from audience_pipeline.platforms.tiktok_files import content_of, left_out
from audience_pipeline_tests.platforms.wire import digest, person

PLACES = st.tuples(
    st.sampled_from(["US", "us", "Germany", "DE", "Atlantis", "", 'U"S', "GB"]),
    st.sampled_from(["94045", "94045-1234", "SW1A 1AA", "", '1"2', "\\", "é 1", "00000"]),
)


def people(places: list[tuple[str, str]]) -> list[Member]:
    return [
        person(str(number), country=country, postal_code=postal_code)
        for number, (country, postal_code) in enumerate(places)
    ]


def as_objects(member: Member, consented: bool) -> dict[str, Any]:
    values = member.identifiers
    address = {
        "givenName": values["google_given_name"],
        "familyName": values["google_family_name"],
        "regionCode": hashed("google", "region_code", values.get("country", "")),
        "postalCode": hashed("google", "postal_code", values.get("postal_code", "")),
    }
    found: list[dict[str, Any]] = [
        {"emailAddress": values["google_email"]},
        {"phoneNumber": values["google_phone"]},
    ]
    if all(address.values()):
        found.append({"address": address})
    whole = {"destinationReferences": ["list"], "userData": {"userIdentifiers": found}}
    granted = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
    return {**whole, "consent": granted} if consented else whole


@given(places=st.lists(PLACES, min_size=1, max_size=20), consented=st.booleans())
def test_googles_members_are_the_json_of_their_objects(
    places: list[tuple[str, str]], consented: bool
) -> None:
    members = people(places)

    written = json.loads(google_members(checked(GOOGLE, members), consented=consented))

    assert written == [as_objects(member, consented) for member in members]


@given(places=st.lists(PLACES, min_size=1, max_size=20))
def test_metas_rows_have_a_cell_for_each_column_and_a_hash_or_nothing_in_it(
    places: list[tuple[str, str]],
) -> None:
    rows = meta_rows(checked(META, people(places)))

    for number, ((country, postal_code), row) in enumerate(zip(places, rows, strict=True)):
        assert row[:2] == (digest(f"meta_email of {number}"), digest(f"meta_phone of {number}"))
        assert row[4] == ((postal_code and hashed("meta", "zip", postal_code, country or None)) or "")
        assert row[5] == ((country and hashed("meta", "country", country)) or "")
        assert all(cell == "" or len(cell) == 64 for cell in row)


@pytest.mark.parametrize("capabilities", [META, GOOGLE, TIKTOK])
@pytest.mark.parametrize(
    "value", ["x" * 64, "a" * 63, "a" * 65, "A" * 64, "é" * 64, "\ud800" * 64, digest("")]
)
def test_all_wrong_hashes_of_a_batch_are_named_by_position(capabilities: Any, value: str) -> None:
    column = capabilities.identifiers[0]
    members = [person("a"), person("b", **{column: value}), person("c"), person("d", **{column: value})]

    with pytest.raises(MembersRefusedError) as raised:
        checked(capabilities, members)

    assert set(raised.value.positions) == {1, 3}
    assert value not in str(raised.value)
    assert value not in repr(raised.value.positions)


def test_everybody_who_cannot_be_reached_is_named_by_position() -> None:
    nobody = Member("x", {"country": "US"})

    with pytest.raises(MembersRefusedError) as raised:
        checked(META, [nobody, person("a"), nobody, person("b", meta_email="")])

    assert set(raised.value.positions) == {0, 2}


def test_a_file_of_one_kind_holds_only_those_who_have_it() -> None:
    columns = checked(TIKTOK, [person("a"), person("b", meta_phone=""), person("c")])

    phones = content_of(columns, "PHONE_SHA256").decode().split()

    assert phones == [digest("meta_phone of a"), digest("meta_phone of c")]
    assert set(left_out(columns, "PHONE_SHA256")) == {1}
    assert left_out(columns, "MULTIPLE_TYPES") == {}
