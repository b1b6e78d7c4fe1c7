"""Whatever happens on the way, one clean run makes every audience in every account exact."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from random import Random

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.delivery.removals import still_there
from audience_pipeline.delivery.run import Task, sync_all
from audience_pipeline.ledger import deliveries
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import BatchState, DeliveryState
from audience_pipeline.platforms.contract import (
    META,
    CredentialError,
    QuotaError,
    TerminalPlatformError,
    TransientPlatformError,
)
from audience_pipeline_tests.delivery.test_chaos import Fragile, Killed

DAY = date(2026, 1, 1)
MOST = 8
NAMES = ("a", "b", "c")
ACCOUNTS = ("first", "second")


@dataclass(frozen=True)
class Day:
    """Who is wanted where on one day, and what goes wrong."""

    wanted: tuple[frozenset[int], ...]
    opted_out: frozenset[int]
    bad: frozenset[int]
    names: str
    variant: int
    seed: int
    fault_rate: float
    polls: int
    patience: int
    prefix: str


people = st.frozensets(st.integers(0, MOST - 1))
days = st.builds(
    Day,
    wanted=st.tuples(people, people, people),
    opted_out=st.frozensets(st.integers(0, MOST - 1), max_size=2),
    bad=st.frozensets(st.integers(0, MOST - 1), max_size=2),
    names=st.sampled_from(["first", "nobody", "late"]),
    variant=st.integers(0, 2),
    seed=st.integers(0, 2**32),
    fault_rate=st.sampled_from([0.0, 0.02, 0.1, 0.3]),
    polls=st.integers(0, 3),
    patience=st.sampled_from([0, 0, 5]),
    prefix=st.sampled_from(["", "", "", "shop "]),
)


def email(number: int, variant: int) -> str:
    return f"{number}{variant if number % 3 == 0 else 0}".ljust(64, "e")


def wanted_in(tools, day: Day, place: int):
    """Two neighbours share a phone; another variant of a day changes the address of every third."""
    return tools.wanted(
        {
            f"c{number}": {
                "meta_email": email(number, day.variant),
                "meta_phone": f"{number // 2}".ljust(64, "f"),
            }
            for number in sorted(day.wanted[place] - day.opted_out)
        }
    )


def deliver(tools, store, platforms, clock, day: Day, as_of: date):
    return sync_all(
        store,
        platforms,
        [Task(name, partial(wanted_in, tools, day, place)) for place, name in enumerate(NAMES)],
        as_of=as_of,
        consent_lost={f"c{number}" for number in day.opted_out},
        confirm=True,
        prefix=day.prefix,
        patience=day.patience,
        sleep=clock.sleep,
        clock=clock,
    )


def live_through(tools, store, platforms, clock, day: Day, as_of: date) -> None:
    chance = Random(day.seed)
    bad = {email(number, day.variant) for number in day.bad}

    def fault(point: str) -> None:
        if chance.random() < day.fault_rate:
            raise chance.choice(
                [
                    Killed(),
                    *[TransientPlatformError(META.platform, "connection lost.")] * 3,
                    TerminalPlatformError(META.platform, "it does not work."),
                    QuotaError(META.platform, "used up."),
                    CredentialError(META.platform, "the token has expired."),
                ]
            )

    for platform in platforms:
        platform.fault, platform.polls, platform.names = fault, day.polls, day.names
        platform.spoils = lambda request: chance.random() < day.fault_rate / 2
        platform.refuses = lambda payload: dict(payload)["meta_email"] in bad
    store.ledger.chance, store.ledger.rate = chance, day.fault_rate / 2
    with contextlib.suppress(Killed):
        deliver(tools, store, platforms, clock, day, as_of)
    for platform in platforms:
        platform.fault, platform.spoils = lambda point: None, lambda request: False
    store.ledger.rate = 0.0


@settings(max_examples=25, deadline=None)
@given(history=st.lists(days, min_size=1, max_size=4))
def test_one_clean_run_makes_every_audience_exact_in_every_account(tools, history) -> None:
    platforms = [tools.platform(tools.small(audiences_per_account=2), account=name) for name in ACCOUNTS]
    clock = tools.clock()
    with (
        tempfile.TemporaryDirectory() as folder,
        Fragile.open(f"sqlite:///{Path(folder) / 'ledger.db'}") as ledger,
    ):
        store = MemberStore(ledger, Path(folder) / "delivered")
        for number, day in enumerate(history):
            live_through(tools, store, platforms, clock, day, DAY + timedelta(days=number))
            clock.pass_days(1)
        last, as_of = replace(history[-1], patience=10_000), DAY + timedelta(days=len(history))

        result = deliver(tools, store, platforms, clock, last, as_of)

        said = "\n".join(report.text() for report in result.reports)
        for place, report in enumerate(result.reports):
            wanted = wanted_in(tools, last, place)
            refused = store.refused(report.key).select("customer_id", "fingerprint")
            # Where all of a batch are refused, nobody is left out for it: they are tried again each time.
            bad = [f"c{number}" for number in last.bad]
            arrived = wanted.join(refused, on=["customer_id", "fingerprint"], how="anti").filter(
                ~pl.col("customer_id").is_in(bad)
            )
            held = [
                one.members
                for platform in platforms
                for one in platform.held.values()
                if one.name == f"{last.prefix}{NAMES[place]}"
            ]
            assert len(held) <= 1
            # Whoever was taken once may be refused another day: they are there all the same.
            there = held[0] if held else set()
            assert tools.payloads(arrived) <= there <= tools.payloads(wanted), said
            ends = {DeliveryState.SETTLED, DeliveryState.UNCHANGED}
            assert report.state in ends | ({DeliveryState.INCOMPLETE} if bad else set()), said
            assert report.consent_left == 0
        check_the_ledger(store, last)
        again = deliver(tools, store, platforms, clock, last, as_of)
        assert [report.word for report in again.reports] == ["unchanged"] * 3


def check_the_ledger(store, day: Day) -> None:
    with store.ledger.reading() as connection:
        history = deliveries.deliveries(connection)
        batches = [one for past in history for one in deliveries.batches_of(connection, past.delivery_id)]
    assert {one.state for one in batches} <= {BatchState.SETTLED, BatchState.FAILED}
    assert {past.state for past in history}.isdisjoint({DeliveryState.RUNNING, DeliveryState.PROCESSING})
    gone = {f"c{number}" for number in day.opted_out}
    for account in ACCOUNTS:
        left = still_there(store, META.platform, account, gone)
        assert (left.open, left.processing) == (frozenset(), frozenset())
