"""A demo run as a user starts it: in a process of its own, with an empty HOME, nowhere near the project."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audience_pipeline.settings import PROJECT_ROOT

PROGRAM = str(Path(sys.executable).with_name("audience-pipeline"))
CUSTOMERS = 1_500
CUSTOMERS_OPTION = ("--customers", str(CUSTOMERS))


@dataclass(frozen=True)
class Place:
    """A machine for one demo: HOME, current folder, temporary files and the workspace."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def current(self) -> Path:
        return self.root / "current"

    @property
    def temporary(self) -> Path:
        return self.root / "tmp"

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    @property
    def lake(self) -> Path:
        return self.workspace / "lake"

    def table(self, name: str, as_of: str | None = None) -> Path:
        return self.lake / f"{name}.parquet" if as_of is None else self.lake / name / f"{as_of}.parquet"

    def environment(self) -> dict[str, str]:
        for folder in (self.home, self.current, self.temporary):
            folder.mkdir(parents=True, exist_ok=True)
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            # The code under test may not be the one that is installed.
            "PYTHONPATH": str(PROJECT_ROOT),
        }

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [PROGRAM, *map(str, arguments)],
            cwd=self.current,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments) as process:
            out, err = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def demo(self, *arguments: str | Path) -> Demo:
        """Run the demo in this place; its report."""
        finished = self.run("demo", "--dir", self.workspace, *arguments, "--json")
        assert finished.returncode == 0, finished.stderr
        report = json.loads(finished.stdout)
        files = fingerprints(self.lake), fingerprints(self.workspace / "models")
        return Demo(self, report, finished.stdout, finished.stderr, *files, self.consent_log())

    def consent_log(self) -> list[list[Any]]:
        """The ledger's rows about the log of consent, in their order."""
        with sqlite3.connect(f"file:{self.workspace / 'ledger.db'}?mode=ro", uri=True) as ledger:
            heads = ledger.execute("SELECT * FROM consent_log ORDER BY sequence").fetchall()
        ledger.close()
        return [list(head) for head in heads]


@dataclass(frozen=True)
class Demo:
    """A finished demo: what it said, and the lake as it left it."""

    place: Place
    report: dict[str, Any]
    out: str
    err: str
    lake: dict[str, str]
    """SHA-256 of every file, at the end of this run."""
    models: dict[str, str]
    """The same for the models."""
    log: list[list[Any]]
    """What the ledger remembers of the log of consent."""

    @property
    def as_of(self) -> str:
        return str(self.report["as_of"])


def fingerprints(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a folder, working files aside."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".work" not in path.relative_to(folder).parts
    }


def lasting(report: dict[str, Any]) -> dict[str, Any]:
    """What two runs on the same input must agree on: no times, no ids that a platform gives."""
    passing = {"seconds", "workspace", "changed"}
    given = {"remote_id", "last_sync", "read_at", "state"}
    return {
        **{key: value for key, value in report.items() if key not in passing},
        "deliveries": [
            {key: value for key, value in row.items() if key not in given} for row in report["deliveries"]
        ],
    }
