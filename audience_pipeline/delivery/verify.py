"""Compares what platforms show with the ledger: every gap is a sentence that says what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl

from audience_pipeline.delivery import gaps as gaps_of
from audience_pipeline.delivery.brake import people
from audience_pipeline.delivery.figures import as_read
from audience_pipeline.delivery.gaps import Gap, Reference
from audience_pipeline.delivery.removals import EVERYWHERE
from audience_pipeline.ledger import deliveries, overview
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import AudienceKey, BatchState, Held, MemberState, PlatformAudience
from audience_pipeline.platforms.contract import AudienceClient, Platform, PlatformError

NOTHING: Mapping[str, Reference] = {}


@dataclass(frozen=True, slots=True)
class Verification:
    """What comparing one account with the ledger has shown."""

    platform: str
    account: str
    checked_at: datetime
    audiences: int
    gaps: tuple[Gap, ...] = ()
    """Remarks included."""
    seen: Mapping[str, Reference] = field(default_factory=dict)
    """Audience to the size that must be there until people are removed: what the next one compares with."""

    @property
    def ok(self) -> bool:
        """Nothing has to be seen to."""
        return not any(gap.needs_action for gap in self.gaps)

    def as_dict(self) -> dict[str, Any]:
        """The verification in plain values."""
        return {
            "platform": self.platform,
            "account": self.account,
            "checked_at": self.checked_at.isoformat(),
            "audiences": self.audiences,
            "ok": self.ok,
            "gaps": [asdict(gap) for gap in self.gaps if gap.needs_action],
            "remarks": [asdict(gap) for gap in self.gaps if not gap.needs_action],
        }


def verify(
    store: MemberStore,
    client: AudienceClient,
    *,
    seen_before: Mapping[str, Reference] = NOTHING,
    consent_lost: pl.Series | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Verification:
    """Read every audience of the account in one listing and compare; sizes and match rates in the ledger
    become current.

    A platform that cannot be asked is a gap of its own: it does not raise.

    Args:
        store: who was delivered.
        client: one ad account.
        seen_before: ``Verification.seen`` of the one before; without it nothing is known of shrinkage.
        consent_lost: ids of customers who may not be on the platform; without it they are not looked for.
        clock: tells the time, with its zone.
    """
    platform, account, now = client.capabilities.platform, client.account, clock()
    with store.ledger.reading() as connection:
        known = deliveries.audiences(connection, platform, account)
        under_way = overview.batches_in(connection, BatchState.SENT)
        unanswered = overview.batches_in(connection, BatchState.PLANNED)
        since = min((one.seen_at for one in seen_before.values()), default=now) - gaps_of.TOO_LONG
        removals = overview.removals_since(connection, platform, account, since)
    counted = store.summaries()
    held = {one.key: counted.get(one.key, Held()) for one in known}
    found = list(_unanswered(unanswered, platform, account, now))
    found += _without_consent(store, held, consent_lost)
    for one in known:
        moving = under_way.get(one.key, ())
        young = gaps_of.being_sent(unanswered.get(one.key, ()), now)
        found += gaps_of.in_the_ledger(client.capabilities, one, held[one.key], moving, young, now)
    try:
        there = client.audiences()
    except PlatformError as error:
        found.append(Gap("", "unreachable", f"The account cannot be read ({error}): check it, then again."))
        return Verification(platform.value, account, now, len(known), tuple(found), seen_before)
    seen: dict[str, Reference] = {}
    by_id = {remote.remote_id: remote for remote in there}
    read: list[PlatformAudience] = []
    for one in known:
        remote = by_id.get(one.remote_id) if one.remote_id else None
        if remote is None:
            found += gaps_of.missing(one)
            continue
        here = held[one.key]
        shown = as_read(one, remote, here.uploads, here.delivered, now)
        read.append(shown)
        before = seen_before.get(one.key.audience)
        moved = [*removals.get(one.key.audience, ()), *removals.get(EVERYWHERE, ())]
        less = gaps_of.gone_since(before, moved)
        reference = gaps_of.expected(before, remote, here.delivered, less, now)
        if reference is not None:
            seen[one.key.audience] = reference
        found += gaps_of.on_the_platform(client.capabilities, shown, remote, here, before, less)
    found += gaps_of.twins(known, there)
    with store.ledger.begin() as connection:
        overview.put_figures(connection, read)
    return Verification(platform.value, account, now, len(known), tuple(found), seen)


def not_configured(
    store: MemberStore, platform: Platform, accounts: Iterable[str], now: datetime
) -> list[Verification]:
    """Accounts that were delivered to and are not configured any more: nobody can say what they hold."""
    with store.ledger.reading() as connection:
        known = deliveries.audiences(connection, platform)
    left = Counter(one.key.account for one in known if one.remote_id) - Counter()
    configured = set(accounts)
    return [
        Verification(
            platform.value,
            account,
            now,
            number,
            (
                Gap(
                    "",
                    "unconfigured",
                    f"Account {account} of {platform.value} holds {number:,} audiences and is not configured "
                    "any more: nothing is removed from them, not even opted-out people. Configure it again, "
                    "or delete them there.",
                ),
            ),
        )
        for account, number in sorted(left.items())
        if account not in configured
    ]


def _unanswered(
    batches: Mapping[AudienceKey, Sequence[Any]], platform: Platform, account: str, now: datetime
) -> Iterable[Gap]:
    for key, planned in sorted(batches.items()):
        old = [one for one in planned if now - one.planned_at > gaps_of.ANSWERED_AFTER]
        if old and (key.platform, key.account) == (platform, account):
            yield Gap(
                key.audience,
                "unanswered",
                f"{people(sum(one.rows for one in old))} are in batches whose outcome nobody knows, the run "
                "having ended before the answer: deliver again, they are sent once more.",
            )


def _without_consent(
    store: MemberStore, held: Mapping[AudienceKey, Held], consent_lost: pl.Series | None
) -> Iterable[Gap]:
    if consent_lost is None or consent_lost.is_empty():
        return
    lost = consent_lost.to_frame("customer_id")
    for key, here in held.items():
        if not any(here.states.values()):
            continue
        # Whose removal is being processed was dealt with; so is who never got there.
        there = store.members(key).filter(
            ~((pl.col("state") == MemberState.REMOVING.value) & pl.col("in_flight"))
        )
        number = there.select("customer_id").unique().join(lost, on="customer_id", how="semi").height
        if number:
            yield Gap(
                key.audience,
                "no_consent",
                f"{people(number)} who may not be advertised to may still be there: deliver again at once "
                f"(audience-pipeline audiences sync {key.audience} --platform {key.platform.value}).",
            )
