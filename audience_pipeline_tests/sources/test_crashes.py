from __future__ import annotations

import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.ledger import landings
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.sources import landing
from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.options import ShopFacts

TEXT = "customer_id,transaction_date,transaction_amount\n" + "".join(
    f"{'' if i % 10 == 0 else f'c{i}'},2025-01-{1 + i % 28:02},{i}\n" for i in range(1000)
)
FACTS = ShopFacts(today=dt.date(2025, 6, 30))

KILLED_AT = {
    "before staging": "staging._write",
    "after staging": "staging._ask_about_dates",
    "before the quarantine": "quarantine.write",
    "before renaming": "landing._commit",
    "between the two renames": "landing.nothing_usable",
    "before the ledger": "landing.landings.record",
}


def contents(lake: Path) -> dict[str, object]:
    return {
        str(path.relative_to(lake)): pl.read_parquet(path).rows()
        for path in sorted(lake.rglob("*.parquet"))
        if ".work" not in path.parts
    }


@pytest.mark.parametrize("where", KILLED_AT)
def test_a_landing_that_was_killed_and_started_again_ends_the_same(shop, where):
    path = shop.file(TEXT)
    shop.land("customer_id,transaction_date,transaction_amount\nc1,2025-01-02,1\nc0,2025-03-02,1\n")
    script = f"""
        import datetime as dt, os, signal
        from pathlib import Path
        from audience_pipeline.ledger.database import Ledger
        from audience_pipeline.sources import landing, quarantine, staging
        from audience_pipeline.sources.contract import Kind
        from audience_pipeline.sources.options import ShopFacts

        {KILLED_AT[where]} = lambda *_args, **_given: os.kill(os.getpid(), signal.SIGKILL)
        with Ledger.open("sqlite:///{shop.folder / "ledger.db"}") as ledger:
            landing.land(
                Kind.TRANSACTIONS, Path("{path}"), lake=Path("{shop.lake}"), ledger=ledger,
                facts=ShopFacts(today=dt.date(2025, 6, 30)),
            )
    """
    died = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert len(landings.committed(shop.ledger)) == 1

    again = shop.land(path)

    fresh = shop.folder / "fresh"
    with Ledger.open(f"sqlite:///{shop.folder / 'fresh.db'}") as ledger:
        for each in (shop.folder / "1" / "orders.csv", path):
            landing.land(Kind.TRANSACTIONS, each, lake=fresh, ledger=ledger, facts=FACTS)
    assert contents(shop.lake) == contents(fresh)
    assert (again.landed, again.known, again.quarantined) == (899, 1, 100)
    assert [path.name for path in (shop.lake / ".work").iterdir()] == ["transactions.lock"]


@pytest.mark.parametrize("step", ["process", "_commit"])
def test_an_exception_leaves_nothing_half_done(shop, monkeypatch, step):
    def stop(*_args, **_given):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(landing, step, stop)
        with pytest.raises(SystemExit):
            shop.land(TEXT)
    assert [path.name for path in (shop.lake / ".work").iterdir()] == ["transactions.lock"]
    assert contents(shop.lake) == {}


def test_rows_are_taken_back_when_the_ledger_fails(shop, monkeypatch):
    def stop(*_args, **_given):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(landings, "record", stop)
        with pytest.raises(SystemExit):
            shop.land(TEXT)
    assert not list((shop.lake / "transactions").iterdir())
    assert shop.land(TEXT).landed == 900


def test_rows_stay_when_the_process_dies_after_the_ledger_has_them(shop, monkeypatch):
    record = landings.record

    def record_and_stop(*args):
        record(*args)
        raise SystemExit

    path = shop.file(TEXT)
    with monkeypatch.context() as patch:
        patch.setattr(landings, "record", record_and_stop)
        with pytest.raises(SystemExit):
            shop.land(path)
    assert shop.rows().height == 900
    assert shop.land(path).landed_before


def test_files_that_no_landing_began_are_left_alone(shop):
    shop.land(TEXT)
    stray = shop.lake / "transactions" / "0000000000000000.parquet"
    shutil.copy(next((shop.lake / "transactions").iterdir()), stray)
    with pytest.raises(SourceError, match="belong together"):
        shop.land(TEXT + "c1,2025-02-01,1\n")
    assert stray.exists()


def test_a_lake_that_may_not_be_written_is_named(shop):
    shop.lake.write_text("a file where the lake should be")
    with pytest.raises(SourceError, match="cannot be written"):
        shop.land(TEXT)


@pytest.fixture
def tiny(tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a tmpfs is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_named_and_leaves_nothing(shop, tiny):
    path = shop.file(
        "customer_id,transaction_date,transaction_amount,order_id\n"
        + "".join(f"c{i},2025-01-{1 + i % 28:02},{i},{os.urandom(16).hex()}\n" for i in range(200_000))
    )
    with pytest.raises(SourceError) as caught:
        landing.land(Kind.TRANSACTIONS, path, lake=tiny, ledger=shop.ledger, facts=FACTS)
    assert str(caught.value).startswith(f"orders.csv: there is no space left in {tiny} (")
    assert "make room, or move the lake (AUDIENCE_LAKE); nothing was landed" in str(caught.value)
    assert [file.name for file in tiny.rglob("*") if file.is_file()] == ["transactions.lock"]
    assert landings.committed(shop.ledger) == []


def test_a_full_disk_for_temporary_files_is_named(shop, tiny, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tiny))
    path = shop.file((TEXT + "x" * 3_000_000).encode("utf-16"))
    with pytest.raises(SourceError, match="there is no space left"):
        shop.land(path)
    assert not list(tiny.iterdir())
