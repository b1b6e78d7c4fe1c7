from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.audiences import activity_files
from audience_pipeline.audiences.activity_counts import asked_by
from audience_pipeline.audiences.activity_files import made_from, read_activity_files, write_activity_files
from audience_pipeline.audiences.activity_table import Activity
from audience_pipeline.audiences.rules import Did
from audience_pipeline_tests.audiences.test_activity import (
    AS_OF,
    CUSTOMERS,
    DIDS,
    EVENT_ROWS,
    SCHEMA,
    about,
    happened,
    loaded,
    who,
)

PLACES = pl.DataFrame({"source_id": CUSTOMERS}).with_row_index("row").select("source_id", "row")


def stored(folder: Path, *rows: dict[str, Any], places: pl.DataFrame = PLACES) -> Path:
    pl.DataFrame(rows, schema=SCHEMA).write_parquet(folder / "mart.parquet")
    files = folder / "files"
    files.mkdir()
    write_activity_files(
        files, folder / "mart.parquet", places, AS_OF, rows=CUSTOMERS.len(), made={"mart": [1, 2]}
    )
    return files


@settings(max_examples=40, deadline=None)
@given(st.lists(EVENT_ROWS, max_size=20), st.lists(DIDS, min_size=1, max_size=6), st.sampled_from((2, 10**6)))
def test_what_was_stored_answers_as_what_was_loaded_from_the_mart(
    rows: list[dict[str, Any]], dids: list[Did], at_once: int
):
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(activity_files, "ROWS_AT_ONCE", at_once)
        files = stored(Path(name), *rows)

        assert who(read_activity_files(files), *dids) == who(loaded(*rows), *dids)
        assert who(read_activity_files(files, **asked_by(dids)), *dids) == who(loaded(*rows), *dids)


def test_a_window_reads_the_head_of_the_files_and_only_the_events_asked_for(tmp_path: Path):
    files = stored(tmp_path, happened("a", 1), happened("b", 9), happened("c", 1, "order"))

    activity = read_activity_files(files, events=["product_view"], within_days=7)

    assert list(activity.events) == ["product_view"]
    assert activity.events["product_view"].rows.tolist() == [0]


def test_several_names_of_one_customer_are_counted_together_and_nobody_known_is_left_out(tmp_path: Path):
    places = pl.concat([PLACES, pl.DataFrame({"source_id": ["email:1"], "row": [1]}, schema=PLACES.schema)])
    rows = happened("b", 1), happened("email:1", 2), happened("anonymous:x", 1)

    activity = read_activity_files(stored(tmp_path, *rows, places=places))

    assert who(activity, Did("product_view", at_least=2), Did("product_view")) == ["b", "b"]


def test_texts_beyond_ascii_and_none_stay_what_they_are(tmp_path: Path):
    rows = happened("a", 1, category="Schühe 👟"), happened("b", 1, category=""), happened("c", 1)

    activity = read_activity_files(stored(tmp_path, *rows))

    conditions = ("category = 'Schühe 👟'", "category = ''", "category is null")
    assert who(activity, *(Did("product_view", where=about(text)) for text in conditions)) == ["a", "b", "c"]


def test_the_files_say_what_they_were_made_from(tmp_path: Path):
    files = stored(tmp_path, happened("a", 1))

    assert made_from(files) == {"as_of": AS_OF.isoformat(), "rows": 4, "mart": [1, 2]}
    assert read_activity_files(files).rows == CUSTOMERS.len()


def test_a_file_that_has_gone_is_an_error_and_no_empty_answer(tmp_path: Path):
    files = stored(tmp_path, happened("a", 1))
    (files / "product_view.parquet").unlink()

    with pytest.raises(FileNotFoundError):
        read_activity_files(files)


def test_nothing_that_happened_is_stored_too(tmp_path: Path):
    activity = read_activity_files(stored(tmp_path))

    assert activity == Activity(AS_OF, CUSTOMERS.len(), {})
