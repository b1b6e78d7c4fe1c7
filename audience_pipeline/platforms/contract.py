"""What every client of a platform does: pure data, no HTTP. The only door for packages that are pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from audience_pipeline.platforms.capabilities import (
    CAPABILITIES,
    GOOGLE,
    META,
    PLAIN,
    TIKTOK,
    Capabilities,
    MatchPrior,
    Platform,
    Rate,
)
from audience_pipeline.platforms.errors import (
    CredentialError,
    MembersRefusedError,
    PlatformError,
    QuotaError,
    TerminalPlatformError,
    TooFewLeftError,
    TransientPlatformError,
    ended,
)

__all__ = [
    "CAPABILITIES",
    "GOOGLE",
    "META",
    "PLAIN",
    "TIKTOK",
    "Action",
    "AudienceClient",
    "Capabilities",
    "CredentialError",
    "Finding",
    "FindingLevel",
    "MatchPrior",
    "Member",
    "MembersRefusedError",
    "Platform",
    "PlatformError",
    "QuotaError",
    "Rate",
    "Receipt",
    "ReceiptState",
    "RemoteAudience",
    "TerminalPlatformError",
    "TooFewLeftError",
    "TransientPlatformError",
    "UploadSession",
    "ended",
]

Action = Literal["add", "remove"]


@dataclass(frozen=True, slots=True)
class Member:
    """One person as sent: identifier column to value on the wire (hex hash or plain). Never logged."""

    customer_id: str
    identifiers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class UploadSession:
    """The place of a batch among those of one delivery. ``session_id`` is unique in an ad account."""

    session_id: int
    sequence: int
    last: bool
    estimated_total: int


class ReceiptState(StrEnum):
    """What is known of a batch."""

    PROCESSING = "processing"
    SETTLED = "settled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a platform answered to one batch. ``None`` stands for what it does not say."""

    request_id: str
    state: ReceiptState
    received: int
    accepted: int | None = None
    rejected: int | None = None
    matched: int | None = None
    match_rate: tuple[float, float] | None = None
    """Lower and upper bound, 0 to 1."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Reason of refusal to number of people, without any identifier."""
    message: str = ""
    remote_id: str = ""
    """The audience that the batch went to; names the new one when the batch created it."""
    refused: Mapping[int, str] = field(default_factory=dict)
    """Position in the batch to the reason, for people whom the platform names as refused. It may name fewer
    than it counts in ``rejected``."""


@dataclass(frozen=True, slots=True)
class RemoteAudience:
    """An audience as the platform shows it now."""

    remote_id: str
    name: str
    ready: bool
    status: str
    size_low: int | None = None
    size_high: int | None = None
    match_rate: tuple[float, float] | None = None


FindingLevel = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that ``platforms check`` has looked at. The sentence says what to do where it is not ok."""

    subject: Literal["credentials", "permission", "terms", "limits", "version", "account"]
    level: FindingLevel
    sentence: str


class AudienceClient(Protocol):
    """One ad account of one platform. Every method raises :class:`PlatformError` and nothing else.

    After an error that ``stops`` a client refuses everything with the same error, without asking again.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What the platform can and allows."""

    @property
    def account(self) -> str:
        """The ad account that audiences live in."""

    def audiences(self) -> list[RemoteAudience]:
        """Every customer-file audience of the account, in as few requests as the platform allows."""

    def find(self, name: str) -> RemoteAudience | None:
        """The audience of that name, or None: creating adopts it instead of making a second."""

    def create(self, name: str, description: str) -> str:
        """Create an empty audience and return its id; only where ``creates_empty``."""

    def create_with(self, name: str, members: Sequence[Member]) -> Receipt:
        """Create an audience together with its first people; only where not ``creates_empty``."""

    def send(
        self, remote_id: str, action: Action, members: Sequence[Member], session: UploadSession
    ) -> Receipt:
        """Add or remove at most ``batch_rows`` people; a repeated call changes nothing more.

        Raises:
            MembersRefusedError: the whole batch was refused because of people in it.
        """

    def remove_everywhere(self, members: Sequence[Member]) -> Receipt:
        """Take people out of every audience of the account; only where ``removes_everywhere``."""

    def rename(self, remote_id: str, name: str) -> None:
        """Give an audience another name."""

    def settle(self, receipt: Receipt) -> Receipt:
        """Ask once what has become of a batch that was ``PROCESSING``."""

    def read(self, remote_id: str) -> RemoteAudience | None:
        """What the platform holds now; None when the audience is gone."""

    def delete(self, remote_id: str) -> None:
        """Delete an audience; one that is gone already is no error."""

    def check(self) -> list[Finding]:
        """Try credentials, permissions, terms and limits without changing anything."""
