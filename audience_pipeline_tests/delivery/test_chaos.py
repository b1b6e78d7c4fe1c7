"""Whatever happens on the way, one clean run makes the platform hold exactly the wanted people."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.delivery.recipients import PEOPLE
from audience_pipeline.delivery.run import sync
from audience_pipeline.ledger import Ledger, deliveries
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import AudienceKey, BatchState, DeliveryState, MemberState
from audience_pipeline.platforms.contract import META, CredentialError, TransientPlatformError

DAY = date(2026, 1, 1)
MOST = 8


class Killed(BaseException):
    """The process dies."""


@dataclass(frozen=True)
class Day:
    """What is wanted on one day, and what goes wrong."""

    wanted: frozenset[int]
    opted_out: frozenset[int]
    variant: int
    seed: int
    fault_rate: float
    polls: int
    patience: int
    vanishes: bool
    confirm: bool


days = st.builds(
    Day,
    wanted=st.frozensets(st.integers(0, MOST - 1)),
    opted_out=st.frozensets(st.integers(0, MOST - 1), max_size=2),
    variant=st.integers(0, 2),
    seed=st.integers(0, 2**32),
    fault_rate=st.sampled_from([0.0, 0.05, 0.2, 0.5]),
    polls=st.integers(0, 3),
    patience=st.sampled_from([0, 0, 5]),
    vanishes=st.sampled_from([False] * 7 + [True]),
    confirm=st.booleans(),
)


class Fragile(Ledger):
    """A ledger whose process may die around every commit."""

    chance: Random = Random(0)
    rate = 0.0

    @contextlib.contextmanager
    def begin(self) -> Iterator:
        with super().begin() as connection:
            yield connection
            self._maybe_die()
        self._maybe_die()

    def _maybe_die(self) -> None:
        if self.chance.random() < self.rate / 2:
            raise Killed


def wanted_on(tools, day: Day):
    """Two neighbours share a phone; another variant of a day changes the address of every third."""
    return tools.wanted(
        {
            f"c{number}": {
                "meta_email": f"{number}{day.variant if number % 3 == 0 else 0}".ljust(64, "e"),
                "meta_phone": f"{number // 2}".ljust(64, "f"),
            }
            for number in sorted(day.wanted - day.opted_out)
        }
    )


def live_through(tools, store, platform, clock, day: Day, as_of: date) -> None:
    chance = Random(day.seed)

    def fault(point: str) -> None:
        if chance.random() < day.fault_rate:
            raise chance.choice(
                [
                    Killed(),
                    TransientPlatformError(META.platform, "connection lost."),
                    TransientPlatformError(META.platform, "connection lost."),
                    CredentialError(META.platform, "the token has expired."),
                ]
            )

    platform.fault, platform.polls = fault, day.polls
    platform.spoils = lambda request: chance.random() < day.fault_rate / 2
    ledger = store.ledger
    ledger.chance, ledger.rate = chance, day.fault_rate
    if day.vanishes:
        platform.held.clear()
    with contextlib.suppress(Killed):
        deliver(tools, store, platform, clock, day, as_of)
    platform.fault, platform.spoils, ledger.rate = lambda point: None, lambda request: False, 0.0


def deliver(tools, store, platform, clock, day: Day, as_of: date):
    return sync(
        store,
        platform,
        "best",
        wanted_on(tools, day),
        as_of=as_of,
        consent_lost={f"c{number}" for number in day.opted_out},
        confirm=day.confirm,
        patience=day.patience,
        sleep=clock.sleep,
        clock=clock,
    )


def check_ledger(store, wanted) -> None:
    with store.ledger.reading() as connection:
        (known,) = deliveries.audiences(connection) or [None]
        history = deliveries.deliveries(connection)
        batches = [one for past in history for one in deliveries.batches_of(connection, past.delivery_id)]
    people = store.members(AudienceKey(META.platform, "123", "best"))
    assert known is not None or not wanted.height
    assert {one.state for one in batches} <= {BatchState.SETTLED, BatchState.FAILED}
    assert {past.state for past in history}.isdisjoint({DeliveryState.RUNNING, DeliveryState.PROCESSING})
    assert set(people["state"]) <= {MemberState.ADDED.value}
    assert people.select(PEOPLE).equals(wanted.select(PEOPLE))


def check_the_brake(tools, store, platform, clock, day: Day, as_of: date) -> None:
    """Without a confirmation a clean run stops for good reason only, and never for people without consent."""
    wanted = wanted_on(tools, day)
    there = store.members(AudienceKey(META.platform, "123", "best")).select(PEOPLE)
    # Whoever a removal took along before the run is there again after it, although it is held.
    before = platform.members() | tools.payloads(store.variants(META.platform).of(there))

    report = deliver(tools, store, platform, clock, replace(day, confirm=False), as_of)

    after = platform.members()
    assert {dict(payload)["meta_email"] for payload in after}.isdisjoint(emails_of(day.opted_out))
    if report.state is DeliveryState.HELD:
        assert "would empty the audience" in report.text()
        assert after <= before | tools.payloads(wanted)


def emails_of(opted_out) -> set[str]:
    return {f"{number}{variant}".ljust(64, "e") for number in opted_out for variant in range(3)}


@settings(max_examples=40, deadline=None)
@given(history=st.lists(days, min_size=1, max_size=5), creates_empty=st.booleans())
def test_one_clean_run_after_any_history_makes_the_platform_exact(tools, history, creates_empty) -> None:
    platform, clock = tools.platform(tools.small(creates_empty=creates_empty)), tools.clock()
    with (
        tempfile.TemporaryDirectory() as folder,
        Fragile.open(f"sqlite:///{Path(folder) / 'ledger.db'}") as ledger,
    ):
        store = MemberStore(ledger, Path(folder) / "delivered")
        for number, day in enumerate(history):
            live_through(tools, store, platform, clock, day, DAY + timedelta(days=number))
            clock.pass_days(1)
        last, as_of = replace(history[-1], patience=10_000), DAY + timedelta(days=len(history))
        check_the_brake(tools, store, platform, clock, last, as_of)

        report = deliver(tools, store, platform, clock, replace(last, confirm=True), as_of)

        wanted = wanted_on(tools, last)
        assert platform.members() == tools.payloads(wanted), report.text()
        assert report.state in (DeliveryState.SETTLED, DeliveryState.UNCHANGED)
        if wanted.height or platform.held:
            check_ledger(store, wanted)
        again = deliver(tools, store, platform, clock, replace(last, confirm=False), as_of)
        assert again.state is DeliveryState.UNCHANGED


@settings(max_examples=40, deadline=None)
@given(history=st.lists(days, min_size=1, max_size=5))
def test_a_platform_that_refuses_to_shrink_holds_nobody_without_consent(tools, history) -> None:
    platform = tools.platform(
        tools.small(creates_empty=False, minimum_after_change=4, removes_everywhere=False)
    )
    clock = tools.clock()
    with (
        tempfile.TemporaryDirectory() as folder,
        Fragile.open(f"sqlite:///{Path(folder) / 'ledger.db'}") as ledger,
    ):
        store = MemberStore(ledger, Path(folder) / "delivered")
        for number, day in enumerate(history):
            live_through(tools, store, platform, clock, day, DAY + timedelta(days=number))
            clock.pass_days(1)
        last, as_of = replace(history[-1], patience=10_000), DAY + timedelta(days=len(history))
        check_the_brake(tools, store, platform, clock, last, as_of)

        report = deliver(tools, store, platform, clock, replace(last, confirm=True), as_of)

        wanted, held = wanted_on(tools, last), platform.members()
        assert tools.payloads(wanted) <= held, report.text()
        assert {dict(payload)["meta_email"] for payload in held}.isdisjoint(emails_of(last.opted_out))
        assert report.ok == (held == tools.payloads(wanted)), report.text()
