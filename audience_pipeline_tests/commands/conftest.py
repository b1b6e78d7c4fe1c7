"""The command line, run in this process in an empty folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from audience_pipeline.cli import app
from audience_pipeline.commands import console


@dataclass(frozen=True)
class Said:
    """How a command ended and what it said. Words of ``err`` are a blank apart, however lines were broken."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Said]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console.out, "width", 200)
    # Commands set these for the process that they believe to be theirs alone.
    for variable in ("DAGSTER_HOME", "AUDIENCE_HOME", "AUDIENCE_LAKE"):
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)

    def command(*arguments: str | Path) -> Said:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, " ".join(result.stderr.replace("│", " ").split()))

    return command
