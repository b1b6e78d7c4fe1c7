from __future__ import annotations

from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from audience_pipeline.audiences.sizes import SIZES_SCHEMA
from audience_pipeline.defs.audience_history import MOST_NAMED, size_check, unusual

TODAY, YESTERDAY = date(2026, 3, 15), date(2026, 3, 14)


def changed(
    size: int, before: int | None = None, added: int = 0, removed: int = 0, name: str = "a"
) -> pl.DataFrame:
    known = before is not None
    row = (name, TODAY, size, 0, *((YESTERDAY, before, added, removed) if known else (None,) * 4))
    return pl.DataFrame([row], SIZES_SCHEMA, orient="row")


@pytest.mark.parametrize(
    ("size", "before", "added", "removed"),
    [
        (100, None, 0, 0),
        (100, 100, 0, 0),
        (1, 0, 1, 0),
        (5_000, 0, 5_000, 0),
        (198, 99, 99, 0),
        (3_000, 4_000, 0, 1_000),
        (4_000, 3_000, 1_000, 0),
        (8_999, 10_000, 1_999, 3_000),
    ],
    ids=str,
)
def test_what_a_delivery_would_do_unasked_is_as_usual(
    size: int, before: int | None, added: int, removed: int
) -> None:
    assert unusual(changed(size, before, added, removed)) == {}


@pytest.mark.parametrize(
    ("size", "before", "added", "removed", "what"),
    [
        (0, None, 0, 0, "nobody is in it"),
        (0, 0, 0, 0, "nobody is in it"),
        (0, 1, 0, 1, "nobody is left of 1 person"),
        (50, 50, 50, 50, "all 50 people have been replaced"),
        (200, 100, 100, 0, "it has at least doubled, from 100 to 200 people"),
        (1_999, 3_000, 0, 1_001, "1,001 people left, 33 % of the 3,000"),
        (4_001, 3_000, 1_001, 0, "1,001 people came, 33 % of the 3,000"),
    ],
    ids=str,
)
def test_what_a_delivery_would_ask_about_is_named_with_a_remedy(
    size: int, before: int | None, added: int, removed: int, what: str
) -> None:
    said = unusual(changed(size, before, added, removed))["a"]

    assert said.startswith(what)
    assert "audience-pipeline audiences preview a" in said


def test_the_check_warns_and_names_the_audiences_and_what_to_do(tmp_path: Path) -> None:
    both = pl.concat([changed(0, 40, 0, 40, "gone"), changed(100, 100, name="calm")])

    result = size_check(both, tmp_path / "page.html")

    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.WARN
    assert result.description is not None
    assert result.description.startswith("gone: nobody is left of 40 people")
    assert "calm" not in result.description
    assert result.metadata["empty_audiences"].value == 1


def test_the_check_passes_where_all_is_as_usual(tmp_path: Path) -> None:
    result = size_check(changed(100, 100), tmp_path / "page.html")

    assert result.passed
    assert result.metadata["unusual_audiences"].value == 0


def test_the_sentence_of_the_check_stays_short_and_the_table_has_all(tmp_path: Path) -> None:
    many = pl.concat(changed(0, name=f"a{number}") for number in range(MOST_NAMED + 5))

    result = size_check(many, tmp_path / "page.html")

    assert result.description is not None
    assert result.description.endswith("and 5 more")
    assert len(result.metadata["unusual"].records) == MOST_NAMED + 5
