"""People, secrets and a clock for the tests of the clients, and what went over the wire."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import responses

from audience_pipeline.platforms.contract import Member, UploadSession

TOKEN = "token-that-nobody-may-see"
APP_SECRET = "app-secret-that-nobody-may-see"
SESSION = UploadSession(session_id=9778993, sequence=1, last=True, estimated_total=2)


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


@dataclass
class Waiting:
    """A clock that only moves when somebody sleeps."""

    now: float = 1_763_600_000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


def person(customer_id: str, **changes: str) -> Member:
    """Somebody with every identifier of every platform, unless ``changes`` say otherwise ('' leaves out)."""
    hashed = {
        name: digest(f"{name} of {customer_id}")
        for name in (
            "meta_email",
            "meta_phone",
            "meta_first_name",
            "meta_last_name",
            "google_email",
            "google_phone",
            "google_given_name",
            "google_family_name",
            "tiktok_email",
        )
    }
    values = {**hashed, "country": "US", "postal_code": "94045", **changes}
    return Member(customer_id, {name: value for name, value in values.items() if value})


def bodies(wire: responses.RequestsMock) -> list[Any]:
    """The JSON bodies of all requests, None for those without."""
    return [json.loads(call.request.body) if call.request.body else None for call in wire.calls]


def methods(wire: responses.RequestsMock) -> Sequence[tuple[str, str]]:
    """Method and path of all requests."""
    return [(call.request.method, call.request.path_url.split("?")[0]) for call in wire.calls]


def queries(wire: responses.RequestsMock) -> list[dict[str, str]]:
    """The query parameters of all requests."""
    return [dict(call.request.params) for call in wire.calls]
