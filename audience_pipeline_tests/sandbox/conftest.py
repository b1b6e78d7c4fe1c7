"""A running sandbox, callers for its platforms, and the people whom the platforms know."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import polars as pl
import pytest
import requests

from audience_pipeline.sandbox.server import running

DELAY = 30
PEOPLE = 2_000
_accounts = count(1_000)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Sandbox:
    """Calls over the wire, with the account that the test has to itself."""

    base: str
    account: str = field(default_factory=lambda: str(next(_accounts)))
    session: requests.Session = field(default_factory=requests.Session)

    def settle(self, seconds: float = DELAY + 1) -> None:
        self.control("clock", {"advance_seconds": seconds})

    def control(self, what: str, body: dict[str, Any]) -> requests.Response:
        return self.session.post(f"{self.base}/_sandbox/{what}", json=body, timeout=10)

    def time(self) -> float:
        """The present of the sandbox, in epoch seconds."""
        return float(self.session.get(f"{self.base}/_sandbox/clock", timeout=10).json()["time"])

    def members(self, platform: str, audience_id: str) -> dict[str, Any]:
        query = {"platform": platform, "audience_id": audience_id}
        return self.session.get(f"{self.base}/_sandbox/members", params=query, timeout=10).json()

    def meta(self, method: str, path: str, version: str = "v26.0", **options: Any) -> requests.Response:
        headers = {"Authorization": "Bearer sandbox-meta-token"} | options.pop("headers", {})
        address = f"{self.base}/{version}/{path}" if version else f"{self.base}/{path}"
        return self.session.request(method, address, headers=headers, timeout=30, **options)

    def google(self, method: str, path: str, body: object = None, **options: Any) -> requests.Response:
        headers = {"Authorization": "Bearer sandbox-google-token"} | options.pop("headers", {})
        return self.session.request(
            method, f"{self.base}{path}", json=body, headers=headers, timeout=30, **options
        )

    def tiktok(self, method: str, path: str, body: object = None, **options: Any) -> dict[str, Any]:
        headers = {"Access-Token": "sandbox-tiktok-token"} | options.pop("headers", {})
        address = f"{self.base}/open_api/v1.3{path}"
        answer = self.session.request(method, address, json=body, headers=headers, timeout=30, **options)
        assert answer.status_code == 200
        return answer.json()

    def meta_audience(self, **parameters: Any) -> str:
        body = {"name": "a", "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY", **parameters}
        return self.meta("POST", f"act_{self.account}/customaudiences", json=body).json()["id"]

    def meta_users(
        self,
        audience_id: str,
        data: list[Any],
        schema: Any = "EMAIL_SHA256",
        method: str = "POST",
        **more: Any,
    ) -> dict[str, Any]:
        body = {"payload": {"schema": schema, "data": data}, **more}
        return self.meta(method, f"{audience_id}/users", json=body).json()

    def google_list(self, name: str = "a", **parameters: Any) -> dict[str, Any]:
        body = {
            "displayName": name,
            "ingestedUserListInfo": {"uploadKeyTypes": ["CONTACT_ID"]},
            **parameters,
        }
        return self.google("POST", self.lists(), body).json()

    def lists(self) -> str:
        return f"/v1/accountTypes/GOOGLE_ADS/accounts/{self.account}/userLists"

    def destination(self, list_id: str, **more: Any) -> dict[str, Any]:
        account = {"accountType": "GOOGLE_ADS", "accountId": self.account}
        return {"operatingAccount": account, "productDestinationId": list_id, **more}

    def ingest_body(self, list_id: str, members: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {
            "destinations": [self.destination(list_id)],
            "audienceMembers": members,
            "encoding": "HEX",
            "termsOfService": {"customerMatchTermsOfServiceStatus": "ACCEPTED"},
            "consent": {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"},
            **more,
        }

    def ingest(self, list_id: str, members: list[dict[str, Any]], **more: Any) -> requests.Response:
        return self.google("POST", "/v1/audienceMembers:ingest", self.ingest_body(list_id, members, **more))

    def status(self, request_id: str) -> dict[str, Any]:
        answer = self.google("GET", "/v1/requestStatus:retrieve", params={"requestId": request_id})
        return answer.json()["requestStatusPerDestination"][0]

    def tiktok_file(
        self, lines: list[str], calculate_type: str = "EMAIL_SHA256", **more: Any
    ) -> dict[str, Any]:
        content = "\n".join(lines).encode()
        form = {
            "advertiser_id": self.account,
            "calculate_type": calculate_type,
            "file_signature": hashlib.md5(content).hexdigest(),
            **more,
        }
        files = {"file": (form.pop("as_name", "people.csv"), content)}
        address = f"{self.base}/open_api/v1.3/dmp/custom_audience/file/upload/"
        headers = {"Access-Token": "sandbox-tiktok-token"}
        return self.session.post(address, data=form, files=files, headers=headers, timeout=30).json()

    def tiktok_path(self, lines: list[str], calculate_type: str = "EMAIL_SHA256") -> str:
        return self.tiktok_file(lines, calculate_type)["data"]["file_path"]

    def tiktok_audience(self, lines: list[str], **more: Any) -> str:
        body = {
            "advertiser_id": self.account,
            "custom_audience_name": "a",
            "calculate_type": "EMAIL_SHA256",
            "file_paths": [self.tiktok_path(lines)],
            **more,
        }
        return self.tiktok("POST", "/dmp/custom_audience/create/", body)["data"]["custom_audience_id"]

    def tiktok_details(self, audience_id: str) -> dict[str, Any]:
        query = {"advertiser_id": self.account, "custom_audience_ids": json.dumps([audience_id])}
        return self.tiktok("GET", "/dmp/custom_audience/get/", params=query)["data"]["list"][0]


def people(number: int = PEOPLE) -> pl.DataFrame:
    """Person 0 has a Gmail address with dots and a tag; Meta does not know every tenth person."""
    numbers = range(number)
    emails = [f"person{i}@example.com" for i in numbers]
    emails[0] = "Jane.Doe+News@gmail.com"
    return pl.DataFrame(
        {
            "email": emails,
            "phone": [f"+1415{i:07d}" for i in numbers],
            "first_name": ["Zoë" if i == 0 else "Jan" for i in numbers],
            "last_name": ["O'Neill" if i == 0 else f"Doe{i}" for i in numbers],
            "country": ["US" if i % 2 else "DE" for i in numbers],
            "postal_code": [f"{10000 + i}-1234" for i in numbers],
            "on_meta": [i % 10 != 9 for i in numbers],
            "on_google": [i % 10 != 9 for i in numbers],
            "on_tiktok": [i % 10 != 9 for i in numbers],
        }
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("sandbox")
    people().write_parquet(folder / "population.parquet")
    with running(folder / "state", folder / "population.parquet", delay=DELAY) as address:
        requests.post(f"{address}/_sandbox/limits", json={"tiktok_calls_per_second": None}, timeout=10)
        yield address


@pytest.fixture
def sandbox(base: str) -> Sandbox:
    return Sandbox(base)


@pytest.fixture
def known() -> list[str]:
    """E-mail hashes of 1,900 people, 1,710 of them known to every platform."""
    return [sha(f"person{i}@example.com") for i in range(100, PEOPLE)]
