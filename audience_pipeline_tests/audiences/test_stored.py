from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from audience_pipeline.audiences.criteria import compile_where
from audience_pipeline.audiences.definition import Definition, Definitions
from audience_pipeline.audiences.errors import MembershipError
from audience_pipeline.audiences.fields import FIELDS
from audience_pipeline.audiences.holdouts import held_out, person_hashes
from audience_pipeline.audiences.membership import attempts, memberships
from audience_pipeline.audiences.rules import Rule, Where
from audience_pipeline.audiences.stored import (
    STORED_SCHEMA,
    People,
    differences,
    distinct_members,
    overlaps,
    stored,
    stored_sizes,
)
from audience_pipeline.platforms.contract import Platform
from audience_pipeline_tests.audiences.stored_frames import read_members

NUMBERING = "first"


def where(text: str) -> Where:
    return Where(compile_where(text, FIELDS))


def audience(name: str, include: Rule, holdout_percent: float = 0.0) -> Definition:
    return Definition(
        name, "Somebody.", include, None, None, (Platform.META,), "daily", holdout_percent, f"{name}.yaml"
    )


def profile(*orders: int, first_no: int = 0) -> pl.DataFrame:
    """Customers whose numbers run against their order, as those of late sign-ups do."""
    return pl.DataFrame(
        {
            "customer_id": [f"c{n:03d}" for n in range(len(orders))],
            "person_key": [f"p{n:03d}" for n in range(len(orders))],
            "customer_no": pl.Series([*range(first_no + len(orders) - 1, first_no - 1, -1)], dtype=pl.UInt32),
            "orders": pl.Series(orders, dtype=pl.Int64),
        }
    )


def table_of(people: pl.DataFrame, *audiences: Definition, numbering: str = NUMBERING) -> pl.DataFrame:
    table, failed = stored(attempts(people, Definitions(audiences)), People.of(people), numbering)
    assert not failed
    return table


def sets(path: Path, **members: set[int]) -> Path:
    """A stored table of given sets of numbers."""
    rows = []
    for name, numbers in members.items():
        content = BitMap(numbers).serialize()
        rows.append((name, len(numbers), 0, content, BitMap().serialize(), content.hex(), NUMBERING))
    pl.DataFrame(rows, schema=STORED_SCHEMA, orient="row").write_parquet(path)
    return path


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.sampled_from([0.0, 20.0, 100.0]))
def test_what_is_read_is_what_was_selected(
    tmp_path_factory: pytest.TempPathFactory, orders: list[int], percent: float
):
    people = profile(*orders, first_no=70_000)
    some = audience("some", where("orders >= 5"), percent)
    path = tmp_path_factory.mktemp("stored") / "2026-03-01.parquet"
    table_of(people, some).write_parquet(path)

    found = read_members(path, "some", people, numbering=NUMBERING)

    wanted = memberships(people, Definitions((some,)))
    assert found.equals(wanted.select("customer_id", "holdout"))
    assert stored_sizes(path).rows() == [("some", wanted.height, wanted["holdout"].sum())]


def test_nobody_and_everybody_can_be_stored(tmp_path: Path):
    people = profile(*range(10))
    path = tmp_path / "2026-03-01.parquet"

    table_of(people, audience("all", where("true")), audience("none", where("orders > 99"))).write_parquet(
        path
    )

    assert pl.read_parquet(path).schema == STORED_SCHEMA
    assert stored_sizes(path).rows() == [("all", 10, 0), ("none", 0, 0)]
    assert read_members(path, "none", people, numbering=NUMBERING).is_empty()
    assert read_members(path, "all", people, numbering=NUMBERING)["customer_id"].equals(people["customer_id"])


def test_a_profile_without_anybody_is_stored_too(tmp_path: Path):
    people = profile()

    table = table_of(people, audience("all", where("true"), 50.0))

    assert table["size"].to_list() == [0]
    assert table_of(people).is_empty()
    assert distinct_members(table) == 0


def test_holdouts_are_those_of_the_formula(tmp_path: Path):
    people = profile(*[1] * 500)
    path = tmp_path / "2026-03-01.parquet"
    table_of(people, audience("a", where("orders = 1"), 30.0)).write_parquet(path)

    found = read_members(path, "a", people, numbering=NUMBERING)

    drawn = held_out(person_hashes(people["person_key"]), "a", 30.0)
    assert 50 < np.count_nonzero(drawn) < 250
    assert found["holdout"].to_list() == drawn.tolist()


