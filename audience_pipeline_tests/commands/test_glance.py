from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from audience_pipeline.commands import glance as module
from audience_pipeline.commands.glance import glance, through_sqlalchemy
from audience_pipeline.ledger import deliveries, refreshes
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.migrations import HEAD
from audience_pipeline.ledger.records import (
    AudienceKey,
    AudienceState,
    Delivery,
    DeliveryState,
    PlatformAudience,
)
from audience_pipeline.ledger.schema import landings
from audience_pipeline.platforms.contract import Platform

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A ledger with deliveries that ended well and badly, dates and a late landing."""
    made = f"sqlite:///{tmp_path / 'ledger.db'}"
    with Ledger.open(made) as ledger:
        for day in (3, 1, 2):
            refreshes.record(ledger, date(2026, 5, day), day)
        with ledger.begin() as connection:
            _land(connection, sequence=3, first=date(2026, 5, 2))
            for number, (platform, account, audience, low) in enumerate(
                [
                    (Platform.META, "1", "a", 0.2),
                    (Platform.META, "2", "a", 0.4),
                    (Platform.META, "1", "b", None),
                    (Platform.GOOGLE, "1", "a", 0.1),
                ]
            ):
                key = AudienceKey(platform, account, audience)
                known = PlatformAudience(key, audience, AudienceState.ACTIVE, NOW, "1")
                high = None if low is None else low + 0.1
                deliveries.put_audience(connection, replace(known, match_rate_low=low, match_rate_high=high))
                for hours, state, wanted in (
                    (0, DeliveryState.SETTLED, 100 + number),
                    (1, DeliveryState.UNCHANGED, 200 + number),
                    (2, DeliveryState.FAILED, 300 + number),
                ):
                    begun = NOW + timedelta(hours=hours)
                    one = Delivery(
                        f"d{number}-{hours}", key, date(2026, 5, 3), begun, state=state, wanted=wanted
                    )
                    deliveries.start(connection, one)
    return made


def _land(connection: object, sequence: int, first: date) -> None:
    values = dict.fromkeys(("rows_read", "rows_landed", "rows_known", "rows_repeated", "rows_quarantined"), 1)
    text = {"kind": "web", "landing_id": "x", "file_name": "web.csv", "file_sha256": "0" * 64}
    connection.execute(  # type: ignore[attr-defined]
        landings.insert().values(
            **values, **text, sequence=sequence, first_date=first, last_date=first, report={}, landed_at=NOW
        )
    )


def test_a_glance_sees_what_the_ledger_says(url: str, monkeypatch: pytest.MonkeyPatch):
    slowly = through_sqlalchemy(url)
    monkeypatch.setattr(module, "through_sqlalchemy", lambda _: pytest.fail("the quick way was not taken"))

    found = glance(url, HEAD)

    assert (list(found.complete), list(found.stale)) == (list(slowly.complete), list(slowly.stale))
    assert found.rates == slowly.rates
    assert list(found.complete) == [date(2026, 5, day) for day in (1, 2, 3)]
    assert list(found.stale) == [date(2026, 5, 2)]
    assert found.rates == [
        ("google", "a", 203, pytest.approx(0.1), pytest.approx(0.2)),
        ("meta", "a", 401, pytest.approx(0.3), pytest.approx(0.4)),
    ]


def test_a_ledger_of_another_version_or_none_at_all_is_opened_as_ever(url: str, tmp_path: Path):
    assert glance(url, "another version") == through_sqlalchemy(url)
    assert glance(f"sqlite:///{tmp_path / 'new.db'}", HEAD).complete == []
