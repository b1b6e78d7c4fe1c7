"""What the ledger says of deliveries, as values: no database here, so that plans stay pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from audience_pipeline.platforms.contract import Action, Platform


@dataclass(frozen=True, slots=True, order=True)
class AudienceKey:
    """One audience in one ad account of one platform."""

    platform: Platform
    account: str
    audience: str


GONE = "gone"
"""Status of an audience that somebody has deleted on the platform, until it is made anew."""


class AudienceState(StrEnum):
    """How far an audience on a platform has come."""

    CREATING = "creating"
    """To be created; a platform may already have done so without our knowing."""
    FILLING = "filling"
    """It exists; its first delivery has not been completed yet."""
    ACTIVE = "active"


class MemberState(StrEnum):
    """What was last asked of the platform about one person. All of these may be there now."""

    ADDING = "adding"
    ADDED = "added"
    DOUBTFUL = "doubtful"
    """A removal of somebody with a common identifier may have taken the person along."""
    REMOVING = "removing"


class BatchState(StrEnum):
    """What is known of a batch."""

    PLANNED = "planned"
    """Written down before it is sent; whoever finds it later does not know whether it arrived."""
    SENT = "sent"
    """Accepted; the platform is still processing it."""
    SETTLED = "settled"
    FAILED = "failed"


class DeliveryState(StrEnum):
    """How a delivery ended."""

    RUNNING = "running"
    UNCHANGED = "unchanged"
    """The platform held the wanted people already; nothing was sent."""
    SETTLED = "settled"
    PROCESSING = "processing"
    """Everything was sent; the platform is not done yet, the next run looks again."""
    INCOMPLETE = "incomplete"
    """Something is left for the next run."""
    HELD = "held"
    """The change is large or doubtful and waits for a confirmation."""
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """The run was killed; a later one took over."""


@dataclass(frozen=True, slots=True)
class PlatformAudience:
    """An audience on a platform as we know it. Sizes are people; rates lie between 0 and 1."""

    key: AudienceKey
    remote_name: str
    state: AudienceState
    created_at: datetime
    remote_id: str | None = None
    status: str = ""
    size_low: int | None = None
    size_high: int | None = None
    match_rate_low: float | None = None
    match_rate_high: float | None = None
    match_rate_how: str = ""
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """One request to a platform. ``batch_id`` is its idempotency key."""

    batch_id: str
    delivery_id: str
    sequence: int
    action: Action
    rows: int
    state: BatchState
    planned_at: datetime
    accepted: int | None = None
    rejected: int | None = None
    matched: int | None = None
    match_rate: tuple[float, float] | None = None
    request_id: str = ""
    remote_id: str = ""
    reasons: Mapping[str, int] = field(default_factory=dict)
    message: str = ""
    sent_at: datetime | None = None
    settled_at: datetime | None = None
    split_from: str = ""
    """The batch that it is a part of, because people in that were refused."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to make the platform hold the wanted people. Counts are people."""

    delivery_id: str
    key: AudienceKey
    as_of: date
    started_at: datetime
    finished_at: datetime | None = None
    state: DeliveryState = DeliveryState.RUNNING
    wanted: int = 0
    to_add: int = 0
    to_remove: int = 0
    sent: int = 0
    accepted: int = 0
    rejected: int = 0
    matched: int | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Upload:
    """Delivered people by the batch that brought them: what is known of how they arrived."""

    people: int
    """Of the batch, those that are still delivered."""
    batch: Batch


@dataclass(frozen=True, slots=True)
class Held:
    """Who may be in an audience, counted."""

    delivered: int = 0
    """People, each once, whose addition was confirmed and whose removal was not."""
    states: Mapping[MemberState, int] = field(default_factory=dict)
    """People as sent: somebody whose identifiers changed can be there twice."""
    oldest: datetime | None = None
    """When the person was sent who has not been sent for the longest time."""
    uploads: tuple[Upload, ...] = ()
    """The batches that brought the people who are there now, in the order of sending."""
