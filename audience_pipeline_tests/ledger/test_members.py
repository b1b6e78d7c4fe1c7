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
from sqlalchemy import select

from audience_pipeline.ledger import Ledger, LedgerError, deliveries, schema
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import (
    AudienceKey,
    AudienceState,
    Batch,
    BatchState,
    Delivery,
    MemberState,
    PlatformAudience,
)
from audience_pipeline.platforms.contract import CAPABILITIES, PLAIN, Platform

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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
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


def test_a_first_fill_is_added_once_it_has_settled(store: MemberStore) -> None:
    first = batch(1, "add", 2)
    store.plan_batch(KEY, first, people(("b", 1), ("a", 2**64 - 1)), people())
    planned = seen(store)
    store.settle_batch(KEY, replace(first, state=BatchState.SENT))
    sent = seen(store)
    store.settle_batch(KEY, replace(first, state=BatchState.SETTLED))

    assert [row[:4] for row in planned] == [
        ("a", 2**64 - 1, "adding", False),
        ("b", 1, "adding", False),
    ]
    assert [row[3] for row in sent] == [True, True]
    assert [row[2:] for row in seen(store)] == [("added", False, first.planned_at, first.batch_id)] * 2


def test_members_have_the_same_columns_whether_or_not_anybody_is_there(store: MemberStore) -> None:
    empty = store.members(KEY)
    store.plan_batch(KEY, batch(1, "add"), people(("a", 1)), people())
    overlaid = store.members(KEY)
    store.compact(KEY)

    assert empty.schema == overlaid.schema == store.members(KEY).schema
    assert empty.schema == {
        "customer_id": pl.String,
        "fingerprint": pl.UInt64,
        "state": pl.String,
        "in_flight": pl.Boolean,
        "delivered_at": pl.Datetime("us", "UTC"),
        "batch_id": pl.String,
    }


def test_a_batch_settles_after_its_people_have_moved_into_the_file(
    store: MemberStore, tmp_path: Path
) -> None:
    added, removed = batch(1, "add", 2), batch(2, "remove")
    store.plan_batch(KEY, added, people(("a", 1), ("b", 1)), people())
    store.settle_batch(KEY, replace(added, state=BatchState.SENT))
    store.compact(KEY)
    store.settle_batch(KEY, replace(added, state=BatchState.SETTLED))
    store.plan_batch(KEY, removed, people(("a", 1)), people())
    store.settle_batch(KEY, replace(removed, state=BatchState.SENT))
    store.compact(KEY)
    store.settle_batch(KEY, replace(removed, state=BatchState.SETTLED))

    assert [row[:3] for row in seen(store)] == [("b", 1, "added")]
    assert store.summary(KEY).delivered == 1


def test_counts_need_no_file(store: MemberStore, tmp_path: Path) -> None:
    first = batch(1, "add", 2)
    store.plan_batch(KEY, first, people(("a", 1), ("b", 1)), people())
    store.settle_batch(KEY, replace(first, state=BatchState.SENT))
    store.compact(KEY)
    for file in (tmp_path / "delivered").rglob("*.parquet"):
        file.unlink()
    under_way = store.summary(KEY)
    store.settle_batch(KEY, replace(first, state=BatchState.SETTLED, accepted=2))
    done = store.summary(KEY)

    assert (under_way.delivered, dict(under_way.states)) == (0, {MemberState.ADDING: 2})
    assert (done.delivered, dict(done.states)) == (2, {MemberState.ADDED: 2})
    assert [(upload.people, upload.batch.accepted) for upload in done.uploads] == [(2, 2)]
    assert store.summaries() == {KEY: done}


def test_somebody_who_is_refused_by_name_is_not_there_and_is_remembered(store: MemberStore) -> None:
    first = batch(1, "add", 2)
    store.plan_batch(KEY, first, people(("a", 2**63), ("b", 1)), people())
    store.settle_batch(
        KEY, replace(first, state=BatchState.SETTLED, rejected=1), refused={("a", 2**63): "invalid phone"}
    )

    assert [row[:3] for row in seen(store)] == [("b", 1, "added")]
    assert store.refused(KEY).rows() == [("a", 2**63, "invalid phone")]
    assert store.refused(replace(KEY, audience="other")).is_empty()


