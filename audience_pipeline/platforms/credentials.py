"""Proof of who is asking. Nothing here shows its secret in a repr."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import requests
from requests.auth import AuthBase

from audience_pipeline.platforms.contract import CredentialError, Platform

_TOKEN = re.compile(r"[\x21-\x7e]+")


class Credentials(Protocol):
    """What proves to a platform who is asking."""

    def headers(self) -> Mapping[str, str]:
        """The headers of one request; may fetch a token first."""

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Forget the token of refused headers; True when there is another without a person."""

    def secrets(self) -> tuple[str, ...]:
        """What must never show in a message."""


@dataclass(frozen=True, slots=True)
class StaticToken:
    """A token that somebody supplies, and that only somebody can replace."""

    platform: Platform
    token: str = field(repr=False)
    header: str = "Authorization"
    scheme: str = "Bearer "

    def headers(self) -> Mapping[str, str]:
        """The one header.

        Raises:
            CredentialError: the token is missing, or holds what a header cannot carry.
        """
        if not _TOKEN.fullmatch(self.token):
            state = "holds blanks or signs that no token has" if self.token else "is missing"
            raise CredentialError(self.platform, f"the access token {state}: supply it again")
        return {self.header: f"{self.scheme}{self.token}"}

    def renew(self, refused: Mapping[str, str]) -> bool:  # noqa: ARG002
        """Never: a person must."""
        return False

    def secrets(self) -> tuple[str, ...]:
        """The token."""
        return (self.token,)


@dataclass(frozen=True, slots=True)
class Anonymous:
    """No credentials: for the request that fetches a token."""

    hidden: tuple[str, ...] = field(default=(), repr=False)

    def headers(self) -> Mapping[str, str]:
        """None at all."""
        return {}

    def renew(self, refused: Mapping[str, str]) -> bool:  # noqa: ARG002
        """There is nothing to renew."""
        return False

    def secrets(self) -> tuple[str, ...]:
        """What the body of the request holds."""
        return self.hidden


class HeaderAuth(AuthBase):
    """As ``auth`` the headers are neither kept by the session nor replaced from a netrc file."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request with the headers."""
        request.headers.update(self._headers)
        return request
