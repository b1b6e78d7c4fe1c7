"""What is known of all audiences in a query each, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from audience_pipeline.ledger import Ledger, deliveries, overview
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
from audience_pipeline.platforms.contract import Platform

NOW = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
BEST = AudienceKey(Platform.META, "123", "best")
OTHER = AudienceKey(Platform.GOOGLE, "9", "best")
PEOPLE = {"customer_id": pl.String, "fingerprint": pl.UInt64}


@pytest.fixture
def store(ledger: Ledger, tmp_path) -> MemberStore:
    with ledger.begin() as connection:
        for key in (BEST, OTHER):
            deliveries.put_audience(connection, PlatformAudience(key, "best", AudienceState.ACTIVE, NOW))
    return MemberStore(ledger, tmp_path / "delivered")


def delivered(
    store: MemberStore, key: AudienceKey, name: str, hours: int, state: DeliveryState = DeliveryState.SETTLED
) -> None:
    at = NOW + timedelta(hours=hours)
    with store.ledger.begin() as connection:
        deliveries.put_delivery(connection, Delivery(name, key, date(2026, 11, 20), at, state=state))


def batch(
    store: MemberStore, key: AudienceKey, delivery: str, name: str, state: BatchState, **more: object
) -> Batch:
    who = pl.DataFrame([(f"c{number}", number) for number in range(3)], schema=PEOPLE, orient="row")
    planned = Batch(name, delivery, 1, "add", 3, BatchState.PLANNED, NOW)
    planned = replace(planned, **{field: value for field, value in more.items() if field != "refused"})  # type: ignore[arg-type]
    store.plan_batch(key, planned, who, who.clear())
    if state is not BatchState.PLANNED:
        store.settle_batch(key, replace(planned, state=state), refused=more.get("refused"))  # type: ignore[arg-type]
    return planned


def test_the_newest_delivery_of_each_audience_is_found(store: MemberStore) -> None:
    for hours in range(3):
        delivered(store, BEST, f"b{hours}", hours)
    delivered(store, OTHER, "o", 0, DeliveryState.HELD)
    delivered(store, AudienceKey(Platform.META, "123", "*"), "everywhere", 9)

    with store.ledger.reading() as connection:
        newest = overview.newest_deliveries(connection)
        held = overview.newest_deliveries(connection, [DeliveryState.HELD])

    assert {key: one.delivery_id for key, one in newest.items()} == {BEST: "b2", OTHER: "o"}
    assert {key: one.delivery_id for key, one in held.items()} == {OTHER: "o"}


def test_batches_in_a_state_are_found_by_audience(store: MemberStore) -> None:
    delivered(store, BEST, "d", 0)
    batch(store, BEST, "d", "sent", BatchState.SENT)
    batch(store, BEST, "d", "planned", BatchState.PLANNED)
    batch(store, BEST, "d", "settled", BatchState.SETTLED)

    with store.ledger.reading() as connection:
        sent = overview.batches_in(connection, BatchState.SENT)
        planned = overview.batches_in(connection, BatchState.PLANNED)

    assert {key: [one.batch_id for one in found] for key, found in sent.items()} == {BEST: ["sent"]}
    assert {key: [one.batch_id for one in found] for key, found in planned.items()} == {BEST: ["planned"]}


def test_people_whom_a_platform_named_are_counted_by_batch_and_reason(store: MemberStore) -> None:
    delivered(store, BEST, "d", 0)
    batch(store, BEST, "d", "b", BatchState.SETTLED, refused={("c0", 0): "bad", ("c1", 1): "bad"})

    with store.ledger.reading() as connection:
        assert overview.refusals(connection) == {BEST: [("b", "bad", 2)]}


def test_removals_since_a_moment_are_those_that_the_platform_has_accepted(store: MemberStore) -> None:
    delivered(store, BEST, "d", 0)
    for name, hours, action, state in (
        ("early", -5, "remove", BatchState.SETTLED),
        ("late", 5, "remove", BatchState.SETTLED),
        ("open", 6, "remove", BatchState.SENT),
        ("lost", 7, "remove", BatchState.FAILED),
        ("added", 8, "add", BatchState.SETTLED),
    ):
        batch(store, BEST, "d", name, state, action=action, planned_at=NOW + timedelta(hours=hours))

    with store.ledger.reading() as connection:
        found = overview.removals_since(connection, Platform.META, "123", NOW)
        elsewhere = overview.removals_since(connection, Platform.META, "9", NOW)

    assert sorted(found["best"]) == [(NOW + timedelta(hours=5), 3), (NOW + timedelta(hours=6), 3)]
    assert elsewhere == {}


def test_figures_are_written_over_an_audience_that_is_still_the_same_and_nothing_else(
    store: MemberStore,
) -> None:
    known = PlatformAudience(BEST, "best", AudienceState.FILLING, NOW, remote_id="1")
    read = replace(known, status="Normal.", size_low=5, size_high=6, read_at=NOW)
    for now_there, size in (
        (replace(known, state=AudienceState.ACTIVE), 5),
        (replace(known, remote_id="2"), None),
    ):
        with store.ledger.begin() as connection:
            deliveries.put_audience(connection, now_there)
            overview.put_figures(connection, [read])
            overview.put_figures(connection, [])
            found = deliveries.audience(connection, BEST)

        assert found is not None
        assert (found.size_low, found.state, found.remote_id) == (size, now_there.state, now_there.remote_id)
