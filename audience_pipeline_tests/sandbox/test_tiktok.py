from __future__ import annotations

import hashlib
import json

import pytest
import requests


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_an_audience_is_made_from_a_file_and_counted_later(sandbox, known):
    audience = sandbox.tiktok_audience(known)
    early = sandbox.tiktok_details(audience)["audience_details"]
    sandbox.settle()
    late = sandbox.tiktok_details(audience)["audience_details"]

    assert (early["cover_num"], early["is_valid"]) == (0, False)
    assert (late["cover_num"], late["is_valid"], late["error_msg"]) == (1710, True, "")
    assert late["audience_type"] == "Customer File Audience"
    assert late["owner_id"] == sandbox.account


def test_every_answer_is_http_200_with_a_request_id(sandbox):
    for headers, code in [
        ({"Access-Token": ""}, 40104),
        ({"Access-Token": "Bearer sandbox-tiktok-token"}, 40105),
    ]:
        answer = sandbox.tiktok("GET", "/dmp/custom_audience/list/", headers=headers)
        assert answer["code"] == code
        assert answer["request_id"]
    assert sandbox.tiktok("GET", "/dmp/nothing/")["code"] == 40000
    assert sandbox.tiktok("POST", "/dmp/custom_audience/create/", ["no object"])["code"] == 40002


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"file_signature": "0" * 32}, "file_signature"),
        ({"calculate_type": "SHOE_SIZE"}, "calculate_type"),
        ({"calculate_type": ""}, "calculate_type"),
        ({"advertiser_id": ""}, "advertiser_id"),
        ({"as_name": "people.xlsx"}, "file"),
    ],
)
def test_a_file_is_checked_when_it_comes(sandbox, known, change, named):
    answer = (
        sandbox.tiktok_file(known[:2], **change)
        if "calculate_type" not in change
        else (sandbox.tiktok_file(known[:2], change["calculate_type"]))
    )

    assert answer["code"] == 40002
    assert answer["message"].startswith(named)


def create(sandbox, **change) -> dict:
    body = {
        "advertiser_id": sandbox.account,
        "custom_audience_name": "a",
        "calculate_type": "EMAIL_SHA256",
        **change,
    }
    return sandbox.tiktok("POST", "/dmp/custom_audience/create/", body)


def test_only_the_uploading_advertiser_may_use_a_file_and_only_as_what_it_is(sandbox, known):
    path = sandbox.tiktok_path(known[:2])

    assert create(sandbox, file_paths=[path], advertiser_id="1")["code"] == 40002
    assert create(sandbox, file_paths=[path], calculate_type="PHONE_SHA256")["code"] == 40002
    assert create(sandbox, file_paths=["elsewhere"])["code"] == 40002
    assert create(sandbox, file_paths=[path])["code"] == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"file_paths": []}, "file_paths"),
        ({"file_paths": None}, "file_paths"),
        ({"custom_audience_name": "x" * 129}, "custom_audience_name"),
        ({"custom_audience_name": ""}, "custom_audience_name"),
        ({"advertiser_id": 5}, "advertiser_id"),
        ({"retention_in_days": 366}, "retention_in_days"),
        ({"audience_sub_type": "LOUD"}, "audience_sub_type"),
    ],
)
def test_a_parameter_that_breaks_a_rule_is_40002_and_named(sandbox, known, change, named):
    answer = create(sandbox, **{"file_paths": [sandbox.tiktok_path(known[:2])], **change})

    assert answer["code"] == 40002
    assert answer["message"].startswith(named)


def update(sandbox, audience: str, lines: list[str] | None = None, **more) -> dict:
    body = {"advertiser_id": sandbox.account, "custom_audience_id": audience, **more}
    if lines is not None:
        body["file_paths"] = [sandbox.tiktok_path(lines)]
    return sandbox.tiktok("POST", "/dmp/custom_audience/update/", body)


def test_append_and_remove_change_the_members(sandbox, known):
    audience = sandbox.tiktok_audience(known[:1500])

    assert update(sandbox, audience, known[1500:], action="APPEND")["code"] == 0
    assert sandbox.members("tiktok", audience)["size"] == 1900
    assert update(sandbox, audience, known[:100], action="REMOVE")["code"] == 0
    assert sandbox.members("tiktok", audience)["size"] == 1800


def test_without_an_action_an_update_replaces(sandbox, known):
    audience = sandbox.tiktok_audience(known[:1500])

    update(sandbox, audience, known[400:])

    held = {row[0] for row in sandbox.members("tiktok", audience)["members"]}
    assert held == set(known[400:])


