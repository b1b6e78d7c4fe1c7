from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from hashlib import sha256
from pathlib import Path

import pytest

from audience_pipeline.ledger import Ledger, landings, refreshes
from audience_pipeline.ledger.landings import Landing


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened


def landing(name: str, kind: str = "transactions", first: date | None = None, rows: int = 10) -> Landing:
    digest = sha256(name.encode()).hexdigest()
    return Landing(digest[:16], kind, name, digest, rows_read=rows, rows_landed=rows, first_date=first)


def test_landings_are_numbered_in_the_order_of_landing(ledger: Ledger) -> None:
    recorded = [landings.record(ledger, landing(name)) for name in ("b.csv", "a.csv", "c.csv")]

    assert [(one.file_name, one.sequence) for one in recorded] == [("b.csv", 1), ("a.csv", 2), ("c.csv", 3)]
    assert landings.committed(ledger) == recorded


def test_a_landing_comes_back_as_it_was_recorded(ledger: Ledger) -> None:
    full = replace(
        landing("a.csv", first=date(2026, 1, 1)),
        last_date=date(2026, 1, 31),
        currency="EUR",
        rows_known=1,
        rows_repeated=2,
        rows_quarantined=3,
        report={"notices": ["no categories"], "reasons": {"bad date": 3}},
    )

    recorded = landings.record(ledger, full)

    assert recorded == replace(full, sequence=1)
    assert landings.find(ledger, "transactions", full.file_sha256) == recorded


def test_the_same_file_lands_once(ledger: Ledger) -> None:
    first = landings.record(ledger, landing("a.csv"))

    again = landings.record(ledger, replace(landing("a.csv"), file_name="copy.csv", rows_landed=0))

    assert again == first
    assert landings.committed(ledger) == [first]


def test_the_same_bytes_may_land_as_two_kinds(ledger: Ledger) -> None:
    landings.record(ledger, landing("a.json", kind="web"))
    landings.record(ledger, landing("a.json", kind="engagement"))

    assert [one.kind for one in landings.committed(ledger)] == ["web", "engagement"]
    assert [one.kind for one in landings.committed(ledger, "engagement")] == ["engagement"]


def test_a_file_that_never_landed_is_not_found(ledger: Ledger) -> None:
    assert landings.find(ledger, "transactions", "0" * 64) is None


def test_landings_recorded_at_once_get_different_numbers(ledger: Ledger) -> None:
    files = [landing(f"{number % 8}.csv") for number in range(16)]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: landings.record(ledger, one), files))

    assert [one.sequence for one in landings.committed(ledger)] == list(range(1, 9))


def test_a_late_landing_makes_the_dates_stale_that_it_touches(ledger: Ledger) -> None:
    landings.record(ledger, landing("first.csv", first=date(2026, 1, 1)))
    for day in (1, 5, 9):
        refreshes.record(ledger, date(2026, 2, day), landing_sequence=1)
    assert refreshes.stale(ledger) == []

    landings.record(ledger, landing("late.csv", first=date(2026, 2, 5)))

    assert refreshes.stale(ledger) == [date(2026, 2, 5), date(2026, 2, 9)]


def test_a_refresh_that_saw_the_landing_is_not_stale(ledger: Ledger) -> None:
    landings.record(ledger, landing("first.csv", first=date(2026, 1, 1)))
    refreshes.record(ledger, date(2026, 2, 1), landing_sequence=0)
    assert refreshes.stale(ledger) == [date(2026, 2, 1)]

    refreshes.record(ledger, date(2026, 2, 1), landing_sequence=1, details={"customers": 3})

    assert refreshes.stale(ledger) == []
    assert [(one.as_of, one.details) for one in refreshes.completed(ledger)] == [
        (date(2026, 2, 1), {"customers": 3})
    ]


def test_a_landing_that_brought_nothing_new_makes_nothing_stale(ledger: Ledger) -> None:
    refreshes.record(ledger, date(2026, 2, 1), landing_sequence=0)

    landings.record(ledger, landing("known.csv", first=date(2026, 1, 1), rows=0))

    assert refreshes.stale(ledger) == []
