"""HTTP for the platform clients: one session, one place that retries, no secret in any message.

A client says how an answer of its platform is to be judged (``classify``); the rest is the same for all.
Bodies travel uncompressed: none of the platforms documents that it takes compressed ones. Answers may be
compressed.
"""

from __future__ import annotations

import json
import logging
import math
import random
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter

from audience_pipeline.platforms.answers import said
from audience_pipeline.platforms.contract import (
    CAPABILITIES,
    CredentialError,
    Platform,
    PlatformError,
    QuotaError,
    TerminalPlatformError,
    TransientPlatformError,
)
from audience_pipeline.platforms.credentials import Credentials, HeaderAuth
from audience_pipeline.platforms.means import Patience
from audience_pipeline.platforms.pace import Pace
from audience_pipeline.platforms.safety import checked_url, is_loopback, safe_text

log = logging.getLogger(__name__)

T = TypeVar("T")
Json = dict[str, Any]
Classify = Callable[[requests.Response, Json | None], PlatformError | None]
"""The error that an answer stands for, or None when it is a success. The JSON is None when there is none."""

TIMED_OUT = "timeout"
"""Code of the error when nothing came for too long."""
LARGEST_ANSWER = 64 * 1024 * 1024
_CHUNK = 64 * 1024
_CONNECTIONS = 16
_TRANSIENT = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)


