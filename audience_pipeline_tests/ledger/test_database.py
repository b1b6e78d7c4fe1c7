from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import insert, inspect, select, text

from audience_pipeline.ledger import Ledger, LedgerError, migrations, schema

OPEN = """
import sys
from audience_pipeline.ledger import Ledger, landings
with Ledger.open(sys.argv[1]) as ledger:
    print(len(landings.committed(ledger)))
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'new' / 'folder' / 'ledger.db'}"


def test_opening_makes_the_folder_and_every_table(url: str) -> None:
    with Ledger.open(url) as ledger, ledger.reading() as connection:
        tables = set(inspect(connection).get_table_names())

    assert tables == {*schema.metadata.tables, "alembic_version"}


def test_the_newest_version_is_the_one_that_opening_looks_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")

    assert ScriptDirectory.from_config(config).get_current_head() == migrations.HEAD


def test_two_processes_that_open_a_new_ledger_at_once_both_succeed(url: str) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", OPEN, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=60) for process in started]

    assert [
        (process.returncode, out.strip()) for process, (out, _) in zip(started, answers, strict=True)
    ] == [
        (0, b"0"),
        (0, b"0"),
    ], answers


def test_threads_that_open_new_ledgers_at_once_all_succeed(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path / name}.db" for name in "aabb"]

    with ThreadPoolExecutor(4) as pool:
        ledgers = list(pool.map(Ledger.open, urls))

    versions = []
    for ledger in ledgers:
        with ledger, ledger.reading() as connection:
            versions.append(
                connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
            )
    assert versions == [[migrations.HEAD]] * 4


def test_opening_again_does_not_load_alembic(url: str) -> None:
    Ledger.open(url).close()
    code = OPEN + "\nassert 'alembic' not in sys.modules"

    again = subprocess.run([sys.executable, "-c", code, url], check=False, capture_output=True)

    assert again.returncode == 0, again.stderr


def test_sqlite_is_configured_for_several_processes_power_cuts_and_erasures(url: str) -> None:
    with Ledger.open(url) as ledger, ledger.reading() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "busy_timeout", "foreign_keys", "synchronous", "secure_delete")
        }

    assert pragmas == {
        "journal_mode": "wal",
        "busy_timeout": 60_000,
        "foreign_keys": 1,
        "synchronous": 2,
        "secure_delete": 1,
    }


def test_an_exception_rolls_the_transaction_back(url: str) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    row = {"as_of": moment.date(), "landing_sequence": 1, "completed_at": moment, "details": {}}

    def write_and_fail(ledger: Ledger) -> None:
        with ledger.begin() as connection:
            connection.execute(insert(schema.refreshes), [row])
            raise RuntimeError

    with Ledger.open(url) as ledger:
        with pytest.raises(RuntimeError):
            write_and_fail(ledger)

        with ledger.reading() as connection:
            assert connection.execute(select(schema.refreshes)).all() == []


def test_moments_come_back_in_utc_whatever_zone_they_had(url: str) -> None:
    moment = datetime(2026, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    row = {"as_of": moment.date(), "landing_sequence": 1, "completed_at": moment, "details": {}}
    with Ledger.open(url) as ledger:
        with ledger.begin() as connection:
            connection.execute(insert(schema.refreshes), [row])
        with ledger.reading() as connection:
            stored = connection.execute(select(schema.refreshes.c.completed_at)).scalar_one()

    assert stored == moment
    assert stored.tzinfo is UTC


def test_a_ledger_of_a_newer_version_is_refused_with_the_remedy(url: str) -> None:
    with Ledger.open(url) as ledger, ledger.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(LedgerError, match="newer version"):
        Ledger.open(url)


def test_neither_repr_nor_the_error_shows_the_password() -> None:
    url = "postgresql+psycopg2://someone:s3cret@127.0.0.1:1/ledger"

    with pytest.raises(LedgerError) as caught:
        Ledger.open(url)

    assert "s3cret" not in str(caught.value)
    assert "someone:***@" in str(caught.value)


def test_a_database_in_memory_is_refused() -> None:
    with pytest.raises(LedgerError, match="in memory"):
        Ledger.open("sqlite://")
