"""TikTok at the wire."""

from __future__ import annotations

import hashlib
import json
from email import message_from_bytes
from typing import Any

import pytest
import requests
import responses

from audience_pipeline.platforms.contract import (
    CredentialError,
    Member,
    PlatformError,
    Receipt,
    ReceiptState,
    RemoteAudience,
    TerminalPlatformError,
    TransientPlatformError,
)
from audience_pipeline.platforms.tiktok import TikTokClient
from audience_pipeline_tests.platforms.wire import SESSION, TOKEN, Waiting, digest, methods, person, queries

ROOT = "https://business-api.tiktok.com/open_api/v1.3/dmp/custom_audience"
UPLOAD, CREATE, UPDATE = (f"{ROOT}/{path}/" for path in ("file/upload", "create", "update"))
GET, LIST, DELETE = (f"{ROOT}/{path}/" for path in ("get", "list", "delete"))
DETAILS = {
    "audience_id": "88",
    "name": "vips",
    "audience_type": "Customer File Audience",
    "calculate_type": "MULTIPLE_TYPES",
    "cover_num": 15_230,
    "is_valid": True,
    "msg": "",
    "error_msg": "",
}


def answer(data: object = None, code: int = 0, message: str = "OK") -> dict[str, Any]:
    return {"code": code, "message": message, "request_id": "r-1", "data": data if data is not None else {}}


def shown(history: list[dict[str, str]] | None = None, **changes: object) -> dict[str, Any]:
    return answer({"list": [{"audience_details": {**DETAILS, **changes}, "audience_history": history or []}]})


def listed(*nodes: dict[str, Any], page: int = 1, pages: int = 1) -> dict[str, Any]:
    return answer({"list": list(nodes), "page_info": {"page": page, "total_page": pages}})


def form(request: requests.PreparedRequest) -> dict[str, tuple[str | None, bytes]]:
    """File name and content of each part of a multipart body."""
    assert isinstance(request.body, bytes)
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    parts: dict[str, tuple[str | None, bytes]] = {}
    for part in message_from_bytes(head + request.body).get_payload():
        assert not isinstance(part, str)
        name = part.get_param("name", header="Content-Disposition")
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        parts[str(name)] = (part.get_filename(), content)
    return parts


def body(wire: responses.RequestsMock, position: int) -> Any:
    return json.loads(wire.calls[position].request.body or "null")


