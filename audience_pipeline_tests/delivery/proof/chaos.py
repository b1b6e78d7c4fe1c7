"""Seeded schedules of trouble, each ended by one clean run after which everything must be exact."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from audience_pipeline_tests.delivery.proof.mortal import DONE, KILLED, POINTS, Ended, Mother, mother
from audience_pipeline_tests.delivery.proof.platforms import (
    BEHIND,
    PARTIAL,
    PROCESSING,
    Held,
    Platforms,
    platforms,
)
from audience_pipeline_tests.delivery.proof.product import Job
from audience_pipeline_tests.delivery.proof.raw_input import Invention
from audience_pipeline_tests.delivery.proof.spelled import PLATFORMS
from audience_pipeline_tests.delivery.proof.wanted import Wanted, wanted

FLOOR = 1_000
"""TikTok changes no audience that would end with fewer matched people."""
PREFIX = "proof "


@dataclass(frozen=True)
class Size:
    """How large a schedule is."""

    people: int
    audiences: int
    members: tuple[int, int]
    batch_rows: Mapping[str, int]
    days: tuple[int, int]


USUAL = Size(
    people=160,
    audiences=3,
    members=(0, 110),
    batch_rows={"meta": 40, "google": 40, "tiktok": 1_500},
    days=(1, 3),
)
AT_THE_FLOOR = Size(
    people=1_500,
    audiences=1,
    members=(1_000, 1_350),
    batch_rows={"meta": 500, "google": 500, "tiktok": 1_200},
    days=(1, 2),
)
"""Wanted people are fewer than members: those without consent and without address stay at home."""


def size_of(seed: int) -> Size:
    """One schedule in ten moves around the size below which TikTok changes nothing."""
    return AT_THE_FLOOR if seed % 10 == 3 else USUAL


@dataclass
class Outcome:
    """What a schedule has seen."""

    seed: int
    days: int = 0
    runs: int = 0
    killed: int = 0
    failed: int = 0
    clean: int = 0
    """Audiences on platforms that were compared after a clean run."""
    equal: int = 0
    quarantined: int = 0
    """Equal but for people whom the platform has refused by name."""
    anonymous: int = 0
    """Equal but for people whom the platform has refused without saying who, and has counted."""
    refused_to_shrink: int = 0
    """Not equal, for TikTok lets nobody go below its floor: the report says so, nobody opted out is there."""
    injected: Counter[str] = field(default_factory=Counter)
    """Kind of trouble to how often it happened."""
    story: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Stage:
    """A sandbox and a parent of runs; schedules that share them have accounts of their own."""

    platforms: Platforms
    mother: Mother


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """A stage for any number of schedules."""
    with platforms(folder / "sandbox") as sandbox, mother(folder / "runs") as parent:
        yield Stage(sandbox, parent)


def live(seed: int, stage: Stage, home: Path) -> Outcome:
    """Live through the schedule of a seed.

    Raises:
        AssertionError: something is not as it must be; the message tells the story so far.
    """
    home.mkdir(parents=True)
    schedule = Schedule(seed, stage, home)
    try:
        schedule.live()
    except AssertionError as error:
        story = "\n".join(schedule.outcome.story)
        raise AssertionError(f"seed {seed}: {error}\n{story}") from error
    finally:
        schedule.clear()
    return schedule.outcome


class Schedule:
    """One seed: its people, its days, its trouble."""

    def __init__(
        self, seed: int, stage: Stage, home: Path, size: Size | None = None, place: int | None = None
    ) -> None:
        """``place`` tells the accounts of those apart who live through the same seed on one stage."""
        self.size, self.stage, self.home = size or size_of(seed), stage, home
        self.chance = Random(f"schedule {seed}")
        self.outcome = Outcome(seed)
        self.invention = Invention(self.chance, self.size.people, self.size.audiences, self.size.members)
        many = self.chance.random() < 0.3
        self.accounts = {
            name: tuple(
                f"{number}{seed if place is None else place:06}" for number in ((7, 8) if many else (7,))
            )
            for name in PLATFORMS
        }
        self.in_turn = self.chance.random() < 0.3
        self.rate = self.chance.choice((0.05, 0.05, 0.15, 0.3))
        self.partial = seed % 5 == 4
        """Platforms may refuse some people of a batch: who was named stays out with these contacts."""
        self.day = 0
        self.told: dict[str, set[str]] = {name: set() for name in PLATFORMS}
        """Customers who had opted out when a run last went well: they must not be seen again."""
        self._fresh = 0

    def live(self) -> None:
        """All days, the last clean run, and one more that has nothing to do."""
        days = self.chance.randint(*self.size.days)
        for day in range(days):
            if day:
                self.invention.day()
                self.stage.platforms.pass_days(1)
                self.day += 1
            for _ in range(self.chance.randint(1, 3)):
                self._trouble()
                if self.chance.random() < 0.4:
                    self.invention.opt_out(self.chance.randint(1, 2))
            if day < days - 1 and self.chance.random() < 0.4:
                self.clean()
        self.outcome.days = days
        self.clean()
        if self.chance.random() < 0.3:
            self._nothing_left()

    def clear(self) -> None:
        """Take everything away, so that what strikes any audience strikes those of the next schedule."""
        self.stage.platforms.faults(None)
        for platform in PLATFORMS:
            for one in self.stage.platforms.held(platform, self.accounts[platform]):
                self.stage.platforms.delete(platform, one)

    def clean(self) -> None:
        """A run without trouble: afterwards everything is exact."""
        self.stage.platforms.faults(None)
        if self.chance.random() < 0.5:
            self._say("clean run, not confirmed")
            self._went_well(self._run(self._job()))
            self._nobody_forbidden(self._wanted())
        self._say("clean run, confirmed")
        reports = self._went_well(self._run(self._job(confirm=True)))
        self._exact(self._wanted(), reports)
        self._accounted_for()
        self._believed(self._wanted())

    # What goes wrong

    def _trouble(self) -> None:
        chance, sandbox = self.chance, self.stage.platforms
        kind = chance.choices(
            ("point", "moment", "faults only", "two at once", "again", "older", "vanish"),
            (45, 15, 10, 10, 5, 5, 10),
        )[0]
        self._say(kind)
        if kind == "vanish":
            self._vanish()
        faults = self._faults()
        job = self._job(confirm=chance.random() < 0.7, patience=chance.choice((0.0, 1.0, 60.0)))
        late = chance.random() < 0.6
        point = chance.choice(POINTS), chance.randint(1, 60) if late else chance.randint(1, 8)
        moment = chance.random() * 0.6
        if kind == "two at once":
            first = self.stage.mother.start(job)
            second = self.stage.mother.start(replace(job, patience=1.0))
            self._ended(self.stage.mother.end(first, moment if chance.random() < 0.5 else None))
            self._ended(self.stage.mother.end(second))
        elif kind == "moment":
            self._ended(self.stage.mother.run(job, moment))
        elif kind == "point":
            self._say(f"  to be killed at {point[1]}. {point[0]}")
            self._run(replace(job, kill=point))
        elif kind == "older":
            self._run(replace(job, confirm=False, older_by=1))
        else:
            self._run(job)
            if kind == "again":
                self._run(job)
        if faults:
            struck = Counter({name: sum(of.values()) for name, of in sandbox.injected().items()})
            self._say(f"  trouble: {dict(struck)}")
            self.outcome.injected.update(struck)
        self._nobody_told()

    def _faults(self) -> bool:
        """Switch trouble on, seven times in ten: of every kind, or more of one."""
        chance, sandbox = self.chance, self.stage.platforms
        seed = chance.randrange(2**31)
        what = chance.choices(("anything", "processing", "behind"), (5, 3, 2))[0]
        if chance.random() < 0.3:
            sandbox.faults(None)
            return False
        self._say(f"  faults: {what}, seed {seed}")
        if what == "anything":
            sandbox.faults(seed, self.rate)
        elif what == "processing":
            sandbox.faults(seed, 0.5, (PROCESSING, PARTIAL) if self.partial else (PROCESSING,))
        else:
            sandbox.faults(seed, 0.2, BEHIND)
        return True

    def _vanish(self) -> None:
        """Somebody deletes an audience."""
        self.stage.platforms.faults(None)
        platform = self.chance.choice(PLATFORMS)
        there = self.stage.platforms.held(platform, self.accounts[platform])
        if there:
            gone = self.chance.choice(there)
            self._say(f"somebody deletes {gone.name} on {platform}")
            self.stage.platforms.delete(platform, gone)

    # Runs

    def _job(self, **options: Any) -> Job:
        self._fresh += 1
        raw = self.home / f"raw_{self._fresh}.json"
        raw.write_text(json.dumps(self.invention.known.as_dict()), encoding="utf-8")
        return Job(
            raw=str(raw),
            home=str(self.home),
            base_url=self.stage.platforms.address,
            accounts=self.accounts,
            batch_rows=self.size.batch_rows,
            day=self.day,
            in_turn=self.in_turn,
            **options,
        )

    def run(self, *, kill_after: float | None = None, **options: Any) -> Ended:
        """A run on what is known now, killed after so many seconds."""
        return self._ended(self.stage.mother.run(self._job(**options), kill_after))

    def _run(self, job: Job) -> Ended:
        return self._ended(self.stage.mother.run(job))

    def _ended(self, ended: Ended) -> Ended:
        self.outcome.runs += 1
        self.outcome.killed += ended.status == KILLED
        states = Counter(report.get("state") for report in ended.value or ())
        self.outcome.failed += bool(states["failed"] or states["incomplete"])
        self._say(f"  ended {ended.status}: {dict(states)}")
        assert ended.status in {DONE, KILLED}, f"a run raised:\n{ended.log[-3_000:]}"
        self._nothing_personal(ended)
        return ended

    def _went_well(self, ended: Ended) -> list[dict[str, Any]]:
        assert ended.status == DONE, "a clean run was killed"
        reports: list[dict[str, Any]] = ended.value
        now = self._wanted()
        self.told = {platform: set(now.forbidden[platform]) for platform in PLATFORMS}
        return reports

    def _wanted(self) -> Wanted:
        return wanted(self.invention.known.as_dict())

    def _say(self, what: str) -> None:
        self.outcome.story.append(f"day {self.day}: {what}")

    # What must hold

    def _exact(self, now: Wanted, reports: list[dict[str, Any]]) -> None:
        said = {(one["platform"], one["audience"]): one for one in reports}
        for platform in PLATFORMS:
            there = self.stage.platforms.held(platform, self.accounts[platform])
            names = Counter(one.name for one in there)
            assert all(times == 1 for times in names.values()), f"{platform}: two audiences of one name"
            by_name = {one.name.removeprefix(PREFIX): one for one in there}
            for name in self.invention.known.audiences:
                rows = now.audiences[platform, name].rows
                held = by_name.pop(name, Held("", name, "", frozenset(), 0))
                self.outcome.clean += 1
                if held.rows == rows:
                    self.outcome.equal += 1
                    continue
                if self.partial and self._refused(platform, name, held, now):
                    continue
                report = said[platform, name]
                excused = platform == "tiktok" and self._cannot_shrink(held, rows, report)
                assert excused, (
                    f"{name} on {platform}: {len(rows - held.rows)} people are missing and "
                    f"{len(held.rows - rows)} too many of {len(rows)} wanted; the report says "
                    f"{report['state']}: {report['sentences']}"
                )
                self.outcome.refused_to_shrink += 1
            assert not by_name, f"{platform}: audiences of nobody: {sorted(by_name)}"
        self._nobody_forbidden(now)

    def _refused(self, platform: str, name: str, held: Held, now: Wanted) -> bool:
        """Only people are missing whom the platform has refused: named ones, and as many others as told."""
        sent = now.audiences[platform, name].sent
        missing = {who for who, row in sent.items() if row not in held.rows}
        refused = (
            "select customer_id from refused_members where platform = ? and audience = ? and reason <> ''"
        )
        named = missing & set(self._ask(refused, platform, name))
        counted = (
            "select coalesce(sum(b.rejected), 0) from batches b "
            "join deliveries d using (delivery_id) "
            "where d.platform = ? and d.audience = ? and b.action = 'add' and b.state = 'settled'"
        )
        (told,) = self._ask(counted, platform, name)
        if not held.rows <= now.audiences[platform, name].rows or len(missing - named) > told:
            return False
        self.outcome.quarantined += missing == named
        self.outcome.anonymous += missing != named
        return True

    def _ask(self, query: str, *values: str) -> list[Any]:
        """The first column of what the ledger says, in plain SQL."""
        with closing(sqlite3.connect(self.home / "ledger.db")) as ledger:
            return [row[0] for row in ledger.execute(query, values)]

    @staticmethod
    def _cannot_shrink(held: Held, rows: frozenset[tuple[str, ...]], report: dict[str, Any]) -> bool:
        """Everybody wanted is there; others stay because TikTok would be left with too few; it is said."""
        told = "refuses to remove" in " ".join(report["sentences"])
        return rows <= held.rows and held.matched >= FLOOR and told and report["state"] == "incomplete"

    def _nobody_forbidden(self, now: Wanted) -> None:
        for platform in PLATFORMS:
            taboo = frozenset().union(*now.forbidden[platform].values())
            self._free_of(platform, taboo)

    def _nobody_told(self) -> None:
        """Whoever was gone after a clean run stays away, whatever has happened since."""
        now = self._wanted()
        for platform in PLATFORMS:
            gone = {
                who: names for who, names in now.forbidden[platform].items() if who in self.told[platform]
            }
            self._free_of(platform, frozenset().union(*gone.values()))

    def _free_of(self, platform: str, taboo: frozenset[str]) -> None:
        for one in self.stage.platforms.held(platform, self.accounts[platform]):
            found = sum(not taboo.isdisjoint(row) for row in one.rows)
            assert not found, f"{one.name} on {platform} holds {found} people who had opted out"

    def _accounted_for(self) -> None:
        """No batch is left open, and the counts of a delivery are those of its batches."""
        batches = self._ask("select state from batches where state in ('planned', 'sent')")
        assert not batches, f"batches are left open: {Counter(batches)}"
        deliveries = self._ask("select state from deliveries where state in ('running', 'processing')")
        assert not deliveries, f"deliveries are left open: {Counter(deliveries)}"
        with closing(sqlite3.connect(self.home / "ledger.db")) as ledger:
            sums = ledger.execute(
                "select d.delivery_id, d.sent, d.accepted, d.rejected, coalesce(sum(b.rows), 0), "
                "coalesce(sum(b.accepted), 0), coalesce(sum(b.rejected), 0) from deliveries d "
                "left join batches b on b.delivery_id = d.delivery_id and b.action = 'add' "
                "and b.state = 'settled' where d.state in ('settled', 'unchanged') group by d.delivery_id"
            ).fetchall()
        for _, *told, rows, accepted, rejected in sums:
            assert told == [rows, accepted, rejected], f"a delivery says {told}, its batches otherwise"
        more = self._ask(
            "select count(*) from batches where coalesce(accepted, 0) + coalesce(rejected, 0) > rows"
        )
        assert more == [0], "batches with more answers than people"

    def _believed(self, now: Wanted) -> None:
        """The ledger believes what is true."""
        ended = self._run(self._job(task="believed"))
        for one in ended.value:
            platform, name = one["platform"], one["audience"]
            if (platform, name) not in now.audiences:
                continue
            should = now.audiences[platform, name].customers
            there = set(one["customers"])
            if platform == "tiktok" and self.outcome.refused_to_shrink:
                assert should <= there, f"{name} on tiktok: the ledger lacks people"
                continue
            if self.partial:
                named = "select customer_id from refused_members where platform = ? and audience = ?"
                there |= should & set(self._ask(named, platform, name))
            assert there == should, (
                f"{name} on {platform}: the ledger has {len(there - should)} people too many and lacks "
                f"{len(should - there)}"
            )
            # Who was refused by name is not sent again, so that a doubt about them stays.
            settled = {"added", "doubtful"} if self.partial else {"added"}
            assert set(one["states"]) <= settled, f"{name} on {platform}: people are {one['states']}"
            assert one["in_flight"] == 0, f"{name} on {platform}: people are in flight"

    def _nothing_left(self) -> None:
        self._say("once more")
        ended = self._run(self._job())
        busy = [
            (one["platform"], one["audience"], one["state"], one["sentences"])
            for one in ended.value
            if one["sent"] or one["removed"] or one["state"] not in {"unchanged", "incomplete"}
        ]
        assert not busy, f"a second run had something to do: {busy}"

    def _nothing_personal(self, ended: Ended) -> None:
        said = ended.log + json.dumps(ended.value)
        for contact in self.invention.known.contacts.values():
            address = (contact.email or "").strip()
            assert "@" not in address or address not in said, "a log or report holds an e-mail address"