@pytest.mark.parametrize("action", ["REMOVE", "REPLACE"])
def test_a_change_that_would_leave_fewer_than_a_thousand_fails_later_and_changes_nothing(
    sandbox, known, action
):
    audience = sandbox.tiktok_audience(known[:1200])
    sandbox.settle()
    before = sandbox.tiktok_details(audience)["audience_details"]

    assert update(sandbox, audience, known[:300], action=action)["code"] == 0

    during = sandbox.tiktok_details(audience)["audience_details"]
    sandbox.settle()
    after = sandbox.tiktok_details(audience)["audience_details"]
    assert (during["is_valid"], during["error_msg"]) == (False, "")
    assert "1000" in after["error_msg"]
    assert (after["cover_num"], after["is_valid"]) == (before["cover_num"], True)
    assert sandbox.members("tiktok", audience)["size"] == 1200
    assert after["expired_time"] == before["expired_time"]


def test_an_audience_of_a_few_may_be_created_but_not_appended_to_while_small(sandbox, known):
    audience = sandbox.tiktok_audience(known[:10])
    update(sandbox, audience, known[10:20], action="APPEND")
    sandbox.settle()

    details = sandbox.tiktok_details(audience)["audience_details"]

    assert details["cover_num"] == 9
    assert details["error_msg"]


def test_rows_of_a_wrong_shape_are_a_partial_failure_in_the_history(sandbox, known):
    audience = sandbox.tiktok_audience([*known[:5], "mary@example.com", known[5].upper(), "abc"])
    early = sandbox.tiktok_details(audience)["audience_history"]
    sandbox.settle()
    late = sandbox.tiktok_details(audience)["audience_history"]

    assert early[0]["msg"] == ""
    assert late[0]["msg"].startswith("3 row(s)")
    assert (late[0]["action"], late[0]["editor"]) == ("CREATE", "open_api")
    assert sandbox.members("tiktok", audience)["size"] == 5


def test_a_file_without_one_good_row_makes_an_empty_audience_with_an_error(sandbox):
    audience = sandbox.tiktok_audience(["x", "y"])
    sandbox.settle()

    details = sandbox.tiktok_details(audience)["audience_details"]

    assert details["error_msg"]
    assert details["is_valid"] is False


def test_a_file_of_several_types_has_a_header_and_may_hold_raw_values(sandbox):
    lines = [
        "Email_SHA256,Phone_SHA256",
        f"{sha('person1@example.com')},{sha('14150000001')}",
        f",{sha('14150000002')}",
        f"{sha('janedoe@gmail.com')},",
        f",{sha('+14150000003')}",
    ]
    raw = ["Email,Phone", "Person4+Tag@Example.com,", ",+1 (415) 000-0005"]
    paths = [sandbox.tiktok_path(file, "MULTIPLE_TYPES") for file in (lines, raw)]

    audience = create(sandbox, file_paths=paths, calculate_type="MULTIPLE_TYPES")["data"][
        "custom_audience_id"
    ]

    held = sandbox.members("tiktok", audience)
    # The dots of the third row are not TikTok's rule, and a telephone in a file has no plus.
    assert (held["size"], held["matched"]) == (6, 4)
    assert [sha("person4@example.com")] in held["members"]
    assert sandbox.tiktok_file(["Email,Shoe"], "MULTIPLE_TYPES")["code"] == 40002


def test_tiktok_knows_a_tagged_address_without_its_tag_and_with_its_dots(sandbox):
    audience = sandbox.tiktok_audience([sha("jane.doe@gmail.com"), sha("jane.doe+news@gmail.com")])

    held = sandbox.members("tiktok", audience)

    assert (held["size"], held["matched"]) == (2, 1)


def test_another_advertiser_sees_nothing_and_may_do_nothing(sandbox, known):
    audience = sandbox.tiktok_audience(known[:5])
    query = {"advertiser_id": "1", "custom_audience_ids": json.dumps([audience])}
    assert sandbox.tiktok("GET", "/dmp/custom_audience/get/", params=query)["data"] == {"list": []}

    sandbox.account = "1"

    assert update(sandbox, audience, known[:5])["code"] == 40001
    assert update(sandbox, "99", known[:5])["code"] == 40007


def test_audiences_are_listed_in_pages_and_deleted_together(sandbox, known):
    path = sandbox.tiktok_path(known[:2])
    made = [
        create(sandbox, file_paths=[path], custom_audience_name=f"n{i}")["data"]["custom_audience_id"]
        for i in range(5)
    ]
    query = {"advertiser_id": sandbox.account, "page": 2, "page_size": 2}

    page = sandbox.tiktok("GET", "/dmp/custom_audience/list/", params=query)["data"]
    assert [row["name"] for row in page["list"]] == ["n2", "n3"]
    assert page["page_info"] == {"page": 2, "page_size": 2, "total_page": 3, "total_number": 5}
    too_many = {"advertiser_id": sandbox.account, "page_size": 101}
    assert sandbox.tiktok("GET", "/dmp/custom_audience/list/", params=too_many)["code"] == 40002

    body = {"advertiser_id": sandbox.account, "custom_audience_ids": made[:4]}
    assert sandbox.tiktok("POST", "/dmp/custom_audience/delete/", body)["code"] == 0
    left = sandbox.tiktok("GET", "/dmp/custom_audience/list/", params={"advertiser_id": sandbox.account})
    assert [row["name"] for row in left["data"]["list"]] == ["n4"]
    body["custom_audience_ids"] = ["1"] * 101
    assert sandbox.tiktok("POST", "/dmp/custom_audience/delete/", body)["code"] == 40002


