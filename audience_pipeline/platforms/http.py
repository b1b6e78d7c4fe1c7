"""HTTP for the platform clients: one session, one place that retries, no secret in any message.

A client says how an answer of its platform is to be judged (``classify``); the rest is the same for all.
"""

from __future__ import annotations

import json
import logging
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests

from audience_pipeline.platforms.contract import (
    CredentialError,
    Platform,
    PlatformError,
    TerminalPlatformError,
    TransientPlatformError,
)
from audience_pipeline.platforms.credentials import Credentials, HeaderAuth

log = logging.getLogger(__name__)

T = TypeVar("T")
Json = dict[str, Any]
Classify = Callable[[requests.Response, Json | None], PlatformError | None]
"""The error that an answer stands for, or None when it is a success. The JSON is None when there is none."""

_PERSONAL = re.compile(r"[0-9a-fA-F]{32,}|[^\s@\"']+@[^\s@\"']+|\+[0-9][0-9 ().-]{6,}")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to insist."""

    attempts: int = 5
    first_wait: float = 1.0
    """Seconds; doubled with each attempt, with jitter."""
    longest_backoff: float = 60.0
    longest_wait: float = 120.0
    """A platform that asks for more seconds than this is left alone: the next run goes on."""
    connect_timeout: float = 10.0
    read_timeout: float = 120.0


class Transport:
    """Sends requests to one platform: authenticated, paced, retried, judged."""

    def __init__(
        self,
        platform: Platform,
        base_url: str,
        credentials: Credentials,
        classify: Classify,
        *,
        patience: Patience = Patience(),
        spacing: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """``spacing`` is the least number of seconds between two requests; ``chance`` draws from [0, 1).

        Raises:
            TerminalPlatformError: the base URL is not TLS and not loopback.
        """
        self._platform = platform
        self._base_url = _checked_url(platform, base_url)
        self._credentials = credentials
        self._classify = classify
        self._patience = patience
        self._spacing = spacing
        self._sleep = sleep
        self._clock = clock
        self._chance = chance
        self._session = requests.Session()
        self._next_at = 0.0

    def __repr__(self) -> str:
        return f"Transport({self._platform.value}, {self._base_url})"

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        form: Mapping[str, str] | None = None,
        files: Mapping[str, tuple[str, bytes, str]] | None = None,
        headers: Mapping[str, str] | None = None,
        retry: bool = True,
    ) -> Json:
        """The JSON object that is answered; ``body`` is sent as JSON, ``form`` and ``files`` as a form.

        Raises:
            PlatformError: classified; transient ones only after ``patience`` has run out.
        """
        data = (
            json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode() if body is not None else form
        )
        kind = {"Content-Type": "application/json"} if body is not None else {}
        renewed = False
        attempt = 1
        while True:
            try:
                return self._once(method, path, params, data, files, {**kind, **(headers or {})})
            except CredentialError:
                if renewed or not self._credentials.renew():
                    raise
                renewed = True
            except TransientPlatformError as error:
                if not retry:
                    raise
                self._pause(error, attempt)
                attempt += 1

    def create_once(self, create: Callable[[], T], adopt: Callable[[], T | None]) -> T:
        """Create something that must not exist twice.

        ``create`` must not retry. When its outcome is not known, ``adopt`` looks for what it may have made
        before it is tried again.
        """
        attempt = 1
        while True:
            try:
                return create()
            except TransientPlatformError as error:
                self._pause(error, attempt)
                attempt += 1
            found = adopt()
            if found is not None:
                return found

    def slow_down(self, seconds: float) -> None:
        """Let at least so many seconds pass before the next request."""
        self._next_at = max(self._next_at, self._clock() + seconds)

    def safe(self, text: object) -> str:
        """A text of the platform, shortened, without secrets and without what looks like an identifier."""
        return safe_text(text, self._credentials.secrets())

    def _once(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        data: bytes | Mapping[str, str] | None,
        files: Mapping[str, tuple[str, bytes, str]] | None,
        headers: Mapping[str, str],
    ) -> Json:
        auth = HeaderAuth(self._credentials.headers())
        wait = self._next_at - self._clock()
        if wait > 0:
            self._sleep(wait)
        self._next_at = self._clock() + self._spacing
        timeout = (self._patience.connect_timeout, self._patience.read_timeout)
        try:
            # Redirects would carry the token to wherever they point.
            response = self._session.request(
                method, f"{self._base_url}{path}", params=params, data=data, files=files, headers=headers,
                auth=auth, timeout=timeout, allow_redirects=False,
            )  # fmt: skip
        except requests.exceptions.SSLError:
            raise self._terminal(
                "the certificate of the host could not be verified: check base URL, proxy and certificates"
            ) from None
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            raise TransientPlatformError(
                self._platform, f"no complete answer to {method} {path} ({type(error).__name__})"
            ) from None
        except requests.RequestException as error:
            raise self._terminal(f"{method} {path} could not be sent ({type(error).__name__})") from None
        return self._judged(response, method, path)

    def _judged(self, response: requests.Response, method: str, path: str) -> Json:
        if 300 <= response.status_code < 400:
            raise self._terminal(f"{method} {path} was answered by a redirect: check the base URL")
        try:
            answer = response.json()
        except ValueError:
            answer = None
        answer = answer if isinstance(answer, dict) else None
        error = self._classify(response, answer)
        if error is not None:
            raise error
        if answer is None:
            raise TransientPlatformError(self._platform, f"the answer to {method} {path} is no JSON object")
        return answer

    def _pause(self, error: TransientPlatformError, attempt: int) -> None:
        """Sleep before another attempt, or raise the error when there is none."""
        patience = self._patience
        backoff = min(patience.first_wait * 2 ** (attempt - 1), patience.longest_backoff)
        wait = backoff * (0.5 + self._chance() / 2)
        if error.retry_after is not None:
            # A little after the given time, so that not everybody comes back at the same moment.
            wait = error.retry_after + min(1.0, 0.1 * error.retry_after) * self._chance()
        if attempt >= patience.attempts or (error.retry_after or 0.0) > patience.longest_wait:
            raise error
        log.warning("%s; attempt %d of %d failed, next in %.1f s", error, attempt, patience.attempts, wait)
        self._sleep(wait)

    def _terminal(self, message: str) -> TerminalPlatformError:
        return TerminalPlatformError(self._platform, message)


def by_status(platform: Platform, response: requests.Response) -> PlatformError | None:
    """What the HTTP status alone says, for an answer without the platform's own error."""
    status = response.status_code
    if status < 400:
        return None
    message = f"HTTP {status} without an explanation"
    if status == 429 or status >= 500:
        return TransientPlatformError(platform, message, code=str(status), retry_after=_retry_after(response))
    if status == 401:
        return CredentialError(platform, f"{message}: the access token was refused", code="401")
    return TerminalPlatformError(platform, f"{message}: check base URL and permissions", code=str(status))


def safe_text(text: object, secrets: tuple[str, ...] = ()) -> str:
    """At most 300 characters of a text, without secrets, hashes, e-mail addresses and phone numbers."""
    plain = " ".join(str(text).split())
    for secret in secrets:
        plain = plain.replace(secret, "***") if secret else plain
    return _PERSONAL.sub("***", plain)[:300]


def _retry_after(response: requests.Response) -> float | None:
    given = response.headers.get("Retry-After", "")
    return float(given) if re.fullmatch(r"[0-9]{1,6}", given) else None


def _checked_url(platform: Platform, base_url: str) -> str:
    parts = urlsplit(base_url)
    if parts.username or parts.password or parts.query:
        raise TerminalPlatformError(platform, "the base URL must hold no credentials and no query")
    if parts.hostname and (
        parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))
    ):
        return base_url.rstrip("/")
    raise TerminalPlatformError(
        platform,
        f"base URL {base_url!r} is not TLS: use https, or http to a loopback address for the sandbox",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
