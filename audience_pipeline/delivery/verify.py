"""Compares what the platform shows with the ledger: every gap is a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from audience_pipeline.delivery.figures import as_read
from audience_pipeline.ledger import Ledger, deliveries
from audience_pipeline.ledger.records import AudienceState, Batch, MemberState, PlatformAudience
from audience_pipeline.platforms.contract import AudienceClient, Capabilities, PlatformError, RemoteAudience

TOO_LONG = timedelta(hours=48)
"""No platform takes longer than this to process a batch."""
ROUNDING = 1.1
"""Platforms round sizes up; more than a tenth above the people sent is not rounding."""
SMALLEST_SHOWN = 1_000
"""Below it platforms show a floor instead of a size."""


@dataclass(frozen=True, slots=True)
class Gap:
    """One difference between ledger and platform."""

    audience: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What comparing one account with the ledger has shown."""

    platform: str
    account: str
    audiences: int
    gaps: tuple[Gap, ...] = ()

    @property
    def ok(self) -> bool:
        """Ledger and platform agree."""
        return not self.gaps

    def as_dict(self) -> dict[str, Any]:
        """The verification in plain values."""
        return {
            "platform": self.platform,
            "account": self.account,
            "audiences": self.audiences,
            "gaps": [{"audience": gap.audience, "sentence": gap.sentence} for gap in self.gaps],
        }


def verify(
    ledger: Ledger,
    client: AudienceClient,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Verification:
    """Read every audience of the account and compare; sizes and match rates in the ledger become current.

    A platform that cannot be asked is a gap of its own: it does not raise.
    """
    capabilities, now = client.capabilities, clock()
    with ledger.reading() as connection:
        known = deliveries.audiences(connection, capabilities.platform, client.account)
    gaps: list[Gap] = []
    for one in known:
        gaps.extend(Gap(one.key.audience, sentence) for sentence in _verify_one(ledger, client, one, now))
    return Verification(capabilities.platform.value, client.account, len(known), tuple(gaps))


def _verify_one(
    ledger: Ledger, client: AudienceClient, known: PlatformAudience, now: datetime
) -> Iterator[str]:
    if known.remote_id is None and known.state is AudienceState.ACTIVE:
        # Deleted, because nobody was left for it: there is nothing to compare.
        return
    if known.remote_id is None:
        yield "It was never created to the end: deliver it again."
        return
    try:
        remote = client.read(known.remote_id)
    except PlatformError as error:
        yield f"It cannot be read ({error}), so nothing can be said about it."
        return
    if remote is None:
        yield "The platform does not have it any more: deliver it again and it is made anew."
        return
    with ledger.begin() as connection:
        here = deliveries.delivered(connection, known.key)
        uploads = deliveries.uploads(connection, known.key)
        deliveries.put_audience(connection, as_read(known, remote, uploads, here, now))
        under_way = deliveries.under_way(connection, known.key)
        oldest = deliveries.oldest_member(connection, known.key)
        doubtful = deliveries.count_members(connection, known.key)
    yield from _on_the_platform(known, remote, here)
    yield from _in_the_ledger(client.capabilities, known, under_way, oldest, doubtful, now)


def _on_the_platform(known: PlatformAudience, remote: RemoteAudience, here: int) -> Iterator[str]:
    if remote.name != known.remote_name:
        yield f"It is named '{remote.name}' there and '{known.remote_name}' here: somebody renamed it."
    if not remote.ready:
        yield f"It is not ready for use: {remote.status}."
    shown = remote.size_low
    if shown is not None and shown > max(here * ROUNDING, SMALLEST_SHOWN):
        yield (
            f"The platform shows at least {shown:,} people and {here:,} were delivered: somebody else adds "
            "people to it. Delete it there; the next delivery makes it anew."
        )


def _in_the_ledger(
    capabilities: Capabilities,
    known: PlatformAudience,
    under_way: list[Batch],
    oldest: datetime | None,
    members: dict[MemberState, int],
    now: datetime,
) -> Iterator[str]:
    late = [batch for batch in under_way if now - (batch.sent_at or batch.planned_at) > TOO_LONG]
    if late:
        yield (
            f"{sum(batch.rows for batch in late):,} people have been in processing for more than "
            f"{TOO_LONG.total_seconds() / 3600:.0f} hours: deliver again; if it persists, ask the platform."
        )
    moving = sum(batch.rows for batch in under_way)
    adding = members.get(MemberState.ADDING, 0)
    removing = members.get(MemberState.REMOVING, 0)
    if adding + removing > moving:
        yield (
            f"{adding:,} additions and {removing:,} removals are not confirmed: "
            "deliver again to send them once more."
        )
    if known.state is not AudienceState.ACTIVE:
        yield "Its first delivery was not completed: deliver it again."
    life = capabilities.membership_days
    if life is not None and oldest is not None and now - oldest > timedelta(days=life):
        yield f"Some people were last sent more than {life} days ago and have expired: deliver it again."
