"""What may differ between ledger and platform, each in a sentence that says what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from audience_pipeline.delivery.advice import matched, size_advice
from audience_pipeline.delivery.brake import people
from audience_pipeline.ledger.records import GONE, AudienceState, Batch, Held, MemberState, PlatformAudience
from audience_pipeline.platforms.contract import Capabilities, RemoteAudience

TOO_LONG = timedelta(hours=48)
"""No platform takes longer than this to process a batch."""
ANSWERED_AFTER = timedelta(hours=3)
"""No run lives so long: a batch that was planned earlier and has no answer belongs to one that was killed."""
ROUNDING = 1.1
"""Platforms round sizes; more than a tenth is not rounding."""
SMALLEST_SHOWN = 1_000
"""Below it platforms show a floor instead of a size."""
NEARLY = 0.95
"""Share of a membership's life after which somebody should long have been sent again."""
_FLAGGED = ("flag", "integrity", "violat", "low match", "invalid", "closed")
"""Words of platforms' remarks on audiences that somebody has to look at."""
HARMLESS = frozenset({"small", "not_ready"})
"""Kinds that are usual for small and for young audiences: remarks, which nobody has to see to."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The size of an audience that must be there until people are removed from it."""

    size: int
    seen_at: datetime

    def as_json(self) -> list[Any]:
        """Plain values; :meth:`from_json` gives an equal one back."""
        return [self.size, self.seen_at.isoformat()]

    @classmethod
    def from_json(cls, values: Sequence[Any]) -> Self:
        """Read what :meth:`as_json` made."""
        return cls(int(values[0]), datetime.fromisoformat(values[1]))


@dataclass(frozen=True, slots=True)
class Gap:
    """One difference between ledger and platform."""

    audience: str
    """Empty where it is one of the account."""
    kind: str
    """A word for programs, such as ``deleted``."""
    sentence: str

    @property
    def needs_action(self) -> bool:
        """Whether somebody has to see to it; otherwise it is a mere remark."""
        return self.kind not in HARMLESS


def missing(known: PlatformAudience) -> Iterator[Gap]:
    """An audience that the listing of its account does not show."""
    name = known.key.audience
    if known.remote_id is not None or known.status == GONE:
        yield Gap(
            name,
            "deleted",
            "The platform does not have it any more: deliver it again and it is made anew.",
        )
    elif known.state is not AudienceState.ACTIVE:
        # One that is active and has no id was deleted because nobody was left for it: as it should be.
        yield Gap(name, "unfinished", "It was never created to the end: deliver it again.")


def on_the_platform(
    capabilities: Capabilities,
    known: PlatformAudience,
    remote: RemoteAudience,
    here: Held,
    before: Reference | None,
    removed: int,
) -> Iterator[Gap]:
    """What the platform shows that the ledger does not expect.

    Args:
        capabilities: the platform.
        known: the audience as the ledger has it, with the match rate that is known now.
        remote: as the platform shows it.
        here: who was delivered.
        before: the size that earlier verifications expect.
        removed: people whose removal may have made it smaller since (:func:`gone_since`).
    """
    name, platform = known.key.audience, capabilities.platform.value
    if remote.name != known.remote_name:
        yield Gap(
            name,
            "renamed",
            f"It is named '{remote.name}' there and '{known.remote_name}' here: somebody renamed it. "
            "The next delivery gives it its name back.",
        )
    rate = known.match_rate_low, known.match_rate_high
    small = size_advice(capabilities, matched(remote.size_low, remote.size_high, here.delivered, rate))
    yield from _of_its_status(platform, name, remote, small)
    shown = remote.size_low
    if shown is not None and shown > max(here.delivered * ROUNDING, SMALLEST_SHOWN):
        yield Gap(
            name,
            "larger",
            f"The platform shows at least {shown:,} people and {here.delivered:,} were delivered: somebody "
            "else adds people to it. Delete it there; the next delivery makes it anew.",
        )
    if before is None or remote.size_high is None:
        return
    least = before.size - removed
    if least > SMALLEST_SHOWN and remote.size_high * ROUNDING < least:
        yield Gap(
            name,
            "shrunk",
            f"{platform} shows at most {remote.size_high:,} people; on {before.seen_at.date()} it was at "
            f"least {before.size:,}, and no more than {removed:,} were removed since: it has lost people. "
            "Delete it there; the next delivery makes it anew with everybody.",
        )


