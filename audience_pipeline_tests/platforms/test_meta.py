"""Meta at the wire."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from typing import Any

import pytest
import requests
import responses

from audience_pipeline.platforms.contract import (
    CredentialError,
    PlatformError,
    QuotaError,
    Receipt,
    ReceiptState,
    RemoteAudience,
    TerminalPlatformError,
    TooFewLeftError,
    TransientPlatformError,
    UploadSession,
)
from audience_pipeline.platforms.meta import FIELDS, MetaClient
from audience_pipeline_tests.platforms.wire import (
    APP_SECRET,
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
READY = {
    "id": "1202",
    "name": "vips",
    "subtype": "CUSTOM",
    "operation_status": {"code": 200, "description": "Normal"},
    "delivery_status": {"code": 200, "description": "This audience is ready for use."},
    "approximate_count_lower_bound": 1000,
    "approximate_count_upper_bound": 1200,
}


def error(code: int, subcode: int | None = None, **more: Any) -> dict[str, Any]:
    content = {
        "message": f"(#{code}) No.",
        "type": "OAuthException",
        "code": code,
        "fbtrace_id": "A1b2",
        **more,
    }
    return {"error": content if subcode is None else {**content, "error_subcode": subcode}}


def taken(received: int, invalid: int = 0, samples: object = ()) -> dict[str, Any]:
    return {
        "audience_id": "1202",
        "session_id": "9778993",
        "num_received": received,
        "num_invalid_entries": invalid,
        "invalid_entry_samples": samples,
    }


def test_create_posts_a_customer_file_audience(meta: MetaClient, wire: responses.RequestsMock) -> None:
    wire.post(AUDIENCES, json={"id": "1202", "message": ""})

    assert meta.create("vips", "The best.") == "1202"
    assert bodies(wire) == [
        {
            "name": "vips",
            "subtype": "CUSTOM",
            "customer_file_source": "USER_PROVIDED_ONLY",
            "description": "The best.",
        }
    ]
    assert wire.calls[0].request.headers["Authorization"] == f"Bearer {TOKEN}"


def test_a_creation_whose_answer_is_lost_is_adopted_and_not_repeated(
    meta: MetaClient, wire: responses.RequestsMock
) -> None:
    wire.post(AUDIENCES, body=requests.ConnectionError())
    wire.get(AUDIENCES, json={"data": [READY]})

    assert meta.create("vips", "") == "1202"
    assert [method for method, _ in methods(wire)] == ["POST", "GET"]


def test_a_creation_that_did_not_happen_is_repeated(meta: MetaClient, wire: responses.RequestsMock) -> None:
    wire.post(AUDIENCES, json=error(2), status=503)
    wire.get(AUDIENCES, json={"data": []})
    wire.post(AUDIENCES, json={"id": "1202"})

    assert meta.create("vips", "") == "1202"
    assert [method for method, _ in methods(wire)] == ["POST", "GET", "POST"]


def test_find_follows_the_pages_by_cursor_and_takes_the_oldest_customer_file(
    meta: MetaClient, wire: responses.RequestsMock
) -> None:
    next_page = {"cursors": {"after": "MTIz"}, "next": f"{AUDIENCES}?access_token={TOKEN}&after=MTIz"}
    lookalike = {**READY, "id": "7", "subtype": "LOOKALIKE"}
    wire.get(AUDIENCES, json={"data": [lookalike, {**READY, "id": "1300"}], "paging": next_page})
    wire.get(AUDIENCES, json={"data": [READY], "paging": {"cursors": {"after": "NDU2"}}})

    found = meta.find("vips")

    assert found is not None
    assert found.remote_id == "1202"
    first = {
        "fields": FIELDS,
        "filtering": '[{"field": "name", "operator": "EQUAL", "value": "vips"}]',
        "limit": "100",
    }
    assert queries(wire) == [first, {**first, "after": "MTIz"}]
    assert all(TOKEN not in str(call.request.url) for call in wire.calls)


def test_add_sends_session_schema_and_rows(meta: MetaClient, wire: responses.RequestsMock) -> None:
    wire.post(USERS, json=taken(2, samples=[]))
    members = [person("a"), person("b", meta_phone="", meta_first_name="", country="DE", postal_code="")]

    receipt = meta.send("1202", "add", members, SESSION)

    assert bodies(wire) == [
        {
            "session": {
                "session_id": 9778993,
                "batch_seq": 1,
                "last_batch_flag": True,
                "estimated_num_total": 2,
            },
            "payload": {
                "schema": ["EMAIL", "PHONE", "FN", "LN", "ZIP", "COUNTRY"],
                "data": [
                    [
                        digest("meta_email of a"),
                        digest("meta_phone of a"),
                        digest("meta_first_name of a"),
                        digest("meta_last_name of a"),
                        digest("94045"),
                        digest("us"),
                    ],
                    [digest("meta_email of b"), "", "", digest("meta_last_name of b"), "", digest("de")],
                ],
            },
        }
    ]
    assert receipt == Receipt("9778993", ReceiptState.PROCESSING, 2, accepted=2, rejected=0, remote_id="1202")


def test_a_nine_digit_postal_code_is_cut_in_the_us_only(
    meta: MetaClient, wire: responses.RequestsMock
) -> None:
    wire.post(USERS, json=taken(2))
    members = [person("a", postal_code="94045-1234"), person("b", country="SA", postal_code="12345-6789")]

    meta.send("1202", "add", members, SESSION)

    assert [row[4] for row in bodies(wire)[0]["payload"]["data"]] == [digest("94045"), digest("12345-6789")]


def test_remove_sends_the_same_body_with_delete_and_is_done_at_once(
    meta: MetaClient, wire: responses.RequestsMock
) -> None:
    wire.delete(USERS, json=taken(1))

    receipt = meta.send("1202", "remove", [person("a")], SESSION)

    assert methods(wire) == [("DELETE", "/v26.0/1202/users")]
    assert set(bodies(wire)[0]) == {"session", "payload"}
    assert len(bodies(wire)[0]["payload"]["data"]) == 1
    assert receipt.state is ReceiptState.SETTLED
    assert (receipt.accepted, receipt.rejected) == (1, 0)


@pytest.mark.parametrize("samples", [{digest("meta_email of a"): "bad"}, [digest("meta_email of a")], None])
def test_invalid_rows_are_counted_and_their_samples_are_copied_nowhere(
    meta: MetaClient, wire: responses.RequestsMock, samples: object, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wire.post(USERS, json=taken(3, 1, samples))

    receipt = meta.send("1202", "add", [person(name) for name in "abc"], SESSION)

    assert (receipt.accepted, receipt.rejected, receipt.reasons) == (2, 1, {"invalid entry": 1})
    assert digest("meta_email of a") not in repr(receipt) + caplog.text


def test_the_counts_of_a_session_are_told_apart_by_batch(
    meta: MetaClient, wire: responses.RequestsMock
) -> None:
    wire.post(USERS, json=taken(2, 1))
    wire.post(USERS, json=taken(3, 1))
    first, second = (UploadSession(9, number, number == 2, 3) for number in (1, 2))

    receipts = [
        meta.send("1202", "add", [person("a"), person("b")], first),
        meta.send("1202", "add", [person("c")], second),
    ]

    assert [(one.accepted, one.rejected) for one in receipts] == [(1, 1), (1, 0)]


def test_a_batch_in_the_middle_of_an_unknown_session_has_no_counts_of_its_own(
    meta: MetaClient, wire: responses.RequestsMock
) -> None:
    wire.post(USERS, json=taken(20_001, 3))

    receipt = meta.send("1202", "add", [person("a")], UploadSession(9, 3, False, 30_000))

    assert (receipt.accepted, receipt.rejected) == (None, None)


def test_a_batch_that_meta_discards_has_failed(meta: MetaClient, wire: responses.RequestsMock) -> None:
    wire.post(USERS, json=taken(1))
    wire.post(USERS, json=taken(1))
    first, second = (UploadSession(9, number, number == 2, 2) for number in (1, 2))
    meta.send("1202", "add", [person("a")], first)

    receipt = meta.send("1202", "add", [person("b")], second)

    assert receipt.state is ReceiptState.FAILED
    assert receipt.rejected == 1
    assert "session" in receipt.message


def test_settle_reads_the_matches_of_the_session_from_text(
    meta: MetaClient, wire: responses.RequestsMock
) -> None:
    session = {"session_id": "9778993", "num_received": "2500", "num_matched": "1710", "progress": "100"}
    wire.get(f"{URL}/1202/sessions", json={"data": [{**session, "progress": "50", "num_matched": "0"}]})
    wire.get(f"{URL}/1202/sessions", json={"data": [session]})
    sent = Receipt("9778993", ReceiptState.PROCESSING, 1250, accepted=1250, rejected=0, remote_id="1202")

    waiting, done = meta.settle(sent), meta.settle(sent)

    assert waiting is sent
    assert done.state is ReceiptState.SETTLED
    assert done.match_rate == (0.684, 0.684)
    assert (done.matched, done.accepted) == (855, 1250)
    assert queries(wire) == [{"session_id": "9778993"}] * 2


@pytest.mark.parametrize(("stage", "operation"), [("failed", 200), ("FAILED", 200), ("done", 500)])
def test_a_session_that_ended_without_effect_has_failed(
    meta: MetaClient, wire: responses.RequestsMock, stage: str, operation: int
) -> None:
    session = {"session_id": "9", "num_received": "10", "num_matched": "0", "progress": "100", "stage": stage}
    wire.get(f"{URL}/1202/sessions", json={"data": [session]})
    if stage == "done":
        wire.get(f"{URL}/1202", json={"operation_status": {"code": operation}, "id": "1202"})

    done = meta.settle(Receipt("9", ReceiptState.PROCESSING, 10, accepted=10, rejected=0, remote_id="1202"))

    assert done.state is ReceiptState.FAILED
    assert (done.accepted, done.rejected, done.matched) == (0, 10, None)
    assert "failed to process" in done.message


def test_people_whom_meta_knows_none_of_have_settled_all_the_same(
    meta: MetaClient, wire: responses.RequestsMock
) -> None:
    session = {"session_id": "9", "num_received": "10", "num_matched": "0", "progress": "100"}
    wire.get(f"{URL}/1202/sessions", json={"data": [session]})
    wire.get(f"{URL}/1202", json={"operation_status": {"code": 411}, "id": "1202"})

    done = meta.settle(Receipt("9", ReceiptState.PROCESSING, 10, remote_id="1202"))

    assert (done.state, done.matched, done.match_rate) == (ReceiptState.SETTLED, 0, (0.0, 0.0))


def test_a_session_that_meta_does_not_list_yet_is_still_processed(
    meta: MetaClient, wire: responses.RequestsMock
) -> None:
    wire.get(f"{URL}/1202/sessions", json={"data": []})
    sent = Receipt("9778993", ReceiptState.PROCESSING, 1, remote_id="1202")

    assert meta.settle(sent) is sent


def test_a_status_names_the_fields_that_break_the_rules(
    meta: MetaClient, wire: responses.RequestsMock
) -> None:
    flagged = {"code": 471, "description": "Flagged."}
    broken = {"fields_violating_integrity_policy": ["name", "description"]}
    wire.get(f"{URL}/1202", json={**READY, **broken, "operation_status": flagged})

    audience = meta.read("1202")

    assert audience is not None
    assert audience.status == (
        "Flagged. This audience is ready for use. Meta's integrity rules are violated by: name, description."
    )
    assert "fields_violating_integrity_policy" in queries(wire)[0]["fields"]


def test_read_shows_status_and_bounds(meta: MetaClient, wire: responses.RequestsMock) -> None:
    wire.get(f"{URL}/1202", json=READY)

    assert meta.read("1202") == RemoteAudience(
        "1202", "vips", True, "Normal. This audience is ready for use.", size_low=1000, size_high=1200
    )
    assert queries(wire) == [{"fields": FIELDS}]


@pytest.mark.parametrize(
    ("operation", "delivery", "low"),
    [(200, 300, 20), (441, 200, 1000), (471, 200, 1000), (450, 400, -1), (500, 200, 1000)],
)
def test_an_audience_that_cannot_be_used_is_not_ready(
    meta: MetaClient, wire: responses.RequestsMock, operation: int, delivery: int, low: int
) -> None:
    status = {"operation_status": {"code": operation}, "delivery_status": {"code": delivery}}
    wire.get(f"{URL}/1202", json={**READY, **status, "approximate_count_lower_bound": low})

    audience = meta.read("1202")

    assert audience is not None
    assert not audience.ready
    assert audience.size_low == (None if low < 0 else low)


def test_delete_deletes(meta: MetaClient, wire: responses.RequestsMock) -> None:
    wire.delete(f"{URL}/1202", json={"success": True})

    meta.delete("1202")

    assert methods(wire) == [("DELETE", "/v26.0/1202")]


def test_an_audience_with_lookalikes_cannot_be_deleted(
    meta: MetaClient, wire: responses.RequestsMock
) -> None:
    wire.delete(f"{URL}/1202", json=error(2656), status=400)

    with pytest.raises(TerminalPlatformError, match="lookalikes"):
        meta.delete("1202")


@pytest.mark.parametrize(
    ("code", "subcode", "more", "status", "kind"),
    [
        (1, None, {}, 500, TransientPlatformError),
        (2, None, {}, 503, TransientPlatformError),
        (4, 1504022, {}, 400, TransientPlatformError),
        (17, 2446079, {}, 400, TransientPlatformError),
        (32, None, {}, 400, TransientPlatformError),
        (4, 1504039, {}, 400, TransientPlatformError),
        (613, None, {}, 400, TransientPlatformError),
        (613, 1487742, {}, 400, TransientPlatformError),
        (613, 1487632, {}, 400, TransientPlatformError),
        (613, 5044001, {}, 400, TransientPlatformError),
        (80000, None, {}, 400, TransientPlatformError),
        (80004, 2446079, {}, 400, TransientPlatformError),
        (80014, None, {}, 400, TransientPlatformError),
        (999, None, {}, 503, TransientPlatformError),
        (80003, 2446079, {}, 400, TransientPlatformError),
        (341, None, {}, 400, QuotaError),
        (2650, 1870145, {}, 400, TransientPlatformError),
        (100, None, {"is_transient": True}, 400, TransientPlatformError),
        (2650, 1870158, {}, 400, TerminalPlatformError),
        (190, 458, {}, 401, CredentialError),
        (190, 459, {}, 401, CredentialError),
        (190, 460, {}, 401, CredentialError),
        (190, 463, {}, 401, CredentialError),
        (190, 464, {}, 401, CredentialError),
        (190, 467, {}, 401, CredentialError),
        (190, 492, {"is_transient": True}, 401, CredentialError),
        (102, None, {}, 400, CredentialError),
        (104, None, {}, 400, CredentialError),
        (100, None, {"message": "Invalid appsecret_proof provided"}, 400, CredentialError),
        (10, None, {}, 403, TerminalPlatformError),
        (200, 1870034, {}, 403, TerminalPlatformError),
        (200, 1870047, {}, 403, TooFewLeftError),
        (200, 1870050, {}, 403, TerminalPlatformError),
        (200, 1870090, {}, 403, TerminalPlatformError),
        (270, None, {}, 403, TerminalPlatformError),
        (294, None, {}, 403, TerminalPlatformError),
        (299, None, {}, 403, TerminalPlatformError),
        (100, 33, {}, 400, TerminalPlatformError),
        (105, None, {}, 400, TerminalPlatformError),
        (194, None, {}, 400, TerminalPlatformError),
        (2650, 1870147, {}, 400, TerminalPlatformError),
        (100, 1713230, {}, 400, TerminalPlatformError),
        (2500, None, {}, 400, TerminalPlatformError),
        (2635, None, {}, 400, TerminalPlatformError),
        (2654, 1713092, {}, 400, TerminalPlatformError),
        (368, None, {}, 400, TerminalPlatformError),
    ],
)
def test_every_error_has_its_class(
    meta: MetaClient,
    wire: responses.RequestsMock,
    code: int,
    subcode: int | None,
    more: dict[str, Any],
    status: int,
    kind: type[PlatformError],
) -> None:
    wire.post(USERS, json=error(code, subcode, **more), status=status)

    with pytest.raises(PlatformError) as raised:
        meta.send("1202", "add", [person("a")], SESSION)

    assert type(raised.value) is kind
    assert raised.value.code == (f"{code}/{subcode}" if subcode else str(code))
    assert raised.value.trace_id == "A1b2"


@pytest.mark.parametrize(
    ("code", "headers", "wait"),
    [
        (80003, {"X-Business-Use-Case-Usage": {"77": [{"estimated_time_to_regain_access": 1}]}}, 61.0),
        (17, {"X-Ad-Account-Usage": {"acc_id_util_pct": 100, "reset_time_duration": 30}}, 31.0),
        (17, {}, 61.0),
        (613, {"X-Business-Use-Case-Usage": "broken"}, 61.0),
    ],
)
def test_a_throttle_waits_as_long_as_the_headers_say(
    meta: MetaClient,
    wire: responses.RequestsMock,
    waiting: Waiting,
    code: int,
    headers: dict[str, Any],
    wait: float,
) -> None:
    wire.get(
        f"{URL}/1202", json=error(code), status=400, headers={k: json.dumps(v) for k, v in headers.items()}
    )
    wire.get(f"{URL}/1202", json=READY)

    meta.read("1202")

    assert waiting.slept == [wait]


def test_half_an_hour_is_left_to_the_next_run(meta: MetaClient, wire: responses.RequestsMock) -> None:
    usage = {"77": [{"type": "custom_audience", "estimated_time_to_regain_access": 30}]}
    wire.get(
        f"{URL}/1202",
        json=error(80003),
        status=400,
        headers={"X-Business-Use-Case-Usage": json.dumps(usage)},
    )

    with pytest.raises(TransientPlatformError) as raised:
        meta.read("1202")

    assert raised.value.retry_after == 1_800.0


def test_the_development_tier_is_blocked_for_longer(meta: MetaClient, wire: responses.RequestsMock) -> None:
    usage = {"acc_id_util_pct": 9.67, "reset_time_duration": 100, "ads_api_access_tier": "development_access"}
    wire.get(f"{URL}/1202", json=error(17), status=400, headers={"X-Ad-Account-Usage": json.dumps(usage)})

    with pytest.raises(TransientPlatformError) as raised:
        meta.read("1202")

    assert raised.value.retry_after == 300.0


def test_a_nearly_used_up_limit_slows_the_client_down(
    meta: MetaClient, wire: responses.RequestsMock, waiting: Waiting
) -> None:
    usage = {"77": [{"call_count": 28, "total_cputime": 95, "total_time": 25}]}
    wire.get(f"{URL}/1202", json=READY, headers={"X-Business-Use-Case-Usage": json.dumps(usage)})
    wire.get(f"{URL}/1202", json=READY, headers={"X-App-Usage": '{"call_count": 70}'})
    wire.get(f"{URL}/1202", json=READY)

    for _ in range(3):
        meta.read("1202")

    assert waiting.slept == [8.0]


def test_a_configured_app_secret_proves_every_request(wire: responses.RequestsMock, waiting: Waiting) -> None:
    client = MetaClient(access_token=TOKEN, account="77", app_secret=APP_SECRET, sleep=waiting.sleep)
    wire.get(f"{URL}/1202", json=READY)
    wire.delete(USERS, json=taken(1))

    client.read("1202")
    client.send("1202", "remove", [person("a")], SESSION)

    proof = hmac.new(APP_SECRET.encode(), TOKEN.encode(), hashlib.sha256).hexdigest()
    assert [query["appsecret_proof"] for query in queries(wire)] == [proof, proof]
    for call in wire.calls:
        assert APP_SECRET not in str(call.request.url) + str(call.request.body)
    assert APP_SECRET not in repr(client)


def test_another_api_version_in_the_answer_is_told_once(
    meta: MetaClient, wire: responses.RequestsMock, caplog: pytest.LogCaptureFixture
) -> None:
    wire.get(f"{URL}/1202", json=READY, headers={"facebook-api-version": "v27.0"})

    meta.read("1202")
    meta.read("1202")

    assert caplog.text.count("v27.0") == 1


def test_the_floor_that_small_audiences_are_shown_as_is_an_upper_bound_only(
    meta: MetaClient, wire: responses.RequestsMock
) -> None:
    wire.get(f"{URL}/1202", json={**READY, "approximate_count_upper_bound": 1000})

    seen = meta.read("1202")

    assert seen is not None
    assert (seen.size_low, seen.size_high) == (0, 1000)
