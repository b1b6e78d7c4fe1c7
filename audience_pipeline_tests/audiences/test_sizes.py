from __future__ import annotations

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.audiences.sizes import SIZES_SCHEMA, history, newest_before, sizes
from audience_pipeline_tests.audiences.stored_frames import store

MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)
members = st.sets(st.integers(0, 9))


@given(members, members)
def test_who_came_and_went_is_told_as_sets_tell_it(before: set[int], after: set[int]) -> None:
    with TemporaryDirectory() as folder:
        monday = store(Path(folder) / f"{MONDAY}.parquet", {"a": before})
        tuesday = store(Path(folder) / f"{TUESDAY}.parquet", {"a": after})
        frame = sizes(tuesday, monday)

    assert frame.schema == SIZES_SCHEMA
    assert frame.to_dicts() == [
        {
            "audience": "a",
            "as_of": TUESDAY,
            "size": len(after),
            "held_out": 0,
            "before": MONDAY,
            "size_before": len(before),
            "added": len(after - before),
            "removed": len(before - after),
        }
    ]


def test_the_first_date_and_a_new_audience_have_nothing_to_be_compared_with(tmp_path: Path) -> None:
    monday = store(tmp_path / f"{MONDAY}.parquet", {"a": {1}})
    tuesday = store(tmp_path / f"{TUESDAY}.parquet", {"a": {1}, "b": {2}})

    first, new = sizes(monday, None).row(0, named=True), sizes(tuesday, monday).row(1, named=True)

    assert (new["audience"], new["size"]) == ("b", 1)
    for row in (first, new):
        assert [row[name] for name in ("before", "size_before", "added", "removed")] == [None] * 4


def test_after_a_new_numbering_sizes_go_on_and_changes_begin_anew(tmp_path: Path) -> None:
    monday = store(tmp_path / f"{MONDAY}.parquet", {"a": {1}}, numbering="old")
    tuesday = store(tmp_path / f"{TUESDAY}.parquet", {"a": {1, 2}})

    [row] = sizes(tuesday, monday).to_dicts()

    assert (row["size"], row["before"], row["added"]) == (2, None, None)


def test_held_out_people_are_counted_as_members_and_by_themselves(tmp_path: Path) -> None:
    path = store(tmp_path / f"{MONDAY}.parquet", {"a": range(1000)}, people=1000, holdout=20)

    [row] = sizes(path, None).to_dicts()

    assert row["size"] == 1000
    assert 150 < row["held_out"] < 250


def test_the_date_before_is_the_newest_earlier_one_that_was_made(tmp_path: Path) -> None:
    for name in ("2026-02-01", "2026-02-20", "2026-03-02", "2026-03-09"):
        store(tmp_path / f"{name}.parquet", {"a": {1}})

    assert newest_before(tmp_path, MONDAY) == tmp_path / "2026-02-20.parquet"
    assert newest_before(tmp_path, date(2026, 2, 1)) is None


def test_the_history_holds_the_days_asked_for_and_nothing_later(tmp_path: Path) -> None:
    for day in (1, 2, 3, 4):
        path = store(tmp_path / "m" / f"2026-03-0{day}.parquet", {"a": range(day)})
        sizes(path, None).write_parquet(tmp_path / path.name)

    frame = history(tmp_path, date(2026, 3, 3), 2)

    assert frame.select("as_of", "size").rows() == [(date(2026, 3, 2), 2), (date(2026, 3, 3), 3)]


def test_without_any_stored_size_the_history_is_empty(tmp_path: Path) -> None:
    assert history(tmp_path, MONDAY, 90).equals(pl.DataFrame(schema=SIZES_SCHEMA))
