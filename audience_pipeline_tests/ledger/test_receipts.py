"""Receipts of removals, erasures and verifications, and the views that analysts read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import text

from audience_pipeline.ledger import Ledger, deliveries, erasures, removals, verifications
from audience_pipeline.ledger.erasures import Erasure, ErasureState
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import (
    AudienceKey,
    AudienceState,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    PlatformAudience,
)
from audience_pipeline.ledger.removals import Removal, RemovalState, RequestKind
from audience_pipeline.ledger.verifications import VerificationRecord
from audience_pipeline.platforms.contract import Platform

NOW = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
KEY = AudienceKey(Platform.META, "123", "best")
PEOPLE = {"customer_id": pl.String, "fingerprint": pl.UInt64}


def test_a_receipt_follows_a_removal_to_its_end(ledger: Ledger) -> None:
    owed = Removal("r1", RequestKind.OPT_OUT, Platform.META, "123", RemovalState.OWED, NOW)
    absent = replace(owed, platform=Platform.TIKTOK, account="", state=RemovalState.NOT_CONFIGURED)
    other = replace(owed, request_id="r0", kind=RequestKind.ERASE, requested_at=NOW - timedelta(days=1))
    done = replace(
        owed,
        state=RemovalState.VERIFIED,
        people=2,
        variants=3,
        audiences=4,
        how="By one call for the whole account.",
        request_ids=("q1", "q2"),
        sent_at=NOW,
        confirmed_at=NOW + timedelta(seconds=1),
        verified_at=NOW + timedelta(seconds=2),
    )
    with ledger.begin() as connection:
        for one in (owed, absent, other, done):
            removals.put(connection, one)
    with ledger.reading() as connection:
        assert removals.removals(connection, "r1") == [done, absent]
        assert removals.removals(connection) == [other, done, absent]


def test_an_erasure_leaves_counts_alone(ledger: Ledger) -> None:
    asked = Erasure("r1", NOW)
    done = Erasure("r1", NOW, ErasureState.DELETED, NOW, NOW, 2, {"customer_profile": 7})
    with ledger.begin() as connection:
        erasures.put(connection, asked)
        erasures.put(connection, done)
    with ledger.reading() as connection:
        assert erasures.erasures(connection) == [done]
        assert erasures.erasures(connection, "r2") == []


def test_the_newest_verification_of_each_account_counts(ledger: Ledger) -> None:
    gap = {"audience": "best", "sentence": "It is gone: deliver it again."}
    old = VerificationRecord("v1", Platform.META, "1", NOW, 3, (gap,))
    new = VerificationRecord("v2", Platform.META, "1", NOW + timedelta(days=1), 4, (), {"best": {"size": 1}})
    other = VerificationRecord("v3", Platform.GOOGLE, "1", NOW, 1, [gap])
    with ledger.begin() as connection:
        for one in (new, old, other):
            verifications.put(connection, one)
    with ledger.reading() as connection:
        found = verifications.newest(connection)
        meta = verifications.newest(connection, Platform.META)

    assert [one.verification_id for one in found] == ["v3", "v2"]
    assert list(found[0].gaps) == [gap]
    assert (meta[0].seen, meta[0].checked_at) == ({"best": {"size": 1}}, NOW + timedelta(days=1))


def view(ledger: Ledger, name: str) -> list[dict[str, Any]]:
    with ledger.reading() as connection:
        rows = connection.execute(text(f'SELECT * FROM "{name}" ORDER BY 1')).mappings()
        return [dict(row) for row in rows]


def test_analysts_see_audiences_and_their_syncs(ledger: Ledger, tmp_path: Path) -> None:
    store = MemberStore(ledger, tmp_path)
    audience = PlatformAudience(
        KEY, "shop best", AudienceState.ACTIVE, NOW, "r", size_low=1_000, size_high=1_200,
        match_rate_low=0.5, match_rate_high=0.6,
    )  # fmt: skip
    first = Delivery("d1", KEY, date(2026, 11, 20), NOW, NOW + timedelta(minutes=1), DeliveryState.SETTLED, 3)
    second = replace(
        first, delivery_id="d2", started_at=NOW + timedelta(days=1), finished_at=None,
        state=DeliveryState.INCOMPLETE, message="Refused.",
    )  # fmt: skip
    people = pl.DataFrame([("a", 1), ("b", 1), ("c", 1)], schema=PEOPLE, orient="row")
    with ledger.begin() as connection:
        deliveries.put_audience(connection, audience)
        for one in (first, second):
            deliveries.put_delivery(connection, one)

    def send(number: int, delivery: str, action: Any, who: pl.DataFrame, **outcome: Any) -> None:
        batch = Batch(f"{delivery}-{number}", delivery, number, action, who.height, BatchState.PLANNED, NOW)
        batch = replace(batch, split_from=outcome.pop("split_from", ""))
        store.plan_batch(KEY, batch, who, people.clear())
        store.settle_batch(KEY, replace(batch, **outcome))

    send(1, "d1", "add", people, state=BatchState.SETTLED, rejected=1, match_rate=(0.4, 0.6))
    send(1, "d2", "remove", people[:1], state=BatchState.SENT)
    send(2, "d2", "add", people[1:], state=BatchState.FAILED)
    send(3, "d2", "add", people[1:2], state=BatchState.FAILED, split_from="d2-2")
    send(4, "d2", "add", people[2:], state=BatchState.SETTLED, split_from="d2-2")
    store.compact(KEY)

    (platform_audience,) = view(ledger, "PlatformAudience")
    logged = view(ledger, "AudienceSyncLog")
    expected = {
        "platform": "meta", "account": "123", "name": "best", "audience_id": "r", "size": 1_200,
        "people_delivered": 2,
    }  # fmt: skip
    assert {name: platform_audience[name] for name in expected} == expected
    assert abs(platform_audience["match_rate"] - 0.55) < 1e-9
    assert str(platform_audience["last_sync"])[:16] == "2026-11-20 06:31"
    assert [
        (row["users_added"], row["users_removed"], row["users_refused"], row["errors"]) for row in logged
    ] == [(2, 0, 1, None), (1, 1, 1, "Refused.")]
    assert [json.loads(row["match_rate_by_platform"]) for row in logged] == [{"meta": 0.5}, {}]
    assert {"sync_timestamp", "audience", "state", "as_of"} <= logged[0].keys()
