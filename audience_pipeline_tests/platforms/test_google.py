"""Google's Data Manager API at the wire."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests
import responses

from audience_pipeline.platforms.contract import (
    CredentialError,
    PlatformError,
    Receipt,
    ReceiptState,
    RemoteAudience,
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
TOKENS = "https://oauth2.googleapis.com/token"
READY = {
    "name": "accountTypes/GOOGLE_ADS/accounts/1234567890/userLists/987",
    "id": "987",
    "displayName": "vips",
    "membershipStatus": "OPEN",
    "sizeInfo": {"displayNetworkMembersCount": "1200", "searchNetworkMembersCount": "950"},
    "targetNetworkInfo": {"eligibleForDisplay": True},
    "ingestedUserListInfo": {
        "uploadKeyTypes": ["CONTACT_ID"],
        "contactIdInfo": {"matchRatePercentage": 64},
    },
}
DESTINATION = {
    "reference": "list",
    "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
    "loginAccount": {"accountType": "GOOGLE_ADS", "accountId": "1112223333"},
    "productDestinationId": "987",
}
GRANTED = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}


def error(code: int, status: str, *violations: tuple[str, str], **metadata: str) -> dict[str, Any]:
    details: list[dict[str, Any]] = [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": status, "metadata": metadata},
        {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "t-1"},
    ]
    if violations:
        broken = [
            {"field": field, "reason": reason, "description": f"{digest('ada')} is bad"}
            for field, reason in violations
        ]
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": broken})
    return {"error": {"code": code, "message": "There was a problem.", "status": status, "details": details}}


def status(state: str, **more: Any) -> dict[str, Any]:
    return {"requestStatusPerDestination": [{"destination": DESTINATION, "requestStatus": state, **more}]}


NAME_TAKEN = error(400, "INVALID_ARGUMENT", ("user_list.display_name", "DISPLAY_NAME_ALREADY_USED"))


def test_create_posts_a_contact_list_with_the_longest_membership(
    google: GoogleClient, wire: responses.RequestsMock
) -> None:
    wire.post(LISTS, json=READY)

    assert google.create("vips", "The best.") == "987"
    assert bodies(wire) == [
        {
            "displayName": "vips",
            "description": "The best.",
            "membershipStatus": "OPEN",
            "membershipDuration": "46656000s",
            "ingestedUserListInfo": {
                "uploadKeyTypes": ["CONTACT_ID"],
                "contactIdInfo": {"dataSourceType": "DATA_SOURCE_TYPE_FIRST_PARTY"},
            },
        }
    ]
    headers = wire.calls[0].request.headers
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["login-account"] == "accountTypes/GOOGLE_ADS/accounts/1112223333"


@pytest.mark.parametrize(("code", "answer"), [(400, NAME_TAKEN), (409, error(409, "ALREADY_EXISTS"))])
def test_a_name_that_is_taken_is_adopted(
    google: GoogleClient, wire: responses.RequestsMock, code: int, answer: dict[str, Any]
) -> None:
    wire.post(LISTS, json=answer, status=code)
    wire.get(LISTS, json={"userLists": [READY]})

    assert google.create("vips", "") == "987"
    assert methods(wire)[-1][0] == "GET"


def test_a_taken_name_of_a_list_for_other_data_is_an_error(
    google: GoogleClient, wire: responses.RequestsMock
) -> None:
    devices = {**READY, "ingestedUserListInfo": {"uploadKeyTypes": ["MOBILE_ID"]}}
    wire.post(LISTS, json=NAME_TAKEN, status=400)
    wire.get(LISTS, json={"userLists": [devices]})

    with pytest.raises(TerminalPlatformError, match="DISPLAY_NAME_ALREADY_USED"):
        google.create("vips", "")


def test_a_creation_whose_answer_is_lost_is_adopted(
    google: GoogleClient, wire: responses.RequestsMock
) -> None:
    wire.post(LISTS, body=requests.ReadTimeout())
    wire.get(LISTS, json={"userLists": [READY]})

    assert google.create("vips", "") == "987"
    assert [method for method, _ in methods(wire)] == ["POST", "GET"]


def test_find_filters_by_name_and_follows_the_pages(
    google: GoogleClient, wire: responses.RequestsMock
) -> None:
    wire.get(LISTS, json={"userLists": [{**READY, "displayName": "VIPs"}], "nextPageToken": "p2"})
    wire.get(LISTS, json={"userLists": [{**READY, "displayName": 'the "best"'}]})

    found = google.find('the "best"')

    assert found is not None
    assert found.remote_id == "987"
    first = {"pageSize": "1000", "filter": 'display_name = "the \\"best\\""'}
    assert queries(wire) == [first, {**first, "pageToken": "p2"}]


def test_ingest_sends_identifiers_consent_and_terms(
    google: GoogleClient, wire: responses.RequestsMock
) -> None:
    wire.post(INGEST, json={"requestId": "r-1"})
    members = [
        person("a"),
        person("b", google_email="", postal_code=""),
        person("c", google_phone="", country=""),
    ]

    receipt = google.send("987", "add", members, SESSION)

    def member(*identifiers: dict[str, Any]) -> dict[str, Any]:
        return {
            "destinationReferences": ["list"],
            "userData": {"userIdentifiers": list(identifiers)},
            "consent": GRANTED,
        }

    address = {
        "givenName": digest("google_given_name of a"),
        "familyName": digest("google_family_name of a"),
        "regionCode": "US",
        "postalCode": "94045",
    }
    assert bodies(wire) == [
        {
            "destinations": [DESTINATION],
            "audienceMembers": [
                member(
                    {"emailAddress": digest("google_email of a")},
                    {"phoneNumber": digest("google_phone of a")},
                    {"address": address},
                ),
                member({"phoneNumber": digest("google_phone of b")}),
                member({"emailAddress": digest("google_email of c")}),
            ],
            "encoding": "HEX",
            "termsOfService": {"customerMatchTermsOfServiceStatus": "ACCEPTED"},
        }
    ]
    assert receipt == Receipt("r-1", ReceiptState.PROCESSING, 3, remote_id="987")


def test_remove_says_nothing_of_consent_and_terms(google: GoogleClient, wire: responses.RequestsMock) -> None:
    wire.post(f"{URL}/audienceMembers:remove", json={"requestId": "r-2"})

    receipt = google.send("987", "remove", [person("a", google_phone="", country="")], SESSION)

    identifiers = [{"emailAddress": digest("google_email of a")}]
    assert bodies(wire) == [
        {
            "destinations": [DESTINATION],
            "audienceMembers": [
                {"destinationReferences": ["list"], "userData": {"userIdentifiers": identifiers}}
            ],
            "encoding": "HEX",
        }
    ]
    assert receipt.state is ReceiptState.PROCESSING


def test_without_a_manager_account_none_is_named(wire: responses.RequestsMock) -> None:
    client = GoogleClient(access_token=TOKEN, account="1234567890")
    wire.post(INGEST, json={"requestId": "r-1"})
    wire.get(f"{LISTS}/987", json=READY)

    client.send("987", "add", [person("a")], SESSION)
    client.read("987")

    assert "loginAccount" not in bodies(wire)[0]["destinations"][0]
    assert "login-account" not in wire.calls[1].request.headers


def test_refused_members_are_named_by_position_and_reason_alone(
    google: GoogleClient, wire: responses.RequestsMock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    broken = error(
        400,
        "INVALID_ARGUMENT",
        ("audience_members[17].user_data.user_identifiers[0].email_address", "INVALID_HEX_ENCODING"),
        ("audience_members[42].user_data.user_identifiers[1].address.postal_code", "INVALID_POSTAL_CODE"),
    )
    wire.post(INGEST, json=broken, status=400)

    with pytest.raises(TerminalPlatformError) as raised:
        google.send("987", "add", [person("a")], SESSION)

    assert str(raised.value) == (
        "google: INVALID_ARGUMENT/INVALID_HEX_ENCODING: member 17: INVALID_HEX_ENCODING in email_address; "
        "member 42: INVALID_POSTAL_CODE in postal_code"
    )
    assert raised.value.trace_id == "t-1"
    assert digest("ada") not in str(raised.value) + caplog.text
    assert len(wire.calls) == 1


def test_many_refused_members_make_a_short_message(
    google: GoogleClient, wire: responses.RequestsMock
) -> None:
    fields = [(f"audience_members[{number}]", "NO_IDENTIFIERS_PROVIDED") for number in range(500)]
    wire.post(INGEST, json=error(400, "INVALID_ARGUMENT", *fields), status=400)

    with pytest.raises(TerminalPlatformError, match="and 480 more") as raised:
        google.send("987", "add", [person("a")], SESSION)

    assert "member 19: NO_IDENTIFIERS_PROVIDED" in str(raised.value)


SENT = Receipt("r-1", ReceiptState.PROCESSING, 10_000, remote_id="987")


def test_settle_follows_a_request_to_its_counts_and_its_bucket(
    google: GoogleClient, wire: responses.RequestsMock
) -> None:
    wire.get(STATUS, json=status("PROCESSING"))
    wire.get(
        STATUS,
        json=status(
            "PARTIAL_SUCCESS",
            errorInfo={
                "errorCounts": [{"recordCount": "12", "reason": "PROCESSING_ERROR_REASON_INVALID_FORMAT"}]
            },
            audienceMembersIngestionStatus={
                "userDataIngestionStatus": {
                    "recordCount": "9988",
                    "userIdentifierCount": "18011",
                    "uploadMatchRateRange": "MATCH_RATE_RANGE_61_TO_70",
                }
            },
        ),
    )

    waiting, done = google.settle(SENT), google.settle(SENT)

    assert waiting is SENT
    assert done == Receipt(
        "r-1",
        ReceiptState.SETTLED,
        10_000,
        accepted=9_988,
        rejected=12,
        match_rate=(0.61, 0.70),
        reasons={"PROCESSING_ERROR_REASON_INVALID_FORMAT": 12},
        remote_id="987",
    )
    assert queries(wire) == [{"requestId": "r-1"}] * 2


def test_a_request_that_failed_after_acceptance_has_failed(
    google: GoogleClient, wire: responses.RequestsMock
) -> None:
    errors = {"errorCounts": [{"recordCount": "10000", "reason": "PROCESSING_ERROR_REASON_INTERNAL_ERROR"}]}
    wire.get(STATUS, json=status("FAILED", errorInfo=errors))

    receipt = google.settle(SENT)

    assert (receipt.state, receipt.accepted, receipt.rejected) == (ReceiptState.FAILED, 0, 10_000)
    assert receipt.reasons == {"PROCESSING_ERROR_REASON_INTERNAL_ERROR": 10_000}


@pytest.mark.parametrize("answer", [status("REQUEST_STATUS_UNKNOWN"), status("SOMETHING_NEW"), {}])
def test_what_is_not_known_is_still_processed(
    google: GoogleClient, wire: responses.RequestsMock, answer: dict[str, Any]
) -> None:
    wire.get(STATUS, json=answer)

    assert google.settle(SENT) is SENT


@pytest.mark.parametrize(
    ("bucket", "bounds"),
    [
        ("MATCH_RATE_RANGE_LESS_THAN_20", (0.0, 0.2)),
        ("MATCH_RATE_RANGE_20_TO_30", (0.2, 0.3)),
        ("MATCH_RATE_RANGE_91_TO_100", (0.91, 1.0)),
        ("MATCH_RATE_RANGE_NOT_ELIGIBLE", None),
        ("MATCH_RATE_RANGE_UNKNOWN", None),
    ],
)
def test_a_bucket_becomes_its_bounds(
    google: GoogleClient, wire: responses.RequestsMock, bucket: str, bounds: tuple[float, float] | None
) -> None:
    ingestion = {"userDataIngestionStatus": {"uploadMatchRateRange": bucket}}
    wire.get(STATUS, json=status("SUCCESS", audienceMembersIngestionStatus=ingestion))

    assert google.settle(SENT).match_rate == bounds


def test_read_shows_sizes_status_and_match_rate(google: GoogleClient, wire: responses.RequestsMock) -> None:
    wire.get(f"{LISTS}/987", json=READY)

    assert google.read("987") == RemoteAudience(
        "987", "vips", True, "serving", size_low=950, size_high=1200, match_rate=(0.635, 0.645)
    )


@pytest.mark.parametrize(
    ("stated", "bounds"), [(75, (0.745, 0.755)), (100, (0.995, 1.0)), ("1", (0.005, 0.015))]
)
def test_a_match_rate_in_whole_percent_is_known_to_half_a_point(
    google: GoogleClient, wire: responses.RequestsMock, stated: object, bounds: tuple[float, float]
) -> None:
    info = {"ingestedUserListInfo": {"contactIdInfo": {"matchRatePercentage": stated}}}
    wire.get(f"{LISTS}/987", json={**READY, **info})

    audience = google.read("987")

    assert audience is not None
    assert audience.match_rate == bounds


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"targetNetworkInfo": {}}, "too small"),
        ({"membershipStatus": "CLOSED", "closingReason": "UNUSED"}, "closed (UNUSED)"),
    ],
)
def test_a_list_that_cannot_serve_is_not_ready(
    google: GoogleClient, wire: responses.RequestsMock, changes: dict[str, Any], words: str
) -> None:
    not_computed = {"sizeInfo": {"displayNetworkMembersCount": "0"}, "ingestedUserListInfo": {}}
    wire.get(f"{LISTS}/987", json={**READY, **not_computed, **changes})

    audience = google.read("987")

    assert audience is not None
    assert not audience.ready
    assert words in audience.status
    assert (audience.size_low, audience.size_high, audience.match_rate) == (None, None, None)


def test_delete_deletes(google: GoogleClient, wire: responses.RequestsMock) -> None:
    wire.delete(f"{LISTS}/987", json={})

    google.delete("987")

    assert methods(wire)[0][0] == "DELETE"


@pytest.mark.parametrize(
    ("http", "answer", "kind"),
    [
        (500, error(500, "INTERNAL"), TransientPlatformError),
        (503, error(503, "UNAVAILABLE"), TransientPlatformError),
        (504, error(504, "DEADLINE_EXCEEDED"), TransientPlatformError),
        (409, error(409, "ABORTED"), TransientPlatformError),
        (429, error(429, "RESOURCE_EXHAUSTED"), TransientPlatformError),
        (400, error(400, "INVALID_ARGUMENT"), TerminalPlatformError),
        (400, error(400, "FAILED_PRECONDITION"), TerminalPlatformError),
        (403, error(403, "PERMISSION_DENIED"), TerminalPlatformError),
        (404, error(404, "NOT_FOUND"), TerminalPlatformError),
        (409, error(409, "ALREADY_EXISTS"), TerminalPlatformError),
        (401, error(401, "UNAUTHENTICATED"), CredentialError),
    ],
)
def test_every_error_has_its_class(
    google: GoogleClient,
    wire: responses.RequestsMock,
    http: int,
    answer: dict[str, Any],
    kind: type[PlatformError],
) -> None:
    wire.post(INGEST, json=answer, status=http)

    with pytest.raises(PlatformError) as raised:
        google.send("987", "add", [person("a")], SESSION)

    assert type(raised.value) is kind
    assert raised.value.trace_id == "t-1"


def test_a_quota_of_the_minute_is_waited_out(
    google: GoogleClient, wire: responses.RequestsMock, waiting: Waiting
) -> None:
    quota = "IngestionMutateRequestsPerMinutePerProject"
    wire.post(INGEST, json=error(429, "RESOURCE_EXHAUSTED", quota_limit=quota), status=429)
    wire.post(INGEST, json={"requestId": "r-1"})

    google.send("987", "add", [person("a")], SESSION)

    assert waiting.slept == [61.0]


def test_a_quota_of_the_day_ends_at_midnight_pacific(
    google: GoogleClient, wire: responses.RequestsMock, waiting: Waiting
) -> None:
    waiting.now = datetime(2026, 11, 20, 18, 30, tzinfo=ZoneInfo("America/Los_Angeles")).timestamp()
    quota = "IngestionMutateRequestsPerDayPerProject"
    wire.post(INGEST, json=error(429, "RESOURCE_EXHAUSTED", quota_limit=quota), status=429)

    with pytest.raises(TransientPlatformError) as raised:
        google.send("987", "add", [person("a")], SESSION)

    assert raised.value.retry_after == 5.5 * 3600
    assert waiting.slept == []


def refreshing(waiting: Waiting, access_token: str | None = None) -> GoogleClient:
    return GoogleClient(
        access_token=access_token,
        account="1234567890",
        client_id="our-client",
        client_secret="client-secret-of-ours",
        refresh_token="refresh-token-of-ours",
        sleep=waiting.sleep,
        clock=waiting.clock,
    )


def test_a_refresh_token_fetches_an_access_token_and_keeps_it_until_it_expires(
    wire: responses.RequestsMock, waiting: Waiting
) -> None:
    client = refreshing(waiting)
    wire.post(TOKENS, json={"access_token": "first", "expires_in": 3599})
    wire.post(TOKENS, json={"access_token": "second", "expires_in": 3599})
    wire.get(f"{LISTS}/987", json=READY)

    for pause in (0, 3_500, 100):
        waiting.now += pause
        client.read("987")

    authorised = [call.request.headers.get("Authorization") for call in wire.calls]
    assert authorised == [None, "Bearer first", "Bearer first", None, "Bearer second"]
    assert wire.calls[0].request.body == (
        "client_id=our-client&client_secret=client-secret-of-ours&refresh_token=refresh-token-of-ours"
        "&grant_type=refresh_token"
    )


def test_a_refused_token_is_refreshed_once(wire: responses.RequestsMock, waiting: Waiting) -> None:
    client = refreshing(waiting, access_token="stale")
    wire.get(f"{LISTS}/987", json=error(401, "UNAUTHENTICATED"), status=401)
    wire.post(TOKENS, json={"access_token": "fresh", "expires_in": 3599})

    with pytest.raises(CredentialError):
        client.read("987")

    authorised = [call.request.headers.get("Authorization") for call in wire.calls]
    assert authorised == ["Bearer stale", None, "Bearer fresh"]


def test_a_revoked_grant_is_asked_for_once_and_then_never_again(
    wire: responses.RequestsMock, waiting: Waiting, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = refreshing(waiting)
    revoked = {"error": "invalid_grant", "error_description": "refresh-token-of-ours was revoked"}
    wire.post(TOKENS, json=revoked, status=400)

    messages = []
    for _ in range(2):
        with pytest.raises(CredentialError, match="authorise the application again") as raised:
            client.read("987")
        messages.append(str(raised.value))

    assert len(wire.calls) == 1
    assert messages[0] == messages[1]
    for secret in ("client-secret-of-ours", "refresh-token-of-ours"):
        assert secret not in messages[0] + caplog.text + repr(client)


def test_a_token_endpoint_that_is_down_is_transient(wire: responses.RequestsMock, waiting: Waiting) -> None:
    client = refreshing(waiting)
    wire.post(TOKENS, status=503)

    with pytest.raises(TransientPlatformError):
        client.read("987")

    assert len(wire.calls) == 5


def test_warnings_about_fields_are_told_without_their_values(
    google: GoogleClient, wire: responses.RequestsMock
) -> None:
    warning = {"field": "x", "description": "ada@example.com", "reason": "WARNING_REASON_INVALID_POSTAL_CODE"}
    wire.post(INGEST, json={"requestId": "r-1", "fieldWarnings": [warning, warning]})

    receipt = google.send("987", "add", [person("a")], SESSION)

    assert receipt.message == "sent with warnings: WARNING_REASON_INVALID_POSTAL_CODE (2)"
    assert receipt.reasons == {}
