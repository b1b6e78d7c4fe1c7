"""The three real clients over HTTP against the sandbox, which believes only what it was sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from hashlib import sha256
from pathlib import Path
from urllib.request import urlopen

import polars as pl
import pytest

from audience_pipeline.delivery.recipients import recipients
from audience_pipeline.delivery.run import sync
from audience_pipeline.delivery.status import status
from audience_pipeline.delivery.verify import verify
from audience_pipeline.ledger.records import DeliveryState
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.platforms.google import GoogleClient
from audience_pipeline.platforms.meta import MetaClient
from audience_pipeline.platforms.tiktok import TikTokClient
from audience_pipeline.sandbox.server import running

DAY = date(2026, 11, 20)
PEOPLE = 1_300
CLIENTS = {"meta": MetaClient, "google": GoogleClient, "tiktok": TikTokClient}


def email(number: int) -> str:
    return f"person{number}@example.com"


def phone(number: int) -> str:
    return f"+1415555{number // 2:04}"


def digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def identifiers() -> pl.DataFrame:
    """Two neighbours share a telephone."""
    numbers = range(PEOPLE)
    emails = [digest(email(number)) for number in numbers]
    bare, plus = (
        [digest(phone(number).lstrip("+")) for number in numbers],
        [digest(phone(number)) for number in numbers],
    )
    first = [digest(f"first{number}") for number in numbers]
    last = [digest("last")] * PEOPLE
    return pl.DataFrame(
        {
            "customer_id": [f"c{number:04}" for number in numbers],
            "country": ["US"] * PEOPLE,
            "postal_code": ["94045"] * PEOPLE,
            **{f"{name}_email": emails for name in CLIENTS},
            "meta_phone": bare,
            "google_phone": plus,
            "meta_first_name": first,
            "meta_last_name": last,
            "google_given_name": first,
            "google_family_name": last,
        }
    )


def wanted(platform: Platform, numbers: range | list[int]):
    everybody = recipients(platform, identifiers())
    return everybody.filter(pl.col("customer_id").is_in([f"c{number:04}" for number in numbers]))


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("sandbox")
    numbers = range(PEOPLE)
    pl.DataFrame(
        {
            "email": [email(number) for number in numbers],
            "phone": [phone(number) if number % 2 == 0 else None for number in numbers],
            "first_name": [f"first{number}" for number in numbers],
            "last_name": ["last"] * PEOPLE,
            "country": ["US"] * PEOPLE,
            "postal_code": ["94045"] * PEOPLE,
            **{f"on_{name}": [True] * PEOPLE for name in CLIENTS},
        }
    ).write_parquet(folder / "population.parquet")
    with running(folder / "state", folder / "population.parquet", delay=0.1) as address:
        yield address


def emails_held(sandbox: str, platform: str, audience_id: str) -> list[str]:
    with urlopen(f"{sandbox}/_sandbox/members?platform={platform}&audience_id={audience_id}") as answer:
        return sorted(row[0] for row in json.load(answer)["members"])


def emails_of(numbers: range | list[int]) -> list[str]:
    return sorted(digest(email(number)).hex() for number in numbers)


@pytest.mark.parametrize(("name", "unreadable"), [("meta", set()), ("google", {"terms"}), ("tiktok", set())])
def test_a_check_finds_nothing_to_mend(sandbox, name, unreadable) -> None:
    client = CLIENTS[name](base_url=sandbox, access_token=f"sandbox-{name}-token", account="1234567890")

    assert {finding.subject for finding in client.check() if finding.level != "ok"} == unreadable


@pytest.mark.parametrize("name", CLIENTS)
def test_an_audience_is_created_changed_and_then_left_alone(sandbox, store, name) -> None:
    client = CLIENTS[name](base_url=sandbox, access_token=f"sandbox-{name}-token", account="1234567890")
    platform, before = Platform(name), range(1_200)
    after = [number for number in range(50, PEOPLE) if number != 701]

    first = sync(store, client, "best", wanted(platform, before), as_of=DAY, prefix="shop ")
    assert first.state is DeliveryState.SETTLED, first.text()
    assert first.audience is not None
    remote_id = str(first.audience.remote_id)
    assert emails_held(sandbox, name, remote_id) == emails_of(before)

    second = sync(
        store, client, "best", wanted(platform, after), as_of=DAY, prefix="shop ", consent_lost={"c0701"}
    )
    assert second.state is DeliveryState.SETTLED, second.text()
    assert (second.removed, second.delivered) == (51, len(after))
    assert emails_held(sandbox, name, remote_id) == emails_of(after)

    third = sync(store, client, "best", wanted(platform, after), as_of=DAY, prefix="shop ")
    assert (third.state, third.sent, third.removed) == (DeliveryState.UNCHANGED, 0, 0)
    assert emails_held(sandbox, name, remote_id) == emails_of(after)

    (row,) = status(store)
    assert (row.platform, row.wanted, row.sent, row.state) == (name, len(after), len(after), "unchanged")
    assert row.match_rate_high == 1.0
    assert verify(store, client).gaps == ()


@pytest.mark.parametrize("name", CLIENTS)
def test_an_audience_deleted_behind_our_back_is_made_anew(sandbox, store, name) -> None:
    client = CLIENTS[name](base_url=sandbox, access_token=f"sandbox-{name}-token", account="2234567890")
    people = wanted(Platform(name), range(1_100))
    first = sync(store, client, "gone", people, as_of=DAY)
    assert first.audience is not None
    client.delete(str(first.audience.remote_id))

    second = sync(store, client, "gone", people, as_of=DAY)

    assert second.state is DeliveryState.SETTLED, second.text()
    assert second.audience is not None
    assert second.audience.remote_id != first.audience.remote_id
    assert emails_held(sandbox, name, str(second.audience.remote_id)) == emails_of(range(1_100))


def test_an_opt_out_from_a_small_tiktok_audience_takes_effect(sandbox, store) -> None:
    client = TikTokClient(base_url=sandbox, access_token="sandbox-tiktok-token", account="3234567890")
    people = wanted(Platform.TIKTOK, range(1_000))
    sync(store, client, "small", people, as_of=DAY)

    report = sync(store, client, "small", people, as_of=DAY, consent_lost={"c0007"})

    assert report.state is DeliveryState.SETTLED, report.text()
    assert "without consent" in report.sentences[0]
    assert report.audience is not None
    held = emails_held(sandbox, "tiktok", str(report.audience.remote_id))
    assert held == emails_of([number for number in range(1_000) if number != 7])


@pytest.mark.parametrize("name", CLIENTS)
def test_an_audience_is_emptied_only_when_confirmed(sandbox, store, name) -> None:
    client = CLIENTS[name](base_url=sandbox, access_token=f"sandbox-{name}-token", account="5234567890")
    people = wanted(Platform(name), range(1_100))
    first = sync(store, client, "old", people, as_of=DAY)
    assert first.audience is not None
    remote_id = str(first.audience.remote_id)

    held = sync(store, client, "old", people.clear(), as_of=DAY, retired=True, consent_lost={"c0007"})
    left = emails_held(sandbox, name, remote_id)
    confirmed = sync(store, client, "old", people.clear(), as_of=DAY, retired=True, confirm=True)
    after = sync(store, client, "old", people.clear(), as_of=DAY, retired=True)

    assert held.state is DeliveryState.HELD, held.text()
    assert "no definition asks for it any more, and 1,099 people" in held.sentences[-1]
    assert left == emails_of([number for number in range(1_100) if number != 7])
    assert (confirmed.state, confirmed.removed) == (DeliveryState.SETTLED, 1_099), confirmed.text()
    assert (after.state, after.sentences) == (DeliveryState.UNCHANGED, ()), after.text()
    if client.capabilities.creates_empty:
        assert emails_held(sandbox, name, remote_id) == []
    else:
        assert client.read(remote_id) is None
        assert "it was deleted, because tiktok keeps none that is empty" in confirmed.sentences[0]


def test_a_wrong_token_stops_the_platform_with_a_message_that_does_not_show_it(sandbox, store) -> None:
    client = MetaClient(base_url=sandbox, access_token="not-the-token", account="4234567890")

    report = sync(store, client, "best", wanted(Platform.META, range(3)), as_of=DAY)

    assert report.platform_stopped
    assert len(report.sentences) == 1
    assert "not-the-token" not in report.text()
