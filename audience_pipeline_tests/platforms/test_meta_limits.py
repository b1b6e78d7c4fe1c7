"""Meta: what ends a run, what slows it down, what is said of it, and which people were refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import responses

from audience_pipeline.platforms.contract import (
    CredentialError,
    MembersRefusedError,
    PlatformError,
    QuotaError,
    ReceiptState,
    TerminalPlatformError,
)
from audience_pipeline.platforms.meta import FIELDS, MetaClient
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

URL = "https://graph.facebook.com/v26.0"
AUDIENCES = f"{URL}/act_77/customaudiences"
USERS = f"{URL}/1202/users"
EVERYWHERE = f"{URL}/act_77/usersofanyaudience"
ACCOUNT = f"{URL}/act_77"
PEOPLE = [person(name) for name in "abcd"]


def error(code: int, subcode: int | None = None, **more: Any) -> dict[str, Any]:
    content = {"message": f"(#{code}) No.", "code": code, **more}
    return {"error": content if subcode is None else {**content, "error_subcode": subcode}}


def taken(invalid: int, samples: object) -> dict[str, Any]:
    return {"num_received": 4, "num_invalid_entries": invalid, "invalid_entry_samples": samples}


def row(name: str) -> list[str]:
    hashes = [digest(f"{column} of {name}") for column in ("meta_email", "meta_phone")]
    names = [digest(f"{column} of {name}") for column in ("meta_first_name", "meta_last_name")]
    return [*hashes, *names, digest("94045"), digest("us")]


@pytest.mark.parametrize(
    ("samples", "positions"),
    [
        ({json.dumps(row("b")): "Invalid row."}, {1}),
        ({json.dumps(row("d"), separators=(",", ":")): "x", json.dumps(row("a")): "y"}, {0, 3}),
        ({digest("meta_phone of c"): ["bad"]}, {2}),
        ([row("c")], {2}),
        ([digest("meta_email of b"), digest("meta_email of d")], {1, 3}),
        ([], set()),
        ({}, set()),
        (None, set()),
        ({digest("somebody of an earlier batch"): "x"}, set()),
        (["[broken"], set()),
        ([{"no": "row"}, 7, ""], set()),
    ],
)
def test_samples_of_invalid_entries_name_positions_of_the_batch(
    meta: MetaClient, wire: responses.RequestsMock, samples: object, positions: set[int]
) -> None:
    wire.post(USERS, json=taken(len(positions) or 2, samples))

    receipt = meta.send("1202", "add", PEOPLE, SESSION)

    assert receipt.refused == dict.fromkeys(positions, "invalid entry")


def test_a_value_that_more_people_share_than_were_refused_names_nobody(
    meta: MetaClient, wire: responses.RequestsMock
) -> None:
    wire.post(USERS, json=taken(1, {digest("us"): "Invalid."}))

    assert meta.send("1202", "add", PEOPLE, SESSION).refused == {}


def test_people_leave_every_audience_of_the_account_in_one_call(
    meta: MetaClient, wire: responses.RequestsMock
) -> None:
    wire.delete(EVERYWHERE, json={**taken(1, {json.dumps(row("b")): "x"}), "session_id": "900"})

    receipt = meta.remove_everywhere(PEOPLE)

    assert bodies(wire) == [
        {
            "payload": {
                "schema": ["EMAIL", "PHONE", "FN", "LN", "ZIP", "COUNTRY"],
                "data": [row(name) for name in "abcd"],
            }
        }
    ]
    assert receipt.state is ReceiptState.SETTLED
    assert (receipt.request_id, receipt.accepted, receipt.rejected) == ("900", 3, 1)
    assert receipt.refused == {1: "invalid entry"}


def test_an_answer_of_another_form_to_a_removal_everywhere_leaves_the_counts_open(
    meta: MetaClient, wire: responses.RequestsMock
) -> None:
    wire.delete(EVERYWHERE, json={"success": True})

    receipt = meta.remove_everywhere(PEOPLE)

    assert (receipt.state, receipt.received) == (ReceiptState.SETTLED, 4)
    assert (receipt.accepted, receipt.rejected, receipt.refused) == (None, None, {})


@pytest.mark.parametrize(
    ("message", "positions"),
    [
        ("(#100) Invalid value at payload[data][2]", {2: "error 100"}),
        ("(#100) data[0] and data[3] are bad", {0: "error 100", 3: "error 100"}),
        ("(#100) A row does not have the width of the schema.", {}),
    ],
)
def test_an_error_that_blames_the_rows_is_about_people(
    meta: MetaClient, wire: responses.RequestsMock, message: str, positions: dict[int, str]
) -> None:
    blamed = error(100, message=message, error_data={"blame_field_specs": [["payload", "data"]]})
    wire.post(USERS, json=blamed, status=400)

    with pytest.raises(MembersRefusedError) as raised:
        meta.send("1202", "add", PEOPLE, SESSION)

    assert raised.value.positions == positions


@pytest.mark.parametrize(
    "data", [{"blame_field_specs": [["schema"]]}, '{"blame_field_specs": [["session"]]}', "broken", None, []]
)
def test_an_error_that_blames_something_else_is_not_about_people(
    meta: MetaClient, wire: responses.RequestsMock, data: object
) -> None:
    wire.post(USERS, json=error(100, error_data=data), status=400)

    with pytest.raises(TerminalPlatformError) as raised:
        meta.send("1202", "add", PEOPLE, SESSION)

    assert not isinstance(raised.value, MembersRefusedError)


def test_a_renamed_audience_keeps_its_id(meta: MetaClient, wire: responses.RequestsMock) -> None:
    wire.post(f"{URL}/1202", json={"success": True})

    meta.rename("1202", "vips 2")

    assert bodies(wire) == [{"name": "vips 2"}]


def test_a_success_that_is_none_is_an_error(meta: MetaClient, wire: responses.RequestsMock) -> None:
    wire.post(f"{URL}/1202", json={"success": False})

    with pytest.raises(TerminalPlatformError, match="rename"):
        meta.rename("1202", "vips 2")


def test_the_listing_leaves_out_lookalikes_and_reads_all_pages(
    meta: MetaClient, wire: responses.RequestsMock
) -> None:
    page = {"cursors": {"after": "MTIz"}, "next": f"{AUDIENCES}?after=MTIz"}
    nodes = [{"id": "1", "name": "a"}, {"id": "2", "name": "b", "subtype": "LOOKALIKE"}]
    wire.get(AUDIENCES, json={"data": nodes, "paging": page})
    wire.get(AUDIENCES, json={"data": [{"id": "3", "name": "c", "subtype": "CUSTOM"}]})

    assert [one.remote_id for one in meta.audiences()] == ["1", "3"]
    assert queries(wire)[0] == {"fields": FIELDS, "limit": "100"}


@pytest.mark.parametrize("failure", [{"body": requests.ReadTimeout()}, {"json": error(1), "status": 500}])
def test_a_listing_that_is_too_much_for_meta_goes_on_with_smaller_pages(
    meta: MetaClient, wire: responses.RequestsMock, failure: dict[str, Any]
) -> None:
    for _ in range(5):
        wire.get(AUDIENCES, **failure)
    wire.get(AUDIENCES, json={"data": [{"id": "1", "name": "a"}]})

    assert [one.remote_id for one in meta.audiences()] == ["1"]
    assert [query["limit"] for query in queries(wire)] == ["100"] * 5 + ["20"]


def test_a_limit_of_half_an_hour_ends_the_run_and_says_until_when(
    meta: MetaClient, wire: responses.RequestsMock, waiting: Waiting
) -> None:
    waiting.now = datetime(2026, 11, 20, 12, 0, tzinfo=UTC).timestamp()
    usage = {"77": [{"type": "custom_audience", "estimated_time_to_regain_access": 30}]}
    headers = {"X-Business-Use-Case-Usage": json.dumps(usage)}
    wire.get(f"{URL}/1202", json=error(80003, 2446079), status=400, headers=headers)

    for _ in range(3):
        with pytest.raises(QuotaError, match="nothing more can be sent before 2026-11-20 12:30 UTC"):
            meta.read("1202")

    assert len(wire.calls) == 1
    assert waiting.slept == []


def test_a_limit_that_has_ended_ends_nothing_more(
    meta: MetaClient, wire: responses.RequestsMock, waiting: Waiting
) -> None:
    usage = {"77": [{"type": "custom_audience", "estimated_time_to_regain_access": 30}]}
    headers = {"X-Business-Use-Case-Usage": json.dumps(usage)}
    wire.get(f"{URL}/1202", json=error(80003), status=400, headers=headers)
    wire.get(f"{URL}/1202", json={"id": "1202"})
    with pytest.raises(QuotaError):
        meta.read("1202")

    waiting.now += 1_800

    assert meta.read("1202") is not None


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [(190, 401, "access token is dead"), (368, 400, "blocked"), (2635, 400, "API version v26.0 is retired")],
)
def test_what_is_refused_once_for_good_is_not_asked_again(
    meta: MetaClient, wire: responses.RequestsMock, code: int, status: int, words: str
) -> None:
    wire.get(f"{URL}/1202", json=error(code), status=status)

    for call in (lambda: meta.read("1202"), lambda: meta.find("vips"), meta.audiences):
        with pytest.raises(TerminalPlatformError, match=words) as raised:
            call()
        assert raised.value.stops

    assert len(wire.calls) == 1


def test_an_error_of_one_audience_stops_nothing_else(meta: MetaClient, wire: responses.RequestsMock) -> None:
    wire.post(USERS, json=error(100, 1713230), status=400)
    wire.get(f"{URL}/1202", json={"id": "1202"})

    with pytest.raises(TerminalPlatformError, match="flagged") as raised:
        meta.send("1202", "add", PEOPLE, SESSION)

    assert not raised.value.stops
    assert meta.read("1202") is not None


@pytest.mark.parametrize(
    ("code", "subcode", "words"),
    [
        (200, 1870034, "accept the Custom Audience terms"),
        (200, 1870090, "accept the Custom Audience terms of the business"),
        (200, 1870050, "not linked"),
        (200, 1870047, "too few people"),
        (100, 33, "does not exist any more"),
        (270, None, "development tier"),
        (294, None, "ads_management"),
        (10, None, "permission"),
        (2656, None, "lookalikes"),
    ],
)
def test_a_refusal_says_what_to_do(
    meta: MetaClient, wire: responses.RequestsMock, code: int, subcode: int | None, words: str
) -> None:
    wire.post(USERS, json=error(code, subcode), status=403)

    with pytest.raises(PlatformError, match=words):
        meta.send("1202", "add", PEOPLE, SESSION)


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"X-App-Usage": {"call_count": 80}}, 2.0),
        ({"X-App-Usage": {"total_time": 100}}, 10.0),
        ({"X-App-Usage": {"call_count": 74.9, "total_cputime": 3}}, 0.0),
        ({"X-Ad-Account-Usage": {"acc_id_util_pct": 90}}, 6.0),
        ({"X-Business-Use-Case-Usage": {"77": [{"type": "custom_audience", "call_count": 85}]}}, 4.0),
        ({"X-Business-Use-Case-Usage": {"77": [{"type": "ads_insights", "call_count": 100}]}}, 0.0),
        ({"X-App-Usage": "broken"}, 0.0),
        ({}, 0.0),
    ],
)
def test_a_limit_that_is_three_quarters_used_slows_the_client_down(
    meta: MetaClient,
    wire: responses.RequestsMock,
    waiting: Waiting,
    headers: dict[str, Any],
    pause: float,
) -> None:
    texts = {name: json.dumps(value) for name, value in headers.items()}
    wire.get(f"{URL}/1202", json={"id": "1202"}, headers=texts)

    meta.read("1202")
    meta.read("1202")

    assert sum(waiting.slept) == pytest.approx(pause)


def test_an_app_of_the_development_tier_is_paced_by_its_own_limit(
    meta: MetaClient, wire: responses.RequestsMock, waiting: Waiting
) -> None:
    tier = {"acc_id_util_pct": 1, "ads_api_access_tier": "development_access"}
    wire.post(f"{URL}/1202", json={"success": True}, headers={"X-Ad-Account-Usage": json.dumps(tier)})

    for number in range(30):
        meta.rename("1202", f"vips {number}")

    # A write costs 3 of 60 points in 300 seconds, of which half may go at once.
    assert sum(waiting.slept) == pytest.approx(19 * 30)


GOOD = {"id": "act_77", "account_status": 1, "tos_accepted": {"custom_audience_tos": 1}}
GRANTED = [{"permission": name, "status": "granted"} for name in ("ads_management", "ads_read")]


def checked(
    client: MetaClient,
    wire: responses.RequestsMock,
    account: dict[str, Any] = GOOD,
    permissions: object = GRANTED,
    audiences: int = 3,
) -> dict[str, tuple[str, str]]:
    wire.get(ACCOUNT, json=account, headers={"facebook-api-version": "v26.0"})
    wire.get(f"{URL}/me/permissions", json={"data": permissions})
    nodes = [{"id": str(number), "name": f"a{number}"} for number in range(audiences)]
    wire.get(AUDIENCES, json={"data": nodes})
    return {finding.subject: (finding.level, finding.sentence) for finding in client.check()}


def test_a_check_reads_only_and_finds_all_well(meta: MetaClient, wire: responses.RequestsMock) -> None:
    found = checked(meta, wire)

    assert {level for level, _ in found.values()} == {"ok"}
    assert set(found) == {"credentials", "account", "terms", "permission", "limits", "version"}
    assert {method for method, _ in methods(wire)} == {"GET"}
    assert queries(wire)[0] == {"fields": "id,name,account_status,tos_accepted"}


def test_a_check_names_terms_that_are_not_accepted_and_where_to_accept_them(
    meta: MetaClient, wire: responses.RequestsMock
) -> None:
    level, sentence = checked(meta, wire, {**GOOD, "tos_accepted": {}})["terms"]

    assert level == "problem"
    assert "customaudiences/tos/?act=77" in sentence


@pytest.mark.parametrize(
    ("permissions", "level", "words"),
    [
        (GRANTED[:1], "warning", "ads_read"),
        ([{"permission": "ads_management", "status": "declined"}], "problem", "ads_management and ads_read"),
    ],
)
def test_a_check_names_permissions_that_are_missing(
    meta: MetaClient, wire: responses.RequestsMock, permissions: object, level: str, words: str
) -> None:
    found, sentence = checked(meta, wire, permissions=permissions)["permission"]

    assert found == level
    assert words in sentence


@pytest.mark.parametrize(("audiences", "level"), [(449, "ok"), (450, "warning"), (500, "problem")])
def test_a_check_counts_audiences_against_what_an_account_holds(
    meta: MetaClient, wire: responses.RequestsMock, audiences: int, level: str
) -> None:
    found, sentence = checked(meta, wire, audiences=audiences)["limits"]

    assert found == level
    assert f"{audiences} of 500" in sentence


def test_a_check_names_an_account_that_is_disabled(meta: MetaClient, wire: responses.RequestsMock) -> None:
    level, sentence = checked(meta, wire, {**GOOD, "account_status": 2})["account"]

    assert level == "problem"
    assert "account_status 2" in sentence


def test_a_check_tells_of_another_version(meta: MetaClient, wire: responses.RequestsMock) -> None:
    wire.get(ACCOUNT, json=GOOD, headers={"facebook-api-version": "v27.0"})
    for url in (f"{URL}/me/permissions", AUDIENCES):
        wire.get(url, json=error(100, 33), status=400, headers={"facebook-api-version": "v27.0"})

    found = {finding.subject: finding for finding in meta.check()}

    assert found["version"].level == found["permission"].level == found["limits"].level == "warning"
    assert "v27.0" in found["version"].sentence


def test_no_secret_is_in_a_finding(meta: MetaClient, wire: responses.RequestsMock) -> None:
    wire.get(ACCOUNT, json=error(190, message=f"token {TOKEN} is dead"), status=401)

    assert TOKEN not in repr(meta.check())


def test_a_dead_token_is_a_credential_error_for_every_later_request(
    meta: MetaClient, wire: responses.RequestsMock
) -> None:
    wire.get(f"{URL}/1202", json=error(190, 463), status=401)

    for _ in range(2):
        with pytest.raises(CredentialError, match="463"):
            meta.read("1202")

    assert len(wire.calls) == 1
