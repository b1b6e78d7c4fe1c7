"""Google: which people were refused, what ends a run, and what the Google Ads API adds."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests
import responses

from audience_pipeline.platforms.contract import (
    CredentialError,
    MembersRefusedError,
    PlatformError,
    QuotaError,
    Receipt,
    ReceiptState,
    TerminalPlatformError,
    TransientPlatformError,
)
from audience_pipeline.platforms.google import GoogleClient
from audience_pipeline_tests.platforms.wire import (
    SESSION,
    TOKEN,
    Waiting,
    bodies,
    digest,
    methods,
    person,
    queries,
)

URL = "https://datamanager.googleapis.com/v1"
LISTS = f"{URL}/accountTypes/GOOGLE_ADS/accounts/1234567890/userLists"
INGEST = f"{URL}/audienceMembers:ingest"
STATUS = f"{URL}/requestStatus:retrieve"
ADS = "https://googleads.googleapis.com/v26/customers/1234567890/googleAds:search"
NEW = {"id": "987", "displayName": "vips", "ingestedUserListInfo": {"uploadKeyTypes": ["CONTACT_ID"]}}
KNOWN = {
    **NEW,
    "sizeInfo": {"displayNetworkMembersCount": "1200"},
    "ingestedUserListInfo": {"contactIdInfo": {"matchRatePercentage": 64}},
}
PEOPLE = [person(name) for name in "abc"]
SENT = Receipt("r-1", ReceiptState.PROCESSING, 100, remote_id="987")


def error(code: int, status: str, *violations: dict[str, str], **metadata: str) -> dict[str, Any]:
    details: list[dict[str, Any]] = [{"reason": status, "metadata": metadata}, {"requestId": "t-1"}]
    if violations:
        details.append({"fieldViolations": list(violations)})
    return {"error": {"code": code, "message": "There was a problem.", "status": status, "details": details}}


def ads_error(kind: str, name: str, status: str = "INVALID_ARGUMENT", **details: Any) -> dict[str, Any]:
    failure = {"errors": [{"errorCode": {kind: name}, "message": "No.", "details": details}]}
    return {"error": {"code": 400, "message": "No.", "status": status, "details": [failure]}}


@pytest.mark.parametrize(
    ("field", "position"),
    [
        ("audience_members[17].user_data.user_identifiers[0].email_address", 17),
        ("audienceMembers[2].userData.userIdentifiers[1].address.postalCode", 2),
        ("audience_members[0]", 0),
        ("audience_members[3].user_data.user_identifiers[0]", 3),
    ],
)
def test_a_violation_names_the_member_in_either_spelling(
    google: GoogleClient, wire: responses.RequestsMock, field: str, position: int
) -> None:
    violation = {"field": field, "reason": "INVALID_HEX_ENCODING", "description": digest("a")}
    wire.post(INGEST, json=error(400, "INVALID_ARGUMENT", violation), status=400)

    with pytest.raises(MembersRefusedError) as raised:
        google.send("987", "add", PEOPLE, SESSION)

    assert raised.value.positions == {position: "INVALID_HEX_ENCODING"}
    assert f"member {position}" in str(raised.value)
    assert digest("a") not in str(raised.value)


def test_all_refused_members_have_their_position_though_few_are_told(
    google: GoogleClient, wire: responses.RequestsMock
) -> None:
    violations = [
        {"field": f"audience_members[{number}].user_data", "reason": "NO_IDENTIFIERS_PROVIDED"}
        for number in range(100)
    ]
    wire.post(INGEST, json=error(400, "INVALID_ARGUMENT", *violations), status=400)

    with pytest.raises(MembersRefusedError, match="and 80 more") as raised:
        google.send("987", "add", PEOPLE, SESSION)

    assert raised.value.positions == dict.fromkeys(range(100), "NO_IDENTIFIERS_PROVIDED")


def test_a_reason_that_only_people_give_is_about_people_though_it_names_nobody(
    google: GoogleClient, wire: responses.RequestsMock
) -> None:
    answer = error(400, "INVALID_ARGUMENT")
    answer["error"]["details"].append({"reason": "INVALID_SHA256_FORMAT"})
    wire.post(INGEST, json=answer, status=400)

    with pytest.raises(MembersRefusedError) as raised:
        google.send("987", "add", PEOPLE, SESSION)

    assert raised.value.positions == {}


@pytest.mark.parametrize(
    "violations",
    [
        ({"field": "encoding", "reason": "REQUIRED_FIELD_MISSING"},),
        (
            {"field": "audience_members[0].user_data", "reason": "INVALID_FORMAT"},
            {"field": "terms_of_service", "reason": "TERMS_AND_CONDITIONS_NOT_SIGNED"},
        ),
        ({"field": "audience_members[0]", "description": "Unknown name: Cannot find field."},),
        ({"field": "audience_members", "reason": "TOO_MANY_AUDIENCE_MEMBERS"},),
    ],
)
def test_a_request_that_is_wrong_itself_is_not_about_people(
    google: GoogleClient, wire: responses.RequestsMock, violations: tuple[dict[str, str], ...]
) -> None:
    wire.post(INGEST, json=error(400, "INVALID_ARGUMENT", *violations), status=400)

    with pytest.raises(TerminalPlatformError) as raised:
        google.send("987", "add", PEOPLE, SESSION)

    assert not isinstance(raised.value, MembersRefusedError)


def test_somebody_with_an_address_in_no_known_country_is_named_before_anything_is_sent(
    google: GoogleClient, wire: responses.RequestsMock
) -> None:
    lost = person("b", google_email="", google_phone="", country="Atlantis")

    with pytest.raises(MembersRefusedError, match="member 1") as raised:
        google.send("987", "add", [person("a"), lost], SESSION)

    assert set(raised.value.positions) == {1}
    assert len(wire.calls) == 0


def settled(**info: Any) -> dict[str, Any]:
    return {"requestStatusPerDestination": [{"requestStatus": "PARTIAL_SUCCESS", "errorInfo": info}]}


def test_indices_of_refused_records_become_positions(
    google: GoogleClient, wire: responses.RequestsMock
) -> None:
    counts = [
        {"recordCount": "2", "reason": "NO_CONSENT", "recordIndices": [3, "99"]},
        {"recordCount": "1", "reason": "INVALID_FORMAT", "recordIndices": [100]},
        {"recordCount": "1", "reason": "DENIED_CONSENT"},
    ]
    wire.get(STATUS, json=settled(errorCounts=counts))

    receipt = google.settle(SENT)

    assert receipt.refused == {3: "NO_CONSENT", 99: "NO_CONSENT"}
    assert (receipt.accepted, receipt.rejected) == (96, 4)
    assert receipt.reasons == {"NO_CONSENT": 2, "INVALID_FORMAT": 1, "DENIED_CONSENT": 1}


def test_a_list_is_renamed_by_its_display_name_alone(
    google: GoogleClient, wire: responses.RequestsMock
) -> None:
    wire.patch(f"{LISTS}/987", json=NEW)

    google.rename("987", "vips 2")

    assert queries(wire) == [{"updateMask": "displayName"}]
    assert bodies(wire) == [{"displayName": "vips 2"}]


def test_the_listing_reads_all_pages_and_leaves_out_lists_for_other_data(
    google: GoogleClient, wire: responses.RequestsMock
) -> None:
    devices = {**KNOWN, "id": "2", "ingestedUserListInfo": {"uploadKeyTypes": ["MOBILE_ID"]}}
    wire.get(LISTS, json={"userLists": [KNOWN, devices], "nextPageToken": "p2"})
    wire.get(LISTS, json={"userLists": [{**KNOWN, "id": "3"}]})

    assert [one.remote_id for one in google.audiences()] == ["987", "3"]
    assert queries(wire) == [{"pageSize": "1000"}, {"pageSize": "1000", "pageToken": "p2"}]


def test_a_quota_of_the_day_ends_the_run_and_says_until_when(
    google: GoogleClient, wire: responses.RequestsMock, waiting: Waiting
) -> None:
    waiting.now = datetime(2026, 11, 20, 18, 30, tzinfo=ZoneInfo("America/Los_Angeles")).timestamp()
    quota = "IngestionMutateRequestsPerDayPerProject"
    wire.post(INGEST, json=error(429, "RESOURCE_EXHAUSTED", quota_limit=quota), status=429)

    for _ in range(2):
        with pytest.raises(QuotaError, match="nothing more can be sent before 2026-11-21 08:00 UTC"):
            google.send("987", "add", PEOPLE, SESSION)

    assert len(wire.calls) == 1
    assert waiting.slept == []


@pytest.mark.parametrize("status", ["ABORTED", "UNAVAILABLE", "INTERNAL", "DEADLINE_EXCEEDED"])
def test_what_is_overloaded_is_asked_again_ever_later(
    google: GoogleClient, wire: responses.RequestsMock, waiting: Waiting, status: str
) -> None:
    for _ in range(3):
        wire.get(f"{LISTS}/987", json=error(503, status), status=503)
    wire.get(f"{LISTS}/987", json=KNOWN)

    assert google.read("987") is not None
    assert waiting.slept == [1.0, 2.0, 4.0]


def test_the_ads_api_completes_what_a_list_does_not_say(
    google: GoogleClient, wire: responses.RequestsMock
) -> None:
    facts = {"id": "987", "sizeForDisplay": "1200", "sizeForSearch": "900", "matchRatePercentage": 64}
    wire.get(f"{LISTS}/987", json=NEW)
    wire.post(ADS, json={"results": [{"userList": facts}]})

    audience = google.read("987")

    assert audience is not None
    assert (audience.size_low, audience.size_high, audience.match_rate) == (900, 1200, (0.635, 0.645))
    request = wire.calls[1].request
    assert request.headers["login-customer-id"] == "1112223333"
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert "FROM user_list" in bodies(wire)[1]["query"]


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("TEN_THOUSAND_TO_FIFTY_THOUSAND", (10_000, 50_000)),
        ("ONE_HUNDRED_THOUSAND_TO_THREE_HUNDRED_THOUSAND", (100_000, 300_000)),
        ("FIVE_HUNDRED_THOUSAND_TO_ONE_MILLION", (500_000, 1_000_000)),
        ("LESS_THAN_FIVE_HUNDRED", (None, None)),
        ("OVER_THE_RAINBOW", (None, None)),
        ("SOME_TO_MANY", (None, None)),
        (None, (None, None)),
    ],
)
def test_a_range_of_sizes_becomes_bounds(
    google: GoogleClient, wire: responses.RequestsMock, name: str | None, bounds: tuple[int | None, ...]
) -> None:
    wire.get(f"{LISTS}/987", json=NEW)
    facts = {"id": "987", "sizeForDisplay": "0", "sizeRangeForDisplay": name}
    wire.post(ADS, json={"results": [{"userList": facts}]})

    audience = google.read("987")

    assert audience is not None
    assert (audience.size_low, audience.size_high) == bounds


def test_a_list_that_says_everything_needs_no_ads_api(
    google: GoogleClient, wire: responses.RequestsMock
) -> None:
    wire.get(f"{LISTS}/987", json=KNOWN)

    assert google.read("987") is not None
    assert len(wire.calls) == 1


def test_all_lists_are_completed_by_one_search(google: GoogleClient, wire: responses.RequestsMock) -> None:
    wire.get(LISTS, json={"userLists": [{**NEW, "id": str(number)} for number in range(300)]})
    wire.post(
        ADS, json={"results": [{"userList": {"id": "7", "matchRatePercentage": 50}}], "nextPageToken": "p"}
    )
    wire.post(ADS, json={"results": [{"userList": {"id": "299", "matchRatePercentage": 40}}]})

    rates = {one.remote_id: one.match_rate for one in google.audiences() if one.match_rate}

    assert rates == {"7": (0.495, 0.505), "299": (0.395, 0.405)}
    assert [path for _, path in methods(wire)].count("/v26/customers/1234567890/googleAds:search") == 2
    assert bodies(wire)[2]["pageToken"] == "p"


@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        ({"json": error(403, "PERMISSION_DENIED"), "status": 403}, 1),
        ({"json": error(401, "UNAUTHENTICATED"), "status": 401}, 1),
        ({"json": error(503, "UNAVAILABLE"), "status": 503}, 2),
        ({"body": requests.ConnectionError()}, 2),
    ],
)
def test_an_ads_api_that_does_not_answer_costs_nothing_but_its_figures(
    google: GoogleClient,
    wire: responses.RequestsMock,
    waiting: Waiting,
    answer: dict[str, Any],
    asked: int,
) -> None:
    wire.get(f"{LISTS}/987", json=NEW)
    wire.post(ADS, **answer)

    for _ in range(3):
        assert google.read("987") is not None
    waiting.now += 301
    assert google.read("987") is not None

    assert [path.endswith(":search") for _, path in methods(wire)].count(True) == asked
    assert waiting.slept == []


@pytest.mark.parametrize("ads_base_url", [None, "", "https://googleads.googleapis.com"])
def test_a_stand_in_on_this_machine_stands_in_for_all_of_google(
    wire: responses.RequestsMock, ads_base_url: str | None
) -> None:
    here = "http://127.0.0.1:8765"
    client = GoogleClient(
        base_url=here,
        ads_base_url=ads_base_url,
        account="1234567890",
        client_id="c",
        client_secret="s",
        refresh_token="r",
    )
    wire.post(f"{here}/token", json={"access_token": "fresh"})
    wire.get(f"{here}/v1/accountTypes/GOOGLE_ADS/accounts/1234567890/userLists/987", json=NEW)
    wire.post(f"{here}/v26/customers/1234567890/googleAds:search", json={})

    assert client.read("987") is not None


def test_the_ads_api_may_stand_elsewhere(wire: responses.RequestsMock) -> None:
    client = GoogleClient(
        access_token=TOKEN,
        account="1234567890",
        ads_base_url="https://ads.example/",
        oauth_base_url="https://o",
    )
    wire.get(f"{LISTS}/987", json=NEW)
    wire.post("https://ads.example/v26/customers/1234567890/googleAds:search", json={})

    assert client.read("987") is not None
    assert "login-customer-id" not in wire.calls[1].request.headers


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("quotaError", "RESOURCE_EXHAUSTED", TransientPlatformError),
        ("quotaError", "RESOURCE_TEMPORARILY_EXHAUSTED", TransientPlatformError),
        ("quotaError", "EXCESSIVE_SHORT_TERM_QUERY_RESOURCE_CONSUMPTION", TransientPlatformError),
        ("internalError", "TRANSIENT_ERROR", TransientPlatformError),
        ("internalError", "INTERNAL_ERROR", TransientPlatformError),
        ("internalError", "DEADLINE_EXCEEDED", TransientPlatformError),
        ("databaseError", "CONCURRENT_MODIFICATION", TransientPlatformError),
        ("authenticationError", "OAUTH_TOKEN_EXPIRED", CredentialError),
        ("authenticationError", "OAUTH_TOKEN_REVOKED", CredentialError),
        ("authenticationError", "OAUTH_TOKEN_INVALID", CredentialError),
        ("authenticationError", "CUSTOMER_NOT_FOUND", TerminalPlatformError),
        ("authenticationError", "NOT_ADS_USER", TerminalPlatformError),
        ("authorizationError", "USER_PERMISSION_DENIED", TerminalPlatformError),
        ("authorizationError", "CUSTOMER_NOT_ENABLED", TerminalPlatformError),
        ("authorizationError", "CLOUD_PROJECT_NOT_APPROVED_FOR_PRODUCTION", TerminalPlatformError),
        ("authorizationError", "MISSING_TOS", TerminalPlatformError),
        ("authorizationError", "PROJECT_DISABLED", TerminalPlatformError),
        ("requestError", "UNSUPPORTED_VERSION", TerminalPlatformError),
        ("userListError", "NAME_ALREADY_USED", TerminalPlatformError),
    ],
)
def test_every_error_of_the_ads_api_has_its_class(
    google: GoogleClient, wire: responses.RequestsMock, kind: str, name: str, expected: type[PlatformError]
) -> None:
    wire.get(f"{LISTS}/987", json=ads_error(kind, name), status=400)

    with pytest.raises(PlatformError, match=name) as raised:
        google.read("987")

    assert type(raised.value) is expected
    assert raised.value.code == f"INVALID_ARGUMENT/{name}"


def test_a_delay_that_the_ads_api_asks_for_is_waited_out(
    google: GoogleClient, wire: responses.RequestsMock, waiting: Waiting
) -> None:
    busy = ads_error("quotaError", "RESOURCE_EXHAUSTED", quotaErrorDetails={"retryDelay": "30s"})
    wire.get(f"{LISTS}/987", json=busy, status=429)
    wire.get(f"{LISTS}/987", json=KNOWN)

    google.read("987")

    assert waiting.slept == [31.0]


def test_a_check_reads_only_and_says_what_cannot_be_read(
    google: GoogleClient, wire: responses.RequestsMock
) -> None:
    wire.get(LISTS, json={})
    wire.post(ADS, json={})

    found = [(finding.subject, finding.level) for finding in google.check()]

    assert found == [("credentials", "ok"), ("permission", "ok"), ("permission", "ok"), ("terms", "warning")]
    assert queries(wire)[0] == {"pageSize": "1"}
    assert bodies(wire)[1] == {"query": "SELECT user_list.id FROM user_list LIMIT 1"}


def test_a_check_warns_of_an_ads_api_without_access(
    google: GoogleClient, wire: responses.RequestsMock
) -> None:
    wire.get(LISTS, json={})
    wire.post(
        ADS, json=ads_error("authorizationError", "CLOUD_PROJECT_NOT_APPROVED_FOR_PRODUCTION"), status=403
    )

    levels = {finding.sentence: finding.level for finding in google.check()}

    (sentence,) = [sentence for sentence in levels if "Google Ads API" in sentence]
    assert levels[sentence] == "warning"
    assert "Basic access" in sentence
    assert "adwords" in sentence


def test_requests_of_a_minute_stay_below_the_quota(
    google: GoogleClient, wire: responses.RequestsMock, waiting: Waiting
) -> None:
    wire.post(INGEST, json={"requestId": "r-1"})
    begun = waiting.now
    went = []

    for _ in range(400):
        google.send("987", "add", PEOPLE, SESSION)
        went.append(waiting.now - begun)

    assert sum(at < 60 for at in went) <= 300
    assert went[59] == 0
