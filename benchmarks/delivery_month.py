"""Thirty days of a daily refresh under faults: how much of every audience is right at the end of each day.

The clock of the platforms moves with the days. A day is what the schedule of the product makes of it: one
run, and up to two more where it reports that something is left or was killed; nobody looks in between.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from delivery_common import publish

from audience_pipeline_tests.delivery.proof.chaos import Schedule, Size, stage
from audience_pipeline_tests.delivery.proof.spelled import PLATFORMS
from audience_pipeline_tests.delivery.proof.wanted import wanted

DAYS, SEED = 30, 42
SIZE = Size(
    people=1_900,
    audiences=4,
    members=(1_300, 1_500),
    batch_rows={"meta": 400, "google": 400, "tiktok": 2_000},
    days=(DAYS, DAYS),
)
BAR = 0.99
TRIES = 3
"""Runs a day: the first and as many as the product's own policy of retries adds."""
KILLED = 0.2
"""Share of first runs that are killed at some moment."""


def month(days: int = DAYS) -> bool:
    """Live through the days; the last one ends with a run without faults."""
    begun, lowest, shares = time.perf_counter(), 1.0, []
    with tempfile.TemporaryDirectory(prefix="month-") as name, stage(Path(name) / "stage") as made:
        home = Path(name) / "workspace"
        home.mkdir()
        schedule = Schedule(SEED, made, home, SIZE)
        schedule.accounts = dict.fromkeys(PLATFORMS, (f"7{SEED:06}",))
        made.platforms.faults(None)
        schedule.run()
        chance = Random(SEED)
        for day in range(1, days + 1):
            schedule.invention.ordinary_day()
            made.platforms.pass_days(1)
            schedule.day = day
            made.platforms.faults(SEED * 1_000 + day)
            _day(schedule, chance)
            shares.append(_equal(schedule))
            lowest = min(lowest, shares[-1])
        made.platforms.faults(None)
        schedule.run()
        last = _equal(schedule)
    rows = [
        ("what", "bar", "measured"),
        (f"memberships equal on the worst of {days} days", f"{BAR:.0%}", f"{lowest:.3%}"),
        ("days on which all of them were equal", "", f"{sum(share == 1 for share in shares)} of {days}"),
        ("after the last run, without faults", "100 %", f"{last:.3%}"),
        ("runs, of them killed", "", f"{schedule.outcome.runs}, {schedule.outcome.killed}"),
        ("seconds", "", f"{time.perf_counter() - begun:.0f}"),
    ]
    figures = {"days": shares, "last": last, "runs": schedule.outcome.runs, "killed": schedule.outcome.killed}
    return publish("month", rows, figures, met=lowest >= BAR and last == 1)


def _day(schedule: Schedule, chance: Random) -> None:
    for number in range(TRIES):
        after = chance.random() * 1.5 if number == 0 and chance.random() < KILLED else None
        ended = schedule.run(kill_after=after)
        if ended.value is not None and all(_done(report) for report in ended.value):
            return


def _done(report: dict[str, Any]) -> bool:
    return report["state"] in {"settled", "unchanged", "processing"}


def _equal(schedule: Schedule) -> float:
    """Share of memberships, over all audiences and platforms, that are as they should be."""
    now = wanted(schedule.invention.known.as_dict())
    right, all_of_them = 0, 0
    for platform in PLATFORMS:
        there = schedule.stage.platforms.held(platform, schedule.accounts[platform])
        rows = {one.name.removeprefix("proof "): one.rows for one in there}
        for name in schedule.invention.known.audiences:
            should, held = now.audiences[platform, name].rows, rows.get(name, frozenset())
            right += len(should & held)
            all_of_them += len(should | held)
    return right / all_of_them
