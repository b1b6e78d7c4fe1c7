"""Which workspace and which ledger a command works on, and what it says of those that it does not use."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from audience_pipeline.commands import demo
from audience_pipeline.commands.demo_input import InputError
from audience_pipeline_tests.commands.conftest import Run


def test_a_workspace_whose_own_ledger_is_not_the_one_in_use_is_told_so_once(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "w" / "ledger.db"
    own.parent.mkdir()
    own.touch()
    monkeypatch.setenv("AUDIENCE_LEDGER_URL", f"sqlite:///{tmp_path / 'other.db'}")

    said = run("delivery", "verify", "--dir", own.parent, "--json")

    assert said.json == []
    assert said.err.count("AUDIENCE_LEDGER_URL names another ledger") == 1
    assert f"({own})" in said.err
    assert "Unset the variable" in said.err


@pytest.mark.parametrize("url", ["", "sqlite:///{home}/ledger.db", "sqlite:///{home}/../w/ledger.db"])
def test_a_workspace_on_its_own_ledger_is_told_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    home = tmp_path / "w"
    home.mkdir()
    (home / "ledger.db").touch()
    monkeypatch.setenv("AUDIENCE_LEDGER_URL", url.format(home=home))

    assert "another ledger" not in run("delivery", "verify", "--dir", home).err


def test_a_demo_says_at_its_start_which_variables_it_does_not_heed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> NoReturn:
        raise InputError("enough")

    monkeypatch.setattr(demo, "_run", stop)
    silent = run("demo", "--dir", "w")
    monkeypatch.setenv("AUDIENCE_LEDGER_URL", "postgresql+psycopg2://me:s3cret@db/ledger")
    said = run("demo", "--dir", "w")

    assert silent.err == "Error: enough"
    assert "The demo keeps everything in w and does not heed AUDIENCE_LEDGER_URL: unset that" in said.err
    assert "s3cret" not in said.err
