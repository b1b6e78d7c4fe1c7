"""What the platforms' work costs the sandbox, in processor time: walls move with whoever else is busy."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audience_pipeline.sandbox.application import handled
from audience_pipeline.sandbox.wire import Call
from audience_pipeline.sandbox.world import World

PEOPLE = 100_000
SECONDS = 6.0
"""For so many people and one platform."""
A_REQUEST = 1 / 400
"""Seconds that a small difference may take."""


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Timed:
    """Calls without a network, and the processor time that they took."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seconds = 0.0

    def __call__(self, method: str, path: str, body: object, media_type: str = "application/json") -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"authorization": "Bearer sandbox-meta-token", "content-type": media_type}
        if path.startswith("/v1/"):
            headers["authorization"] = "Bearer sandbox-google-token"
        elif path.startswith("/open_api/"):
            headers["access-token"] = "sandbox-tiktok-token"
        call = Call(method, path, {}, headers, content, "http://x")
        started = time.process_time()
        answer, _ = handled(self.world, call)
        self.seconds += time.process_time() - started
        assert answer.status == 200, answer.body
        return json.loads(answer.body)


@pytest.fixture
def timed(tmp_path: Path) -> Iterator[Timed]:
    world = World.open(tmp_path, delay=0)
    world.quotas.change(dict.fromkeys(world.quotas.limits()))
    yield Timed(world)
    world.state.close()


def meta_audience(timed: Timed, name: str = "a") -> str:
    body = {"name": name, "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY"}
    return str(timed("POST", "/v26.0/act_1/customaudiences", body)["id"])


def meta_people(timed: Timed, audience: str, people: range, method: str = "POST") -> None:
    data = [[sha(f"e{i}"), sha(f"p{i}"), sha("f"), sha(f"l{i}"), sha(f"{i % 9}"), sha("us")] for i in people]
    payload = {"schema": ["EMAIL", "PHONE", "FN", "LN", "ZIP", "COUNTRY"], "data": data}
    timed(method, f"/v26.0/{audience}/users", {"payload": payload})


def google_list(timed: Timed, name: str = "a") -> str:
    body = {"displayName": name, "ingestedUserListInfo": {"uploadKeyTypes": ["CONTACT_ID"]}}
    return str(timed("POST", "/v1/accountTypes/GOOGLE_ADS/accounts/1/userLists", body)["id"])


def google_people(timed: Timed, audience: str, people: range, *, remove: bool = False) -> None:
    granted = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
    members = [
        {
            "destinationReferences": ["list"],
            "userData": {
                "userIdentifiers": [
                    {"emailAddress": sha(f"e{i}")},
                    {"phoneNumber": sha(f"p{i}")},
                    {
                        "address": {
                            "givenName": sha("f"),
                            "familyName": sha(f"l{i}"),
                            "regionCode": "US",
                            "postalCode": str(10_000 + i),
                        }
                    },
                ]
            },
            **({} if remove else {"consent": granted}),
        }
        for i in people
    ]
    account = {"accountType": "GOOGLE_ADS", "accountId": "1"}
    body = {
        "destinations": [
            {"reference": "list", "operatingAccount": account, "productDestinationId": audience}
        ],
        "audienceMembers": members,
        "encoding": "HEX",
    }
    if not remove:
        body["termsOfService"] = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
    timed("POST", f"/v1/audienceMembers:{'remove' if remove else 'ingest'}", body)


def batches() -> Iterator[range]:
    return (range(start, start + 10_000) for start in range(0, PEOPLE, 10_000))


def test_a_hundred_thousand_people_reach_meta(timed: Timed) -> None:
    audience = meta_audience(timed)
    for batch in batches():
        meta_people(timed, audience, batch)

    found = timed.world.state.audience("meta", audience)
    assert found is not None
    assert timed.world.members.size(found) == PEOPLE
    assert timed.seconds < SECONDS


def test_a_hundred_thousand_people_reach_google(timed: Timed) -> None:
    audience = google_list(timed)
    for batch in batches():
        google_people(timed, audience, batch)

    found = timed.world.state.audience("google", audience)
    assert found is not None
    assert timed.world.members.size(found) == PEOPLE
    assert timed.seconds < SECONDS


def test_a_hundred_thousand_people_reach_tiktok(timed: Timed) -> None:
    lines = ["Email_SHA256,Phone_SHA256", *(f"{sha(f'e{i}')},{sha(f'p{i}')}" for i in range(PEOPLE))]
    content = "\n".join(lines).encode()
    fields = {
        "advertiser_id": "1",
        "calculate_type": "MULTIPLE_TYPES",
        "file_signature": hashlib.md5(content).hexdigest(),
    }
    head = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    head += '--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    dmp = "/open_api/v1.3/dmp/custom_audience"
    told = timed(
        "POST",
        f"{dmp}/file/upload/",
        head.encode() + content + b"\r\n--x--\r\n",
        "multipart/form-data; boundary=x",
    )
    body = {
        "advertiser_id": "1",
        "custom_audience_name": "a",
        "calculate_type": "MULTIPLE_TYPES",
        "file_paths": [told["data"]["file_path"]],
    }
    audience = timed("POST", f"{dmp}/create/", body)["data"]["custom_audience_id"]

    found = timed.world.state.audience("tiktok", audience)
    assert found is not None
    assert timed.world.members.size(found) == PEOPLE
    assert timed.seconds < SECONDS


def test_small_differences_of_many_audiences_are_taken_by_the_hundred(timed: Timed) -> None:
    audiences = [(meta_audience(timed, f"n{i}"), google_list(timed, f"n{i}"), i) for i in range(40)]
    for meta, google, i in audiences:
        meta_people(timed, meta, range(i, i + 500))
        google_people(timed, google, range(i, i + 500))
    timed.seconds = 0

    for meta, google, i in audiences:
        meta_people(timed, meta, range(i + 500, i + 510))
        meta_people(timed, meta, range(i, i + 10), "DELETE")
        google_people(timed, google, range(i + 500, i + 510))
        google_people(timed, google, range(i, i + 10), remove=True)

    sizes = {timed.world.members.size(one) for one in timed.world.state.audiences("google")}
    assert sizes == {500}
    assert timed.seconds / 160 < A_REQUEST


def test_people_who_are_in_many_audiences_are_kept_once(timed: Timed, tmp_path: Path) -> None:
    for i in range(50):
        meta_people(timed, meta_audience(timed, f"n{i}"), range(1_000))

    count = timed.world.state.connection.execute("SELECT count(*) FROM rows").fetchone()[0]

    assert count == 1_000
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 10_000_000
