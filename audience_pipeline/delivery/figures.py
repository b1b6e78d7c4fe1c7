"""Match rates as they can honestly be stated: with bounds, and with how and from when they were obtained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil, floor

from audience_pipeline.ledger.records import PlatformAudience, Upload
from audience_pipeline.platforms.contract import RemoteAudience

ENOUGH = 0.5
"""Share of the delivered people that uploads with a figure must stand for."""


@dataclass(frozen=True, slots=True)
class MatchRate:
    """Matched over sent, 0 to 1, between two bounds; no bounds where nobody can know."""

    low: float | None
    high: float | None
    how: str


def match_rate(remote: RemoteAudience | None, uploads: Sequence[Upload], delivered: int) -> MatchRate:
    """The best statement there is: the platform's own, that of the uploads, or size over people sent.

    Args:
        remote: the audience as the platform shows it.
        uploads: the batches that brought the people who are delivered now.
        delivered: how many people are delivered now.
    """
    if delivered == 0:
        return MatchRate(None, None, "nobody is delivered")
    if remote is not None and remote.match_rate is not None:
        return MatchRate(*remote.match_rate, "stated by the platform")
    rated = [upload for upload in uploads if upload.batch.match_rate]
    people = sum(upload.people for upload in rated)
    if people and people >= ENOUGH * delivered:
        low = sum(one.people * one.batch.match_rate[0] for one in rated if one.batch.match_rate) / people
        high = sum(one.people * one.batch.match_rate[1] for one in rated if one.batch.match_rate) / people
        return MatchRate(low, high, f"stated for {_uploads(rated, delivered)} by the platform")
    counted = [upload for upload in uploads if upload.batch.matched is not None and upload.batch.rows]
    if counted and sum(upload.people for upload in counted) >= ENOUGH * delivered:
        rate = sum(upload.batch.matched or 0 for upload in counted) / sum(
            upload.batch.rows for upload in counted
        )
        return MatchRate(
            min(rate, 1.0), min(rate, 1.0), f"matched over sent in {_uploads(counted, delivered)}"
        )
    return _by_size(remote, delivered)


def _by_size(remote: RemoteAudience | None, delivered: int) -> MatchRate:
    if remote is None or not remote.size_high:
        return MatchRate(None, None, "the platform shows no size yet")
    low = remote.size_low if remote.size_low is not None else 0
    if low > delivered or (not low and remote.size_high >= delivered):
        # A floor such as "at most 1,000" says nothing of fewer people than that.
        return MatchRate(None, None, "the platform shows only that it is small")
    return MatchRate(
        low / delivered, min(remote.size_high / delivered, 1.0), "size on the platform over people sent"
    )


def _uploads(uploads: Sequence[Upload], delivered: int) -> str:
    """Which uploads a figure stands for: their days, and for how many of the people where not for all."""
    days = sorted(one.batch.planned_at.date() for one in uploads)
    when = f"of {days[0]}" if days[0] == days[-1] else f"of {days[0]} to {days[-1]}"
    people = sum(one.people for one in uploads)
    part = f" ({people:,} of the {delivered:,} people)" if people < delivered else ""
    return f"the uploads {when}{part}"


def as_read(
    known: PlatformAudience,
    remote: RemoteAudience,
    uploads: Sequence[Upload],
    delivered: int,
    now: datetime,
) -> PlatformAudience:
    """The audience with the size, status and match rate that the platform shows now."""
    rate = match_rate(remote, uploads, delivered)
    return replace(
        known,
        status=remote.status,
        size_low=remote.size_low,
        size_high=remote.size_high,
        match_rate_low=rate.low,
        match_rate_high=rate.high,
        match_rate_how=rate.how,
        read_at=now,
    )


def percent(share: float) -> str:
    """A share for people: '62 %'."""
    return f"{100 * share:.0f} %"


def percentage(low: float | None, high: float | None) -> str:
    """A rate for people: '62 %', '61 to 70 %', or a dash where nobody knows."""
    if low is None or high is None:
        return "-"
    # Halves are rounded inwards: 74.5 to 75.5 % are what a platform means by 75 %.
    first, last = floor(round(100 * low, 6) + 0.5), ceil(round(100 * high, 6) - 0.5)
    return f"{first} %" if first >= last else f"{first} to {last} %"


def size(low: int | None, high: int | None) -> str:
    """A size for people: '1,710', '1,000 to 1,200', 'at most 1,000' for a mere floor, or a dash."""
    if high is None:
        return "-"
    if low is None or (low == 0 < high):
        return f"at most {high:,}"
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
