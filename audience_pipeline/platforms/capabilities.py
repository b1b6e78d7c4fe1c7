"""What each platform can and allows, as data. Shared code reads these and never asks for a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Platform(StrEnum):
    """A platform that audiences are kept on."""

    META = "meta"
    GOOGLE = "google"
    TIKTOK = "tiktok"


PLAIN = frozenset({"country", "postal_code"})
"""Identifiers that we keep as they are, for platforms differ in whether they hash them; others are hashes."""


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
class Rate:
    """So many requests in so many seconds, and how many of them at once.

    Where a platform counts in windows, ``burst`` and what follows within one window stay below its limit
    together.
    """

    name: str
    requests: float
    seconds: float
    burst: float


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
    changes_per_audience: int | None = None
    """Uploads that an audience takes in its life; None where no limit is published."""
    removes_everywhere: bool = False
    """One call takes people out of every audience of an account, known to us or not."""
    purposes: tuple[str, ...] = ("advertising",)
    """What a person must have agreed to, because the wire says that they have."""
    rates: tuple[Rate, ...] = ()
    """How fast one account is written to and read from."""


# Published: 9,000 points in 300 seconds, 60 for an app of the development tier; a read costs 1, a write 3.
META_SCORE = Rate("score", requests=4_500, seconds=300, burst=4_500)
META_DEVELOPMENT_SCORE = Rate("score", requests=30, seconds=300, burst=30)

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
    # Published: 100 mutations a second for app and account.
    rates=(META_SCORE, Rate("mutations", requests=50, seconds=1, burst=50)),
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
    # Published: 300 a minute for each of these, of one Cloud project.
    rates=tuple(
        Rate(name, requests=240, seconds=60, burst=60)
        for name in ("ingestion", "status", "list_reads", "list_writes")
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
    changes_per_audience=500,
    states_match_rate=False,
    match=MatchPrior(
        typical=0.50,
        low=0.20,
        high=0.70,
        rates=((("tiktok_email", "meta_phone"), 0.56), (("meta_phone",), 0.50), (("tiktok_email",), 0.46)),
        source="promised 50 %; TikTok publishes no rate, the range is wide for want of reports",
    ),
    # Not published, it depends on the level of the app: fewer than 5 a second suit every level.
    rates=(Rate("calls", requests=4, seconds=1, burst=1),),
    sources="TikTok API for Business v1.3, custom audience by file",
)
CAPABILITIES: Mapping[Platform, Capabilities] = {
    capabilities.platform: capabilities for capabilities in (META, GOOGLE, TIKTOK)
}
