"""What became of one delivery: counts, bounds and sentences, and never a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from audience_pipeline.delivery.plan import Plan
from audience_pipeline.ledger.records import (
    AudienceKey,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    PlatformAudience,
)
from audience_pipeline.platforms.contract import ended

ANSWERED = (BatchState.SENT, BatchState.SETTLED)
PLANNED, NOT_TRIED = "planned", "not tried"
"""The states of a report on a dry run, and on an audience whose turn did not come."""


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """One delivery to one audience on one platform. Counts are people."""

    key: AudienceKey
    as_of: date
    state: DeliveryState | None
    """None after a dry run."""
    plan: Plan | None
    """The first plan of the run; None when it did not come so far."""
    audience: PlatformAudience | None
    """The audience on the platform as last read; None when there is none."""
    wanted: int = 0
    delivered: int = 0
    """People who are in the audience now, as far as the ledger knows."""
    sent: int = 0
    removed: int = 0
    accepted: int = 0
    rejected: int = 0
    matched: int | None = None
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Reason of refusal to number of people."""
    sentences: tuple[str, ...] = ()
    """What somebody should know or do."""
    platform_stopped: bool = False
    """The credentials do not work: nothing more was sent to the platform in this run."""
    tried: bool = True
    """False: the platform was stopped before its turn came; the ledger knows nothing of it."""
    removed_without_consent: int = 0
    """People whose removal for want of consent the platform accepted."""
    consent_left: int = 0
    """People without consent who may still be there, and whose removal the platform has not accepted."""
    quarantined: int = 0
    """People whom the platform refused by name in this run: they are left out until their data change."""

    @classmethod
    def of(
        cls,
        delivery: Delivery,
        state: DeliveryState | None,
        *,
        plan: Plan | None,
        audience: PlatformAudience | None,
        delivered: int,
        batches: Sequence[Batch] = (),
        deleted: int = 0,
        sentences: tuple[str, ...] = (),
        **more: Any,
    ) -> DeliveryReport:
        """The report on a delivery, its batches and the people who were ``deleted`` with an audience."""
        reasons: Counter[str] = Counter()
        for batch in batches:
            reasons.update(batch.reasons)
        gone = [one for one in batches if one.action == "remove" and one.state in ANSWERED]
        return cls(
            delivery.key,
            delivery.as_of,
            state,
            plan,
            audience,
            wanted=delivery.wanted,
            delivered=delivered,
            sent=delivery.sent,
            removed=deleted + sum(one.rows for one in gone),
            accepted=delivery.accepted,
            rejected=delivery.rejected,
            matched=delivery.matched,
            reasons=dict(sorted(reasons.items())),
            sentences=sentences,
            **more,
        )

    @classmethod
    def not_tried(cls, delivery: Delivery, state: DeliveryState, why: str) -> DeliveryReport:
        """The report on an audience whose turn did not come."""
        said = (ended(f"Not tried: {why}"),)
        return cls.of(delivery, state, plan=None, audience=None, delivered=0, sentences=said, tried=False)

    @property
    def ok(self) -> bool:
        """The platform holds the wanted people, or will when it has processed what it accepted."""
        return self.state in (
            None,
            DeliveryState.UNCHANGED,
            DeliveryState.SETTLED,
            DeliveryState.PROCESSING,
        )

    @property
    def word(self) -> str:
        """How it ended, in a word."""
        if not self.tried:
            return NOT_TRIED
        return PLANNED if self.state is None else self.state.value

    def as_dict(self) -> dict[str, Any]:
        """The report in plain values, for JSON and metadata."""
        audience = self.audience
        return {
            "platform": self.key.platform.value,
            "account": self.key.account,
            "audience": self.key.audience,
            "as_of": self.as_of.isoformat(),
            "state": self.word,
            "wanted": self.wanted,
            "delivered": self.delivered,
            "sent": self.sent,
            "removed": self.removed,
            "removed_without_consent": self.removed_without_consent,
            "consent_left": self.consent_left,
            "quarantined": self.quarantined,
            "accepted": self.accepted,
            "rejected": self.rejected,
            "matched": self.matched,
            "reasons": dict(self.reasons),
            "remote_id": audience.remote_id if audience else None,
            "remote_name": audience.remote_name if audience else None,
            "status": audience.status if audience else "",
            "size_low": audience.size_low if audience else None,
            "size_high": audience.size_high if audience else None,
            "match_rate_low": audience.match_rate_low if audience else None,
            "match_rate_high": audience.match_rate_high if audience else None,
            "match_rate_how": audience.match_rate_how if audience else "",
            "plan": self.plan.as_dict() if self.plan else None,
            "sentences": list(self.sentences),
        }

    def text(self) -> str:
        """The report in a few lines, for people."""
        head = f"{self.key.audience} on {self.key.platform.value}: {self.word}."
        counts = (
            f"{self.wanted:,} wanted, {self.delivered:,} delivered; in this run {self.sent:,} sent, "
            f"{self.removed:,} removed, {self.rejected:,} rejected."
        )
        if not self.tried:
            return "\n".join([head, *self.sentences])
        plan = [self.plan.text()] if self.plan is not None and self.state is None else []
        return "\n".join([head, counts, *plan, *self.sentences])
