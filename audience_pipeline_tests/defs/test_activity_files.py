"""The stored activity of the newest date, and what is used where there is none."""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from audience_pipeline.audiences.activity_counts import ActivityCounts, asked_by
from audience_pipeline.audiences.activity_table import STORED_PROPERTIES, Activity
from audience_pipeline.audiences.rules import Did
from audience_pipeline.defs import activity_files
from audience_pipeline.defs.activity_files import FOLDER, activity_as_of, store_activity

YESTERDAY, TODAY = date(2026, 3, 14), date(2026, 3, 15)
DID = Did("product_view", within_days=7)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Three customers, one of whom was a reader before, on two dates."""
    for day in (YESTERDAY, TODAY):
        write(tmp_path / "customer_profile" / f"{day}.parquet", customer_id=["c1", "c2", "c3"])
        ids = {"source_id": ["c1", "email:0"], "customer_id": ["c1", "c1"]}
        write(tmp_path / "identities" / f"{day}.parquet", **ids)
    happened(tmp_path, "email:0", "c3", "anonymous:x")
    return tmp_path


def write(path: Path, **columns: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(columns).write_parquet(path)


def happened(lake: Path, *customers: str) -> None:
    pl.DataFrame({"customer_id": customers}).with_columns(
        activity=pl.lit("web:product_view"),
        activity_date=pl.lit(TODAY - timedelta(days=3)),
        events=pl.lit(1, dtype=pl.Int64),
        **dict.fromkeys(STORED_PROPERTIES, pl.lit(None, dtype=pl.String)),
    ).write_parquet(lake / "customer_activity.parquet")


def who(lake: Path, day: date = TODAY) -> list[int]:
    with duckdb.connect(":memory:") as connection:
        mask = ActivityCounts(activity_as_of(lake, day, asked_by([DID])), connection).mask(DID)
    return mask.nonzero()[0].tolist()


def stored(lake: Path) -> list[str]:
    return sorted(folder.name.partition(".")[0] for folder in (lake / FOLDER).iterdir())


def test_what_was_stored_is_read_and_the_mart_is_not(lake: Path, monkeypatch: pytest.MonkeyPatch):
    computed = who(lake)
    store_activity(lake, TODAY)
    monkeypatch.setattr(Activity, "of", None)

    assert who(lake) == computed == [0, 2]


@pytest.mark.parametrize("table", ["mart", "profile", "identities"])
def test_after_a_table_has_changed_the_mart_is_read(lake: Path, table: str):
    store_activity(lake, TODAY)
    if table == "mart":
        happened(lake, "c2")
    elif table == "profile":
        write(lake / "customer_profile" / f"{TODAY}.parquet", customer_id=["c0", "c1", "c2", "c3"])
    else:
        write(lake / "identities" / f"{TODAY}.parquet", source_id=["email:0"], customer_id=["c2"])

    assert who(lake) == {"mart": [1], "profile": [1, 3], "identities": [1, 2]}[table]


def test_only_the_newest_date_is_kept_and_an_older_one_is_not_stored(lake: Path):
    store_activity(lake, YESTERDAY)
    assert stored(lake) == ["2026-03-14"]
    store_activity(lake, TODAY)
    assert stored(lake) == ["2026-03-15"]
    store_activity(lake, YESTERDAY)
    assert stored(lake) == ["2026-03-15"]
    assert who(lake, YESTERDAY) == [0, 2]


def test_the_same_tables_are_stored_once(lake: Path):
    store_activity(lake, TODAY)
    before = [folder.name for folder in (lake / FOLDER).iterdir()]
    store_activity(lake, TODAY)
    assert [folder.name for folder in (lake / FOLDER).iterdir()] == before
    happened(lake, "c2")
    store_activity(lake, TODAY)
    assert [folder.name for folder in (lake / FOLDER).iterdir()] != before
    assert stored(lake) == ["2026-03-15"]


@pytest.mark.parametrize("damage", ["gone", "broken", "headless"])
def test_a_stored_file_that_cannot_be_read_does_not_stop_anybody(lake: Path, damage: str):
    store_activity(lake, TODAY)
    [folder] = (lake / FOLDER).iterdir()
    file = folder / ("_days.parquet" if damage == "headless" else "product_view.parquet")
    file.unlink() if damage == "gone" else file.write_bytes(b"PAR1 nothing PAR1")

    assert who(lake) == [0, 2]


def test_what_a_killed_refresh_left_behind_is_cleared_away_and_never_read(
    lake: Path, monkeypatch: pytest.MonkeyPatch
):
    def killed(folder: Path, *_: object, **__: object) -> None:
        (folder / "product_view.parquet").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(activity_files, "write_activity_files", killed)
        with pytest.raises(KeyboardInterrupt):
            store_activity(lake, TODAY)
    assert list((lake / FOLDER).iterdir()) == []
    left = lake / FOLDER / ".2026-03-15.left"
    left.mkdir()
    os.utime(left, (0, 0))

    assert who(lake) == [0, 2]
    store_activity(lake, TODAY)
    assert stored(lake) == ["2026-03-15"]
