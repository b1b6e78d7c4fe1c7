"""Meta's own Python client, pointed at the sandbox by one line, works as against Meta."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import pytest
from facebook_business.adobjects.adaccount import AdAccount
from facebook_business.adobjects.customaudience import CustomAudience
from facebook_business.api import FacebookAdsApi
from facebook_business.exceptions import FacebookRequestError
from facebook_business.session import FacebookSession

from audience_pipeline.sandbox.server import running

Schema = CustomAudience.Schema
Keys = CustomAudience.Schema.MultiKeySchema


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def api(base: str, monkeypatch: pytest.MonkeyPatch) -> FacebookAdsApi:
    monkeypatch.setattr(FacebookSession, "GRAPH", base)
    return FacebookAdsApi.init(access_token="sandbox-meta-token", crash_log=False)


@pytest.fixture
def account(api: FacebookAdsApi, sandbox) -> AdAccount:
    return AdAccount(f"act_{sandbox.account}", api=api)


def create(account: AdAccount, name: str = "crm", **more: object) -> CustomAudience:
    params = {"name": name, "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY", **more}
    return account.create_custom_audience(fields=[], params=params)


def emails(numbers: range) -> list[str]:
    return [f"person{i}@example.com" for i in numbers]


def test_an_audience_is_created_read_listed_renamed_and_deleted(account, api) -> None:
    made = create(account, description="ours")
    fields = [CustomAudience.Field.name, CustomAudience.Field.operation_status, CustomAudience.Field.subtype]

    read = CustomAudience(made["id"], api=api).api_get(fields=fields)
    assert (read["name"], read["subtype"], read["operation_status"]["code"]) == ("crm", "CUSTOM", 410)
    made.api_update(params={"name": "crm 2"})
    others = [create(account, f"n{i}")["id"] for i in range(30)]
    listed = list(account.get_custom_audiences(fields=["name"], params={"limit": 7}))

    assert [one["id"] for one in listed] == [made["id"], *others]
    assert listed[0]["name"] == "crm 2"
    made.api_delete()
    with pytest.raises(FacebookRequestError) as refused:
        made.api_get(fields=["name"])
    assert (refused.value.api_error_code(), refused.value.api_error_subcode()) == (100, 33)


def test_people_are_added_with_one_column_and_removed_in_the_query(account, sandbox) -> None:
    made = create(account)

    # The client hashes what it is given; the schema travels as plain text, the data flat.
    told = made.add_users(Schema.email_hash, emails(range(1, 9))).json()
    hashed = made.add_users(Schema.email_hash, [sha(one) for one in emails(range(5, 12))], pre_hashed=True)
    assert (told["audience_id"], told["num_received"], told["num_invalid_entries"]) == (made["id"], 8, 0)
    assert hashed.json()["num_received"] == 7
    held = sandbox.members("meta", made["id"])
    assert (held["size"], held["matched"]) == (11, 10)

    made.remove_users(Schema.email_hash, emails(range(1, 6)))

    assert sorted(row[0] for row in sandbox.members("meta", made["id"])["members"]) == sorted(
        sha(one) for one in emails(range(6, 12))
    )


def test_people_are_added_with_several_columns(account, sandbox) -> None:
    made = create(account)
    schema = [Keys.email, Keys.phone, Keys.fn, Keys.ln, Keys.zip, Keys.country]
    raw = ["person4@example.com", "+1 (415) 000-0004", "Jan", "Doe", "10004", "DE"]
    hashed = [sha("person5@example.com"), "", "", "", "", ""]

    # With several columns it insists on is_raw, and hashes all the same.
    first = made.add_users(schema, [raw], is_raw=True).json()
    second = made.add_users(schema, [hashed], is_raw=True, pre_hashed=True).json()

    assert (first["num_invalid_entries"], second["num_invalid_entries"]) == (0, 0)
    held = sandbox.members("meta", made["id"])
    assert (held["size"], held["matched"]) == (2, 2)
    assert [sha("person5@example.com")] in held["members"]
    made.remove_users(schema, [raw], is_raw=True)
    assert sandbox.members("meta", made["id"])["members"] == [[sha("person5@example.com")]]


def test_ten_thousand_people_are_added_and_removed_in_one_request_each(account, sandbox) -> None:
    made = create(account)
    people = [sha(f"crowd{i}@example.com") for i in range(10_000)]

    assert made.add_users(Schema.email_hash, people, pre_hashed=True).json()["num_received"] == 10_000
    assert sandbox.members("meta", made["id"])["size"] == 10_000
    made.remove_users(Schema.email_hash, people, pre_hashed=True)

    assert sandbox.members("meta", made["id"])["size"] == 0


def test_a_session_is_counted_and_read(account, sandbox) -> None:
    made = create(account)
    session = {"session_id": int(sandbox.account), "batch_seq": 1, "last_batch_flag": False}
    made.add_users(Schema.email_hash, emails(range(11, 19)), session=session)
    made.add_users(
        Schema.email_hash,
        emails(range(21, 29)),
        session={**session, "batch_seq": 2, "last_batch_flag": True},
    )
    sandbox.settle()

    (told,) = made.get_sessions(params={"session_id": int(sandbox.account)})

    assert (told["num_received"], told["num_matched"], told["progress"]) == ("16", "16", "100")


def test_everybody_is_replaced(account, sandbox) -> None:
    made = create(account)
    made.add_users(Schema.email_hash, emails(range(11, 19)))
    payload = {"schema": "EMAIL_SHA256", "data": [[sha(one)] for one in emails(range(21, 24))]}
    session = {"session_id": int(sandbox.account), "batch_seq": 1, "last_batch_flag": True}

    made.create_users_replace(params={"payload": payload, "session": session})

    assert sandbox.members("meta", made["id"])["size"] == 3


def test_opted_out_people_leave_every_audience(account, sandbox) -> None:
    audiences = [create(account, f"n{i}") for i in range(3)]
    for audience in audiences:
        audience.add_users(Schema.email_hash, emails(range(1, 4)))

    account.delete_users_of_any_audience(
        params={"payload": {"schema": "EMAIL_SHA256", "data": [sha("person2@example.com")]}}
    )

    for audience in audiences:
        held = sandbox.members("meta", audience["id"])["members"]
        assert sorted(row[0] for row in held) == sorted(
            [sha(emails(range(1, 2))[0]), sha(emails(range(3, 4))[0])]
        )


def test_a_lookalike_is_built_and_keeps_its_seed(account, known) -> None:
    seed = create(account)
    seed.add_users(Schema.email_hash, known, pre_hashed=True)
    params = {
        "name": "lal",
        "subtype": CustomAudience.Subtype.lookalike,
        "origin_audience_id": seed["id"],
        "lookalike_spec": json.dumps({"ratio": 0.01, "country": "US"}),
    }

    made = account.create_custom_audience(params=params)

    read = made.api_get(fields=["subtype", "lookalike_spec"])
    assert (read["subtype"], read["lookalike_spec"]["ratio"]) == ("LOOKALIKE", 0.01)
    with pytest.raises(FacebookRequestError) as twice:
        account.create_custom_audience(params=params)
    with pytest.raises(FacebookRequestError) as needed:
        seed.api_delete()
    assert (twice.value.api_error_code(), needed.value.api_error_code()) == (2654, 2656)


def test_the_terms_are_read(account) -> None:
    assert account.api_get(fields=["tos_accepted"])["tos_accepted"] == {"custom_audience_tos": 1}


def test_a_bad_token_and_a_throttle_are_understood(account, base, monkeypatch, sandbox) -> None:
    bad = FacebookAdsApi.init(access_token="wrong", crash_log=False)
    with pytest.raises(FacebookRequestError) as refused:
        AdAccount(account["id"], api=bad).api_get(fields=["name"])
    assert (refused.value.http_status(), refused.value.api_error_code()) == (401, 190)

    sandbox.control("faults", {"seed": 1, "kinds": ["throttled"], "rate": 1, "platforms": ["meta"]})
    try:
        with pytest.raises(FacebookRequestError) as throttled:
            account.api_get(fields=["name"])
    finally:
        sandbox.control("faults", {"rate": 0})
    assert throttled.value.api_error_code() in {80003, 80004, 17, 4, 613}
    assert throttled.value.http_headers()["x-business-use-case-usage"]


@pytest.fixture
def guarded(tmp_path) -> Iterator[str]:
    with running(tmp_path, app_secret="s3cret") as address:
        yield address


def test_the_proof_that_the_client_computes_is_accepted(guarded: str, monkeypatch) -> None:
    monkeypatch.setattr(FacebookSession, "GRAPH", guarded)
    signed = FacebookAdsApi.init("app", "s3cret", "sandbox-meta-token", crash_log=False)
    unsigned = FacebookAdsApi.init(access_token="sandbox-meta-token", crash_log=False)

    assert AdAccount("act_1", api=signed).api_get(fields=["name"])["name"]
    with pytest.raises(FacebookRequestError, match="appsecret_proof"):
        AdAccount("act_1", api=unsigned).api_get(fields=["name"])
