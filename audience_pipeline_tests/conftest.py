"""What every test shares: nothing phones home, nothing of the user's own set-up is used."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from audience_pipeline.settings import (
    ACCOUNTS,
    ADS_BASE_URL,
    BASE_URLS,
    PROJECT_ROOT,
    Calendar,
    Config,
    Settings,
    Shop,
)

SILENT = {
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "TQDM_DISABLE": "1",
}
NOT_FOR_TESTS = (
    "DAGSTER_HOME",
    "MLFLOW_TRACKING_URI",
    *(
        f"AUDIENCE_{name}"
        for name in (
            "HOME",
            "CONFIG",
            "LAKE",
            "LEDGER_URL",
            "DEFINITIONS",
            "THREADS",
            "IN_PROCESS",
            "SECRETS",
        )
    ),
    *ACCOUNTS.values(),
    *(variable for variable, _ in BASE_URLS.values()),
    ADS_BASE_URL,
    *(f"{platform}_ACCESS_TOKEN" for platform in ("META", "GOOGLE", "TIKTOK")),
    *("META_APP_SECRET", "GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET", "GOOGLE_REFRESH_TOKEN"),
)
"""A test that read these would work on a real workspace, or talk to a real platform."""

os.environ.update(SILENT)
for variable in NOT_FOR_TESTS:
    os.environ.pop(variable, None)

hypothesis.settings.register_profile("local", deadline=None, max_examples=30)
hypothesis.settings.register_profile(
    "ci", deadline=None, max_examples=30, derandomize=True, database=None, print_blob=True
)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")

SHARED_DATA = Path(os.environ.get("AUDIENCE_SHARED_DATA") or PROJECT_ROOT.parent / "shared" / "data")
ABSENT = f"the real data sets are not in {SHARED_DATA}: set AUDIENCE_SHARED_DATA to their folder"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("shared_data") and not SHARED_DATA.is_dir():
        pytest.skip(ABSENT)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much went untested for want of the real data sets."""
    skipped = terminalreporter.stats.get("skipped", [])
    absent = [
        report
        for report in skipped
        if "shared_data" in getattr(report, "keywords", {}) or "AUDIENCE_SHARED_DATA" in str(report.longrepr)
    ]
    if absent:
        terminalreporter.write_line(
            f"Tests skipped because the shared data is absent (AUDIENCE_SHARED_DATA): {len(absent)}.",
            yellow=True,
        )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file that is marked with ``xdist_group`` on one worker, with those of its group.

    xdist 3.8 writes groups into node ids, which pytest 9.2 does not let it change.
    """
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadGroupScheduling

    class Scheduling(LoadGroupScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group_of(nodeid.partition("::")[0]) or super()._split_scope(nodeid)

    return Scheduling(config, log)


@cache
def _group_of(file: str) -> str | None:
    path = PROJECT_ROOT / file
    found = re.search(r"xdist_group\(\"(.+?)\"\)", path.read_text("utf-8")) if path.is_file() else None
    return found.group(1) if found else None


@pytest.fixture(autouse=True)
def no_instance_of_an_earlier_test() -> Iterator[None]:
    """An instance of Dagster that is entered twice stays behind, closed, and the next graph cannot load."""
    if "dagster" not in sys.modules:
        yield
        return
    from dagster._core.storage.defs_state.base import set_defs_state_storage

    with set_defs_state_storage(None):
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the real data sets; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(ABSENT)
    return SHARED_DATA


@pytest.fixture(scope="session")
def workspace_at() -> Callable[..., Settings]:
    """Makes settings of a workspace in a folder, all steps in one process."""

    def at(home: Path, calendar: Calendar | None = None, **shop: str) -> Settings:
        config = Config(shop=Shop(**shop), calendar=calendar or ENDED)
        return Settings.at(home, config, {"AUDIENCE_IN_PROCESS": "1"})

    return at


ENDED = Calendar(first_day=date(2025, 1, 10), last_day=date(2026, 3, 15))
"""A calendar of data that has ended in the middle of a month."""


@pytest.fixture
def settings(tmp_path: Path, workspace_at: Callable[..., Settings]) -> Settings:
    """An empty workspace of its own, with data from 2025-01-10 to 2026-03-15."""
    return workspace_at(tmp_path / "workspace")
