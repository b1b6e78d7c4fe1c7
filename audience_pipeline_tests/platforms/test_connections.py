"""Connections to a real server on loopback: reuse, limits, half answers, cookies, proxies."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from audience_pipeline.platforms import http
from audience_pipeline.platforms.contract import Platform, TerminalPlatformError, TransientPlatformError
from audience_pipeline.platforms.credentials import StaticToken
from audience_pipeline.platforms.http import Transport, by_status
from audience_pipeline.platforms.means import Patience
from audience_pipeline.platforms.pace import Pace


@dataclass
class Server:
    """Answers each request on a connection with the next of ``answers``; an empty one hangs up."""

    listener: socket.socket
    answers: list[bytes]
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            while request := self._request(connection):
                self.requests.append(request)
                answer = self.answers.pop(0)
                if not answer:
                    return
                connection.sendall(answer)
                if b"Content-Length" not in answer or b"Connection: close" in answer:
                    return

    def _request(self, connection: socket.socket) -> bytes:
        content = b""
        while b"\r\n\r\n" not in content:
            part = connection.recv(65_536)
            if not part:
                return b""
            content += part
        return content


def answer(body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers = []

    def start(*answers: bytes) -> Server:
        listener = socket.create_server(("127.0.0.1", 0))
        server = Server(listener, list(answers))
        servers.append(server)
        threading.Thread(target=server.serve, daemon=True).start()
        return server

    yield start
    for server in servers:
        server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()


def transport(server: Server, **patience: float) -> Transport:
    return Transport(
        Platform.META,
        server.url,
        StaticToken(Platform.META, "token"),
        lambda response, _: by_status(Platform.META, response),
        patience=Patience(attempts=1, **patience),  # type: ignore[arg-type]
        pace=Pace(),
    )


def test_one_connection_carries_all_requests(serve: Serve) -> None:
    server = serve(*[answer(b'{"ok":1}')] * 20)
    sender = transport(server)

    for _ in range(20):
        assert sender.call("GET", "/things") == {"ok": 1}

    assert server.connections == 1


def test_a_body_travels_as_it_is_and_an_answer_may_be_compressed(serve: Serve) -> None:
    server = serve(answer(gzip.compress(b'{"ok":1}'), "Content-Encoding: gzip"))

    assert transport(server).call("GET", "/things") == {"ok": 1}
    assert b"Accept-Encoding: gzip" in server.requests[0]
    assert b"Content-Encoding" not in server.requests[0]


@pytest.mark.parametrize("broken", [b"", answer(b'{"ok"', "Connection: close", length=100)])
def test_a_connection_that_ends_too_early_is_transient(serve: Serve, broken: bytes) -> None:
    server = serve(broken)
    server.answers.append(b"")

    with pytest.raises(TransientPlatformError, match="no complete answer"):
        transport(server).call("GET", "/things")


def test_a_half_answer_that_hangs_up_is_transient(serve: Serve) -> None:
    server = serve(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"ok"')

    with pytest.raises(TransientPlatformError, match="no complete answer"):
        transport(server).call("GET", "/things")


def test_silence_is_transient(serve: Serve) -> None:
    server = serve(answer(b"", length=5))

    with pytest.raises(TransientPlatformError):
        transport(server, read_timeout=0.05).call("GET", "/things")


def test_an_answer_without_end_is_refused(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST_ANSWER", 100_000)
    server = serve(answer(gzip.compress(b" " * 10_000_000), "Content-Encoding: gzip"))

    with pytest.raises(TerminalPlatformError, match="larger than 100,000 bytes"):
        transport(server).call("GET", "/things")


def test_an_answer_that_takes_for_ever_is_left(serve: Serve) -> None:
    server = serve(answer(b'{"ok":1}'))

    with pytest.raises(TransientPlatformError, match="too long"):
        transport(server, longest_answer=-1.0).call("GET", "/things")


def test_json_that_is_nested_too_deeply_is_no_answer(serve: Serve) -> None:
    server = serve(answer(b"[" * 200_000))

    with pytest.raises(TransientPlatformError, match="no JSON object"):
        transport(server).call("GET", "/things")


def test_cookies_are_not_kept(serve: Serve) -> None:
    server = serve(answer(b"{}", "Set-Cookie: session=1; Path=/"), answer(b"{}"))
    sender = transport(server)

    sender.call("GET", "/things")
    sender.call("GET", "/things")

    assert b"Cookie" not in server.requests[1]


def test_what_stays_on_this_machine_takes_no_proxy_and_no_netrc(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server = serve(answer(b"{}"))

    assert transport(server).call("GET", "/things") == {}
    assert b"Authorization: Bearer token" in server.requests[0]


def test_threads_may_share_a_client(serve: Serve) -> None:
    server = serve(*[answer(b'{"ok":1}')] * 80)
    sender = transport(server)
    answers: list[object] = []

    def send() -> None:
        answers.extend(sender.call("GET", "/things") for _ in range(10))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [{"ok": 1}] * 80
    assert server.connections <= 8