class Transport:
    """Sends requests to one host: authenticated, paced, retried, judged. Threads may share it."""

    def __init__(
        self,
        platform: Platform,
        base_url: str,
        credentials: Credentials,
        classify: Classify,
        *,
        patience: Patience = Patience(),  # noqa: B008 (frozen)
        pace: Pace | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Arguments of ``Means``; without a ``pace`` the rates of the platform's capabilities hold.

        Raises:
            TerminalPlatformError: the base URL is not TLS and not loopback.
        """
        self._platform = platform
        self._base_url = checked_url(platform, base_url)
        self._credentials = credentials
        self._classify = classify
        self._patience = patience
        self._sleep = sleep
        self._clock = clock
        self._chance = chance
        own_time = time.monotonic if clock is time.time else clock
        self.pace = Pace(CAPABILITIES[platform].rates, own_time) if pace is None else pace
        self._session = requests.Session()
        self._session.mount("https://", HTTPAdapter(pool_maxsize=_CONNECTIONS))
        self._session.mount("http://", HTTPAdapter(pool_maxsize=_CONNECTIONS))
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        # What stays on this machine takes no way through a proxy.
        self._session.trust_env = not is_loopback(self._base_url)
        self._stopped: tuple[PlatformError, float] | None = None

    def __repr__(self) -> str:
        return f"Transport({self._platform.value}, {self._base_url})"

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | bytes | None = None,
        form: Mapping[str, str] | None = None,
        files: Mapping[str, tuple[str, bytes, str]] | None = None,
        headers: Mapping[str, str] | None = None,
        costs: Mapping[str, float] | None = None,
        retry: bool = True,
    ) -> Json:
        """The JSON object that is answered.

        Args:
            method: of HTTP.
            path: below the base URL.
            params: the query.
            body: sent as JSON; bytes are JSON already.
            form: sent as a form, together with ``files``.
            files: field to file name, content and type.
            headers: besides those of the credentials.
            costs: what the request costs of the rates of the pace.
            retry: False where a repeated request may do its work twice.

        Raises:
            PlatformError: classified; transient ones only after ``patience`` has run out.
        """
        data = _encoded(body) if body is not None else form
        kind = {"Content-Type": "application/json"} if body is not None else {}
        proof: Mapping[str, str] = {}
        renewed = False
        attempt = 1
        while True:
            self._refuse_if_stopped()
            try:
                proof = self._credentials.headers()
                return self._once(
                    method, path, params, data, files, {**kind, **(headers or {})}, proof, costs or {}
                )
            except CredentialError as error:
                if renewed or not self._credentials.renew(proof):
                    self._stopped = (error, math.inf)
                    raise
                renewed = True
            except TransientPlatformError as error:
                if not retry or error.stops:
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
        proof: Mapping[str, str],
        costs: Mapping[str, float],
    ) -> Json:
        wait = self.pace.wait(costs)
        if wait > 0:
            self._sleep(wait)
        timeout = (self._patience.connect_timeout, self._patience.read_timeout)
        try:
            # Redirects would carry the token to wherever they point.
            with self._session.request(
                method, f"{self._base_url}{path}", params=params, data=data, files=files, headers=headers,
                auth=HeaderAuth(proof), timeout=timeout, allow_redirects=False, stream=True,
            ) as response:  # fmt: skip
                content = self._content(response, f"{method} {path}")
        except requests.exceptions.SSLError:
            raise self._terminal(
                "the certificate of the host could not be verified: check base URL, proxy and certificates"
            ) from None
        except _TRANSIENT as error:
            raise TransientPlatformError(
                self._platform,
                f"no complete answer to {method} {path} ({type(error).__name__})",
                code=TIMED_OUT if isinstance(error, requests.Timeout) else "",
            ) from None
        except requests.RequestException as error:
            raise self._terminal(f"{method} {path} could not be sent ({type(error).__name__})") from None
        return self._judged(response, content, f"{method} {path}")

    def _content(self, response: requests.Response, asked: str) -> bytes:
        """The whole answer, unless it is larger or slower than any that makes sense."""
        ends_at = self._clock() + self._patience.longest_answer
        content = bytearray()
        for chunk in response.iter_content(_CHUNK):
            content += chunk
            if len(content) > LARGEST_ANSWER:
                raise self._terminal(f"the answer to {asked} is larger than {LARGEST_ANSWER:,} bytes")
            if self._clock() > ends_at:
                raise TransientPlatformError(self._platform, f"the answer to {asked} takes too long")
        return bytes(content)

    def _judged(self, response: requests.Response, content: bytes, asked: str) -> Json:
        if 300 <= response.status_code < 400:
            raise self._terminal(f"{asked} was answered by a redirect: check the base URL")
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        answer = answer if isinstance(answer, dict) else None
        error = self._classify(response, answer)
        if error is not None:
            if error.stops and not isinstance(error, CredentialError):
                self._stopped = (error, math.inf)
            raise error
        if answer is None:
            raise TransientPlatformError(self._platform, f"the answer to {asked} is no JSON object")
        return answer

    def _pause(self, error: TransientPlatformError, attempt: int) -> None:
        """Sleep before another attempt, or raise the error when there is none."""
        patience, asked = self._patience, error.retry_after
        if asked is not None and asked > patience.longest_wait:
            raise self._closed(error, asked)
        if attempt >= patience.attempts or error.stops:
            raise error
        if asked is None:
            wait = self._chance() * min(patience.first_wait * 2 ** (attempt - 1), patience.longest_backoff)
        else:
            # A little after the given time, so that not everybody comes back at the same moment.
            wait = asked + min(1.0, 0.1 * asked) * self._chance()
            self.pace.hold(wait)
        log.warning("%s; attempt %d of %d failed, next in %.1f s", error, attempt, patience.attempts, wait)
        self._sleep(wait)

    def _closed(self, error: TransientPlatformError, seconds: float) -> QuotaError:
        """The end of this run for the account: nothing more is sent before the platform lets it."""
        until = self._clock() + seconds
        told = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%d %H:%M UTC")
        closed = QuotaError(
            self._platform,
            f"{said(error)}; nothing more can be sent before {told}: the next run after that goes on",
            code=error.code,
            trace_id=error.trace_id,
            retry_after=seconds,
        )
        self._stopped = (closed, until)
        return closed

    def _refuse_if_stopped(self) -> None:
        """Raise what has stopped this client before, without asking the platform again."""
        if self._stopped is None:
            return
        error, until = self._stopped
        if self._clock() < until:
            raise error.with_traceback(None)
        self._stopped = None

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


def encoded(content: object) -> bytes:
    """Compact JSON."""
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def _encoded(body: Mapping[str, Any] | bytes) -> bytes:
    return body if isinstance(body, bytes) else encoded(body)


def _retry_after(response: requests.Response) -> float | None:
    given = response.headers.get("Retry-After", "")
    return float(given) if re.fullmatch(r"[0-9]{1,6}", given) else None
