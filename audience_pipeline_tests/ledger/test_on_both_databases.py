"""What SQLite and PostgreSQL must do alike."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, select

from audience_pipeline.ledger import Ledger, LedgerError, landings, refreshes, schema
from audience_pipeline.ledger.landings import Landing

NOW = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)


def test_ledgers_opened_at_once_are_migrated_once_and_to_exactly_the_schema(url: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        ledgers = list(pool.map(Ledger.open, [url] * 3))
    with ledgers[0].reading() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), schema.metadata)
    for ledger in ledgers:
        ledger.close()

    assert differences == []


def test_a_lock_is_exclusive_and_can_be_taken_again(url: str) -> None:
    with Ledger.open(url) as one, Ledger.open(url) as other:
        with one.exclusive("meta"):
            with pytest.raises(LedgerError, match="'meta'"), other.exclusive("meta", seconds=0.1):
                pass
            with other.exclusive("google", seconds=0.1):
                pass
        with other.exclusive("meta", seconds=0.1):
            reached = True
    assert reached


def test_landings_recorded_at_once_get_different_numbers(ledger: Ledger) -> None:
    files = [
        Landing(f"{n:016}", "transactions", f"{n}.csv", f"{n:064}", 1, 1, landed_at=NOW) for n in range(8)
    ]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: landings.record(ledger, one), files * 2))
    refreshes.record(ledger, date(2026, 1, 1), 0, {"customers": 1})

    assert [one.sequence for one in landings.committed(ledger)] == list(range(1, 9))
    assert {one.landed_at for one in landings.committed(ledger)} == {NOW}
    assert refreshes.completed(ledger)[0].details == {"customers": 1}


def test_a_reader_sees_one_moment_whatever_is_written_meanwhile(ledger: Ledger) -> None:
    row = {"as_of": date(2026, 1, 1), "landing_sequence": 1, "completed_at": NOW, "details": {}}
    with ledger.reading() as connection:
        before = connection.execute(select(schema.refreshes)).all()
        with ledger.begin() as writing:
            writing.execute(insert(schema.refreshes), [row])
        during = connection.execute(select(schema.refreshes)).all()

    assert before == during == []
    assert [one.as_of for one in refreshes.completed(ledger)] == [date(2026, 1, 1)]
