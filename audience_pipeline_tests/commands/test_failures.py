"""What goes wrong outside our hands ends in one sentence, exit code 1, and no traceback."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from audience_pipeline.cli import main

Failing = Callable[..., str]


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Failing:
    """Runs a command as the installed program does; what it said."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str | Path) -> str:
        monkeypatch.setattr(sys, "argv", ["audience-pipeline", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert ended.value.code == 1
        assert said.out == ""
        assert "Traceback" not in said.err
        return " ".join(said.err.split())

    return command


def test_a_ledger_that_cannot_be_reached(failing: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIENCE_LEDGER_URL", "postgresql+psycopg2://me:s3cret@127.0.0.1:9/ledger")

    said = failing("audiences", "status", "--dir", "w")

    assert "cannot be opened" in said
    assert "Check AUDIENCE_LEDGER_URL" in said
    assert "s3cret" not in said


def test_a_port_that_is_taken(failing: Failing) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        said = failing("sandbox", "--port", str(port))

    assert f"port {port} on 127.0.0.1 is taken" in said


def test_a_workspace_that_is_a_file(failing: Failing, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    said = failing("demo", "--dir", "file", "--customers", "5")

    assert "file" in said
    assert "File exists" in said or "Not a directory" in said


def test_a_ledger_url_that_is_none_is_said_to_be_none(
    failing: Failing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIENCE_LEDGER_URL", "nonsense")

    assert "is no database URL" in failing("audiences", "status", "--dir", "w")


def test_a_population_that_is_no_parquet_file_is_named(failing: Failing, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("email\n")

    assert "people.csv" in failing("sandbox", "--population", "people.csv", "--port", "8795")
