"""The page of all audiences as of a date: one HTML file with everything in it, for a screen or a phone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.resources import files

from audience_pipeline.audiences.match_rate import ExpectedMatches
from audience_pipeline.platforms.contract import Platform

REASONS: Mapping[str, str] = {
    "holdout": "held out",
    "opted_out": "opted out",
    "no_consent": "no consent",
    "no_identifier": "no identifier",
}
"""Why a member is not sent, and how the page calls it, in the order of the page."""
WIDTH, HEIGHT, MARGIN = 120, 30, 3
"""Pixels of the picture of a history."""
MINUS = "\u2212"


@dataclass(frozen=True, slots=True)
class Arrived:
    """What is known of the audience on the platform, in the words of ``audiences status``."""

    sent: int
    """People in it now, as far as the ledger knows."""
    matched: str
    """Bounds of the size, or a dash."""
    rate: str
    """Bounds of the match rate, or a dash."""
    how: str
    """How the rate was obtained."""
    read_on: date | None
    """When the platform was asked."""
    state: str
    """Of the last delivery."""


@dataclass(frozen=True, slots=True)
class OnPlatform:
    """What of an audience can be sent to one platform. Counts are people."""

    platform: Platform
    sendable: int
    left_out: Mapping[str, int]
    """Members per reason of ``REASONS``; each member counts once."""
    expected: ExpectedMatches | None
    """None where nothing is known of the match rate."""
    minimum: int
    """Matched people below which the platform does not deliver ads."""
    arrived: Arrived | None = None
    """None where it was never delivered."""


@dataclass(frozen=True, slots=True)
class PageAudience:
    """One audience on the page."""

    name: str
    description: str
    size: int | None
    """Members; None where it could not be evaluated."""
    change: tuple[int, int] | None
    """People added and removed since the date before; None where there is none."""
    sizes: Sequence[tuple[date, int]]
    """Members on each as-of date, oldest first, the date of the page included."""
    platforms: Sequence[OnPlatform]
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Overlaps:
    """How many members the largest audiences share."""

    names: Sequence[str] = ()
    shared: Sequence[Sequence[int]] = field(default=())
    """Row by column of ``names``; on the diagonal the sizes."""


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that the page shows."""

    shop: str
    as_of: date
    before: date | None
    """The date that changes are counted from."""
    customers: int
    audiences: Sequence[PageAudience]
    overlaps: Overlaps = field(default_factory=Overlaps)


def html_page(page: Page) -> str:
    """The page; it needs no other file and runs no script. Texts are shown as they are."""
    from jinja2 import Environment, StrictUndefined

    template = files("audience_pipeline.audiences").joinpath("page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters |= {"people": _people, "change": _change, "share": _share}
    return environment.from_string(template).render(
        page=page,
        reasons=REASONS,
        sparks={audience.name: sparkline(audience.sizes) for audience in page.audiences},
        platforms=[one for one in Platform if any(_names(audience, one) for audience in page.audiences)],
        width=WIDTH,
        height=HEIGHT,
    )


def sparkline(sizes: Sequence[tuple[date, int]]) -> Sequence[tuple[float, float]]:
    """The points of a history in a picture of ``WIDTH`` by ``HEIGHT`` pixels; none for fewer than two dates.

    The bottom is nobody, so that a small change looks small.
    """
    if len(sizes) < 2:
        return ()
    first, last = sizes[0][0], sizes[-1][0]
    days, most = (last - first).days, max(size for _, size in sizes)
    return [
        (
            round(MARGIN + (WIDTH - 2 * MARGIN) * (day - first).days / days, 1),
            round(HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (size / most if most else 0.0), 1),
        )
        for day, size in sizes
    ]


def _names(audience: PageAudience, platform: Platform) -> bool:
    return any(one.platform is platform for one in audience.platforms)


def _people(number: float | None) -> str:
    return "not known" if number is None else f"{number:,.0f}"


def _change(change: tuple[int, int] | None) -> str:
    if change is None:
        return "new"
    added, removed = change
    if not added and not removed:
        return "unchanged"
    return " ".join(
        text for text in (f"+{added:,}" if added else "", f"{MINUS}{removed:,}" if removed else "") if text
    )


def _share(part: float, whole: float | None) -> str:
    return f"{100 * part / whole:.1f}" if whole else "0"
