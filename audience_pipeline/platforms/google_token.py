"""Access to Google: a token that was given, or fetched with a refresh token and kept until it expires."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import requests

from audience_pipeline.platforms.contract import CredentialError, Platform, PlatformError
from audience_pipeline.platforms.credentials import Anonymous, StaticToken
from audience_pipeline.platforms.http import Json, Transport, by_status

OAUTH_BASE_URL = "https://oauth2.googleapis.com"
_MARGIN = 60.0
"""Seconds before its end at which a token is fetched anew."""


class GoogleToken:
    """The bearer token of one grant."""

    def __init__(
        self,
        *,
        access_token: str | None,
        client_id: str | None,
        client_secret: str | None,
        refresh_token: str | None,
        transport: Callable[..., Transport],
        clock: Callable[[], float],
    ) -> None:
        """``transport`` makes the transport of the token endpoint from credentials and judge."""
        self._token = access_token or ""
        self._ends_at: float | None = None
        self._grant = {
            "client_id": client_id or "",
            "client_secret": client_secret or "",
            "refresh_token": refresh_token or "",
            "grant_type": "refresh_token",
        }
        self._can_refresh = all(self._grant.values())
        self._refused = ""
        hidden = (client_secret or "", refresh_token or "")
        self._http = transport(Anonymous(hidden), _judge)
        self._clock = clock
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return "GoogleToken()"

    def headers(self) -> Mapping[str, str]:
        """The authorization header, with a fresh token where one can be fetched.

        Raises:
            PlatformError: there is no token, or none could be fetched.
        """
        with self._lock:
            if self._refused:
                raise CredentialError(Platform.GOOGLE, self._refused)
            expired = self._ends_at is not None and self._clock() >= self._ends_at - _MARGIN
            if self._can_refresh and (expired or not self._token):
                self._fetch()
            return StaticToken(Platform.GOOGLE, self._token).headers()

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Forget a refused token unless there is a newer one already; True when another can be had."""
        with self._lock:
            if not self._can_refresh or self._refused:
                return False
            if self._token and refused == StaticToken(Platform.GOOGLE, self._token).headers():
                self._token = ""
            return True

    def secrets(self) -> tuple[str, ...]:
        """The token and what it is fetched with."""
        return (self._token, self._grant["client_secret"], self._grant["refresh_token"])

    def _fetch(self) -> None:
        try:
            answer = self._http.call("POST", "/token", form=self._grant, retry=False)
        except CredentialError as error:
            self._refused = str(error).removeprefix(f"{Platform.GOOGLE.value}: ")
            raise
        self._token = str(answer.get("access_token") or "")
        life = answer.get("expires_in")
        self._ends_at = self._clock() + float(life) if isinstance(life, int | float) else None


def _judge(response: requests.Response, answer: Json | None) -> PlatformError | None:
    error = (answer or {}).get("error")
    if isinstance(error, str) and response.status_code < 500 and response.status_code != 429:
        return CredentialError(
            Platform.GOOGLE,
            f"no access token for the refresh token ({error[:50]}): authorise the application again",
            code=error[:50],
        )
    return by_status(Platform.GOOGLE, response)