def gone_since(before: Reference | None, removals: Iterable[tuple[datetime, int]]) -> int:
    """How many people may be missing rightly: those whose removal took effect after the size was seen."""
    if before is None:
        return 0
    return sum(rows for moment, rows in removals if moment >= before.seen_at - TOO_LONG)


def expected(
    before: Reference | None, remote: RemoteAudience, delivered: int, removed: int, now: datetime
) -> Reference | None:
    """The size that the next verification expects: the one seen now, unless it has shrunk for no reason.

    People beyond those who were ``delivered`` are somebody else's and may go.
    """
    size = min(remote.size_low or 0, delivered)
    if before is not None and size < before.size - removed:
        return before
    return Reference(size, now) if size else None


def _of_its_status(platform: str, name: str, remote: RemoteAudience, small: str) -> Iterator[Gap]:
    status = remote.status.rstrip(".")
    if _says(status, *_FLAGGED):
        yield Gap(
            name,
            "flagged",
            f"{platform} has a remark: {status}. Look at it there; a name or description "
            "that breaks its rules is changed in the audience's file and delivered.",
        )
    elif _says(status, "expires"):
        yield Gap(
            name,
            "expiring",
            f"{platform} will delete it: {status}. Use it in a campaign that runs, or deliver a change.",
        )
    elif not remote.ready and small:
        yield Gap(
            name,
            "small",
            f"It is too small to be used: {small}. audience-pipeline audiences status {name} says what would "
            "help.",
        )
    elif not remote.ready:
        yield Gap(
            name,
            "not_ready",
            f"It is not ready for use: {status}. Up to two days after a delivery that is usual; "
            "afterwards ask the platform.",
        )


def twins(known: Sequence[PlatformAudience], there: Sequence[RemoteAudience]) -> Iterator[Gap]:
    """Other audiences of the account that bear the name of one of ours."""
    ours = {one.remote_name: one for one in known if one.remote_id}
    for remote in there:
        mine = ours.get(remote.name)
        if mine is not None and remote.remote_id != mine.remote_id:
            yield Gap(
                mine.key.audience,
                "twin",
                f"There is another audience named '{remote.name}' (id {remote.remote_id}; ours is "
                f"{mine.remote_id}): campaigns may use the wrong one. Rename or delete the other.",
            )


def being_sent(planned: Sequence[Batch], now: datetime) -> int:
    """People in batches that a run may just be sending."""
    return sum(batch.rows for batch in planned if now - batch.planned_at <= ANSWERED_AFTER)


def in_the_ledger(
    capabilities: Capabilities,
    known: PlatformAudience,
    here: Held,
    under_way: Sequence[Batch],
    sending: int,
    now: datetime,
) -> Iterator[Gap]:
    """What the ledger itself says is not as it should be.

    Args:
        capabilities: the platform.
        known: the audience.
        here: who was delivered.
        under_way: batches that the platform is processing.
        sending: people of :func:`being_sent`.
        now: from which ages are counted.
    """
    name = known.key.audience
    late = [batch for batch in under_way if now - (batch.sent_at or batch.planned_at) > TOO_LONG]
    if late:
        yield Gap(
            name,
            "late",
            f"{people(sum(batch.rows for batch in late))} have been in processing for more than "
            f"{TOO_LONG.total_seconds() / 3600:.0f} hours: deliver again; if it persists, ask the platform.",
        )
    moving = sum(batch.rows for batch in under_way) + sending
    adding, removing = (here.states.get(state, 0) for state in (MemberState.ADDING, MemberState.REMOVING))
    if adding + removing > moving:
        yield Gap(
            name,
            "unconfirmed",
            f"{adding:,} additions and {removing:,} removals are not confirmed: "
            "deliver again to send them once more.",
        )
    if known.remote_id is not None and known.state is not AudienceState.ACTIVE:
        yield Gap(name, "unfinished", "Its first delivery was not completed: deliver it again.")
    life, oldest = capabilities.membership_days, here.oldest
    if life is None or oldest is None:
        return
    age = now - oldest
    if age > timedelta(days=life):
        yield Gap(
            name,
            "expired",
            f"Some people were last sent more than {life} days ago and have expired: deliver it again.",
        )
    elif age > timedelta(days=life * NEARLY):
        left = (timedelta(days=life) - age).days
        yield Gap(
            name,
            "expiring",
            f"Some people were last sent {age.days} days ago and expire in {left} days: deliver it again.",
        )


def _says(status: str, *words: str) -> bool:
    return any(word in status.lower() for word in words)
