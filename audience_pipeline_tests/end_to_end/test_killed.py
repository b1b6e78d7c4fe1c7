"""A demo that is killed in the middle and started again ends like one that was left alone."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from audience_pipeline.ledger.consent_chain import MARKS
from audience_pipeline_tests.end_to_end.runs import CUSTOMERS_OPTION, Demo, Place, lasting

pytestmark = pytest.mark.xdist_group("killed")
MOMENTS = (
    ("lake/.work/dbt/dbt.log", 1.5),
    ("mlflow/mlflow.db", 4.0),
    ("lake/delivered/**/*.parquet", 0.1),
)
"""Which file of the workspace appears, and how many seconds later: dbt, training, delivery.

Landing is killed at every step in ``sources/test_crashes.py``.
"""
PATIENCE = 240.0


def start_and_kill(place: Place, file: str, seconds: float) -> None:
    """Start the demo and kill it (not those whom it has started) some time after ``file`` is first there."""
    assert not list(place.workspace.glob(file)), "an earlier run came as far"
    with place.start("demo", "--dir", place.workspace, *CUSTOMERS_OPTION, "--json") as process:
        threading.Thread(target=process.stderr.read, daemon=True).start()
        until = time.monotonic() + PATIENCE
        while not list(place.workspace.glob(file)):
            assert process.poll() is None, f"it ended before {file} was there"
            assert time.monotonic() < until, f"{file} was not there after {PATIENCE:.0f} s"
            time.sleep(0.01)
        time.sleep(seconds)
        assert process.poll() is None, f"it was done before it could be killed after {file}"
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def survivor(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Killed three times, then left alone."""
    place = Place(tmp_path_factory.mktemp("killed"))
    for file, seconds in MOMENTS:
        start_and_kill(place, file, seconds)
    return place.demo(*CUSTOMERS_OPTION)


OWN = ["numbering", *MARKS, "entry_hash"]
"""Columns that no other workspace has the same values in."""


def test_it_reports_what_an_undisturbed_run_reports(survivor: Demo, demo: Demo) -> None:
    assert survivor.report["changed"] is True
    assert lasting(survivor.report) == lasting(demo.report)


def test_its_lake_holds_the_same_files_with_the_same_rows(survivor: Demo, demo: Demo) -> None:
    """All but what is each workspace's own: its key, the name of its numbering, the time in its head."""
    one, other = _files(survivor), _files(demo)

    assert set(one) == set(other)
    different = [name for name in one if survivor.lake[one[name]] != demo.lake[other[name]]]
    for name in different:
        if name.endswith(".parquet"):
            assert_frame_equal(
                pl.read_parquet(survivor.place.lake / one[name]).drop(OWN, strict=False),
                pl.read_parquet(demo.place.lake / other[name]).drop(OWN, strict=False),
            )
    assert [name for name in different if not name.endswith(".parquet")] == ["consent_log/head.json"]


def _files(run: Demo) -> dict[str, str]:
    """The files of its lake by their names, without what makes the name of a folder unique.

    Who was delivered lies in files that the ledger names: what platforms hold is compared elsewhere.
    """
    names = [name for name in run.lake if not name.startswith("delivered/")]
    return {re.sub(r"\.[0-9a-f]{32}/", "/", name): name for name in names}


def test_no_audience_was_made_twice(survivor: Demo, demo: Demo) -> None:
    names = [(row["platform"], row["remote_name"]) for row in survivor.report["deliveries"]]

    assert len(names) == len(set(names)) == len(demo.report["deliveries"])


def test_it_leaves_no_half_written_file(survivor: Demo) -> None:
    lake: Path = survivor.place.lake
    kept = [str(path.relative_to(lake)) for path in lake.rglob("*") if path.name.endswith(".partial")]

    assert kept == []
    assert subprocess.run(["pgrep", "-f", str(survivor.place.root)], check=False).returncode == 1
