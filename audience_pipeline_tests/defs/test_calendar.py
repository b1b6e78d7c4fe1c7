from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.settings import PROJECT_ROOT, Calendar, Config, Settings, Shop

DAYS = st.dates(date(2001, 1, 1), date(2024, 12, 31))


def calendar(first: date, last: date | None = None, zone: str = "UTC") -> AsOfCalendar:
    config = Config(shop=Shop(time_zone=zone), calendar=Calendar(first_day=first, last_day=last))
    return AsOfCalendar.of(Settings.at(PROJECT_ROOT, config, {}))


def keys(partitions: dg.PartitionsDefinition, now: datetime | None = None) -> list[str]:
    with dg.partition_loading_context(now) if now else dg.partition_loading_context():
        return list(partitions.get_partition_keys())


def test_days_are_those_from_the_first_to_the_last_inclusive() -> None:
    ended = calendar(date(2026, 2, 26), date(2026, 3, 2))

    assert keys(ended.daily) == ["2026-02-26", "2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"]
    assert ended.newest_day() == date(2026, 3, 2)


@given(DAYS, st.integers(0, 500))
def test_data_that_has_ended_has_every_day_and_every_month_that_it_touches(first: date, length: int) -> None:
    last = first + timedelta(days=length)
    ended = calendar(first, last)

    days, months = keys(ended.daily), keys(ended.monthly)

    assert (days[0], days[-1], len(days)) == (first.isoformat(), last.isoformat(), length + 1)
    assert months == sorted({f"{day[:7]}-01" for day in days})
    assert ended.newest_month() == last.replace(day=1)


@given(DAYS, st.integers(0, 500))
def test_the_end_of_a_month_is_never_after_the_last_day(first: date, length: int) -> None:
    last = first + timedelta(days=length)
    ended = calendar(first, last)

    for month in keys(ended.monthly):
        end = ended.month_end(month)
        assert end <= last
        assert end == last or (end + timedelta(days=1)).day == 1
        assert end.isoformat()[:7] == month[:7]


def test_data_that_ends_in_the_middle_of_a_month_has_that_month_as_of_its_last_day() -> None:
    ended = calendar(date(2025, 1, 10), date(2026, 3, 15))

    assert ended.month_end("2026-03-01") == date(2026, 3, 15)
    assert ended.month_end("2026-02-01") == date(2026, 2, 28)
    assert keys(ended.monthly)[0] == "2025-01-01"


def test_december_ends_in_december() -> None:
    assert calendar(date(2025, 1, 1), date(2026, 6, 30)).month_end("2025-12-01") == date(2025, 12, 31)


def test_a_live_calendar_ends_yesterday() -> None:
    live = calendar(date(2026, 1, 1))
    now = datetime(2026, 3, 10, 0, 30, tzinfo=UTC)

    assert keys(live.daily, now)[-1] == "2026-03-09"
    assert keys(live.monthly, now) == ["2026-01-01", "2026-02-01"]
    assert live.month_end("2026-02-01") == date(2026, 2, 28)


@pytest.mark.parametrize(
    ("zone", "newest"), [("Europe/Berlin", "2026-03-10"), ("UTC", "2026-03-09"), ("US/Pacific", "2026-03-09")]
)
def test_days_end_at_midnight_of_the_shop(zone: str, newest: str) -> None:
    """At 23:30 UTC the day is over in Berlin and not yet in California."""
    live = calendar(date(2026, 1, 1), zone=zone)

    assert keys(live.daily, datetime(2026, 3, 10, 23, 30, tzinfo=UTC))[-1] == newest


def test_a_calendar_that_has_not_begun_has_no_day() -> None:
    future = calendar(date(2200, 1, 1))

    assert future.newest_day() is None
    assert future.newest_month() is None


def test_a_live_calendar_and_one_that_has_ended_agree_on_the_days_they_share(
    tmp_path: Path, workspace_at: Callable[..., Settings]
) -> None:
    live = calendar(date(2026, 1, 1))
    ended = AsOfCalendar.of(
        workspace_at(tmp_path, Calendar(first_day=date(2026, 1, 1), last_day=date(2026, 2, 3)))
    )

    assert keys(live.daily, datetime(2026, 5, 1, tzinfo=UTC))[:34] == keys(ended.daily)
