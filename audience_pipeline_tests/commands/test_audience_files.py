from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.identifiers.text import digest
from audience_pipeline.settings import PROJECT_ROOT
from audience_pipeline.sources.lists import list_names, read_list
from audience_pipeline_tests.commands.conftest import Run

GOOD = """\
name: big_spenders
description: Everybody who has spent much.
include:
  where: observed_value > 500
platforms: [meta]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "audiences"
    path.mkdir()
    (path / "big_spenders.yaml").write_text(GOOD)
    monkeypatch.setenv("AUDIENCE_DEFINITIONS", str(path))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text("C1042\nann@shop.example\n+1 212 555 0123\nAnn Example\n")
    return path


def test_problems_as_json_have_file_line_and_message(run: Run, folder: Path) -> None:
    (folder / "broken.yaml").write_text(GOOD.replace("observed_value", "observed_valu"))

    said = run("audiences", "validate", folder, "--json")

    second, first = said.json["problems"]
    assert (said.code, said.json["valid"]) == (2, False)
    assert first == {
        "file": str(folder / "broken.yaml"),
        "line": 4,
        "message": "unknown field 'observed_valu' (did you mean observed_value?)",
    }
    assert (second["line"], "already used" in second["message"]) == (1, True)


def test_mistakes_of_all_paths_are_told_together(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "broken.yaml").write_text("name: broken\n")
    (tmp_path / "other.yaml").write_text("name: other\n")

    said = run("audiences", "validate", folder, tmp_path / "other.yaml", tmp_path / "none.yaml")

    assert said.code == 2
    for name in ("broken.yaml:1", "other.yaml:1", "none.yaml: the file cannot be read"):
        assert name in said.err


def test_a_file_may_refer_to_those_beside_it(run: Run, folder: Path) -> None:
    other = folder / "others.yaml"
    other.write_text(
        GOOD.replace("big_", "other_").replace("where: observed_value > 500", "not_in: big_spenders")
    )

    said = run("audiences", "validate", other, "--json")

    assert (said.code, said.json["audiences"]) == (0, 1)


def test_an_uploaded_list_can_be_named_at_once(run: Run, folder: Path, file: Path) -> None:
    text = GOOD.replace("where: observed_value > 500", "in: fair_visitors")
    (folder / "big_spenders.yaml").write_text(text)
    before = run("audiences", "validate", "--dir", "w")

    uploaded = run("audiences", "upload", "fair_visitors", file, "--dir", "w")

    assert before.code == 2
    assert "there is no audience or uploaded list fair_visitors" in before.err
    assert uploaded.code == 0
    assert "4 lines" in uploaded.out
    assert "neither an e-mail address, a phone number nor an id" in uploaded.out
    assert "Ann" not in uploaded.out
    assert run("audiences", "validate", "--dir", "w").code == 0
    assert "Uploaded lists: fair_visitors." in run("audiences", "list", "--dir", "w").out


def test_an_upload_says_in_json_what_it_made_of_the_file(run: Run, folder: Path, file: Path) -> None:
    said = run("audiences", "upload", "fair", file, "--dir", "w", "--json").json

    assert said["by_kind"] == {"customer_id": 1, "email": 1, "phone": 1}
    assert (said["lines"], said["distinct"], said["replaced"]) == (4, 3, False)
    assert [one["first_line"] for one in said["unusable"]] == [4]


def test_an_upload_says_how_many_customers_of_the_newest_date_it_finds(
    run: Run, folder: Path, file: Path, tmp_path: Path
) -> None:
    upload = ("audiences", "upload", "fair", file, "--replace", "--dir", "w")
    before = run(*upload, "--json").json
    lake = tmp_path / "w" / "lake"
    ann = pl.lit(digest("ann@shop.example"))
    for day, ids in (("2026-01-01", ["C1042"]), ("2026-01-02", ["C1042", "C2", "C3"])):
        profile = pl.DataFrame({"customer_id": ids})
        # Somebody with an address who is not in the profile cannot be in any audience.
        known = pl.DataFrame({"customer_id": [*ids, "C9"]}).with_columns(
            meta_email=pl.when(pl.col("customer_id").is_in(["C3", "C9"])).then(ann)
        )
        for name, table in (("customer_profile", profile), ("identifiers", known)):
            (lake / name).mkdir(parents=True, exist_ok=True)
            table.write_parquet(lake / name / f"{day}.parquet")

    after = run(*upload, "--json").json

    assert (before["customers"], before["as_of"]) == (None, None)
    assert (after["customers"], after["as_of"]) == (2, "2026-01-02")
    assert "It finds 2 customers as of 2026-01-02." in run(*upload).out


def test_a_list_is_replaced_only_when_that_is_said(run: Run, folder: Path, file: Path) -> None:
    run("audiences", "upload", "fair", file, "--dir", "w")

    again = run("audiences", "upload", "fair", file, "--dir", "w")

    assert again.code == 1
    assert "say --replace" in again.err
    assert run("audiences", "upload", "fair", file, "--replace", "--dir", "w").code == 0


def test_a_column_is_named_by_what_it_holds(run: Run, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "crm.csv"
    path.write_text("Wer;Wo\nann@shop.example;C1\n")

    said = run("audiences", "upload", "fair", path, "--column", "email=Wer", "--dir", "w", "--json")

    assert said.json["by_kind"] == {"email": 1}
    assert read_list(tmp_path / "w" / "lake", "fair").height == 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("Fair Visitors",), "is no name for a list"),
        (("../fair",), "is no name for a list"),
        (("big_spenders",), "is the name of an audience"),
        (("fair", "--column", "email"), "--column takes KIND=COLUMN"),
    ],
)
def test_wrong_usage_of_an_upload_is_told(
    run: Run, folder: Path, file: Path, tmp_path: Path, arguments: tuple[str, ...], word: str
) -> None:
    name, *options = arguments

    said = run("audiences", "upload", name, file, *options, "--dir", "w")

    assert said.code == 2
    assert word in said.err
    assert list_names(tmp_path / "w" / "lake") == ()


def test_a_file_that_is_not_there_is_told(run: Run, folder: Path) -> None:
    said = run("audiences", "upload", "fair", "none.csv", "--dir", "w")

    assert said.code == 1
    assert "there is no such file" in said.err


@pytest.mark.parametrize(("option", "file"), [((), "audience"), (("--suppression",), "suppression")])
def test_the_schema_that_ships_is_the_one_that_is_printed(
    run: Run, option: tuple[str, ...], file: str
) -> None:
    said = run("audiences", "schema", *option, "--dir", "w")

    shipped = PROJECT_ROOT / "audiences" / f"{file}.schema.json"
    assert said.code == 0
    assert said.out == shipped.read_text(encoding="utf-8"), f"audience-pipeline audiences schema > {shipped}"


def test_columns_that_the_workspace_keeps_are_in_its_schema(run: Run, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "audience.yaml").write_text("sources: {crm: {keep: [Tier]}}\n")

    assert "crm_tier" in run("audiences", "schema", "--dir", "w").out


def test_a_setting_that_cannot_be_a_field_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "audience.yaml").write_text("sources: {crm: {keep: [Phone Number]}}\n")

    said = run("audiences", "validate", "--dir", "w")

    assert said.code == 2
    assert "audience.yaml" in said.err


def test_the_list_knows_the_newest_sizes(run: Run, folder: Path, tmp_path: Path) -> None:
    memberships = tmp_path / "w" / "lake" / "audience_memberships"
    memberships.mkdir(parents=True)
    for day, size in (("2026-01-01", 1), ("2026-01-02", 1234)):
        pl.DataFrame({"audience": ["big_spenders"], "size": [size], "held_out": [0]}).write_parquet(
            memberships / f"{day}.parquet"
        )

    (row,) = run("audiences", "list", "--dir", "w", "--json").json

    assert (row["members"], row["as_of"]) == (1234, "2026-01-02")
    assert "1,234" in run("audiences", "list", "--dir", "w").out


def test_before_a_refresh_the_list_has_no_sizes(run: Run, folder: Path) -> None:
    (row,) = json.loads(run("audiences", "list", "--dir", "w", "--json").out)

    assert (row["members"], row["as_of"]) == (None, None)
