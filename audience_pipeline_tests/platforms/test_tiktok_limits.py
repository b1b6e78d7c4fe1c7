"""TikTok: following many audiences, refused rows, renaming, codes that decide, and what a check finds."""

from __future__ import annotations

import json
from typing import Any

import pytest
import responses

from audience_pipeline.platforms.contract import (
    CredentialError,
    MembersRefusedError,
    Receipt,
    ReceiptState,
    TerminalPlatformError,
    TransientPlatformError,
)
from audience_pipeline.platforms.tiktok import TikTokClient
from audience_pipeline_tests.platforms.wire import SESSION, Waiting, bodies, methods, person, queries

ROOT = "https://business-api.tiktok.com/open_api/v1.3/dmp/custom_audience"
UPLOAD, UPDATE = f"{ROOT}/file/upload/", f"{ROOT}/update/"
GET, LIST = f"{ROOT}/get/", f"{ROOT}/list/"
DETAILS = {"audience_id": "88", "name": "vips", "calculate_type": "MULTIPLE_TYPES", "is_valid": True}


def answer(data: object = None, code: object = 0, message: str = "OK") -> dict[str, Any]:
    return {"code": code, "message": message, "request_id": "r-1", "data": data if data is not None else {}}


def shown(*ids: str, **changes: object) -> dict[str, Any]:
    return answer({"list": [{"audience_details": {**DETAILS, "audience_id": one, **changes}} for one in ids]})


def sent(remote_id: str) -> Receipt:
    return Receipt("r-1", ReceiptState.PROCESSING, 10, remote_id=remote_id)


def asked(wire: responses.RequestsMock) -> list[list[str]]:
    return [json.loads(query["custom_audience_ids"]) for query in queries(wire)]


def test_a_hundred_audiences_that_are_computed_are_read_at_once(
    tiktok: TikTokClient, wire: responses.RequestsMock
) -> None:
    ids = [str(number) for number in range(150)]
    nodes = [{**DETAILS, "audience_id": remote_id} for remote_id in ids]
    wire.get(LIST, json=answer({"list": nodes, "page_info": {"total_page": 1}}))
    tiktok.audiences()
    wire.get(GET, json=shown(*ids, is_valid=False))

    assert {tiktok.settle(sent(remote_id)).state for remote_id in ids} == {ReceiptState.PROCESSING}

    assert [len(json.loads(query["custom_audience_ids"])) for query in queries(wire)[1:]] == [100, 100]


def test_each_entry_is_handed_out_once(tiktok: TikTokClient, wire: responses.RequestsMock) -> None:
    wire.get(GET, json=shown("1", "2", is_valid=False))
    wire.get(GET, json=shown("1", "2", is_valid=False))
    wire.get(GET, json=shown("1", "2"))

    states = [tiktok.settle(sent(remote_id)).state for remote_id in ("1", "2", "1", "2")]

    # The first reads 1 alone; the second reads 2 and 1; 1 has that; then both are read anew.
    assert [state is ReceiptState.SETTLED for state in states] == [False, False, False, True]
    assert asked(wire) == [["1"], ["2", "1"], ["2", "1"]]


def test_what_was_read_before_a_change_settles_nothing_after_it(
    tiktok: TikTokClient, wire: responses.RequestsMock
) -> None:
    wire.get(GET, json=shown("1"))
    wire.get(GET, json=shown("1", "2"))
    wire.get(GET, json=shown("1", is_valid=False))
    wire.post(UPLOAD, json=answer({"file_path": "dmp/1"}))
    wire.post(UPDATE, json=answer())
    tiktok.send("1", "add", [person("a")], SESSION)
    tiktok.settle(sent("2"))

    again = tiktok.send("1", "add", [person("b")], SESSION)

    assert tiktok.settle(again).state is ReceiptState.PROCESSING


def test_what_was_read_along_is_not_good_for_long(
    tiktok: TikTokClient, wire: responses.RequestsMock, waiting: Waiting
) -> None:
    wire.get(GET, json=shown("1", "2", is_valid=False))
    for remote_id in ("1", "2"):
        tiktok.settle(sent(remote_id))

    waiting.now += 11
    tiktok.settle(sent("1"))

    assert len(wire.calls) == 3


def test_an_id_that_is_gone_does_not_fail_the_others(
    tiktok: TikTokClient, wire: responses.RequestsMock
) -> None:
    wire.get(GET, json=shown("1", is_valid=False))
    wire.get(GET, json=answer(code=40007, message="Audience 1 does not exist"))
    wire.get(GET, json=shown("2"))
    tiktok.settle(sent("1"))

    assert tiktok.settle(sent("2")).state is ReceiptState.SETTLED
    assert asked(wire) == [["1"], ["2", "1"], ["2"]]


