"""The ledger on a real server, where its programs are installed."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from audience_pipeline.ledger import Ledger, LedgerError, deliveries, landings, refreshes, schema
from audience_pipeline.ledger.landings import Landing
from audience_pipeline.ledger.records import (
    AudienceKey,
    AudienceState,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    MemberState,
    PlatformAudience,
)
from audience_pipeline.platforms.contract import Member, Platform

pytestmark = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("initdb", "pg_ctl")),
    reason="no PostgreSQL server is installed (initdb and pg_ctl)",
)
NOW = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
KEY = AudienceKey(Platform.META, "123", "best")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        user = {}
        if os.geteuid() == 0:
            # The server refuses to run as root.
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            user = {"user": nobody.pw_uid, "group": nobody.pw_gid}

        def call(tool: str, *arguments: str) -> None:
            subprocess.run([tool, *arguments], check=True, cwd=folder, stdout=subprocess.DEVNULL, **user)

        data, options = str(Path(folder) / "data"), f"-h 127.0.0.1 -p {port} -k '' -c fsync=off"
        call("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        call("pg_ctl", "-w", "-D", data, "-l", str(Path(folder) / "log"), "-o", options, "start")
        try:
            yield f"postgresql+psycopg2://postgres@127.0.0.1:{port}/postgres"
        finally:
            call("pg_ctl", "-m", "immediate", "-D", data, "stop")


def test_ledgers_opened_at_once_are_migrated_once_and_to_exactly_the_schema(url) -> None:
    with ThreadPoolExecutor(3) as pool:
        ledgers = list(pool.map(Ledger.open, [url] * 3))
    with ledgers[0].reading() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), schema.metadata)
    for ledger in ledgers:
        ledger.close()

    assert differences == []


def test_a_lock_is_exclusive(url) -> None:
    with Ledger.open(url) as one, Ledger.open(url) as other, one.exclusive("meta"):
        with pytest.raises(LedgerError, match="'meta'"), other.exclusive("meta", seconds=0.1):
            pass
        with other.exclusive("google", seconds=0.1):
            reached = True
    assert reached


def test_landings_recorded_at_once_get_different_numbers(url) -> None:
    files = [
        Landing(f"{n:016}", "transactions", f"{n}.csv", f"{n:064}", 1, 1, landed_at=NOW) for n in range(8)
    ]
    with Ledger.open(url) as ledger:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda one: landings.record(ledger, one), files * 2))
        refreshes.record(ledger, date(2026, 1, 1), 0, {"customers": 1})

        assert [one.sequence for one in landings.committed(ledger)] == list(range(1, 9))
        assert {one.landed_at for one in landings.committed(ledger)} == {NOW}
        assert refreshes.completed(ledger)[0].details == {"customers": 1}


def test_a_batch_is_written_settled_and_read_back(url) -> None:
    delivery = Delivery("d", KEY, date(2026, 11, 20), NOW, state=DeliveryState.RUNNING, wanted=2)
    batch = Batch("d-1", "d", 1, "add", 2, BatchState.PLANNED, NOW)
    people = [(Member(name, {"meta_email": name * 64}), name * 32) for name in ("a", "b")]
    with Ledger.open(url) as ledger:
        with ledger.begin() as connection:
            deliveries.start(connection, delivery)
            deliveries.put_audience(
                connection, PlatformAudience(KEY, "best", AudienceState.FILLING, NOW, "1")
            )
            deliveries.plan_batch(connection, KEY, batch, people)
        with ledger.reading() as connection:
            planned = deliveries.members(connection, KEY)
        with ledger.begin() as connection:
            deliveries.doubt(connection, KEY, planned[:1])
            settled = replace(
                batch, state=BatchState.SETTLED, accepted=2, match_rate=(0.5, 0.6), reasons={"x": 1}
            )
            deliveries.settle_batch(connection, settled)
            deliveries.finish(connection, delivery)
        with ledger.reading() as connection:
            there = deliveries.members(connection, KEY)
            (upload,) = deliveries.uploads(connection, KEY)

    assert [one.state for one in planned] == [MemberState.ADDING] * 2
    assert [one.state for one in there] == [MemberState.DOUBTFUL, MemberState.ADDED]
    assert [one.identifiers for one in there] == [{"meta_email": "a" * 64}, {"meta_email": "b" * 64}]
    assert (upload.people, upload.batch) == (1, settled)