def test_a_refusal_does_not_make_somebody_disappear_who_had_arrived(store: MemberStore) -> None:
    first, again = batch(1, "add"), batch(2, "add")
    for one in (first, again):
        store.plan_batch(KEY, one, people(("a", 1)), people())
        store.compact(KEY)
        refused = {("a", 1): "odd"} if one is again else None
        store.settle_batch(KEY, replace(one, state=BatchState.SETTLED), refused=refused)

    assert [row[:3] for row in seen(store)] == [("a", 1, "doubtful")]


@pytest.mark.parametrize("compacted", [False, True])
def test_what_had_arrived_before_a_removal_does_not_count_for_a_refusal_after_it(
    store: MemberStore, compacted: bool
) -> None:
    for number, action in enumerate(["add", "remove", "add"], 1):
        one = batch(number, action)
        store.plan_batch(KEY, one, people(("a", 1)), people())
        refused = {("a", 1): "odd"} if number == 3 else None
        store.settle_batch(KEY, replace(one, state=BatchState.SETTLED), refused=refused)
        if compacted:
            store.compact(KEY)

    assert seen(store) == []


def test_somebody_whose_removal_is_refused_stays_to_be_removed(store: MemberStore) -> None:
    added, removed = batch(1, "add", 2), batch(2, "remove", 2)
    for one, refused in ((added, None), (removed, {("a", 1): "odd"})):
        store.plan_batch(KEY, one, people(("a", 1), ("b", 1)), people())
        store.settle_batch(KEY, replace(one, state=BatchState.SETTLED), refused=refused)

    assert [row[:4] for row in seen(store)] == [("a", 1, "removing", False)]


def test_an_audience_that_is_gone_holds_nobody_even_if_its_file_is_lost(
    store: MemberStore, tmp_path: Path
) -> None:
    first = batch(1, "add")
    store.plan_batch(KEY, first, people(("a", 1)), people())
    store.settle_batch(KEY, replace(first, state=BatchState.SENT))
    store.compact(KEY)
    for file in (tmp_path / "delivered").rglob("*.parquet"):
        file.unlink()
    store.forget(KEY)

    assert seen(store) == []
    with store.ledger.reading() as connection:
        assert deliveries.under_way(connection, KEY) == []


@pytest.mark.parametrize("harm", ["missing", "changed", "cut"])
def test_a_damaged_file_is_never_taken_for_an_empty_audience(
    store: MemberStore, tmp_path: Path, harm: str
) -> None:
    store.plan_batch(KEY, batch(1, "add"), people(("a", 1)), people())
    store.compact(KEY)
    (file,) = (tmp_path / "delivered").rglob("*.parquet")
    contents = file.read_bytes()
    match harm:
        case "missing":
            file.unlink()
        case "changed":
            file.write_bytes(contents[:-9] + b"x" + contents[-8:])
        case "cut":
            file.write_bytes(contents[: len(contents) // 2])

    with pytest.raises(LedgerError, match=r"'best' on meta (is missing|was changed). Restore .* backup"):
        store.members(KEY)
    with pytest.raises(LedgerError, match="Without a backup, delete this audience on the platform: the next"):
        store.erase(["a"])


def test_names_of_audiences_and_accounts_never_become_paths(store: MemberStore, tmp_path: Path) -> None:
    for number, name in enumerate(["../../etc", "/", "a\x00b"[:1] + "\n", "ü" * 200, "CON", "."]):
        key = AudienceKey(Platform.TIKTOK, f"../{name}"[:64], name)
        start(store.ledger, key, f"e{number}")
        one = replace(batch(1, "add"), batch_id=f"e{number}-1", delivery_id=f"e{number}")
        store.plan_batch(key, one, people((name, 1)), people())
        store.compact(key)
        assert [row[0] for row in seen(store, key)] == [name]

    files = list(tmp_path.rglob("*.parquet"))
    assert len(files) == 6
    assert {file.parent for file in files} == {tmp_path / "delivered" / "members" / "tiktok"}


def test_files_are_for_their_owner_alone(store: MemberStore, tmp_path: Path) -> None:
    store.plan_batch(KEY, batch(1, "add"), people(("a", 1)), people())
    store.compact(KEY)

    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "delivered").rglob("*")}
    assert modes == {0}


