"""What a platform can and allows, and what every client of one does: pure data, no HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol


class Platform(StrEnum):
    """A platform that audiences are kept on."""

    META = "meta"
    GOOGLE = "google"
    TIKTOK = "tiktok"


@dataclass(frozen=True, slots=True)
class MatchPrior:
    """How many of the people sent a platform recognises, as far as is known before anybody was sent."""

    typical: float
    """Matched over sent, 0 to 1, that users were promised."""
    low: float
    high: float
    """Between these lie most audiences that advertisers tell of."""
    rates: tuple[tuple[tuple[str, ...], float], ...]
    """Columns of ``identifiers`` to the rate of people who have all of them; the first that fits counts.
    That more identifiers find more people is each platform's own advice; by how much is an assumption."""
    source: str


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The limits and habits of one platform. Shared code reads these and never asks for its name."""

    platform: Platform
    batch_rows: int
    """People in one request at most."""
    identifiers: tuple[str, ...]
    """Columns of the ``identifiers`` table that are sent, in the order of the wire."""
    reachable_by: tuple[tuple[str, ...], ...]
    """A person can be sent when all columns of at least one of these groups are present."""
    minimum_audience: int
    """Matched people below which the platform does not deliver ads to an audience."""
    name_length: int
    creates_empty: bool
    """False: an audience is created together with its first people."""
    minimum_after_change: int
    """A change that would leave fewer matched people is refused; 0 where any size is allowed."""
    membership_days: int | None
    """Days after which a person expires unless sent again; None where membership does not end."""
    states_match_rate: bool
    """True when the platform states a match rate; otherwise ours is matched over sent."""
    match: MatchPrior
    """What to expect of a match rate before there is a history."""
    sources: str
    """Where the figures come from."""
    audiences_per_account: int | None = None
    """Customer-file audiences that one ad account holds at most; None where no limit is published."""
    removes_everywhere: bool = False
    """One call takes people out of every audience of an account, known to us or not."""
    purposes: tuple[str, ...] = ("advertising",)
    """What a person must have agreed to, because the wire says that they have."""


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
    """One ad account of one platform. Every method raises :class:`PlatformError` and nothing else."""

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


class PlatformError(Exception):
    """A platform refused or could not be reached. The message names thing and remedy, never a person."""

    def __init__(self, platform: Platform, message: str, *, code: str = "", trace_id: str = "") -> None:
        super().__init__(f"{platform.value}: {message}")
        self.platform = platform
        self.code = code
        self.trace_id = trace_id


class TransientPlatformError(PlatformError):
    """It may work later: throttled, overloaded, connection lost. ``retry_after`` in seconds, if known."""

    def __init__(
        self,
        platform: Platform,
        message: str,
        *,
        code: str = "",
        trace_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(platform, message, code=code, trace_id=trace_id)
        self.retry_after = retry_after


class TerminalPlatformError(PlatformError):
    """It will not work until somebody changes something."""


class MembersRefusedError(TerminalPlatformError):
    """A whole batch was refused because of people in it; nobody of it was processed.

    ``positions`` holds the position in the batch and the reason of those whom the platform names. Without any,
    the batch is to be halved until the bad rows stand alone.
    """

    def __init__(
        self,
        platform: Platform,
        message: str,
        *,
        positions: Mapping[int, str],
        code: str = "",
        trace_id: str = "",
    ) -> None:
        super().__init__(platform, message, code=code, trace_id=trace_id)
        self.positions = positions


class CredentialError(TerminalPlatformError):
    """The token is missing, wrong or revoked: nothing more is sent to this platform."""


META = Capabilities(
    platform=Platform.META,
    batch_rows=10_000,
    identifiers=("meta_email", "meta_phone", "meta_first_name", "meta_last_name", "postal_code", "country"),
    reachable_by=(("meta_email",), ("meta_phone",)),
    minimum_audience=100,
    name_length=255,
    creates_empty=True,
    minimum_after_change=0,
    membership_days=None,
    audiences_per_account=500,
    removes_everywhere=True,
    states_match_rate=False,
    match=MatchPrior(
        typical=0.60,
        low=0.30,
        high=0.80,
        rates=((("meta_email", "meta_phone"), 0.68), (("meta_email",), 0.60), (("meta_phone",), 0.50)),
        source="promised 60 %; advertisers tell of 30 to 80 %, Meta publishes no rate",
    ),
    sources="Meta, Customer File Custom Audiences guide; smallest audience: practice, not documented",
)
GOOGLE = Capabilities(
    platform=Platform.GOOGLE,
    batch_rows=10_000,
    identifiers=(
        "google_email",
        "google_phone",
        "google_given_name",
        "google_family_name",
        "country",
        "postal_code",
    ),
    reachable_by=(
        ("google_email",),
        ("google_phone",),
        ("google_given_name", "google_family_name", "country", "postal_code"),
    ),
    minimum_audience=100,
    name_length=255,
    creates_empty=True,
    minimum_after_change=0,
    membership_days=540,
    states_match_rate=True,
    match=MatchPrior(
        typical=0.40,
        low=0.29,
        high=0.62,
        rates=(
            (("google_email", "google_phone"), 0.48),
            (("google_email",), 0.40),
            (("google_phone",), 0.33),
            (("google_given_name", "google_family_name", "country", "postal_code"), 0.25),
        ),
        source="promised 40 %; most advertisers tell of 29 to 62 %, Google states buckets only",
    ),
    sources="Google, Data Manager API reference; smallest audience: Google Ads help, not documented",
    # Members go with adUserData and adPersonalization: both must be granted for them to be used.
    purposes=("advertising", "personalisation"),
)
TIKTOK = Capabilities(
    platform=Platform.TIKTOK,
    batch_rows=100_000,
    identifiers=("tiktok_email", "meta_phone"),
    reachable_by=(("tiktok_email",), ("meta_phone",)),
    minimum_audience=1_000,
    name_length=128,
    creates_empty=False,
    minimum_after_change=1_000,
    membership_days=365,
    audiences_per_account=400,
    states_match_rate=False,
    match=MatchPrior(
        typical=0.50,
        low=0.20,
        high=0.70,
        rates=((("tiktok_email", "meta_phone"), 0.56), (("meta_phone",), 0.50), (("tiktok_email",), 0.46)),
        source="promised 50 %; TikTok publishes no rate, the range is wide for want of reports",
    ),
    sources="TikTok API for Business v1.3, custom audience by file",
)
CAPABILITIES: Mapping[Platform, Capabilities] = {
    capabilities.platform: capabilities for capabilities in (META, GOOGLE, TIKTOK)
}