def test_an_audience_lives_a_year_from_its_last_change_or_to_a_fixed_end(sandbox, known):
    living = sandbox.tiktok_audience(known)
    fixed = sandbox.tiktok_audience(known, retention_in_days=10)
    sandbox.settle()
    assert sandbox.tiktok_details(fixed)["audience_details"]["is_expiring"] is True
    assert sandbox.tiktok_details(living)["audience_details"]["is_expiring"] is False

    sandbox.settle(11 * 86_400)

    assert sandbox.tiktok_details(fixed)["audience_details"]["is_valid"] is False
    assert sandbox.tiktok_details(living)["audience_details"]["is_valid"] is True


def lookalike(sandbox, seed: str, **change) -> dict:
    spec = {
        "source_audience_id": seed,
        "include_source": False,
        "mobile_os": "ALL",
        "placements": ["TikTok"],
        "location_ids": ["6252001"],
        "audience_size": "NARROW",
        **change,
    }
    body = {"advertiser_id": sandbox.account, "custom_audience_name": "lal", "lookalike_spec": spec}
    return sandbox.tiktok("POST", "/dmp/custom_audience/lookalike/create/", body)


def test_a_lookalike_needs_a_valid_seed_of_a_thousand_that_is_none_itself(sandbox, known):
    seed, small = sandbox.tiktok_audience(known), sandbox.tiktok_audience(known[:500])
    assert lookalike(sandbox, seed)["code"] == 40002
    sandbox.settle()
    made = lookalike(sandbox, seed)["data"]["custom_audience_id"]
    sandbox.settle()

    details = sandbox.tiktok_details(made)["audience_details"]
    assert details["audience_type"] == "Lookalike Audience"
    assert details["cover_num"] > 0
    assert lookalike(sandbox, small)["code"] == 40002
    assert lookalike(sandbox, made)["code"] == 40002
    assert lookalike(sandbox, seed, audience_size="TINY")["code"] == 40002
    body = {"advertiser_id": sandbox.account, "custom_audience_ids": [made]}
    assert sandbox.tiktok("POST", "/dmp/custom_audience/lookalike/update/", body)["code"] == 0


def stream(sandbox, audience: str, emails: list[str], phones: list[str], action: str = "add") -> dict:
    cells = [[{"id": value, "audience_ids": [audience]}, {}] for value in emails]
    cells += [[{}, {"id": value, "audience_ids": [audience]}] for value in phones]
    body = {
        "advertiser_ids": [sandbox.account],
        "action": action,
        "id_schema": ["email_sha256", "PHONE_SHA256"],
        "batch_data": cells,
    }
    return sandbox.tiktok("POST", "/segment/mapping/", body)


def segment(sandbox, name: str = "stream") -> str:
    body = {"advertiser_id": sandbox.account, "custom_audience_name": name}
    return sandbox.tiktok("POST", "/segment/audience/", body)["data"]["audience_id"]


def test_the_streaming_path_adds_and_removes_without_a_word(sandbox):
    audience = segment(sandbox)
    emails = [sha(f"person{i}@example.com") for i in (1, 2)]

    added = stream(sandbox, audience, emails, [sha("+14150000003"), sha("14150000004")])

    assert (added["code"], added["data"]) == (0, {})
    held = sandbox.members("tiktok", audience)
    # Without its plus a telephone is nobody here.
    assert (held["size"], held["matched"]) == (4, 3)
    assert stream(sandbox, audience, emails[:1], [], "delete")["data"] == {}
    assert sandbox.members("tiktok", audience)["size"] == 3


def test_one_bad_row_refuses_a_whole_mapping(sandbox):
    audience = segment(sandbox)
    good = sha("person1@example.com")

    assert stream(sandbox, audience, [good, "mary@example.com"], [])["code"] == 40002
    assert stream(sandbox, audience, [good] * 1_001, [])["code"] == 40002
    assert stream(sandbox, "5", [good], [])["code"] == 40007
    assert sandbox.members("tiktok", audience)["size"] == 0


