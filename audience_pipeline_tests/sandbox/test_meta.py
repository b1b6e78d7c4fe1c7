from __future__ import annotations

import hashlib
import hmac
import json
from urllib.parse import urlencode

import pytest
import requests

from audience_pipeline.sandbox.server import running


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def error(answer: requests.Response) -> dict:
    return answer.json()["error"]


def test_an_audience_is_created_and_read_with_only_its_id_unless_fields_are_asked_for(sandbox):
    audience = sandbox.meta_audience(name="crm", description="ours", audience_labels=["AT_RISK"])

    assert sandbox.meta("GET", audience).json() == {"id": audience}
    read = sandbox.meta(
        "GET", audience, params={"fields": "name,subtype,operation_status,description"}
    ).json()
    assert read["name"] == "crm"
    assert read["subtype"] == "CUSTOM"
    assert read["operation_status"]["code"] == 410


@pytest.mark.parametrize(
    "change",
    [
        {"frobnicate": 1},
        {"customer_file_source": "STOLEN"},
        {"subtype": "WEBSITE"},
        {"retention_days": 181},
        {"usage_restriction": "MAYBE"},
        {"audience_labels": ["RICH"]},
        {"name": ""},
        {"is_value_based": "perhaps"},
    ],
)
def test_an_unknown_parameter_or_value_is_error_100(sandbox, change):
    body = {"name": "a", "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY", **change}
    answer = sandbox.meta("POST", f"act_{sandbox.account}/customaudiences", json=body)

    assert answer.status_code == 400
    assert error(answer)["code"] == 100
    assert error(answer)["error_data"]["blame_field_specs"] == [[next(iter(change))]]
    assert error(answer)["fbtrace_id"]


def test_people_are_matched_by_any_of_their_identifiers(sandbox):
    audience = sandbox.meta_audience()
    schema = ["EMAIL", "PHONE", "FN", "LN", "ZIP", "COUNTRY"]
    by_email = [sha("jane.doe+news@gmail.com"), "", "", "", "", ""]
    by_phone = ["", sha("14150000001"), "", "", "", ""]
    by_name = ["", "", sha("jan"), sha("doe2"), sha("10002-1234"), sha("de")]
    unknown = [sha("nobody@example.com"), "", "", "", "", ""]
    not_on_meta = [sha("person9@example.com"), "", "", "", "", ""]

    answer = sandbox.meta_users(audience, [by_email, by_phone, by_name, unknown, not_on_meta], schema)

    assert answer["num_received"] == 5
    held = sandbox.members("meta", audience)
    assert (held["size"], held["matched"]) == (5, 3)


def test_the_same_person_twice_counts_once_as_matched(sandbox):
    audience = sandbox.meta_audience()
    sandbox.meta_users(audience, [[sha("person1@example.com")]])
    sandbox.meta_users(audience, [[sha("14150000001")]], "PHONE_SHA256")

    held = sandbox.members("meta", audience)

    assert (held["size"], held["matched"]) == (2, 1)


def test_rows_sent_again_change_nothing(sandbox, known):
    audience = sandbox.meta_audience()
    sandbox.meta_users(audience, [[value] for value in known[:50]])
    before = sandbox.members("meta", audience)

    sandbox.meta_users(audience, [[value] for value in known[:50]])

    assert sandbox.members("meta", audience) == before
    assert before["size"] == 50


def test_size_is_shown_late_rounded_and_never_below_a_thousand(sandbox, known):
    audience = sandbox.meta_audience()
    names = (
        "approximate_count_lower_bound",
        "approximate_count_upper_bound",
        "delivery_status",
        "operation_status",
    )
    fields = {"fields": ",".join(names)}
    sandbox.meta_users(audience, known)
    before = sandbox.meta("GET", audience, params=fields).json()
    assert (before["approximate_count_lower_bound"], before["approximate_count_upper_bound"]) == (1000, 1000)
    assert before["operation_status"]["code"] == 441
    assert before["delivery_status"]["code"] == 300

    sandbox.settle()

    after = sandbox.meta("GET", audience, params=fields).json()
    assert (after["approximate_count_lower_bound"], after["approximate_count_upper_bound"]) == (1700, 2100)
    assert after["operation_status"]["code"] == 200
    assert after["delivery_status"]["code"] == 200


