"""The sandbox as the harness sees it: what it holds, and its switches. The product's code is not used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import requests

from audience_pipeline.sandbox.server import process
from audience_pipeline_tests.delivery.proof.raw_input import POSTAL, Person
from audience_pipeline_tests.delivery.proof.spelled import CALLING, PLATFORMS

DELAY = 0.02
DAY = 86_400
PARTIAL = "partial_failure"
"""Some people of a batch are refused and left out, which leaves a mark in the ledger for good."""
PROCESSING = "processing_failure"
SHRINKAGE = "shrinkage"
"""An audience loses people by itself. No delivery sees that, verifying tells of it: not part of this."""
BEHIND = ("deleted_audience", "flagged_name", "expired_token")
"""What somebody else does to an account."""
PEOPLE = 2_000
"""Whom the platforms know at their first addresses."""


@dataclass(frozen=True)
class Held:
    """One audience as the sandbox believes in it."""

    id: str
    name: str
    account: str
    rows: frozenset[tuple[str, ...]]
    matched: int


class Platforms:
    """A running sandbox with three platforms."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._session = requests.Session()
        limits = self._ask("GET", "limits")
        self._ask("POST", "limits", json=dict.fromkeys(limits))

    def faults(self, seed: int | None, rate: float = 0.05, kinds: Sequence[str] | None = None) -> None:
        """Switch trouble on, by its seed, or off.

        Args:
            seed: None for none.
            rate: share of calls that something happens to.
            kinds: what may happen; everything but ``PARTIAL`` and ``SHRINKAGE`` when not given.
        """
        known = self._ask("GET", "faults")["known"]
        chosen = (
            [kind for kind in known if kind not in {PARTIAL, SHRINKAGE}] if kinds is None else list(kinds)
        )
        self._ask("POST", "faults", json={"seed": seed, "kinds": chosen, "rate": rate})

    def injected(self) -> dict[str, dict[str, int]]:
        """What has happened since trouble was switched on: kind to platform to how often."""
        found: dict[str, dict[str, int]] = {}
        for platform, counts in self._ask("GET", "faults")["injected"].items():
            for kind, times in counts.items():
                found.setdefault(kind, {})[platform] = times
        return found

    def pass_days(self, days: float) -> None:
        """Move the clock of the platforms."""
        self._ask("POST", "clock", json={"advance_seconds": days * DAY})

    def held(self, platform: str, accounts: tuple[str, ...]) -> list[Held]:
        """Every audience of some accounts with everybody in it."""
        listed = self._ask("GET", "audiences", params={"platform": platform})["audiences"]
        found = []
        for one in listed:
            if one["account"] in accounts:
                members = self.members(platform, one["id"])
                rows = frozenset(tuple(row) for row in members["members"])
                found.append(Held(one["id"], one["name"], one["account"], rows, members["matched"]))
        return found

    def members(self, platform: str, audience_id: str) -> dict[str, Any]:
        """Everybody in one audience."""
        return self._ask("GET", "members", params={"platform": platform, "audience_id": audience_id})

    def delete(self, platform: str, held: Held) -> None:
        """Somebody deletes an audience in the platform's own interface."""
        if platform == "meta":
            self._as_advertiser("DELETE", f"/v26.0/{held.id}", "Authorization", "Bearer sandbox-meta-token")
        elif platform == "google":
            path = f"/v1/accountTypes/GOOGLE_ADS/accounts/{held.account}/userLists/{held.id}"
            self._as_advertiser("DELETE", path, "Authorization", "Bearer sandbox-google-token")
        else:
            path, body = "/open_api/v1.3/dmp/custom_audience/delete/", {"custom_audience_ids": [held.id]}
            self._as_advertiser(
                "POST", path, "Access-Token", "sandbox-tiktok-token", {"advertiser_id": held.account, **body}
            )

    def _as_advertiser(self, method: str, path: str, header: str, token: str, body: Any = None) -> None:
        answer = self._session.request(
            method, f"{self.address}{path}", headers={header: token}, json=body, timeout=30
        )
        assert answer.status_code == 200, answer.text

    def _ask(self, method: str, what: str, **options: Any) -> dict[str, Any]:
        answer = self._session.request(method, f"{self.address}/_sandbox/{what}", timeout=60, **options)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@contextmanager
def platforms(folder: Path, *, delay: float = DELAY) -> Iterator[Platforms]:
    """A fresh sandbox that knows ``PEOPLE`` people, without limits, for the length of a ``with`` block."""
    folder.mkdir(parents=True, exist_ok=True)
    population = folder / "population.parquet"
    write_population(population)
    with process(folder / "state", population, delay=delay) as (address, _):
        yield Platforms(address)


def write_population(path: Path) -> None:
    """Everybody at their first address and number, on every platform."""
    persons = [Person(number) for number in range(PEOPLE)]
    pl.DataFrame(
        {
            "email": [one.email() for one in persons],
            "phone": [f"+{CALLING[one.country]}{one.national(one.number)}" for one in persons],
            "first_name": [one.name[0] for one in persons],
            "last_name": [one.name[1] for one in persons],
            "country": [one.country for one in persons],
            "postal_code": [POSTAL[one.country] for one in persons],
            **{f"on_{platform}": [True] * PEOPLE for platform in PLATFORMS},
        }
    ).write_parquet(path)
