"""The transport: what is retried, for how long it waits, and that it keeps secrets."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import requests
import responses

from audience_pipeline.platforms.contract import (
    CredentialError,
    Platform,
    PlatformError,
    TerminalPlatformError,
    TransientPlatformError,
)
from audience_pipeline.platforms.credentials import StaticToken
from audience_pipeline.platforms.http import Json, Transport, by_status
from audience_pipeline.platforms.means import Patience
from audience_pipeline.platforms.pace import Pace
from audience_pipeline.platforms.safety import safe_text

URL = "https://platform.example"
SECRET = "s3cret-token"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def judge(response: requests.Response, answer: Json | None) -> PlatformError | None:
    return by_status(Platform.META, response)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def transport(
    clock: Clock, *, url: str = URL, token: str = SECRET, pace: Pace | None = None, **patience: float
) -> Transport:
    return Transport(
        Platform.META,
        url,
        StaticToken(Platform.META, token),
        judge,
        patience=replace(Patience(attempts=4, longest_wait=100.0), **patience),
        pace=pace,
        sleep=clock.sleep,
        clock=lambda: clock.now,
        chance=lambda: 1.0,
    )


@responses.activate
def test_a_success_is_answered_without_waiting(clock: Clock) -> None:
    responses.get(f"{URL}/things", json={"ok": 1})

    assert transport(clock).call("GET", "/things", params={"a": "b c"}) == {"ok": 1}

    request = responses.calls[0].request
    assert request.url == f"{URL}/things?a=b+c"
    assert request.headers["Authorization"] == f"Bearer {SECRET}"
    assert clock.slept == []


@responses.activate
def test_transient_failures_back_off_exponentially_until_one_succeeds(clock: Clock) -> None:
    responses.get(f"{URL}/things", status=503)
    responses.get(f"{URL}/things", body=requests.ConnectionError(f"refused {SECRET}"))
    responses.get(f"{URL}/things", body="{half an ans")
    responses.get(f"{URL}/things", json={"ok": 1})

    assert transport(clock).call("GET", "/things") == {"ok": 1}
    assert clock.slept == [1.0, 2.0, 4.0]


@responses.activate
def test_attempts_are_bounded(clock: Clock) -> None:
    responses.get(f"{URL}/things", status=500)

    with pytest.raises(TransientPlatformError, match="HTTP 500"):
        transport(clock).call("GET", "/things")

    assert len(responses.calls) == 4
    assert len(clock.slept) == 3


@responses.activate
def test_a_given_wait_is_honoured(clock: Clock) -> None:
    responses.get(f"{URL}/things", status=429, headers={"Retry-After": "17"})
    responses.get(f"{URL}/things", json={"ok": 1})

    transport(clock).call("GET", "/things")

    assert clock.slept == [18.0]


@responses.activate
def test_a_wait_that_is_too_long_is_handed_on(clock: Clock) -> None:
    responses.get(f"{URL}/things", status=429, headers={"Retry-After": "3600"})

    with pytest.raises(TransientPlatformError) as error:
        transport(clock).call("GET", "/things")

    assert error.value.retry_after == 3600.0
    assert clock.slept == []
    assert len(responses.calls) == 1


@pytest.mark.parametrize(("status", "kind"), [(400, TerminalPlatformError), (401, CredentialError)])
@responses.activate
def test_permanent_failures_are_not_tried_again(clock: Clock, status: int, kind: type[PlatformError]) -> None:
    responses.get(f"{URL}/things", status=status)

    with pytest.raises(kind):
        transport(clock).call("GET", "/things")

    assert len(responses.calls) == 1


@responses.activate
def test_a_redirect_is_not_followed_with_the_token(clock: Clock) -> None:
    responses.get(f"{URL}/things", status=302, headers={"Location": "https://elsewhere.example"})

    with pytest.raises(TerminalPlatformError, match="redirect"):
        transport(clock).call("GET", "/things")


@responses.activate
def test_a_certificate_that_does_not_verify_is_permanent(clock: Clock) -> None:
    responses.get(f"{URL}/things", body=requests.exceptions.SSLError("self-signed"))

    with pytest.raises(TerminalPlatformError, match="certificate"):
        transport(clock).call("GET", "/things")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8123", "http://localhost:80/", "http://[::1]:1", "https://a.example"]
)
def test_tls_and_loopback_are_allowed(clock: Clock, url: str) -> None:
    assert url.rstrip("/") in repr(transport(clock, url=url))


@pytest.mark.parametrize(
    "url", ["http://a.example", "ftp://127.0.0.1", "127.0.0.1:80", "", "http://127.0.0.1.a.example"]
)
def test_everything_else_is_refused(clock: Clock, url: str) -> None:
    with pytest.raises(TerminalPlatformError, match="TLS"):
        transport(clock, url=url)


def test_credentials_do_not_belong_into_the_base_url(clock: Clock) -> None:
    with pytest.raises(TerminalPlatformError, match="credentials") as error:
        transport(clock, url=f"https://user:{SECRET}@a.example")

    assert SECRET not in str(error.value)


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "schlüssel"])
def test_a_token_that_no_header_can_carry_is_a_credential_error(clock: Clock, token: str) -> None:
    with pytest.raises(CredentialError, match="access token") as error:
        transport(clock, token=token).call("GET", "/things")

    assert not token or token not in str(error.value)


@responses.activate
def test_no_secret_shows_anywhere(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    responses.get(f"{URL}/things", body=requests.ConnectionError(f"refused {SECRET}"))
    sender = transport(clock)

    with pytest.raises(TransientPlatformError) as error:
        sender.call("GET", "/things")

    assert "attempt 1 of 4" in caplog.text
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__
    for text in (
        caplog.text,
        str(error.value),
        repr(error.value),
        repr(sender),
        responses.calls[0].request.url,
    ):
        assert SECRET not in text


def test_a_text_of_a_platform_loses_what_is_personal_and_secret() -> None:
    text = (
        f"bad value {'ab' * 32} of Ada@Example.com, +49 171 1234567,\n audience 120210000000000001, {SECRET}"
    )

    assert safe_text(text, (SECRET,)).startswith("bad value *** of ***")
    for hidden in ("abab", "Ada", "171", SECRET):
        assert hidden not in safe_text(text, (SECRET,))
    assert "120210000000000001" in safe_text(text, (SECRET,))
    assert len(safe_text("x" * 1_000)) == 300


@responses.activate
def test_what_must_not_exist_twice_is_looked_for_before_it_is_made_again(clock: Clock) -> None:
    responses.post(f"{URL}/things", body=requests.ConnectionError())
    sender = transport(clock)

    made = sender.create_once(
        lambda: str(sender.call("POST", "/things", retry=False)), lambda: "made after all"
    )

    assert made == "made after all"
    assert len(responses.calls) == 1
    assert clock.slept == [1.0]
