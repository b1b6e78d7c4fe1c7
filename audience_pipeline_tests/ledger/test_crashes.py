"""Whoever is killed at any line leaves a ledger that says the same as before, or as after."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

import polars as pl
import pytest

from audience_pipeline.ledger import Ledger, LedgerError, deliveries, pointers, snapshots
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import AudienceKey, Batch, BatchState, Delivery
from audience_pipeline.platforms.contract import Platform

NOW = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
KEY = AudienceKey(Platform.TIKTOK, "1", "best")
PEOPLE = {"customer_id": pl.String, "fingerprint": pl.UInt64}
KILLED_WHILE_COMPACTING = """
import os, sys
from pathlib import Path
from audience_pipeline.ledger import Ledger, pointers, snapshots
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import AudienceKey
from audience_pipeline.platforms.contract import Platform

url, folder, where = sys.argv[1:]
die = lambda *_: os._exit(9)
if where == "before the file has its name":
    Path.replace = die
elif where == "before the commit":
    pointers.point = die
elif where == "within the commit":
    point = pointers.point
    pointers.point = lambda *arguments: (point(*arguments), die())
elif where == "before the old file goes":
    snapshots.discard = die
MemberStore(Ledger.open(url), Path(folder)).compact(AudienceKey(Platform.TIKTOK, "1", "best"))
"""
HOLD = """
import sys, time
from audience_pipeline.ledger import Ledger
with Ledger.open(sys.argv[1]) as ledger, ledger.exclusive("meta"):
    print("held", flush=True)
    time.sleep(60)
