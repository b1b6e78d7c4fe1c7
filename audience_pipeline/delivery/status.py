"""How audiences stand on their platforms, from the ledger alone: what was sent, what arrived, what waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from audience_pipeline.delivery.brake import REFRESH_AFTER
from audience_pipeline.delivery.figures import percentage, size
from audience_pipeline.ledger import deliveries, overview
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import (
    AudienceKey,
    AudienceState,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    Held,
    MemberState,
    PlatformAudience,
    Upload,
)
from audience_pipeline.platforms.contract import CAPABILITIES

BROKEN = frozenset(
    {DeliveryState.FAILED.value, DeliveryState.INCOMPLETE.value, DeliveryState.INTERRUPTED.value}
)
WAITING = frozenset({DeliveryState.HELD.value, DeliveryState.PROCESSING.value, DeliveryState.RUNNING.value})


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
    """Of those, how many the platform has said to have taken."""
    rejected: int | None
    """Refused in the uploads of those who are there, and set aside by name."""
    reasons: Mapping[str, int]
    """Reason of refusal to people."""
    processing: int
    """People in batches that the platform has accepted and not processed yet."""
    unconfirmed: int
    """People of whom nobody knows whether they arrived or left: the next delivery sends them again."""
    size_low: int | None
    size_high: int | None
    match_rate_low: float | None
    match_rate_high: float | None
    match_rate_how: str
    read_at: datetime | None
    """When size and match rate were read: their as-of."""
    refresh_due: date | None
    """By when the person who was sent first is sent again; None where nobody expires."""
    minimum_audience: int
    """Matched people below which the platform does not deliver ads."""
    message: str
    release: str
    """How to let a delivery go on that is held; empty where none is."""

    @property
    def match_rate(self) -> str:
        """The match rate for people: '62 %', '61 to 70 %', or a dash."""
        return percentage(self.match_rate_low, self.match_rate_high)

    @property
    def matched(self) -> str:
        """The size for people: '1,710', '1,000 to 1,200', 'at most 1,000', or a dash."""
        return size(self.size_low, self.size_high)

    @property
    def urgency(self) -> int:
        """0 where something is broken, 1 where something waits, 2 where all is well."""
        if self.state in BROKEN or self.unconfirmed or self.state == AudienceState.CREATING.value:
            return 0
        return 1 if self.state in WAITING or self.processing else 2

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        dates = {
            name: value.isoformat() if (value := getattr(self, name)) else None
            for name in ("as_of", "last_sync", "read_at", "refresh_due")
        }
        return {**asdict(self), "reasons": dict(self.reasons), **dates}


@dataclass(frozen=True, slots=True)
class Seen:
    """What the ledger knows of all audiences, gathered in a few queries."""

    audiences: Sequence[PlatformAudience]
    newest: Mapping[AudienceKey, Delivery]
    under_way: Mapping[AudienceKey, Sequence[Batch]]
    held: Mapping[AudienceKey, Held]
    refused: Mapping[AudienceKey, Sequence[tuple[str, str, int]]] = field(default_factory=dict)
    """Batch, reason and number of the people whom the platform has named."""


def status(store: MemberStore, audience: str | None = None) -> list[Status]:
    """Every audience (of one name) on every platform, by name and platform; no platform is asked."""
    return [row_of(known, seen) for seen in [gather(store, audience)] for known in seen.audiences]


def problems_first(rows: Sequence[Status]) -> list[Status]:
    """Audiences in which something is broken on some platform, then those that wait, then the others."""
    worst: dict[str, int] = {}
    for row in rows:
        worst[row.audience] = min(row.urgency, worst.get(row.audience, 2))
    return sorted(rows, key=lambda row: (worst[row.audience], row.audience, row.platform, row.account))


def gather(store: MemberStore, audience: str | None = None) -> Seen:
    """What the ledger knows; no file of members is read where all of its batches have settled."""
    with store.ledger.reading() as connection:
        known = [
            one
            for one in deliveries.audiences(connection)
            if audience is None or one.key.audience == audience
        ]
        newest = overview.newest_deliveries(connection)
        under_way = overview.batches_in(connection, BatchState.SENT)
        refused = overview.refusals(connection)
    held = store.summaries() if audience is None else {one.key: store.summary(one.key) for one in known}
    return Seen(known, newest, under_way, held, refused)


def row_of(known: PlatformAudience, seen: Seen) -> Status:
    """The status of one audience on one platform."""
    last, here = seen.newest.get(known.key), seen.held.get(known.key, Held())
    moving = seen.under_way.get(known.key, ())
    accepted, rejected, reasons = _answers(here.uploads, seen.refused.get(known.key, ()))
    processing = sum(batch.rows for batch in moving)
    unsure = here.states.get(MemberState.ADDING, 0) + here.states.get(MemberState.REMOVING, 0)
    life = CAPABILITIES[known.key.platform].membership_days
    held = last is not None and last.state is DeliveryState.HELD
    return Status(
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
        sent=here.delivered,
        accepted=accepted,
        rejected=rejected,
        reasons=reasons,
        processing=processing,
        unconfirmed=max(unsure - processing, 0),
        size_low=known.size_low,
        size_high=known.size_high,
        match_rate_low=known.match_rate_low,
        match_rate_high=known.match_rate_high,
        match_rate_how=known.match_rate_how,
        read_at=known.read_at,
        refresh_due=(here.oldest + timedelta(days=life * REFRESH_AFTER)).date()
        if life is not None and here.oldest is not None
        else None,
        minimum_audience=CAPABILITIES[known.key.platform].minimum_audience,
        message=last.message if last else "",
        release=_release(known.key) if held else "",
    )


def _release(key: AudienceKey) -> str:
    return f"audience-pipeline audiences sync {key.audience} --platform {key.platform.value} --yes"


def _answers(
    uploads: Sequence[Upload], refused: Sequence[tuple[str, str, int]]
) -> tuple[int | None, int | None, Mapping[str, int]]:
    """Accepted and refused people of the batches that brought those who are there, and why refused.

    Whom the platform has named is set aside and counts once, also where the answer to the batch counts them.
    """
    reasons: Counter[str] = Counter()
    named: dict[str, Counter[str]] = {}
    for batch_id, reason, number in refused:
        reasons[reason] += number
        named.setdefault(batch_id, Counter())[reason] += number
    accepted: list[int | None] = []
    rejected: list[int | None] = []
    for upload in uploads:
        batch, known = upload.batch, named.get(upload.batch.batch_id, Counter())
        reasons += Counter(batch.reasons) - known
        accepted.append(None if batch.accepted is None else min(batch.accepted, upload.people))
        rejected.append(None if batch.rejected is None else max(batch.rejected - known.total(), 0))
    named_ones, others = sum(number for *_, number in refused), _sum(rejected)
    return (
        _sum(accepted),
        (others or 0) + named_ones if refused or others is not None else None,
        dict(reasons),
    )


def _sum(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known and len(known) == len(numbers) else None
