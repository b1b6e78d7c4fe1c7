"""The as-of dates and months that exist in a workspace."""

from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg

from audience_pipeline.settings import Settings


@dataclass(frozen=True)
class AsOfCalendar:
    """One daily and one monthly partitioning, shared by assets, jobs and schedules.

    Where the data has ended, its last month counts as complete on its last day.
    """

    daily: dg.DailyPartitionsDefinition
    monthly: dg.MonthlyPartitionsDefinition
    last_day: date | None

    @classmethod
    def of(cls, settings: Settings) -> "AsOfCalendar":
        """The partitions between the workspace's first and last day, in the shop's time zone."""
        calendar, zone = settings.config.calendar, settings.config.shop.time_zone
        last = calendar.last_day
        return cls(
            daily=dg.DailyPartitionsDefinition(
                calendar.first_day.isoformat(),
                end_date=(last + timedelta(days=1)).isoformat() if last else None,
                timezone=zone,
            ),
            monthly=dg.MonthlyPartitionsDefinition(
                calendar.first_day.replace(day=1).isoformat(),
                end_date=_next_month(last).isoformat() if last else None,
                timezone=zone,
            ),
            last_day=last,
        )

    def month_end(self, partition_key: str) -> date:
        """The as-of date of a month: its last day, or the last day of the data."""
        end = _next_month(date.fromisoformat(partition_key)) - timedelta(days=1)
        return min(end, self.last_day) if self.last_day else end

    def newest_day(self) -> date | None:
        """The newest as-of date; None while none has passed."""
        key = self.daily.get_last_partition_key()
        return date.fromisoformat(key) if key else None

    def newest_month(self) -> date | None:
        """First day of the newest month that is complete; None while none is."""
        key = self.monthly.get_last_partition_key()
        return date.fromisoformat(key) if key else None


def _next_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)
