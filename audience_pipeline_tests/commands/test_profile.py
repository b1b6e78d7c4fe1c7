from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.audiences.fields import FIELDS
from audience_pipeline.audiences.profile import PROFILE_SCHEMA
from audience_pipeline_tests.commands.conftest import Run


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with profiles of two days; on the first nothing is known of anybody."""
    folder = tmp_path / "w" / "lake" / "customer_profile"
    folder.mkdir(parents=True)
    people = pl.DataFrame({name: [None] * 200 for name in PROFILE_SCHEMA}, schema=PROFILE_SCHEMA)
    people.write_parquet(folder / "2026-03-14.parquet")
    known = people.with_columns(
        orders=pl.Series([1] * 50 + [None] * 150),
        channel=pl.Series(["email"] * 60 + ["mata.hari"] * 40 + [None] * 100),
    )
    known.write_parquet(folder / "2026-03-15.parquet")
    return tmp_path / "w"


def test_without_a_workspace_every_field_is_described(run: Run) -> None:
    said = run("profile", "fields", "--dir", "nowhere", "--json")

    assert (said.code, said.json["as_of"]) == (0, None)
    assert [row["name"] for row in said.json["fields"]] == list(FIELDS)
    assert {row["fill_rate"] for row in said.json["fields"]} == {None}
    for row in said.json["fields"]:
        assert row["meaning"]
        assert row["example"]


def test_as_a_table_it_says_what_is_missing(run: Run) -> None:
    said = run("profile", "fields", "--dir", "nowhere")

    assert said.code == 0
    assert "predicted_ltv" in said.out
    assert f"{len(FIELDS)} fields" in said.out
    assert "run audience-pipeline refresh" in said.err


def test_fill_rates_are_those_of_the_newest_profile(run: Run, workspace: Path) -> None:
    said = run("profile", "fields", "orders", "channel", "--dir", workspace, "--json")

    assert said.json["as_of"] == "2026-03-15"
    assert {row["name"]: row["fill_rate"] for row in said.json["fields"]} == {"orders": 0.25, "channel": 0.5}


def test_values_are_shown_only_where_fifty_people_share_them(run: Run, workspace: Path) -> None:
    said = run("profile", "fields", "channel", "--dir", workspace)

    assert "email 30 %" in said.out
    assert "mata.hari" not in said.out


def test_another_date_can_be_asked_for(run: Run, workspace: Path) -> None:
    said = run("profile", "fields", "orders", "--as-of", "2026-03-14", "--dir", workspace, "--json")

    assert [row["fill_rate"] for row in said.json["fields"]] == [0.0]


def test_a_date_without_a_profile_says_how_to_make_one(run: Run, workspace: Path) -> None:
    said = run("profile", "fields", "--as-of", "2026-01-01", "--dir", workspace)

    assert said.code == 1
    assert "audience-pipeline refresh --as-of 2026-01-01" in said.err


def test_an_unknown_field_is_wrong_usage_and_the_nearest_is_named(run: Run) -> None:
    said = run("profile", "fields", "predicted_lvt", "--dir", "nowhere")

    assert said.code == 2
    assert "did you mean predicted_ltv?" in said.err


def test_fields_of_one_table_can_be_asked_for_and_an_unknown_table_names_the_known(run: Run) -> None:
    said = run("profile", "fields", "--source", "consent", "--dir", "nowhere", "--json")
    wrong = run("profile", "fields", "--source", "consents", "--dir", "nowhere")

    assert {row["source"] for row in said.json["fields"]} == {"consent"}
    assert wrong.code == 2
    assert "did you mean consent?" in wrong.err