"""


def people(*customers: str) -> pl.DataFrame:
    return pl.DataFrame([(name, 1) for name in customers], schema=PEOPLE, orient="row")


def plan(store: MemberStore, number: int, action: str, *customers: str) -> Batch:
    batch = Batch(f"d-{number:05}", "d", number, action, len(customers), BatchState.PLANNED, NOW)
    store.plan_batch(KEY, batch, people(*customers), people())
    return batch


def settle(store: MemberStore, batch: Batch) -> None:
    store.settle_batch(KEY, replace(batch, state=BatchState.SETTLED))


@pytest.fixture
def store(ledger: Ledger, tmp_path: Path) -> MemberStore:
    with ledger.begin() as connection:
        deliveries.start(connection, Delivery("d", KEY, date(2026, 11, 20), NOW))
    made = MemberStore(ledger, tmp_path / "delivered")
    settle(made, plan(made, 1, "add", "a", "b"))
    made.compact(KEY)
    settle(made, plan(made, 2, "remove", "a"))
    plan(made, 3, "add", "c")
    return made


@pytest.mark.parametrize(
    "where",
    [
        "before the file has its name",
        "before the commit",
        "within the commit",
        "before the old file goes",
    ],
)
def test_a_compaction_that_is_killed_changes_nothing(store, url, tmp_path, where) -> None:
    before, summary = store.members(KEY), store.summary(KEY)
    folder = tmp_path / "delivered"

    killed = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_COMPACTING, url, str(folder), where], check=False
    )
    again = MemberStore(store.ledger, folder)

    assert killed.returncode == 9
    assert again.members(KEY).equals(before)
    assert again.summary(KEY) == summary
    again.compact(KEY)
    again.tidy(older_than=0)
    assert again.members(KEY).equals(before)
    assert len(list(folder.rglob("*.parquet*"))) == 1


def test_a_batch_is_planned_together_with_its_people_or_not_at_all(store, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    before = store.members(KEY)
    monkeypatch.setattr(pointers, "record", fail)
    with pytest.raises(KeyboardInterrupt):
        plan(store, 4, "add", "d")

    assert store.members(KEY).equals(before)
    with store.ledger.reading() as connection:
        assert [batch.sequence for batch in deliveries.batches_of(connection, "d")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError(28, "No space left on device"), "No space left"),
        (pl.exceptions.ComputeError("parquet: underlying IO error"), "is the disk full"),
    ],
)
def test_a_full_disk_changes_nothing_and_leaves_nothing(store, tmp_path, monkeypatch, error, why) -> None:
    def full(_frame: pl.DataFrame, file: Path, **_: object) -> None:
        file.write_bytes(b"half")
        raise error

    before = store.members(KEY)
    with monkeypatch.context() as patched:
        patched.setattr(pl.DataFrame, "write_parquet", full)
        with pytest.raises(LedgerError, match=f"cannot be written .{why}"):
            store.compact(KEY)

    assert store.members(KEY).equals(before)
    assert len(list((tmp_path / "delivered").rglob("*.parquet*"))) == 1


def test_a_file_that_cannot_be_read_says_so(store, tmp_path, monkeypatch) -> None:
    def refused(_path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", refused)
        with pytest.raises(LedgerError, match=r"cannot be read .Permission denied"):
            store.members(KEY)

    assert store.members(KEY).height > 0


def test_a_file_is_on_the_disk_before_the_ledger_points_to_it(store, monkeypatch) -> None:
    order = []
    point, fsync, rename = pointers.point, snapshots.os.fsync, Path.replace
    monkeypatch.setattr(pointers, "point", lambda *them: (order.append("point"), point(*them)))
    monkeypatch.setattr(snapshots.os, "fsync", lambda file: (order.append("fsync"), fsync(file)))
    monkeypatch.setattr(Path, "replace", lambda old, new: (order.append("rename"), rename(old, new)))
    store.compact(KEY)

    assert order == ["fsync", "rename", "fsync", "point"]


def test_a_reader_who_is_overtaken_by_a_compaction_looks_again(store, tmp_path, monkeypatch) -> None:
    before = store.members(KEY)
    read, overtaken = snapshots.read, []

    def late(*them: object) -> pl.DataFrame:
        if not overtaken:
            overtaken.append(True)
            MemberStore(store.ledger, tmp_path / "delivered").compact(KEY)
        return read(*them)

    monkeypatch.setattr(snapshots, "read", late)

    assert store.members(KEY).equals(before)
    assert overtaken


def test_a_compaction_that_is_overtaken_by_a_plan_does_not_lose_it(store, tmp_path, monkeypatch) -> None:
    write, overtaken = snapshots.write, []

    def slow(*them: object) -> snapshots.Written:
        if not overtaken:
            overtaken.append(True)
            plan(MemberStore(store.ledger, tmp_path / "delivered"), 4, "add", "d")
        return write(*them)

    monkeypatch.setattr(snapshots, "write", slow)
    store.compact(KEY)

    assert store.members(KEY)["customer_id"].to_list() == ["b", "c", "d"]
    assert len(list((tmp_path / "delivered").rglob("*.parquet*"))) == 1


def test_a_compaction_does_not_bring_back_who_was_erased_meanwhile(store, tmp_path, monkeypatch) -> None:
    write, overtaken = snapshots.write, []

    def slow(*them: object) -> snapshots.Written:
        if not overtaken:
            overtaken.append(True)
            MemberStore(store.ledger, tmp_path / "delivered").erase(["b"])
        return write(*them)

    monkeypatch.setattr(snapshots, "write", slow)
    store.compact(KEY)

    assert store.members(KEY)["customer_id"].to_list() == ["c"]


def test_many_threads_lose_nothing(store, url, tmp_path) -> None:
    def work(number: int) -> None:
        with Ledger.open(url) as ledger:
            mine = MemberStore(ledger, tmp_path / "delivered")
            for turn in range(5):
                batch = plan(mine, 100 + 10 * number + turn, "add", f"t{number}-{turn}")
                mine.members(KEY)
                settle(mine, batch)
                if turn % 2:
                    mine.compact(KEY)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    store.compact(KEY)

    wanted = {"b", "c", *(f"t{number}-{turn}" for number in range(3) for turn in range(5))}
    assert set(store.members(KEY)["customer_id"]) == wanted
    assert store.summary(KEY).delivered == len(wanted) - 1


def test_a_lock_dies_with_the_process_that_holds_it(url: str) -> None:
    with Ledger.open(url) as ledger:
        holder = subprocess.Popen([sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE)
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"held"
        with pytest.raises(Exception, match="'meta'"), ledger.exclusive("meta", seconds=0.1):
            pass
        holder.kill()
        holder.wait(10)
        holder.stdout.close()
        with ledger.exclusive("meta", seconds=10):
            reached = True
    assert reached


def test_every_file_has_a_name_of_its_own(tmp_path: Path) -> None:
    first = snapshots.write(tmp_path, "x", people(uuid4().hex))
    second = snapshots.write(tmp_path, "x", people(uuid4().hex))

    assert first.file != second.file
    assert snapshots.read(tmp_path, first, "people", "start anew").height == 1
