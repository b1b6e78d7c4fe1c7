"""What our own Google client puts on the wire, judged by Google's own messages as strictly as they can."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from google.ads import datamanager_v1 as dm
from google.protobuf import json_format

from audience_pipeline.platforms.contract import Member, ReceiptState, UploadSession
from audience_pipeline.platforms.google import GoogleClient
from audience_pipeline.sandbox.application import handled
from audience_pipeline.sandbox.wire import Call
from audience_pipeline.sandbox.world import World

LISTS = "/v1/accountTypes/GOOGLE_ADS/accounts/1234567890/userLists"
MESSAGES = {
    "/v1/audienceMembers:ingest": dm.IngestAudienceMembersRequest,
    "/v1/audienceMembers:remove": dm.RemoveAudienceMembersRequest,
    "/v1/audienceMembers:removeAll": dm.RemoveAllAudienceMembersRequest,
}


@dataclass
class Sent:
    method: str
    path: str
    query: dict[str, str]
    body: bytes


@dataclass
class Wire:
    base: str
    sent: list[Sent]


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    """A server that writes down what comes and answers as the sandbox does."""
    world = World.open(tmp_path, delay=0)
    sent: list[Sent] = []

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            address = urlsplit(self.path)
            query = dict(parse_qsl(address.query))
            sent.append(Sent(self.command, address.path, query, body))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer, _ = handled(world, Call(self.command, address.path, query, headers, body, "http://x"))
            self.send_response(answer.status)
            self.send_header("content-type", answer.media_type)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def __getattr__(self, name: str) -> Any:
            if name.startswith("do_"):
                return self._serve
            raise AttributeError(name)

        def log_message(self, *args: Any) -> None:
            pass

    world.state.close()
    server = HTTPServer(("127.0.0.1", 0), Handler)

    def serve() -> None:
        nonlocal world
        world = World.open(tmp_path, delay=0)
        server.serve_forever()
        world.state.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield Wire(f"http://127.0.0.1:{server.server_port}", sent)
    server.shutdown()
    thread.join()
    server.server_close()


def sha(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def member(number: int) -> Member:
    everything = {
        "google_email": sha(f"e{number}"),
        "google_phone": sha(f"p{number}"),
        "google_given_name": sha("mary"),
        "google_family_name": sha("o'neill"),
        "country": "IE",
        "postal_code": "D02 AF30",
    }
    columns = list(everything)
    some = {0: columns, 1: columns[:1], 2: columns[1:2], 3: columns[2:], 4: columns[:4]}[number % 5]
    return Member(f"c{number}", {name: everything[name] for name in some})


def test_every_request_passes_the_strict_parsing_of_the_official_messages(wire: Wire) -> None:
    client = GoogleClient(
        base_url=wire.base,
        access_token="sandbox-google-token",
        account="123-456-7890",
        login_account="111-222-3333",
    )
    people = [member(number) for number in range(25)]

    remote_id = client.create("crm", "everybody who matters")
    added = client.send(remote_id, "add", people, UploadSession(1, 1, True, 25))
    removed = client.send(remote_id, "remove", people[:10], UploadSession(2, 1, True, 10))
    client.rename(remote_id, 'crm "2" für Größere')
    found = client.find('crm "2" für Größere')
    listed = client.audiences()
    states = [client.settle(receipt).state for receipt in (added, removed)]
    assert client.read(remote_id) is not None
    client.delete(remote_id)

    assert found is not None
    assert [one.remote_id for one in listed] == [found.remote_id] == [remote_id]
    assert states == [ReceiptState.SETTLED, ReceiptState.SETTLED]
    checked = [_judged(sent) for sent in wire.sent if sent.path.startswith("/v1/")]
    assert {name for name in checked if name} >= {
        "IngestAudienceMembersRequest",
        "RemoveAudienceMembersRequest",
        "RetrieveRequestStatusRequest",
        "CreateUserListRequest",
        "UpdateUserListRequest",
        "ListUserListsRequest",
        "GetUserListRequest",
        "DeleteUserListRequest",
    }


def _judged(sent: Sent) -> str:
    """The name of the official message that the request fills."""
    query: dict[str, Any] = dict(sent.query)
    official: Any
    if sent.path in MESSAGES:
        official, content = MESSAGES[sent.path], json.loads(sent.body)
        assert query == {}
    elif sent.path == "/v1/requestStatus:retrieve":
        official, content = dm.RetrieveRequestStatusRequest, query
    else:
        assert sent.path.startswith(LISTS)
        named = sent.path != LISTS
        official = {
            "POST": dm.CreateUserListRequest,
            "PATCH": dm.UpdateUserListRequest,
            "DELETE": dm.DeleteUserListRequest,
            "GET": dm.GetUserListRequest if named else dm.ListUserListsRequest,
        }[sent.method]
        place = sent.path.removeprefix("/v1/")
        whose = {"name": place} if named else {"parent": place.rpartition("/")[0]}
        if sent.method in {"POST", "PATCH"}:
            inner = json.loads(sent.body) | ({"name": place} if named else {})
            whose = {"userList": inner} if named else {**whose, "userList": inner}
        if "pageSize" in query:
            query["pageSize"] = int(query["pageSize"])
        content = whose | query
    message = official.pb()()
    json_format.Parse(json.dumps(content), message, ignore_unknown_fields=False)
    assert message.ByteSize() > 0
    return str(official.__name__)


def test_what_is_not_in_the_official_messages_would_be_noticed() -> None:
    wrong = Sent("POST", "/v1/audienceMembers:remove", {}, b'{"consent":{"adUserData":"CONSENT_GRANTED"}}')

    with pytest.raises(json_format.ParseError, match="consent"):
        _judged(wrong)