def content(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def test_the_first_people_are_uploaded_and_the_audience_is_created_of_them(
    tiktok: TikTokClient, wire: responses.RequestsMock
) -> None:
    wire.post(UPLOAD, json=answer({"file_path": "dmp/1"}))
    wire.post(CREATE, json=answer({"custom_audience_id": "88"}))

    receipt = tiktok.create_with(
        "vips", [person("a"), person("b", meta_phone=""), person("c", tiktok_email="")]
    )

    file = content(
        "Email_SHA256,Phone_SHA256",
        f"{digest('tiktok_email of a')},{digest('meta_phone of a')}",
        f"{digest('tiktok_email of b')},",
        f",{digest('meta_phone of c')}",
    )
    signature = hashlib.md5(file).hexdigest()
    assert form(wire.calls[0].request) == {
        "advertiser_id": (None, b"7001"),
        "file_signature": (None, signature.encode()),
        "calculate_type": (None, b"MULTIPLE_TYPES"),
        "file": (f"{signature}.csv", file),
    }
    assert body(wire, 1) == {
        "advertiser_id": "7001",
        "custom_audience_name": "vips",
        "file_paths": ["dmp/1"],
        "calculate_type": "MULTIPLE_TYPES",
        "audience_sub_type": "NORMAL",
    }
    assert receipt == Receipt("r-1", ReceiptState.PROCESSING, 3, remote_id="88")
    for call in wire.calls:
        assert call.request.headers["Access-Token"] == TOKEN
        assert "Authorization" not in call.request.headers


@pytest.mark.parametrize(("change", "action"), [("add", "APPEND"), ("remove", "REMOVE")])
def test_a_change_always_says_its_action(
    tiktok: TikTokClient, wire: responses.RequestsMock, change: Any, action: str
) -> None:
    wire.get(GET, json=shown())
    wire.post(UPLOAD, json=answer({"file_path": "dmp/2"}))
    wire.post(UPDATE, json=answer({}))

    receipt = tiktok.send("88", change, [person("a")], SESSION)
    again = tiktok.send("88", change, [person("a")], SESSION)

    assert body(wire, 2) == {
        "advertiser_id": "7001",
        "custom_audience_id": "88",
        "file_paths": ["dmp/2"],
        "action": action,
    }
    assert receipt == again == Receipt("r-1", ReceiptState.PROCESSING, 1, remote_id="88")
    assert [path.rsplit("/", 2)[-2] for _, path in methods(wire)] == [
        "get",
        "upload",
        "update",
        "upload",
        "update",
    ]


def test_an_audience_of_one_kind_gets_files_of_that_kind(
    tiktok: TikTokClient, wire: responses.RequestsMock
) -> None:
    wire.get(GET, json=shown(calculate_type="EMAIL_SHA256"))
    wire.post(UPLOAD, json=answer({"file_path": "dmp/3"}))
    wire.post(UPDATE, json=answer({}))

    receipt = tiktok.send("88", "add", [person("a"), person("b", tiktok_email="")], SESSION)

    sent = form(wire.calls[1].request)
    assert sent["calculate_type"] == (None, b"EMAIL_SHA256")
    assert sent["file"][1] == content(digest("tiktok_email of a"))
    assert receipt.rejected == 1
    assert receipt.reasons == {"the audience takes EMAIL_SHA256 only": 1}


def test_people_without_the_one_kind_are_not_sent_at_all(
    tiktok: TikTokClient, wire: responses.RequestsMock
) -> None:
    wire.get(GET, json=shown(calculate_type="PHONE_SHA256"))

    receipt = tiktok.send("88", "add", [person("b", meta_phone="")], SESSION)

    assert (receipt.state, receipt.accepted, receipt.rejected) == (ReceiptState.SETTLED, 0, 1)
    assert len(wire.calls) == 1


def test_an_audience_of_devices_is_not_ours(tiktok: TikTokClient, wire: responses.RequestsMock) -> None:
    wire.get(GET, json=shown(calculate_type="IDFA_SHA256"))

    with pytest.raises(TerminalPlatformError, match="IDFA_SHA256"):
        tiktok.send("88", "add", [person("a")], SESSION)


def test_a_creation_whose_answer_is_lost_is_adopted_by_name(
    tiktok: TikTokClient, wire: responses.RequestsMock
) -> None:
    wire.post(UPLOAD, json=answer({"file_path": "dmp/1"}))
    wire.post(CREATE, body=requests.ConnectionError())
    wire.get(LIST, json=listed(DETAILS))

    receipt = tiktok.create_with("vips", [person("a")])

    assert receipt.remote_id == "88"
    assert receipt.state is ReceiptState.PROCESSING
    assert [path.rsplit("/", 2)[-2] for _, path in methods(wire)] == ["upload", "create", "list"]


def test_an_upload_is_repeated_with_the_same_bytes(
    tiktok: TikTokClient, wire: responses.RequestsMock
) -> None:
    wire.post(UPLOAD, json=answer(code=50000, message="System error."))
    wire.post(UPLOAD, json=answer({"file_path": "dmp/1"}))
    wire.post(CREATE, json=answer({"custom_audience_id": "88"}))

    tiktok.create_with("vips", [person("a")])

    assert form(wire.calls[0].request) == form(wire.calls[1].request)


def test_find_reads_every_page_and_takes_the_oldest_customer_file(
    tiktok: TikTokClient, wire: responses.RequestsMock
) -> None:
    lookalike = {**DETAILS, "audience_id": "7", "audience_type": "Lookalike Audience"}
    wire.get(LIST, json=listed({**DETAILS, "audience_id": "99"}, lookalike, pages=2))
    wire.get(LIST, json=listed(DETAILS, page=2, pages=2))

    found = tiktok.find("vips")

    assert found is not None
    assert found.remote_id == "88"
    assert queries(wire) == [
        {"advertiser_id": "7001", "page": "1", "page_size": "100"},
        {"advertiser_id": "7001", "page": "2", "page_size": "100"},
    ]


SENT = Receipt("r-1", ReceiptState.PROCESSING, 1_500, remote_id="88")


def test_settle_waits_until_the_audience_is_computed(
    tiktok: TikTokClient, wire: responses.RequestsMock
) -> None:
    wire.get(GET, json=shown(is_valid=False, cover_num=0))
    wire.get(GET, json=shown())

    waiting, done = tiktok.settle(SENT), tiktok.settle(SENT)

    assert waiting is SENT
    assert (done.state, done.accepted, done.rejected) == (ReceiptState.SETTLED, 1_500, 0)
    assert done.matched is None
    query = {"advertiser_id": "7001", "custom_audience_ids": '["88"]', "history_size": "10"}
    assert queries(wire) == [query, query]


def test_a_change_that_tiktok_could_not_make_has_failed(
    tiktok: TikTokClient, wire: responses.RequestsMock
) -> None:
    wire.get(GET, json=shown(error_msg=f"Below 1000 users: {digest('ada')}"))

    receipt = tiktok.settle(SENT)

    assert (receipt.state, receipt.accepted, receipt.rejected) == (ReceiptState.FAILED, 0, 1_500)
    assert "Below 1000 users" in receipt.message
    assert digest("ada") not in receipt.message


def test_rows_that_tiktok_could_not_read_are_counted_and_not_named(
    tiktok: TikTokClient, wire: responses.RequestsMock
) -> None:
    history = [
        {"action": "APPEND", "msg": "3 rows could not be parsed", "opt_time": "2026-11-02 10:00:00"},
        {"action": "CREATE", "msg": "", "opt_time": "2026-11-01 10:00:00"},
    ]
    wire.get(GET, json=shown(history))

    receipt = tiktok.settle(SENT)

    assert (receipt.state, receipt.accepted, receipt.rejected) == (ReceiptState.SETTLED, 1_497, 3)
    assert receipt.reasons == {"row that could not be read": 3}
    assert receipt.refused == {}
    assert "3 rows" in receipt.message


def test_an_audience_that_is_too_small_is_settled_with_the_remark(
    tiktok: TikTokClient, wire: responses.RequestsMock
) -> None:
    wire.get(GET, json=shown(is_valid=False, cover_num=0, msg="Fewer than 1000 users."))

    receipt = tiktok.settle(SENT)

    assert receipt.state is ReceiptState.SETTLED
    assert receipt.message == "Fewer than 1000 users."


def test_a_batch_whose_audience_is_gone_has_failed(
    tiktok: TikTokClient, wire: responses.RequestsMock
) -> None:
    wire.get(GET, json=answer({"list": []}))

    assert tiktok.settle(SENT).state is ReceiptState.FAILED


def test_read_shows_the_matched_users(tiktok: TikTokClient, wire: responses.RequestsMock) -> None:
    wire.get(GET, json=shown())

    assert tiktok.read("88") == RemoteAudience("88", "vips", True, "valid", size_low=15_230, size_high=15_230)


@pytest.mark.parametrize(
    ("changes", "ready", "words", "size"),
    [
        ({"is_valid": False}, False, "computing", None),
        ({"cover_num": 900}, False, "valid", 900),
        ({"is_expiring": True}, True, "60 days", 15_230),
        ({"is_valid": False, "error_msg": "No row could be read."}, False, "No row", None),
    ],
)
def test_read_says_what_is_wrong(
    tiktok: TikTokClient,
    wire: responses.RequestsMock,
    changes: dict[str, Any],
    ready: bool,
    words: str,
    size: int | None,
) -> None:
    wire.get(GET, json=shown(**changes))

    audience = tiktok.read("88")

    assert audience is not None
    assert audience.ready is ready
    assert words in audience.status
    assert audience.size_low == size


@pytest.mark.parametrize("code", [0, 40007])
def test_delete_deletes_one(tiktok: TikTokClient, wire: responses.RequestsMock, code: int) -> None:
    wire.post(DELETE, json=answer(code=code))

    tiktok.delete("88")

    assert body(wire, 0) == {"advertiser_id": "7001", "custom_audience_ids": ["88"]}


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (40000, "Invalid.", TerminalPlatformError),
        (40001, "No permission.", TerminalPlatformError),
        (40002, "file_paths: Missing.", TerminalPlatformError),
        (40007, "No such audience.", TerminalPlatformError),
        (40016, "Too frequent.", TransientPlatformError),
        (40100, "Too frequent.", TransientPlatformError),
        (40132, "QPS limit.", TransientPlatformError),
        (40133, "Advertiser level too frequent.", TransientPlatformError),
        (40133, "No permission for the advertiser.", TerminalPlatformError),
        (40102, "Missing.", CredentialError),
        (40104, "Invalid.", CredentialError),
        (40105, "Access token is incorrect or has been revoked", CredentialError),
        (40101, "Auth.", CredentialError),
        (40106, "Auth.", CredentialError),
        (40131, "Auth.", CredentialError),
        (40200, "Task.", TransientPlatformError),
        (40700, "Task.", TransientPlatformError),
        (50000, "System error.", TransientPlatformError),
        (51065, "Internal.", TransientPlatformError),
        (49999, "New.", TerminalPlatformError),
    ],
)
def test_every_code_has_its_class_though_http_says_200(
    tiktok: TikTokClient, wire: responses.RequestsMock, code: int, message: str, kind: type[PlatformError]
) -> None:
    wire.post(CREATE, json=answer(code=code, message=message))
    wire.post(UPLOAD, json=answer({"file_path": "dmp/1"}))
    if kind is TransientPlatformError:
        wire.get(LIST, json=listed())

    with pytest.raises(PlatformError) as raised:
        tiktok.create_with("vips", [person("a")])

    assert type(raised.value) is kind
    assert raised.value.code == str(code)
    assert raised.value.trace_id == "r-1"


def test_requests_stay_under_five_a_second(
    tiktok: TikTokClient, wire: responses.RequestsMock, waiting: Waiting
) -> None:
    wire.get(GET, json=shown())

    for _ in range(3):
        tiktok.read("88")

    assert waiting.slept == pytest.approx([0.25, 0.25])


def test_a_hundred_thousand_people_fit_into_one_file(
    tiktok: TikTokClient, wire: responses.RequestsMock
) -> None:
    wire.post(UPLOAD, json=answer({"file_path": "dmp/1"}))
    wire.post(CREATE, json=answer({"custom_audience_id": "88"}))
    one = person("a")

    tiktok.create_with("vips", [Member(str(number), one.identifiers) for number in range(100_000)])

    body_of_upload = wire.calls[0].request.body
    assert isinstance(body_of_upload, bytes)
    assert len(body_of_upload) < 50_000_000