def test_bad_hashes_are_invalid_entries_and_the_other_rows_are_used(sandbox):
    audience = sandbox.meta_audience()
    good = sha("person1@example.com")
    rows = [[good], [good.upper()], ["abc"], ["mary@example.com"], [sha("")], [""]]

    answer = sandbox.meta_users(audience, rows)

    assert answer["num_received"] == 6
    assert answer["num_invalid_entries"] == 5
    assert isinstance(answer["invalid_entry_samples"], dict)
    assert len(answer["invalid_entry_samples"]) == 5
    assert sandbox.members("meta", audience)["members"] == [[good]]
    assert sandbox.meta_users(audience, [[good]])["invalid_entry_samples"] == []


@pytest.mark.parametrize(
    "payload",
    [
        {"schema": "EMAIL_SHA256", "data": []},
        {"schema": "EMAIL_SHA256", "data": [["a"]] * 10_001},
        {"schema": ["EMAIL", "PHONE"], "data": [["a"]]},
        {"schema": ["EMAIL", "SHOE_SIZE"], "data": [["a", "b"]]},
        {"schema": ["EMAIL", "EMAIL"], "data": [["a", "b"]]},
        {"schema": "EMAIL_SHA256", "data": [["a"]], "colour": "red"},
        {"schema": "EMAIL_SHA256", "data": [["a"]], "is_raw": "perhaps"},
        {"schema": ["EMAIL", "LOOKALIKE_VALUE"], "data": [["a", 1]]},
        {"data": [["a"]]},
    ],
)
def test_a_payload_that_breaks_a_rule_is_refused_as_a_whole(sandbox, payload):
    audience = sandbox.meta_audience()

    answer = sandbox.meta("POST", f"{audience}/users", json={"payload": payload})

    assert error(answer)["code"] == 100
    assert sandbox.members("meta", audience)["size"] == 0


def test_value_based_rows_need_a_number_that_is_not_negative(sandbox):
    audience = sandbox.meta_audience(is_value_based=True)
    rows = [[sha("person1@example.com"), 44.5], [sha("person2@example.com"), -1], [sha("x"), "much"]]

    answer = sandbox.meta_users(audience, rows, ["EMAIL", "LOOKALIKE_VALUE"])

    assert answer["num_invalid_entries"] == 2
    assert sandbox.members("meta", audience)["size"] == 1


def test_limited_data_use_keeps_a_row_from_being_matched(sandbox):
    audience = sandbox.meta_audience()
    rows = [[sha("person1@example.com"), ["LDU"]], [sha("person2@example.com"), []]]

    sandbox.meta_users(audience, rows, ["EMAIL", "DATA_PROCESSING_OPTIONS"])

    held = sandbox.members("meta", audience)
    assert (held["size"], held["matched"]) == (2, 1)


def session(number: int, sequence: int, *, last: bool = False) -> dict:
    return {"session": {"session_id": number, "batch_seq": sequence, "last_batch_flag": last}}


def test_a_session_counts_its_batches_together_and_tells_matches_as_text_later(sandbox, known):
    audience, number = sandbox.meta_audience(), int(sandbox.account)
    sandbox.meta_users(audience, [[value] for value in known[:10]] + [["bad"]], **session(number, 1))
    answer = sandbox.meta_users(
        audience, [[value] for value in known[10:20]], **session(number, 2, last=True)
    )
    assert answer == {
        "audience_id": audience,
        "session_id": str(number),
        "num_received": 21,
        "num_invalid_entries": 1,
        "invalid_entry_samples": [],
    }

    path = f"{audience}/sessions"
    early = sandbox.meta("GET", path, params={"session_id": number}).json()["data"][0]
    sandbox.settle()
    late = sandbox.meta("GET", path, params={"session_id": number}).json()["data"][0]

    assert early["num_matched"] == "0"
    assert early["progress"] != "100"
    assert (late["num_received"], late["num_invalid_entries"], late["num_matched"]) == ("21", "1", "18")
    assert late["progress"] == "100"


def test_a_batch_sent_again_is_counted_once(sandbox, known):
    audience, number = sandbox.meta_audience(), int(sandbox.account)
    batch = [[value] for value in known[:10]]
    sandbox.meta_users(audience, batch, **session(number, 1))

    assert sandbox.meta_users(audience, batch, **session(number, 1))["num_received"] == 10


