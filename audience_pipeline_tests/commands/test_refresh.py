"""A refresh goes on without the audiences that nobody can work out."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from audience_pipeline.commands import flow
from audience_pipeline.commands.runner import Ran
from audience_pipeline_tests.commands.conftest import Run

AUDIENCE = "name: {}\ndescription: Some people.\nplatforms: [meta]\ninclude: {{where: {}}}\n"
DAY = date(2026, 1, 31)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Definitions of a workspace whose job is done at once."""
    made = tmp_path / "audiences"
    made.mkdir()
    (made / "sound.yaml").write_text(AUDIENCE.format("sound", "orders > 1"))
    monkeypatch.setenv("AUDIENCE_DEFINITIONS", str(made))
    monkeypatch.setattr(flow, "newest_as_of", lambda settings: DAY)
    monkeypatch.setattr(
        flow,
        "run_job",
        lambda *told, **more: Ran(
            "run", {"audience_memberships": {"members": 3, "audiences": 1}}, ["one check"]
        ),
    )
    return made


def test_without_mistakes_it_ends_well(run: Run, folder: Path):
    seen = run("refresh", "--dir", "w", "--json")

    assert seen.code == 0
    assert (seen.json["audiences"], seen.json["set_aside"]) == (1, [])


def test_what_has_a_mistake_is_set_aside_and_said_at_the_end(run: Run, folder: Path):
    (folder / "broken.yaml").write_text(AUDIENCE.format("broken", "ordres > 1"))

    plain = run("refresh", "--dir", "w")
    seen = run("refresh", "--dir", "w", "--json")

    assert (plain.code, seen.code) == (1, 1)
    assert "3 memberships in 1 audiences" in plain.out
    assert "Does not hold: one check" in plain.err
    assert "Set aside" in plain.err
    assert "broken.yaml:4" in plain.err
    [said] = seen.json["set_aside"]
    assert "did you mean orders?" in said


def test_when_nothing_can_be_used_nothing_is_begun(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(flow, "run_job", lambda *told, **more: pytest.fail("the job was begun"))
    (folder / "sound.yaml").write_text(AUDIENCE.format("sound", "ordres > 1"))

    refused = run("refresh", "--dir", "w", "--json")

    assert refused.code == 2
    [problem] = refused.json["problems"]
    assert "did you mean orders?" in problem["message"]
