"""Match rates as they can honestly be stated: with bounds, and with how they were obtained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

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
    rated = [(upload.people, upload.batch.match_rate) for upload in uploads if upload.batch.match_rate]
    people = sum(number for number, _ in rated)
    if people >= ENOUGH * delivered:
        low = sum(number * rate[0] for number, rate in rated) / people
        high = sum(number * rate[1] for number, rate in rated) / people
        return MatchRate(low, high, "stated for the uploads by the platform")
    counted = [upload for upload in uploads if upload.batch.matched is not None]
    if sum(upload.people for upload in counted) >= ENOUGH * delivered:
        rate = sum(upload.batch.matched or 0 for upload in counted) / sum(
            upload.batch.rows for upload in counted
        )
        return MatchRate(min(rate, 1.0), min(rate, 1.0), "matched over sent in the uploads")
    if remote is None or not remote.size_high:
        return MatchRate(None, None, "the platform shows no size yet")
    low_size = remote.size_low if remote.size_low is not None else remote.size_high
    if low_size > delivered:
        return MatchRate(None, None, "the platform shows only that it is small")
    return MatchRate(
        low_size / delivered, min(remote.size_high / delivered, 1.0), "size on the platform over people sent"
    )


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
