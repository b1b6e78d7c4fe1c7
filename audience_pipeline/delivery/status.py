"""One table for people: every audience on every platform, what was sent, what arrived, how it stands."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from audience_pipeline.ledger import Ledger, deliveries
from audience_pipeline.ledger.records import PlatformAudience, Upload


@dataclass(frozen=True, slots=True)
class Status:
    """One audience on one platform. Counts are people; None stands for what the platform does not say."""

    audience: str
    platform: str
    account: str
    remote_id: str | None
    remote_name: str
    state: str
    """Of the last delivery, in a word."""
    status: str
    """In the words of the platform."""
    as_of: date | None
    last_sync: datetime | None
    wanted: int
    """Eligible at the last delivery."""
    sent: int
    """In the audience now, as far as the ledger knows."""
    accepted: int | None
    rejected: int | None
    size_low: int | None
    size_high: int | None
    match_rate_low: float | None
    match_rate_high: float | None
    match_rate_how: str
    message: str

    @property
    def match_rate(self) -> str:
        """The match rate for people: '62 %', '61 to 70 %', or a dash."""
        if self.match_rate_low is None or self.match_rate_high is None:
            return "-"
        low, high = round(100 * self.match_rate_low), round(100 * self.match_rate_high)
        return f"{low} %" if low == high else f"{low} to {high} %"

    @property
    def matched(self) -> str:
        """The size for people: '1,710', '1,000 to 1,200', or a dash."""
        if self.size_high is None:
            return "-"
        low = self.size_high if self.size_low is None else self.size_low
        return f"{low:,}" if low == self.size_high else f"{low:,} to {self.size_high:,}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            **asdict(self),
            "as_of": self.as_of.isoformat() if self.as_of else None,
            "last_sync": self.last_sync.isoformat() if self.last_sync else None,
        }


def status(ledger: Ledger, audience: str | None = None) -> list[Status]:
    """Every audience (of one name) on every platform, by name and platform; no platform is asked."""
    table = []
    with ledger.reading() as connection:
        for known in deliveries.audiences(connection):
            if audience is not None and known.key.audience != audience:
                continue
            last = deliveries.last(connection, known.key)
            here = deliveries.delivered(connection, known.key)
            accepted, rejected = _answers(deliveries.uploads(connection, known.key))
            table.append(
                Status(
                    audience=known.key.audience,
                    platform=known.key.platform.value,
                    account=known.key.account,
                    remote_id=known.remote_id,
                    remote_name=known.remote_name,
                    state=last.state.value if last else known.state.value,
                    status=known.status,
                    as_of=last.as_of if last else None,
                    last_sync=(last.finished_at or last.started_at) if last else None,
                    wanted=last.wanted if last else 0,
                    sent=here,
                    accepted=accepted,
                    rejected=rejected,
                    message=last.message if last else "",
                    **_shown(known),
                )
            )
    return table


def _answers(uploads: list[Upload]) -> tuple[int | None, int | None]:
    """Accepted and rejected people of the batches that brought those who are delivered now."""
    accepted = [upload.batch.accepted for upload in uploads]
    rejected = [upload.batch.rejected for upload in uploads]
    return _sum(accepted), _sum(rejected)


def _sum(numbers: list[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known and len(known) == len(numbers) else None


def _shown(known: PlatformAudience) -> dict[str, Any]:
    names = ("size_low", "size_high", "match_rate_low", "match_rate_high", "match_rate_how")
    return {name: getattr(known, name) for name in names}