def test_compaction_leaves_one_file_and_nothing_in_the_ledger(store: MemberStore, tmp_path: Path) -> None:
    for number in range(1, 4):
        one = batch(number, "add")
        store.plan_batch(KEY, one, people((f"c{number}", 1)), people())
        store.settle_batch(KEY, replace(one, state=BatchState.SETTLED))
        store.compact(KEY)
    (file,) = (tmp_path / "delivered").rglob("*.parquet")
    store.compact(KEY)

    with store.ledger.reading() as connection:
        assert connection.execute(select(schema.member_changes)).all() == []
    assert [path.name for path in (tmp_path / "delivered").rglob("*.parquet*")] == [file.name]


def test_tidying_removes_what_killed_runs_left_and_nothing_else(store: MemberStore, tmp_path: Path) -> None:
    store.plan_batch(KEY, batch(1, "add"), people(("a", 1)), people())
    store.compact(KEY)
    before = seen(store)
    (file,) = (tmp_path / "delivered").rglob("*.parquet")
    for name in ("orphan.parquet", "orphan.parquet.partial"):
        file.with_name(name).write_bytes(b"x")

    assert store.tidy() == 0
    assert store.tidy(older_than=0) == 2
    assert list((tmp_path / "delivered").rglob("*.parquet*")) == [file]
    assert seen(store) == before


def test_who_is_erased_is_nowhere_in_the_ledger_and_its_files(store: MemberStore, tmp_path: Path) -> None:
    sent = pl.DataFrame(
        {"customer_id": ["erased-person", "kept-person"], "fingerprint": [1, 2]}, schema=PEOPLE
    )
    hashes = {name: b"h" * 32 for name in CAPABILITIES[Platform.META].identifiers if name not in PLAIN}
    recipients = sent.with_columns(
        *(pl.lit(value).alias(name) for name, value in hashes.items()),
        country=pl.lit("DE"),
        postal_code=pl.lit("10115"),
    )
    first, second = batch(1, "add", 2), batch(2, "remove", 1)
    store.variants(Platform.META).remember(recipients)
    store.plan_batch(KEY, first, sent, people())
    store.settle_batch(KEY, replace(first, state=BatchState.SETTLED), refused={("erased-person", 1): "odd"})
    store.compact(KEY)
    store.plan_batch(KEY, second, sent.head(1), people(("kept-person", 2)))

    gone = store.erase(["erased-person", "unknown"])

    assert gone == {"delivered_snapshots": 1, "variant_segments": 1, "refused_members": 1}
    assert [row[0] for row in seen(store)] == ["kept-person"]
    assert store.refused(KEY).is_empty()
    assert store.variants(Platform.META).every(sent["customer_id"])["customer_id"].to_list() == [
        "kept-person"
    ]
    with store.ledger.reading() as connection:
        assert connection.execute(select(schema.member_changes)).all() == []
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [path.name for path in files if b"erased-person" in path.read_bytes()]
    for path in tmp_path.rglob("*.parquet"):
        assert "erased-person" not in pl.read_parquet(path)["customer_id"]


def test_an_audience_stays_in_the_account_where_it_was_created(ledger: Ledger) -> None:
    def known(account: str, audience: str, remote_id: str | None, hour: int) -> PlatformAudience:
        key = AudienceKey(Platform.META, account, audience)
        moment = NOW + timedelta(hours=hour)
        return PlatformAudience(key, audience, AudienceState.ACTIVE, moment, remote_id)

    with ledger.begin() as connection:
        for one in (
            known("1", "a", "r1", 2),
            known("2", "b", None, 0),
            known("1", "b", "r2", 1),
            known("3", "b", "r3", 2),
        ):
            deliveries.put_audience(connection, one)
        accounts = deliveries.accounts_of(connection, Platform.META)
        elsewhere = deliveries.accounts_of(connection, Platform.GOOGLE)

    assert (accounts, elsewhere) == ({"a": "1", "b": "1"}, {})