def test_the_listing_spares_asking_each_audience_for_its_kind(
    tiktok: TikTokClient, wire: responses.RequestsMock
) -> None:
    nodes = [
        {**DETAILS, "audience_id": "1"},
        {**DETAILS, "audience_id": "2", "calculate_type": "EMAIL_SHA256"},
    ]
    wire.get(LIST, json=answer({"list": nodes, "page_info": {"total_page": 1}}))
    wire.post(UPLOAD, json=answer({"file_path": "dmp/1"}))
    wire.post(UPDATE, json=answer())
    tiktok.audiences()

    tiktok.send("1", "add", [person("a")], SESSION)
    receipt = tiktok.send("2", "add", [person("a"), person("b", tiktok_email="")], SESSION)

    assert [path.rsplit("/", 2)[-2] for _, path in methods(wire)] == ["list", *["upload", "update"] * 2]
    assert receipt.refused == {1: "the audience takes EMAIL_SHA256 only"}


def test_a_new_name_is_sent_alone_so_that_nobody_is_replaced(
    tiktok: TikTokClient, wire: responses.RequestsMock
) -> None:
    wire.post(UPDATE, json=answer())

    tiktok.rename("88", "vips 2")

    assert bodies(wire) == [
        {"advertiser_id": "7001", "custom_audience_id": "88", "custom_audience_name": "vips 2"}
    ]


@pytest.mark.parametrize(
    "message",
    [
        "file: 3 rows could not be parsed.",
        "The content of the file is invalid",
        "Line 17 is no SHA256 hash",
    ],
)
def test_a_refused_file_is_about_the_people_in_it(
    tiktok: TikTokClient, wire: responses.RequestsMock, message: str
) -> None:
    wire.get(GET, json=shown("88"))
    wire.post(UPLOAD, json=answer(code=40002, message=message))

    with pytest.raises(MembersRefusedError) as raised:
        tiktok.send("88", "add", [person("a")], SESSION)

    assert raised.value.positions == {}
    assert raised.value.code == "40002"


@pytest.mark.parametrize(
    "message",
    [
        "file_signature: does not match the MD5 of the file.",
        "file: MULTIPLE_TYPES needs a header row of known column names.",
        "custom_audience_name: Longer than maximum length 128.",
        "The advertiser has reached the limit of 400 audiences.",
        "file_paths: Missing data for required field.",
    ],
)
def test_a_refused_parameter_is_not_about_people(
    tiktok: TikTokClient, wire: responses.RequestsMock, message: str
) -> None:
    wire.get(GET, json=shown("88"))
    wire.post(UPLOAD, json=answer(code=40002, message=message))

    with pytest.raises(TerminalPlatformError) as raised:
        tiktok.send("88", "add", [person("a")], SESSION)

    assert not isinstance(raised.value, MembersRefusedError)


@pytest.mark.parametrize("status", [200, 400, 500])
def test_the_code_decides_and_never_the_status(
    tiktok: TikTokClient, wire: responses.RequestsMock, status: int
) -> None:
    wire.get(GET, json=shown("88", cover_num=1_500), status=status)
    wire.get(GET, json=answer(code=40105, message="Access token is incorrect"), status=200)

    assert tiktok.read("88") is not None
    with pytest.raises(CredentialError, match="authorise"):
        tiktok.read("88")


@pytest.mark.parametrize("content", [{}, {"data": {}}, {"code": "none"}, {"code": None}])
def test_an_answer_without_a_code_is_no_success(
    tiktok: TikTokClient, wire: responses.RequestsMock, content: dict[str, Any]
) -> None:
    wire.post(UPDATE, json=content)

    with pytest.raises(TransientPlatformError, match="no code"):
        tiktok.rename("88", "vips 2")


@pytest.mark.parametrize(
    ("code", "waits"),
    [
        (40016, [1.0]),
        (40100, [1.0]),
        (40132, [1.0]),
        (40133, [1.0]),
        (40200, [61.0]),
        (40201, [61.0]),
        (40202, [61.0]),
        (40700, [61.0]),
        (50000, [1.0]),
        (50002, [1.0]),
        (51065, [1.0]),
    ],
)
def test_what_may_work_later_is_tried_again(
    tiktok: TikTokClient, wire: responses.RequestsMock, waiting: Waiting, code: int, waits: list[float]
) -> None:
    wire.get(GET, json=answer(code=code, message="Later."))
    wire.get(GET, json=shown("88"))

    assert tiktok.read("88") is not None
    assert waiting.slept == waits


def test_a_gateway_without_json_is_judged_by_its_status(
    tiktok: TikTokClient, wire: responses.RequestsMock, waiting: Waiting
) -> None:
    wire.get(GET, body="<html>Too many</html>", status=429)
    wire.get(GET, json=shown("88"))

    assert tiktok.read("88") is not None
    assert waiting.slept == [1.0]


@pytest.mark.parametrize(
    ("held", "level"), [(3, "ok"), (360, "warning"), (400, "problem"), (None, "warning")]
)
def test_a_check_reads_one_page_and_counts_the_audiences(
    tiktok: TikTokClient, wire: responses.RequestsMock, held: int | None, level: str
) -> None:
    wire.get(LIST, json=answer({"list": [], "page_info": {"total_number": held}}))

    findings = {finding.subject: finding for finding in tiktok.check()}

    assert findings["credentials"].level == findings["permission"].level == "ok"
    assert findings["limits"].level == level
    assert held is None or f"{held} of 400" in findings["limits"].sentence
    assert queries(wire) == [{"advertiser_id": "7001", "page": "1", "page_size": "1"}]
