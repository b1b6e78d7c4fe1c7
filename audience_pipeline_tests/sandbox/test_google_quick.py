"""The fast reading of members says what the general one says, or nothing."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.sandbox.google_errors import GoogleError
from audience_pipeline.sandbox.google_messages import INGEST_MEMBERS
from audience_pipeline.sandbox.google_quick import usual
from audience_pipeline.sandbox.google_reading import Reading, parsed, read_members

HASHES = st.integers(0, 40).map(lambda number: hashlib.sha256(str(number).encode()).hexdigest())
ODD = st.sampled_from(
    [
        None,
        "",
        "x",
        1,
        True,
        [],
        {},
        "a" * 64,
        "A" * 64,
        " " * 64,
        "ab " * 21 + "a",
        "0" * 62,
        ["r"],
        "us",
        "U1",
    ]
)
IDENTIFIERS = st.one_of(
    HASHES.map(lambda value: {"emailAddress": value}),
    HASHES.map(lambda value: {"phoneNumber": value}),
    st.builds(
        lambda given, family, region, code: {
            "address": {"givenName": given, "familyName": family, "regionCode": region, "postalCode": code}
        },
        HASHES,
        HASHES,
        st.sampled_from(["US", "DE", "GB"]),
        st.sampled_from(["94045", " 10115 ", "D02 AF30"]),
    ),
)
CONSENTS = st.sampled_from(
    [None, {"adUserData": "CONSENT_GRANTED", "adPersonalization": 1}, {"adUserData": 2}]
)
MEMBERS = st.builds(
    lambda identifiers, consent, references: {
        "userData": {"userIdentifiers": identifiers},
        **({"consent": consent} if consent else {}),
        **({"destinationReferences": references} if references is not None else {}),
    },
    st.lists(IDENTIFIERS, min_size=1, max_size=4),
    CONSENTS,
    st.sampled_from([None, [], ["r"], ["r", "s"]]),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """A request for a few members, a part of which may be replaced by something odd."""
    body = {
        "encoding": draw(st.sampled_from(["HEX", 1])),
        "audienceMembers": draw(st.lists(MEMBERS, min_size=1, max_size=3)),
    }
    # What strategies choose from must not be changed.
    body = copy.deepcopy(body)
    if draw(st.booleans()):
        path = draw(st.sampled_from(places(body)[1:]))
        part: Any = body
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = copy.deepcopy(draw(ODD))
    return body


def generally(body: dict[str, Any]) -> Reading | None:
    """What the general reader makes of the members; None when it refuses them."""
    try:
        request = parsed(INGEST_MEMBERS, body)
        reading, violations = read_members(request)
    except GoogleError:
        return None
    return None if violations else reading


@given(requests())
@settings(max_examples=500, deadline=None)
def test_both_readings_agree(body: dict[str, Any]) -> None:
    before = copy.deepcopy(body)

    found = usual(body)

    assert body == before
    if found is not None:
        rest, reading = found
        expected = generally(body)
        assert expected is not None
        assert "audienceMembers" not in rest
        for name in ("kind", "rows", "identifiers", "countries", "consents"):
            assert getattr(reading, name) == getattr(expected, name), name
        assert [list(one) for one in reading.references] == [list(one) for one in expected.references]


@given(st.lists(MEMBERS, min_size=1, max_size=3))
def test_what_our_client_sends_is_read_fast(members: list[dict[str, Any]]) -> None:
    for member in members:
        addresses = [one for one in member["userData"]["userIdentifiers"] if "address" in one]
        others = [one for one in member["userData"]["userIdentifiers"] if "address" not in one]
        member["userData"]["userIdentifiers"] = [*others, *addresses[:1]]
        if "consent" in member:
            member["consent"] = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}

    assert usual({"encoding": "HEX", "audienceMembers": members}) is not None
