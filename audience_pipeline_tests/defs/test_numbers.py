from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.defs import storage
from audience_pipeline.defs.numbers import FILE, customer_numbers, numbering

ASK = """
import sys
from pathlib import Path
import polars as pl
from audience_pipeline.defs.numbers import customer_numbers
lake, who = Path(sys.argv[1]), sys.argv[2]
for day in range(8):
    people = [f"{name}{day}-{n}" for name in (who, "both") for n in range(50)]
    customer_numbers(lake, pl.Series(people))
"""


def test_a_number_stays_and_new_people_get_the_next(tmp_path: Path):
    first = customer_numbers(tmp_path, pl.Series(["b", "a"]))
    name = numbering(tmp_path)
    second = customer_numbers(tmp_path, pl.Series(["c", "a", "c"]))

    assert dict(first.iter_rows()) == {"a": 0, "b": 1}
    assert dict(second.iter_rows()) == {"a": 0, "c": 2}
    assert numbering(tmp_path) == name != ""


def test_nothing_is_written_where_nobody_is_new(tmp_path: Path):
    customer_numbers(tmp_path, pl.Series(["a"]))
    written = (tmp_path / FILE).stat()

    customer_numbers(tmp_path, pl.Series(["a"]))

    assert (tmp_path / FILE).stat().st_ino == written.st_ino


def test_a_numbering_that_begins_anew_has_another_name(tmp_path: Path):
    assert numbering(tmp_path) == ""
    customer_numbers(tmp_path, pl.Series(["a"]))
    first = numbering(tmp_path)
    (tmp_path / FILE).unlink()

    customer_numbers(tmp_path, pl.Series(["a"]))

    assert numbering(tmp_path) not in ("", first)


def test_runs_at_once_give_nobody_the_same_number(tmp_path: Path):
    runs = [subprocess.Popen([sys.executable, "-c", ASK, str(tmp_path), who]) for who in ("left", "right")]

    assert [run.wait(timeout=60) for run in runs] == [0, 0]

    known = pl.read_parquet(tmp_path / FILE)
    assert known["customer_no"].to_list() == list(range(8 * 150))
    assert known["person_key"].n_unique() == 8 * 150


def test_a_run_that_dies_before_the_rename_leaves_the_old_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    customer_numbers(tmp_path, pl.Series(["a"]))
    name = numbering(tmp_path)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(storage.Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            customer_numbers(tmp_path, pl.Series(["b"]))

    assert dict(customer_numbers(tmp_path, pl.Series(["a", "c"])).iter_rows()) == {"a": 0, "c": 1}
    assert numbering(tmp_path) == name
