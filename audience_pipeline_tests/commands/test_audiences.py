from __future__ import annotations

from pathlib import Path

import pytest

from audience_pipeline.settings import PROJECT_ROOT
from audience_pipeline_tests.commands.conftest import Run

GOOD = """\
name: big_spenders
description: Everybody who has spent much.
include:
  where: observed_value > 500
platforms: [meta]
"""
BROKEN = """\
name: Broken One
include:
  where: observed_valu > 500
platforms: [meta, myspace]
holdout_percent: 300
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "audiences"
    path.mkdir()
    (path / "big_spenders.yaml").write_text(GOOD)
    return path


def test_the_audiences_that_ship_are_valid(run: Run) -> None:
    said = run("audiences", "validate", PROJECT_ROOT / "audiences", "--json")

    assert (said.code, said.json) == (0, {"valid": True, "audiences": 6, "problems": []})


def test_without_a_path_those_of_the_workspace_are_checked(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIENCE_DEFINITIONS", str(folder))

    assert run("audiences", "validate", "--dir", "w").out.strip() == "1 audience, no mistakes."


def test_every_mistake_is_named_with_file_and_line(run: Run, folder: Path) -> None:
    (folder / "broken.yaml").write_text(BROKEN)

    said = run("audiences", "validate", folder)

    assert said.code == 2
    assert said.out == ""
    assert said.err.count("broken.yaml:") >= 4
    for line, word in ((1, "name"), (3, "observed_valu"), (4, "myspace"), (5, "holdout_percent")):
        assert f"broken.yaml:{line}" in said.err
        assert word in said.err
    assert "observed_value" in said.err, "the field that was probably meant"


def test_mistakes_as_json_are_only_json(run: Run, folder: Path) -> None:
    (folder / "broken.yaml").write_text(BROKEN)

    said = run("audiences", "validate", folder, "--json")

    assert said.code == 2
    assert said.json["valid"] is False
    assert len(said.json["problems"]) >= 4


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "the file is empty"),
        ("name: x\n  include: [\n", "broken.yaml"),
        ("- one\n- two\n", "keys"),
        (GOOD.replace("observed_value > 500", "1 = 1; drop table x"), "drop"),
        (GOOD.replace("observed_value > 500", "email = 'a@b.c'"), "email"),
        (GOOD.replace("where: observed_value > 500", "in: nobody"), "nobody"),
        (GOOD + "colour: red\n", "colour"),
    ],
    ids=["empty", "no yaml", "list", "hostile sql", "no such field", "no such audience", "no such key"],
)
def test_a_broken_file_is_refused_with_a_sentence(run: Run, folder: Path, text: str, word: str) -> None:
    (folder / "broken.yaml").write_text(text)

    said = run("audiences", "validate", folder)

    assert said.code == 2
    assert "broken.yaml" in said.err
    assert word in said.err
    assert "Traceback" not in said.err


def test_one_file_alone_can_be_checked(run: Run, folder: Path) -> None:
    (folder / "broken.yaml").write_text(BROKEN)

    assert run("audiences", "validate", folder / "big_spenders.yaml").code == 0


def test_broken_definitions_stop_the_list_but_no_delivery(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "broken.yaml").write_text(BROKEN)
    monkeypatch.setenv("AUDIENCE_DEFINITIONS", str(folder))

    said = run("audiences", "list", "--dir", "w")
    assert said.code == 2
    assert "broken.yaml:3" in said.err

    said = run("audiences", "sync", "--dir", "w")
    assert said.code == 1
    assert "broken.yaml:3" in said.err
    assert "keep whom they have, without those who opted out" in said.err
    assert "meta is not configured" in said.out


def test_an_audience_that_is_not_defined_is_not_delivered(run: Run) -> None:
    said = run("audiences", "sync", "new_custmers", "--dir", "w")

    assert said.code == 2
    assert "no audience is called 'new_custmers' (did you mean new_customers?)" in said.err


def test_the_list_says_what_each_audience_is_for(run: Run) -> None:
    said = run("audiences", "list", "--dir", "w", "--json")

    assert sorted(row["name"] for row in said.json) == [
        "at_risk_high_value",
        "cart_abandoners",
        "engaged_newsletter_readers",
        "high_predicted_ltv",
        "new_customers",
        "recent_converters",
    ]
    assert all(row["description"] and row["platforms"] == ["meta", "google", "tiktok"] for row in said.json)
    assert "high_predicted_ltv" in run("audiences", "list", "--dir", "w").out
