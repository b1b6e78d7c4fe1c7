"""``audience-pipeline sandbox`` and the sandbox beside a demo."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import polars as pl
import pytest

from audience_pipeline.commands.sandboxes import ACCOUNTS, TOKENS, sandbox_beside
from audience_pipeline.sandbox.population import POPULATION
from audience_pipeline.sandbox.server import running, serving
from audience_pipeline.settings import Settings

ADDRESSES = {"META_BASE_URL", "GOOGLE_DATA_MANAGER_BASE_URL", "GOOGLE_ADS_BASE_URL", "TIKTOK_BASE_URL"}


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = "from audience_pipeline.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", command, "sandbox", "--port", "0", "--state", str(folder), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_what_to_set_is_printed_for_a_shell_and_works(tmp_path: Path) -> None:
    child = start(tmp_path / "state", "--faults", "7")
    try:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(len(ADDRESSES) + len(TOKENS) + len(ACCOUNTS))]
        told = subprocess.run(
            ["sh", "-c", "".join(lines) + "env"], capture_output=True, text=True, check=True
        )
        set_ = dict(line.split("=", 1) for line in told.stdout.splitlines() if "=" in line)
        (address,) = {set_[name] for name in ADDRESSES}
        with urlopen(f"{address}/_sandbox/faults", timeout=30) as answer:
            assert b'"seed":7' in answer.read()
    finally:
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=30)

    assert {name: set_[name] for name in (*TOKENS, *ACCOUNTS)} == {**TOKENS, **ACCOUNTS}
    assert address in said
    assert "Ctrl-C" in said
    assert "Traceback" not in said


def test_a_folder_in_use_and_a_population_without_a_column_are_named(tmp_path: Path) -> None:
    pl.DataFrame({"email": ["a"]}).write_parquet(tmp_path / "people.parquet")
    with running(tmp_path / "state"):
        _, in_use = start(tmp_path / "state").communicate(timeout=60)
    wrong = start(tmp_path / "other", "--population", str(tmp_path / "people.parquet"))
    _, lacking = wrong.communicate(timeout=60)

    assert "stop the other sandbox or use another folder" in " ".join(in_use.split())
    assert wrong.returncode == 1
    assert "lacks the column" in lacking
    assert "Traceback" not in in_use + lacking


@pytest.fixture
def demo(tmp_path: Path) -> Settings:
    """A workspace that a demo made, as far as its sandbox is concerned."""
    (tmp_path / "input").mkdir()
    pl.DataFrame(schema=POPULATION).write_parquet(tmp_path / "input" / "invented_population.parquet")
    return Settings.model_construct(home=tmp_path)


def test_beside_a_demo_every_address_points_at_the_sandbox_and_back_afterwards(
    demo: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_ADS_BASE_URL", "https://elsewhere.example")
    monkeypatch.delenv("META_BASE_URL", raising=False)

    with sandbox_beside(demo) as url:
        assert {os.environ[name] for name in ADDRESSES} == {url}
        assert os.environ["TIKTOK_ACCESS_TOKEN"] == "sandbox-tiktok-token"
        with urlopen(f"{url}/_sandbox/health", timeout=30) as answer:
            assert answer.status == 200

    assert os.environ["GOOGLE_ADS_BASE_URL"] == "https://elsewhere.example"
    assert "META_BASE_URL" not in os.environ


def test_a_sandbox_that_runs_on_the_folder_already_is_used_and_left_running(demo: Settings) -> None:
    with running(demo.home / "sandbox") as mine:
        with sandbox_beside(demo) as url:
            assert url == mine
        time.sleep(0.1)
        assert serving(demo.home / "sandbox") == mine
