"""One change, killed once at every single request, commit and rename that it makes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from audience_pipeline_tests.delivery.proof.chaos import Outcome, Schedule, Size, Stage
from audience_pipeline_tests.delivery.proof.mortal import DONE, KILLED, POINTS

SMALL = Size(
    people=80,
    audiences=2,
    members=(10, 60),
    batch_rows={"meta": 20, "google": 20, "tiktok": 1_500},
    days=(2, 2),
)
FIRST_PLACE = 500_000
"""Accounts from here on are those of the sweep."""


class Sweep:
    """The same change in ever new accounts, so that each kill meets the same state.

    Args:
        first: the change is the first delivery; otherwise it is the one of the second day.
    """

    def __init__(self, seed: int, stage: Stage, folder: Path, *, first: bool) -> None:
        self.seed, self.stage, self.folder, self.first = seed, stage, folder, first
        self._place = FIRST_PLACE + 20_000 * seed + (10_000 if first else 0)

    def points(self) -> Counter[str]:
        """How often the change passes each point when nobody kills it."""
        schedule = self._ready()
        ended = schedule.run(confirm=True)
        assert ended.status == DONE, ended.log
        return ended.passed

    def kill_at(self, point: str, time: int) -> Outcome | None:
        """Kill it there, then run once cleanly; None where it did not come to that point this time.

        Raises:
            AssertionError: something is not as it must be.
        """
        schedule = self._ready()
        try:
            ended = schedule.run(confirm=True, kill=(point, time))
            schedule.clean()
        except AssertionError as error:
            raise AssertionError(f"sweep {self.seed}, killed at {time}. {point}: {error}") from error
        finally:
            schedule.clear()
        return schedule.outcome if ended.status == KILLED else None

    def all_points(self) -> list[tuple[str, int]]:
        """Every point that there is."""
        passed = self.points()
        return [(point, time) for point in POINTS for time in range(1, passed[point] + 1)]

    def _ready(self) -> Schedule:
        """The state before the change."""
        self._place += 1
        home = self.folder / f"place_{self._place}"
        home.mkdir(parents=True)
        schedule = Schedule(self.seed, self.stage, home, SMALL, self._place)
        schedule.in_turn = True
        self.stage.platforms.faults(None)
        if not self.first:
            schedule.run(confirm=True)
            schedule.invention.day()
            schedule.invention.opt_out(2)
            schedule.day += 1
        return schedule
