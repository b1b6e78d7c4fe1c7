"""What every client does alike, whatever the platform."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import responses

from audience_pipeline.platforms.contract import (
    CAPABILITIES,
    AudienceClient,
    CredentialError,
    Member,
    PlatformError,
    Receipt,
    ReceiptState,
    TerminalPlatformError,
    TransientPlatformError,
)
from audience_pipeline_tests.platforms.wire import SESSION, TOKEN, Waiting, digest, person

META = "https://graph.facebook.com/v26.0"
GOOGLE = "https://datamanager.googleapis.com/v1"
TIKTOK = "https://business-api.tiktok.com/open_api/v1.3"
LISTS = f"{GOOGLE}/accountTypes/GOOGLE_ADS/accounts/1234567890/userLists"


def tiktok(data: object = None, code: int = 0, message: str = "OK") -> dict[str, Any]:
    return {"code": code, "message": message, "request_id": "r1", "data": data or {}}


def google_error(code: int, status: str, **info: Any) -> dict[str, Any]:
    return {
        "error": {"code": code, "message": "Said so.", "status": status, "details": [info] if info else []}
    }


@dataclass
class Answer:
    method: str
    url: str
    json: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def register(self, wire: responses.RequestsMock) -> None:
        wire.add(self.method, self.url, json=self.json, status=self.status, headers=self.headers)


@dataclass(frozen=True)
class Stage:
    """How one platform says what all platforms say."""

    list_url: str
    check_url: str
    no_audience: Answer
    other_names: Answer
    gone: Answer
    delete_gone: Answer
    throttled: Answer
    dead_token: Answer
    forbidden: Answer


STAGES = {
    "meta": Stage(
        f"{META}/act_77/customaudiences",
        f"{META}/act_77",
        Answer("GET", f"{META}/act_77/customaudiences", {"data": []}),
        Answer("GET", f"{META}/act_77/customaudiences", {"data": [{"id": "1", "name": "vips old"}]}),
        Answer("GET", f"{META}/5", {"error": {"code": 100, "error_subcode": 33, "message": "No."}}, 400),
        Answer("DELETE", f"{META}/5", {"error": {"code": 100, "error_subcode": 33, "message": "No."}}, 400),
        Answer("GET", f"{META}/act_77/customaudiences", {"error": {"code": 17, "message": "Limit."}}, 400),
        Answer("GET", f"{META}/act_77/customaudiences", {"error": {"code": 190, "message": "Expired."}}, 401),
        Answer("GET", f"{META}/act_77/customaudiences", {"error": {"code": 200, "message": "No."}}, 403),
    ),
    "google": Stage(
        LISTS,
        LISTS,
        Answer("GET", LISTS, {}),
        Answer("GET", LISTS, {"userLists": [{"id": "1", "displayName": "vips old"}]}),
        Answer("GET", f"{LISTS}/5", google_error(404, "NOT_FOUND"), 404),
        Answer("DELETE", f"{LISTS}/5", google_error(404, "NOT_FOUND", reason="INVALID_USER_LIST_ID"), 404),
        Answer("GET", LISTS, google_error(429, "RESOURCE_EXHAUSTED"), 429),
        Answer("GET", LISTS, google_error(401, "UNAUTHENTICATED"), 401),
        Answer("GET", LISTS, google_error(403, "PERMISSION_DENIED"), 403),
    ),
    "tiktok": Stage(
        f"{TIKTOK}/dmp/custom_audience/list/",
        f"{TIKTOK}/dmp/custom_audience/list/",
        Answer(
            "GET", f"{TIKTOK}/dmp/custom_audience/list/", tiktok({"list": [], "page_info": {"total_page": 1}})
        ),
        Answer(
            "GET",
            f"{TIKTOK}/dmp/custom_audience/list/",
            tiktok({"list": [{"audience_id": "1", "name": "vips old"}], "page_info": {"total_page": 1}}),
        ),
        Answer("GET", f"{TIKTOK}/dmp/custom_audience/get/", tiktok({"list": []})),
        Answer(
            "POST", f"{TIKTOK}/dmp/custom_audience/delete/", tiktok(code=40007, message="No such audience.")
        ),
        Answer("GET", f"{TIKTOK}/dmp/custom_audience/list/", tiktok(code=40100, message="Too frequent.")),
        Answer("GET", f"{TIKTOK}/dmp/custom_audience/list/", tiktok(code=40105, message="Token revoked.")),
        Answer("GET", f"{TIKTOK}/dmp/custom_audience/list/", tiktok(code=40001, message="No permission.")),
    ),
}


@pytest.fixture(params=sorted(STAGES))
def platform(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stage(platform: str) -> Stage:
    return STAGES[platform]


@pytest.fixture
def client(platform: str, request: pytest.FixtureRequest) -> AudienceClient:
    found: AudienceClient = request.getfixturevalue(platform)
    return found


def test_a_client_states_its_capabilities_and_its_account(client: AudienceClient, platform: str) -> None:
    assert client.capabilities is CAPABILITIES[client.capabilities.platform]
    assert client.capabilities.platform.value == platform
    assert client.account in {"77", "1234567890", "7001"}


def test_an_audience_that_is_not_there_is_not_found(
    client: AudienceClient, stage: Stage, wire: responses.RequestsMock
) -> None:
    stage.no_audience.register(wire)

    assert client.find("vips") is None


def test_an_audience_of_a_similar_name_is_not_found(
    client: AudienceClient, stage: Stage, wire: responses.RequestsMock
) -> None:
    stage.other_names.register(wire)

    assert client.find("vips") is None


def test_an_audience_that_is_gone_is_read_as_none(
    client: AudienceClient, stage: Stage, wire: responses.RequestsMock
) -> None:
    stage.gone.register(wire)

    assert client.read("5") is None


def test_deleting_what_is_gone_is_no_error(
    client: AudienceClient, stage: Stage, wire: responses.RequestsMock
) -> None:
    stage.delete_gone.register(wire)

    client.delete("5")

    assert len(wire.calls) == 1


def test_a_throttle_is_waited_out(
    client: AudienceClient, stage: Stage, wire: responses.RequestsMock, waiting: Waiting
) -> None:
    stage.throttled.register(wire)
    stage.no_audience.register(wire)

    assert client.find("vips") is None
    assert sum(waiting.slept) >= 1.0


def test_a_throttle_that_does_not_end_is_transient(
    client: AudienceClient, stage: Stage, wire: responses.RequestsMock
) -> None:
    stage.throttled.register(wire)

    with pytest.raises(TransientPlatformError):
        client.find("vips")

    assert len(wire.calls) == 5


def test_a_dead_token_is_tried_once(
    client: AudienceClient, stage: Stage, wire: responses.RequestsMock, waiting: Waiting
) -> None:
    stage.dead_token.register(wire)

    with pytest.raises(CredentialError, match="token"):
        client.find("vips")

    assert len(wire.calls) == 1
    assert waiting.slept == []


def test_a_missing_permission_is_permanent_and_no_dead_token(
    client: AudienceClient, stage: Stage, wire: responses.RequestsMock
) -> None:
    stage.forbidden.register(wire)

    with pytest.raises(TerminalPlatformError) as error:
        client.find("vips")

    assert not isinstance(error.value, CredentialError)
    assert len(wire.calls) == 1


@pytest.mark.parametrize(("status", "body"), [(502, "<html>bad gateway</html>"), (200, "[]"), (200, "")])
def test_an_answer_that_is_none_is_transient(
    client: AudienceClient, stage: Stage, wire: responses.RequestsMock, status: int, body: str
) -> None:
    wire.get(stage.list_url, status=status, body=body)

    with pytest.raises(TransientPlatformError):
        client.find("vips")


@pytest.mark.parametrize("answer", [{"data": "x", "userLists": 3}, {"error": "text"}, {"code": "no number"}])
def test_an_answer_of_an_unknown_form_raises_nothing_but_platform_errors(
    client: AudienceClient, stage: Stage, wire: responses.RequestsMock, answer: object
) -> None:
    wire.get(stage.list_url, json=answer)

    with contextlib.suppress(PlatformError):
        assert client.find("vips") is None


Change = Callable[[AudienceClient, list[Member]], object]
CHANGES: list[Change] = [
    lambda client, members: client.send("5", "add", members, SESSION),
    lambda client, members: client.send("5", "remove", members, SESSION),
]


@pytest.mark.parametrize("change", CHANGES)
def test_more_people_than_one_request_takes_are_refused_before_anything_is_sent(
    client: AudienceClient, change: Change, wire: responses.RequestsMock
) -> None:
    too_many = [person("c")] * (client.capabilities.batch_rows + 1)

    with pytest.raises(TerminalPlatformError, match="split"):
        change(client, too_many)

    assert len(wire.calls) == 0


@pytest.mark.parametrize("change", CHANGES)
def test_a_batch_without_anybody_is_refused(client: AudienceClient, change: Change) -> None:
    with pytest.raises(TerminalPlatformError, match="without anybody"):
        change(client, [])


@pytest.mark.parametrize("value", ["ada@example.com", digest("ada").upper(), digest("")])
def test_what_is_no_hash_never_leaves_the_house(client: AudienceClient, value: str) -> None:
    column = client.capabilities.identifiers[0]

    with pytest.raises(TerminalPlatformError, match=f"member 1: {column}") as error:
        client.send("5", "add", [person("a"), person("b", **{column: value})], SESSION)

    assert value not in str(error.value)


def test_somebody_who_cannot_be_reached_is_refused_by_position(client: AudienceClient) -> None:
    nobody = Member("c", {"country": "US", "meta_first_name": digest("ada")})

    with pytest.raises(TerminalPlatformError, match="member 1 cannot be reached"):
        client.send("5", "remove", [person("a"), nobody], SESSION)


def test_a_name_that_is_too_long_is_refused(client: AudienceClient) -> None:
    name = "x" * (client.capabilities.name_length + 1)

    with pytest.raises(TerminalPlatformError, match="characters"):
        client.create(name, "") if client.capabilities.creates_empty else client.create_with(
            name, [person("a")]
        )


def test_a_client_creates_in_its_own_way_only(client: AudienceClient) -> None:
    with pytest.raises(TerminalPlatformError, match="vips"):
        client.create_with("vips", [person("a")]) if client.capabilities.creates_empty else client.create(
            "vips", ""
        )


def test_no_secret_and_no_identifier_shows_anywhere(
    client: AudienceClient, stage: Stage, wire: responses.RequestsMock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = f"token {TOKEN} of ada@example.com with {digest('ada')}"
    wire.get(
        stage.list_url,
        json={"error": {"code": 1, "message": told}, "code": 50000, "message": told},
        status=500,
    )

    with pytest.raises(TransientPlatformError) as error:
        client.find("vips")

    urls = [str(call.request.url) for call in wire.calls]
    for text in (caplog.text, str(error.value), repr(error.value), repr(client), *urls):
        assert TOKEN not in text
        assert "ada@" not in text
        assert digest("ada") not in text


def test_a_receipt_that_is_settled_is_not_asked_about_again(
    client: AudienceClient, wire: responses.RequestsMock
) -> None:
    receipt = Receipt("r", ReceiptState.SETTLED, 3)

    assert client.settle(receipt) is receipt
    assert len(wire.calls) == 0


def test_every_audience_of_the_account_is_listed(
    client: AudienceClient, stage: Stage, wire: responses.RequestsMock
) -> None:
    stage.other_names.register(wire)

    assert [(one.remote_id, one.name) for one in client.audiences()] == [("1", "vips old")]


def test_only_a_platform_that_says_so_removes_people_everywhere(
    client: AudienceClient, wire: responses.RequestsMock
) -> None:
    if client.capabilities.removes_everywhere:
        wire.delete(f"{META}/act_77/usersofanyaudience", json={})
        assert client.remove_everywhere([person("a")]).received == 1
    else:
        with pytest.raises(TerminalPlatformError, match="remove them from each"):
            client.remove_everywhere([person("a")])


def test_a_new_name_that_is_too_long_is_refused(client: AudienceClient, wire: responses.RequestsMock) -> None:
    with pytest.raises(TerminalPlatformError, match="characters"):
        client.rename("5", "x" * (client.capabilities.name_length + 1))

    assert len(wire.calls) == 0


def test_a_check_of_a_dead_token_says_so_and_ends(
    client: AudienceClient, stage: Stage, wire: responses.RequestsMock
) -> None:
    wire.get(stage.check_url, json=stage.dead_token.json, status=stage.dead_token.status)

    findings = client.check()

    assert [(finding.subject, finding.level) for finding in findings] == [("credentials", "problem")]
    assert TOKEN not in findings[0].sentence


def test_a_check_of_a_forbidden_account_is_a_problem_and_no_dead_token(
    client: AudienceClient, stage: Stage, wire: responses.RequestsMock
) -> None:
    wire.get(stage.check_url, json=stage.forbidden.json, status=stage.forbidden.status)

    findings = client.check()

    assert [finding.level for finding in findings] == ["problem"]
    assert findings[0].subject in {"account", "permission"}
    assert client.account in findings[0].sentence