def test_batches_of_a_finished_or_expired_session_are_discarded(sandbox, known):
    audience, number = sandbox.meta_audience(), int(sandbox.account)
    sandbox.meta_users(audience, [[known[0]]], **session(number, 1, last=True))
    finished = sandbox.meta_users(audience, [[known[1]]], **session(number, 2))
    sandbox.meta_users(audience, [[known[2]]], **session(number + 10**6, 1))
    sandbox.settle(90 * 60 + 1)
    expired = sandbox.meta_users(audience, [[known[3]]], **session(number + 10**6, 2))

    assert (finished["num_received"], expired["num_received"]) == (1, 1)
    assert sandbox.members("meta", audience)["size"] == 2


def test_a_session_id_belongs_to_one_audience(sandbox, known):
    one, other = sandbox.meta_audience(), sandbox.meta_audience()
    sandbox.meta_users(one, [[known[0]]], **session(7, 1))

    answer = sandbox.meta_users(other, [[known[0]]], **session(7, 1))

    assert answer["error"]["code"] == 100


def test_removal_comes_in_three_shapes(sandbox, known):
    audience = sandbox.meta_audience()
    sandbox.meta_users(audience, known[:4])
    payload = [{"schema": "EMAIL_SHA256", "data": [value]} for value in known[:4]]

    by_body = sandbox.meta("DELETE", f"{audience}/users", json={"payload": payload[0]})
    by_query = sandbox.meta("DELETE", f"{audience}/users", params={"payload": json.dumps(payload[1])})
    form = urlencode({"method": "delete", "payload": json.dumps(payload[2])})
    by_override = sandbox.meta(
        "POST",
        f"{audience}/users",
        data=form,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert [answer.status_code for answer in (by_body, by_query, by_override)] == [200, 200, 200]
    assert sandbox.members("meta", audience)["members"] == [[known[3]]]


def test_a_removal_matches_any_identifier_that_was_uploaded(sandbox):
    audience = sandbox.meta_audience()
    rows = [[sha(f"person{i}@example.com"), sha(f"1415000000{i}")] for i in range(1, 4)]
    sandbox.meta_users(audience, rows, ["EMAIL", "PHONE"])

    sandbox.meta_users(audience, [rows[0][:1]], "EMAIL_SHA256", "DELETE")
    sandbox.meta_users(audience, [rows[1][1:]], "PHONE_SHA256", "DELETE")
    sandbox.meta_users(audience, [[sha("somebody@example.com")]], "EMAIL_SHA256", "DELETE")

    assert sandbox.members("meta", audience)["members"] == [rows[2]]


def test_removing_one_of_a_household_leaves_the_other_who_shares_the_telephone(sandbox):
    audience = sandbox.meta_audience()
    phone = sha("14150000001")
    one, other = [sha("one@example.com"), phone], [sha("other@example.com"), phone]
    sandbox.meta_users(audience, [one, other], ["EMAIL", "PHONE"])

    sandbox.meta_users(audience, [one], ["EMAIL", "PHONE"], "DELETE")

    assert sandbox.members("meta", audience)["members"] == [other]


def test_opted_out_people_leave_every_audience_of_the_account(sandbox, known):
    audiences = [sandbox.meta_audience() for _ in range(3)]
    for audience in audiences:
        sandbox.meta_users(audience, [[value] for value in known[:3]])
    payload = {"schema": "EMAIL_SHA256", "data": [[known[0]]]}

    answer = sandbox.meta("DELETE", f"act_{sandbox.account}/usersofanyaudience", json={"payload": payload})

    assert answer.json()["num_received"] == 1
    for audience in audiences:
        assert sorted(sandbox.members("meta", audience)["members"]) == sorted([[known[1]], [known[2]]])


def replace(sandbox, audience: str, data: list, number: int, sequence: int, *, last: bool = False):
    body = {"payload": {"schema": "EMAIL_SHA256", "data": data}, **session(number, sequence, last=last)}
    return sandbox.meta("POST", f"{audience}/usersreplace", json=body)


def status(sandbox, audience: str) -> int:
    return sandbox.meta("GET", audience, params={"fields": "operation_status"}).json()["operation_status"][
        "code"
    ]


def test_a_replacement_drops_the_old_members_with_its_first_batch(sandbox, known):
    audience = sandbox.meta_audience()
    sandbox.meta_users(audience, known[:5])

    replace(sandbox, audience, known[5:7], 1, 1)
    during = status(sandbox, audience)
    replace(sandbox, audience, known[7:9], 1, 3, last=True)
    replace(sandbox, audience, known[9:10], 1, 2)
    sandbox.settle()

    assert during == 414
    assert status(sandbox, audience) == 200
    assert sorted(sandbox.members("meta", audience)["members"]) == sorted([[value] for value in known[5:10]])


def test_a_replacement_keeps_its_rules(sandbox, known):
    audience = sandbox.meta_audience()
    not_first = replace(sandbox, audience, known[:1], 1, 2)
    replace(sandbox, audience, known[:1], 2, 1)
    another = replace(sandbox, audience, known[:1], 3, 1)
    add_meanwhile = sandbox.meta(
        "POST", f"{audience}/users", json={"payload": {"schema": "EMAIL_SHA256", "data": known[:1]}}
    )
    replace(sandbox, audience, known[1:2], 2, 2, last=True)
    finished = replace(sandbox, audience, known[:1], 2, 3)
    replace(sandbox, audience, known[:1], 4, 1)
    sandbox.settle(90 * 60 + 1)
    late = replace(sandbox, audience, known[:1], 4, 2)
    without_session = sandbox.meta(
        "POST", f"{audience}/usersreplace", json={"payload": {"schema": "EMAIL_SHA256", "data": known[:1]}}
    )

    subcodes = [
        error(answer)["error_subcode"] for answer in (not_first, another, add_meanwhile, finished, late)
    ]
    assert subcodes == [1870147, 1870145, 1870145, 1870159, 1870158]
    assert {error(answer)["code"] for answer in (not_first, another, finished, late)} == {2650}
    assert error(without_session)["code"] == 100
    assert status(sandbox, audience) == 415


def test_a_deleted_audience_answers_100_33(sandbox):
    audience = sandbox.meta_audience()

    assert sandbox.meta("DELETE", audience).json() == {"success": True}

    for method, path in [("GET", audience), ("POST", f"{audience}/users"), ("DELETE", audience)]:
        found = error(sandbox.meta(method, path))
        assert (found["code"], found["error_subcode"]) == (100, 33)


def lookalike(sandbox, seed: str, spec: object, **more) -> requests.Response:
    body = {"name": "lal", "subtype": "LOOKALIKE", "origin_audience_id": seed, "lookalike_spec": spec, **more}
    return sandbox.meta("POST", f"act_{sandbox.account}/customaudiences", json=body)


def test_a_lookalike_is_built_from_a_seed_and_holds_it(sandbox, known):
    seed = sandbox.meta_audience()
    sandbox.meta_users(seed, known)
    made = lookalike(
        sandbox, seed, json.dumps({"ratio": 0.03, "starting_ratio": 0.01, "country": "US"})
    ).json()["id"]
    sandbox.settle()

    fields = {"fields": "subtype,lookalike_spec,approximate_count_lower_bound,operation_status"}
    read = sandbox.meta("GET", made, params=fields).json()
    assert read["subtype"] == "LOOKALIKE"
    assert (read["lookalike_spec"]["ratio"], read["lookalike_spec"]["starting_ratio"]) == (0.03, 0.01)
    assert read["approximate_count_lower_bound"] == 4_600_000
    origin = sandbox.meta("GET", seed, params={"fields": "lookalike_audience_ids"}).json()
    assert origin["lookalike_audience_ids"] == [made]
    assert error(sandbox.meta("DELETE", seed))["code"] == 2656

    assert sandbox.meta("DELETE", made).json() == {"success": True}
    assert sandbox.meta("DELETE", seed).json() == {"success": True}


def test_the_same_lookalike_twice_is_2654_and_a_type_overrides_the_ratio(sandbox, known):
    seed = sandbox.meta_audience()
    sandbox.meta_users(seed, known)

    assert lookalike(sandbox, seed, {"ratio": 0.01, "country": "US"}).status_code == 200
    assert error(lookalike(sandbox, seed, {"ratio": 0.01, "country": "US"}))["code"] == 2654
    assert (
        error(lookalike(sandbox, seed, {"type": "similarity", "ratio": 0.07, "country": "US"}))["code"]
        == 2654
    )
    assert lookalike(sandbox, seed, {"ratio": 0.01, "country": "DE"}).status_code == 200
    assert lookalike(sandbox, seed, {"ratio": 0.03, "country": "US"}).status_code == 200


def test_a_seed_needs_a_hundred_people_of_the_country_unless_the_whole_world_counts(sandbox, known):
    seed = sandbox.meta_audience()
    sandbox.meta_users(seed, known[:150])

    assert error(lookalike(sandbox, seed, {"ratio": 0.01, "country": "US"}))["code"] == 2654
    abroad = {"ratio": 0.01, "country": "US", "allow_international_seeds": True}
    assert lookalike(sandbox, seed, abroad).status_code == 200


@pytest.mark.parametrize(
    "spec",
    [
        {"ratio": 0.005, "country": "US"},
        {"ratio": 0.21, "country": "US"},
        {"ratio": 0.015, "country": "US"},
        {"ratio": 0.01, "starting_ratio": 0.01, "country": "US"},
        {"ratio": 0.01},
        {"ratio": 0.01, "country": "US", "planet": "Earth"},
        "not json",
    ],
)
def test_a_lookalike_spec_that_cannot_be_is_error_100(sandbox, spec):
    assert error(lookalike(sandbox, sandbox.meta_audience(), spec))["code"] == 100


def test_audiences_are_listed_in_pages_and_filtered_by_name(sandbox):
    names = [f"n{i}" for i in range(5)]
    for name in names:
        sandbox.meta_audience(name=name)
    path = f"act_{sandbox.account}/customaudiences"

    page = sandbox.meta("GET", path, params={"fields": "name", "limit": 2}).json()
    found = [row["name"] for row in page["data"]]
    while "next" in page["paging"]:
        headers = {"Authorization": "Bearer sandbox-meta-token"}
        page = requests.get(page["paging"]["next"], headers=headers, timeout=10).json()
        found += [row["name"] for row in page["data"]]
    condition = json.dumps([{"field": "name", "operator": "EQUAL", "value": "n3"}])
    filtered = sandbox.meta("GET", path, params={"fields": "name", "filtering": condition}).json()

    assert found == names
    assert [row["name"] for row in filtered["data"]] == ["n3"]


def test_forms_carry_json_texts_and_single_columns_flat(sandbox, known):
    form = {
        "name": "f",
        "subtype": "CUSTOM",
        "customer_file_source": "USER_PROVIDED_ONLY",
        "is_value_based": "false",
    }
    query = {"access_token": "sandbox-meta-token"}
    created = requests.post(
        f"{sandbox.base}/v26.0/act_{sandbox.account}/customaudiences", params=query, data=form, timeout=10
    ).json()["id"]
    payload = {"schema": "EMAIL_SHA256", "data": known[:2], "is_raw": False}
    answer = requests.post(
        f"{sandbox.base}/v26.0/{created}/users",
        params=query,
        data={"payload": json.dumps(payload)},
        timeout=10,
    )

    assert answer.json()["num_received"] == 2
    assert sandbox.members("meta", created)["size"] == 2


@pytest.mark.parametrize(
    ("token", "status", "code", "subcode"),
    [
        ("wrong", 401, 190, None),
        ("sandbox-meta-expired-token", 401, 190, 463),
        ("", 400, 2500, None),
    ],
)
def test_a_bad_token_is_refused(sandbox, token, status, code, subcode):
    answer = sandbox.meta("GET", f"act_{sandbox.account}", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == status
    assert error(answer)["code"] == code
    assert error(answer).get("error_subcode") == subcode


def test_a_retired_version_is_2635_and_one_that_does_not_exist_is_the_default(sandbox):
    path = f"act_{sandbox.account}"

    assert error(sandbox.meta("GET", path, version="v24.0"))["code"] == 2635
    for version in ("v25.0", "v26.0"):
        assert sandbox.meta("GET", path, version=version).headers["facebook-api-version"] == version
    for version in ("v99.0", ""):
        assert sandbox.meta("GET", path, version=version).headers["facebook-api-version"] == "v26.0"


def test_the_account_tells_that_the_terms_are_accepted(sandbox):
    answer = sandbox.meta("GET", f"act_{sandbox.account}", params={"fields": "tos_accepted"}).json()

    assert answer == {"tos_accepted": {"custom_audience_tos": 1}, "id": f"act_{sandbox.account}"}


def test_every_answer_carries_the_usage_headers(sandbox):
    for answer in (sandbox.meta("GET", f"act_{sandbox.account}"), sandbox.meta("GET", "12345")):
        assert json.loads(answer.headers["x-app-usage"])["call_count"] >= 0
        assert "acc_id_util_pct" in json.loads(answer.headers["x-ad-account-usage"])
        usage = next(iter(json.loads(answer.headers["x-business-use-case-usage"]).values()))[0]
        assert usage["type"] == "custom_audience"
        assert usage["estimated_time_to_regain_access"] == 0


@pytest.mark.parametrize(
    ("limit", "code", "subcode"),
    [
        ("meta_custom_audience_calls", 80003, 2446079),
        ("meta_account_score", 17, 2446079),
        ("meta_app_calls", 4, None),
        ("meta_mutations", 613, 5044001),
    ],
)
def test_too_many_calls_are_refused_as_each_limit_says(sandbox, limit, code, subcode):
    before = requests.get(f"{sandbox.base}/_sandbox/limits", timeout=10).json()[limit]
    sandbox.control("limits", {limit: 0.5})
    try:
        answer = sandbox.meta("DELETE", f"act_{sandbox.account}/usersofanyaudience")
    finally:
        sandbox.control("limits", {limit: before})

    assert error(answer)["code"] == code
    assert error(answer).get("error_subcode") == subcode
    if code == 80003:
        usage = json.loads(answer.headers["x-business-use-case-usage"])[sandbox.account][0]
        assert usage["estimated_time_to_regain_access"] >= 1


def test_an_account_holds_500_customer_files(sandbox):
    sandbox.control("limits", {"meta_mutations": None})
    for _ in range(500):
        sandbox.meta_audience()
    body = {"name": "a", "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY"}

    answer = sandbox.meta("POST", f"act_{sandbox.account}/customaudiences", json=body)

    assert error(answer)["code"] == 2654


def test_a_configured_app_secret_makes_the_proof_mandatory(tmp_path):
    def call(base: str, **query: str) -> dict:
        query["access_token"] = "sandbox-meta-token"
        return requests.get(f"{base}/v26.0/act_1", params=query, timeout=10).json()

    def proof(message: str) -> str:
        return hmac.new(b"s3cret", message.encode(), hashlib.sha256).hexdigest()

    with running(tmp_path, app_secret="s3cret") as base:
        assert call(base)["error"]["code"] == 100
        assert "appsecret_proof" in call(base, appsecret_proof="00")["error"]["message"]
        assert call(base, appsecret_proof=proof("sandbox-meta-token")) == {"id": "act_1"}
        timed = {"appsecret_time": "5", "appsecret_proof": proof("sandbox-meta-token|5")}
        assert call(base, **timed) == {"id": "act_1"}


def test_a_removal_that_would_leave_too_few_people_is_refused_where_meta_says_so(sandbox, known):
    audience = sandbox.meta_audience()
    sandbox.meta_users(audience, known[:200])
    sandbox.control("limits", {"meta_people_left_after_removal": 100})
    try:
        refused = sandbox.meta_users(audience, known[:150], method="DELETE")
        allowed = sandbox.meta_users(audience, known[:50], method="DELETE")
    finally:
        sandbox.control("limits", {"meta_people_left_after_removal": None})

    assert (refused["error"]["code"], refused["error"]["error_subcode"]) == (200, 1870047)
    assert allowed["num_received"] == 50
    assert sandbox.members("meta", audience)["size"] == 150
    assert sandbox.meta_users(audience, known[:150], method="DELETE")["num_received"] == 150


@pytest.mark.parametrize(
    "change",
    [{"name": "low income households"}, {"name": "Low_Income"}, {"description": "people with diabetes"}],
)
def test_a_name_that_hints_at_health_or_money_troubles_is_flagged_for_good(sandbox, known, change):
    audience = sandbox.meta_audience(**change)

    read = sandbox.meta(
        "GET", audience, params={"fields": "operation_status,fields_violating_integrity_policy"}
    ).json()
    assert read["operation_status"]["code"] == 471
    assert read["fields_violating_integrity_policy"] == list(change)
    subcodes = [
        sandbox.meta_users(audience, known[:5])["error"]["error_subcode"],
        error(sandbox.meta("POST", audience, json={"name": "fine"}))["error_subcode"],
        error(lookalike(sandbox, audience, {"ratio": 0.01, "country": "US"}))["error_subcode"],
    ]
    assert subcodes == [1713230, 1713231, 1713232]
    assert sandbox.meta("DELETE", audience).json() == {"success": True}


def test_a_token_shows_what_it_may_do(sandbox):
    held = sandbox.meta("GET", "me/permissions").json()["data"]
    one = sandbox.meta("GET", "me/permissions", params={"permission": "ads_read"}).json()["data"]
    declined = sandbox.meta("GET", "me/permissions", params={"status": "declined"}).json()["data"]

    assert {"permission": "ads_management", "status": "granted"} in held
    assert one == [{"permission": "ads_read", "status": "granted"}]
    assert declined == []
    assert sandbox.meta("POST", "me/permissions").status_code == 400


@pytest.mark.parametrize("name", ["best customers", "standard", "slow incoming orders", "disc golf"])
def test_an_ordinary_name_is_not_flagged(sandbox, name):
    audience = sandbox.meta_audience(name=name)

    assert status(sandbox, audience) == 410


def test_an_audience_is_renamed(sandbox, known):
    audience = sandbox.meta_audience(name="old")
    sandbox.meta_users(audience, known[:5])

    assert sandbox.meta("POST", audience, json={"name": "new"}).json() == {"success": True}

    assert sandbox.meta("GET", audience, params={"fields": "name"}).json()["name"] == "new"
    assert sandbox.members("meta", audience)["size"] == 5
    assert error(sandbox.meta("POST", audience, json={"subtype": "CUSTOM"}))["code"] == 100


def test_what_is_not_used_for_two_years_expires_and_is_deleted_ninety_days_later(tmp_path):
    day = 86_400

    def call(method: str, path: str, **body: object) -> dict:
        headers = {"Authorization": "Bearer sandbox-meta-token"}
        return requests.request(method, f"{base}/{path}", json=body, headers=headers, timeout=10).json()

    def wait(days: float) -> None:
        requests.post(f"{base}/_sandbox/clock", json={"advance_seconds": days * day}, timeout=10)

    def code() -> int:
        return call("GET", f"v26.0/{audience}?fields=operation_status")["operation_status"]["code"]

    with running(tmp_path) as base:
        made = {"name": "a", "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY"}
        audience = call("POST", "v26.0/act_1/customaudiences", **made)["id"]
        wait(729)
        assert code() == 410
        wait(2)
        assert code() == 100
        ends = call("GET", f"v26.0/{audience}?fields=delete_time")["delete_time"]
        now = requests.get(f"{base}/_sandbox/clock", timeout=10).json()["time"]
        assert 88 * day < ends - now < 90 * day
        wait(90)

        assert call("GET", f"v26.0/{audience}")["error"]["error_subcode"] == 33
        assert call("GET", "v26.0/act_1/customaudiences")["data"] == []


def test_a_lookalike_that_is_not_used_becomes_inactive_and_has_no_size(sandbox, known):
    seed = sandbox.meta_audience()
    sandbox.meta_users(seed, known)
    made = lookalike(sandbox, seed, {"ratio": 0.01, "country": "US"}).json()["id"]
    sandbox.settle(91 * 86_400)

    fields = {"fields": "operation_status,approximate_count_lower_bound,approximate_count_upper_bound"}
    read = sandbox.meta("GET", made, params=fields).json()

    assert read["operation_status"]["code"] == 450
    assert (read["approximate_count_lower_bound"], read["approximate_count_upper_bound"]) == (-1, -1)


def test_the_exact_count_is_no_field_any_more(sandbox):
    answer = sandbox.meta("GET", sandbox.meta_audience(), params={"fields": "approximate_count"})

    assert error(answer)["code"] == 100