def test_a_streaming_audience_has_a_short_name_and_can_be_deleted(sandbox):
    audience = segment(sandbox, "n" * 71)
    assert sandbox.tiktok_details(audience)["audience_details"]["name"] == "n" * 67 + "..."

    body = {"advertiser_id": sandbox.account, "action": "delete", "delete_audience_id": audience}

    assert sandbox.tiktok("POST", "/segment/audience/", body)["code"] == 0
    assert sandbox.tiktok("POST", "/segment/audience/", body)["code"] == 40007


def test_too_many_calls_a_second_are_40100(sandbox):
    sandbox.control("limits", {"tiktok_calls_per_second": 2})
    query = {"advertiser_id": sandbox.account}
    try:
        codes = [sandbox.tiktok("GET", "/dmp/custom_audience/list/", params=query)["code"] for _ in range(4)]
    finally:
        sandbox.control("limits", {"tiktok_calls_per_second": None})

    assert codes[:2] == [0, 0]
    assert 40100 in codes[2:]


def test_an_account_holds_400_audiences(sandbox, known):
    path = sandbox.tiktok_path(known[:1])
    codes = {create(sandbox, file_paths=[path])["code"] for _ in range(400)}

    assert codes == {0}
    assert create(sandbox, file_paths=[path])["code"] == 40002


def test_the_inspection_lists_audiences_with_size_and_account(sandbox, known):
    audience = sandbox.tiktok_audience(known[:20], custom_audience_name="seen")
    found = requests.get(
        f"{sandbox.base}/_sandbox/audiences", params={"platform": "tiktok"}, timeout=10
    ).json()

    mine = next(one for one in found["audiences"] if one["id"] == audience)

    assert (mine["name"], mine["account"], mine["size"], mine["matched"]) == ("seen", sandbox.account, 20, 18)


def test_an_audience_is_renamed_alone_or_with_a_change(sandbox, known):
    audience = sandbox.tiktok_audience(known[:1_200])
    sandbox.settle()

    assert update(sandbox, audience, custom_audience_name="new")["code"] == 0
    details = sandbox.tiktok_details(audience)["audience_details"]
    assert (details["name"], details["is_valid"], details["cover_num"]) == ("new", True, 1_080)
    assert (
        update(sandbox, audience, known[1_200:1_300], action="APPEND", custom_audience_name="b")["code"] == 0
    )
    assert sandbox.tiktok_details(audience)["audience_details"]["name"] == "b"
    assert sandbox.members("tiktok", audience)["size"] == 1_300
    assert update(sandbox, audience, custom_audience_name="x" * 129)["code"] == 40002
    assert update(sandbox, audience)["code"] == 40002


def test_an_unknown_action_and_too_many_files_are_refused(sandbox, known):
    audience = sandbox.tiktok_audience(known[:1_200])
    path = sandbox.tiktok_path(known[:5])
    body = {"advertiser_id": sandbox.account, "custom_audience_id": audience}

    def answer(**more) -> dict:
        return sandbox.tiktok("POST", "/dmp/custom_audience/update/", {**body, **more})

    assert answer(file_paths=[path], action="MERGE")["message"].startswith("action")
    assert answer(file_paths=[path] * 501, action="APPEND")["message"].startswith("file_paths")
    assert answer(file_paths=[path] * 500, action="APPEND")["message"].startswith("file_paths")
    assert answer(file_paths=[path] * 499, action="APPEND")["code"] == 0


def test_the_history_tells_the_newest_change_first_and_as_much_as_is_asked_for(sandbox, known):
    audience = sandbox.tiktok_audience(known[:1_200])
    for start in range(1_200, 1_500, 100):
        sandbox.settle()
        update(sandbox, audience, known[start : start + 100], action="APPEND")
    query = {
        "advertiser_id": sandbox.account,
        "custom_audience_ids": json.dumps([audience]),
        "history_size": 3,
    }

    told = sandbox.tiktok("GET", "/dmp/custom_audience/get/", params=query)["data"]["list"][0]

    history = told["audience_history"]
    assert [one["action"] for one in history] == ["APPEND"] * 3
    assert [one["opt_time"] for one in history] == sorted((one["opt_time"] for one in history), reverse=True)
    query["history_size"] = 4
    told = sandbox.tiktok("GET", "/dmp/custom_audience/get/", params=query)["data"]["list"][0]
    assert told["audience_history"][-1]["action"] == "CREATE"


def test_an_audience_that_is_gone_is_left_out_of_what_is_read(sandbox, known):
    audience = sandbox.tiktok_audience(known[:5])
    body = {"advertiser_id": sandbox.account, "custom_audience_ids": [audience]}
    sandbox.tiktok("POST", "/dmp/custom_audience/delete/", body)
    query = {"advertiser_id": sandbox.account, "custom_audience_ids": json.dumps([audience])}

    assert sandbox.tiktok("GET", "/dmp/custom_audience/get/", params=query)["data"]["list"] == []
    assert update(sandbox, audience, known[:5])["code"] == 40007
