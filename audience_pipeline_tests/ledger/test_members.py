"""Who may be in an audience: the laws of the store, on both databases."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audience_pipeline.ledger import Ledger, deliveries
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import AudienceKey, Batch, BatchState, Delivery, MemberState
from audience_pipeline.platforms.contract import Platform

NOW = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
KEY = AudienceKey(Platform.META, "123", "best")
PEOPLE = {"customer_id": pl.String, "fingerprint": pl.UInt64}


def people(*who: tuple[str, int]) -> pl.DataFrame:
    return pl.DataFrame(list(who), schema=PEOPLE, orient="row")


@dataclass
class Row:
    state: str
    sent: datetime
    batch: str | None
    confirmed: bool = False


@dataclass
class Model:
    """What the store must say, kept as plainly as can be."""

    rows: dict[tuple[str, int], Row] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)

    def plan(self, batch: Batch, who: set, doubtful: set) -> None:
        self.batches[batch.batch_id] = batch
        for one in doubtful & self.rows.keys():
            self.rows[one].state = "doubtful"
        for one in who:
            row = self.rows.setdefault(one, Row("", batch.planned_at, None))
            row.batch = batch.batch_id
            row.state = "adding" if batch.action == "add" else "removing"
            if batch.action == "add":
                row.sent = batch.planned_at

    def settle(self, batch: Batch, refused: set) -> None:
        self.batches[batch.batch_id] = batch
        for one in refused:
            row = self.rows.get(one)
            if row is None or row.batch != batch.batch_id:
                continue
            if batch.action == "remove":
                row.batch = None
            elif row.confirmed:
                row.state = "doubtful"
            else:
                del self.rows[one]
        if batch.state is not BatchState.SETTLED:
            return
        for one, row in list(self.rows.items()):
            if row.batch == batch.batch_id and batch.action == "remove":
                del self.rows[one]
            elif row.batch == batch.batch_id:
                row.confirmed = True
                row.state = "added" if row.state == "adding" else row.state

    def forget(self) -> None:
        self.rows.clear()
        for name, batch in self.batches.items():
            if batch.state in (BatchState.PLANNED, BatchState.SENT):
                self.batches[name] = replace(batch, state=BatchState.FAILED)

    def members(self) -> list[tuple[Any, ...]]:
        return [
            (*one, row.state, self.in_flight(row), row.sent, row.batch)
            for one, row in sorted(self.rows.items())
        ]

    def in_flight(self, row: Row) -> bool:
        return row.batch is not None and self.batches[row.batch].state is BatchState.SENT

    def summary(self) -> tuple[Any, ...]:
        states = [row.state for row in self.rows.values()]
        arrived = [
            row.batch
            for row in self.rows.values()
            if row.state == "added" and row.batch and self.batches[row.batch].action == "add"
        ]
        return (
            len({who for (who, _), row in self.rows.items() if row.state != "adding"}),
            {MemberState(state): states.count(state) for state in set(states)},
            min((row.sent for row in self.rows.values()), default=None),
            {name: arrived.count(name) for name in set(arrived)},
        )


VARIANTS = st.tuples(st.sampled_from("abcd"), st.sampled_from([1, 2**63 + 1]))
SOME = st.sets(VARIANTS, max_size=6)
PLAN = st.tuples(st.just("plan"), st.sampled_from(["add", "remove"]), SOME, SOME)
SETTLE = st.tuples(
    st.just("settle"),
    st.integers(0, 3),
    st.sampled_from([BatchState.SENT, BatchState.SETTLED, BatchState.SETTLED, BatchState.FAILED]),
    st.booleans(),
)
OTHER = st.tuples(st.sampled_from(["forget", "compact", "compact", "reopen"]))
HISTORIES = st.lists(st.one_of(PLAN, PLAN, SETTLE, SETTLE, OTHER), max_size=14)


def seen(store: MemberStore, key: AudienceKey = KEY) -> list[tuple[Any, ...]]:
    return store.members(key).rows()


def counts(store: MemberStore) -> tuple[Any, ...]:
    held = store.summary(KEY)
    uploads = {upload.batch.batch_id: upload.people for upload in held.uploads}
    return held.delivered, dict(held.states), held.oldest, uploads


def start(ledger: Ledger, key: AudienceKey = KEY, delivery_id: str = "d") -> None:
    with ledger.begin() as connection:
        deliveries.start(connection, Delivery(delivery_id, key, date(2026, 11, 20), NOW))


def batch(number: int, action: str, rows: int = 1) -> Batch:
    moment = NOW + timedelta(hours=number)
    return Batch(f"d-{number:05}", "d", number, action, rows, BatchState.PLANNED, moment)


@pytest.fixture
def store(ledger: Ledger, tmp_path: Path) -> MemberStore:
    start(ledger)
    return MemberStore(ledger, tmp_path / "delivered")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=HISTORIES)
def test_the_store_equals_a_dictionary_whatever_happens(history, new_url) -> None:
    model, planned = Model(), []
    with TemporaryDirectory() as folder:
        url = new_url()
        ledger = Ledger.open(url)
        start(ledger)
        store = MemberStore(ledger, Path(folder))
        for step, *details in history:
            match step:
                case "plan":
                    action, who, doubtful = details
                    new = batch(len(planned) + 1, action, len(who))
                    planned.append(new)
                    store.plan_batch(KEY, new, people(*who), people(*doubtful))
                    model.plan(new, who, doubtful)
                case "settle" if planned:
                    back, state, some_refused = details
                    old = planned[-1 - back % len(planned)]
                    if model.batches[old.batch_id].state in (BatchState.SETTLED, BatchState.FAILED):
                        continue
                    now = replace(old, state=state)
                    refused = {one for one in model.rows if one[0] in "ab"} if some_refused else set()
                    store.settle_batch(KEY, now, refused=dict.fromkeys(refused, "bad") or None)
                    model.settle(now, refused)
                case "forget":
                    store.forget(KEY)
                    model.forget()
                case "compact":
                    store.compact(KEY)
                case "reopen":
                    ledger.close()
                    ledger = Ledger.open(url)
                    store = MemberStore(ledger, Path(folder))
            assert counts(store) == model.summary()
        assert seen(store) == model.members()
        store.compact(KEY)
        assert seen(store) == model.members()
        assert counts(store) == model.summary()
        ledger.close()