def test_an_audience_that_cannot_be_evaluated_takes_only_those_along_that_are_made_of_it(tmp_path: Path):
    from audience_pipeline.audiences.rules import In

    people = profile(1, 2, 3)
    audiences = Definitions(
        (
            audience("gone", where("carts_90d > 1")),
            audience("made_of_it", In("gone")),
            audience("fine", where("orders > 1")),
        )
    )

    table, failed = stored(attempts(people, audiences), People.of(people), NUMBERING)

    assert table["audience"].to_list() == ["fine"]
    assert [one.audience.name for one in failed] == ["gone", "made_of_it"]
    assert "carts_90d" in failed[0].reason
    assert "gone" in failed[1].reason
    table.write_parquet(tmp_path / "2026-03-01.parquet")
    with pytest.raises(MembershipError, match="gone was not evaluated on 2026-03-01"):
        read_members(tmp_path / "2026-03-01.parquet", "gone", people, numbering=NUMBERING)


def test_memberships_of_another_numbering_are_read_by_nobody(tmp_path: Path):
    people = profile(1, 2, 3)
    yesterday, today = tmp_path / "2026-03-01.parquet", tmp_path / "2026-03-02.parquet"
    table_of(people, audience("a", where("true"))).write_parquet(yesterday)
    table_of(people, audience("a", where("true")), numbering="second").write_parquet(today)

    with pytest.raises(MembershipError, match="refresh 2026-03-01"):
        read_members(yesterday, "a", people, numbering="second")
    with pytest.raises(MembershipError, match="refresh 2026-03-01"):
        differences(yesterday, today)


def test_memberships_of_another_profile_are_not_taken_for_those_of_this_one(tmp_path: Path):
    path = tmp_path / "2026-03-01.parquet"
    table_of(profile(1, 2, 3), audience("a", where("true"))).write_parquet(path)

    with pytest.raises(MembershipError, match="refresh 2026-03-01"):
        read_members(path, "a", profile(1, 2), numbering=NUMBERING)


def test_a_table_of_one_row_per_member_is_told_apart(tmp_path: Path):
    path = tmp_path / "2026-03-01.parquet"
    pl.DataFrame({"audience": ["a"], "customer_id": ["c1"], "holdout": [False]}).write_parquet(path)

    with pytest.raises(MembershipError, match="earlier form: refresh 2026-03-01"):
        stored_sizes(path)


NUMBERS = st.sets(st.integers(0, 200_000), max_size=40) | st.just(set(range(70_000)))
DAYS = st.dictionaries(st.sampled_from("abcd"), NUMBERS, max_size=4)


@settings(max_examples=60, deadline=None)
@given(DAYS, DAYS)
def test_today_is_yesterday_with_those_who_came_and_without_those_who_went(
    tmp_path_factory: pytest.TempPathFactory, before: dict[str, set[int]], after: dict[str, set[int]]
):
    folder = tmp_path_factory.mktemp("days")
    yesterday, today = sets(folder / "1.parquet", **before), sets(folder / "2.parquet", **after)

    found = {row[0]: row[1:] for row in differences(yesterday, today).iter_rows()}

    assert found.keys() == after.keys()
    for name, (added, removed, kept) in found.items():
        earlier = before.get(name, set())
        assert (added, removed, kept) == (
            len(after[name] - earlier),
            len(earlier - after[name]),
            len(after[name] & earlier),
        )
        assert len(after[name]) == len(earlier) + added - removed


def test_an_audience_that_did_not_change_is_not_even_read(tmp_path: Path):
    yesterday = sets(tmp_path / "1.parquet", a={1, 2, 3})
    today = tmp_path / "2.parquet"
    spoilt = pl.read_parquet(yesterday).with_columns(pl.lit(b"no bitmap").alias("members"))
    spoilt.write_parquet(today)

    assert differences(yesterday, today).rows() == [("a", 0, 0, 3)]


def test_overlaps_count_those_who_are_in_both(tmp_path: Path):
    path = sets(tmp_path / "1.parquet", a={1, 2, 3}, b={3, 100_000}, c=set())

    assert overlaps(path, BitMap([2, 3, 100_000])).rows() == [("a", 2), ("b", 2), ("c", 0)]


def test_the_order_of_the_profile_changes_no_byte():
    people = profile(*range(50))
    some = audience("a", where("orders > 3"), 20.0)

    assert table_of(people, some).equals(table_of(people.reverse(), some))


KILLED = """
import os, sys
from pathlib import Path
import polars as pl
from audience_pipeline.defs import storage
storage.Path.replace = lambda *_: os._exit(9)
storage.write_table(Path(sys.argv[1]), pl.DataFrame({"audience": ["half"]}))
"""


def test_a_run_that_is_killed_before_the_rename_leaves_the_old_memberships(tmp_path: Path):
    path = sets(tmp_path / "2026-03-01.parquet", a={1, 2, 3})

    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, timeout=60)

    assert killed.returncode == 9
    assert len(list(tmp_path.iterdir())) == 2
    assert stored_sizes(path).rows() == [("a", 3, 0)]
