"""A preview for people, and as plain values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.markup import escape
from rich.table import Table

from audience_pipeline.audiences.composition import COMPOSED_OF, Share
from audience_pipeline.audiences.match_rate import Range
from audience_pipeline.audiences.policy import Flag
from audience_pipeline.audiences.preview import PlatformPreview
from audience_pipeline.audiences.suggestions import Suggestion
from audience_pipeline.commands.console import table
from audience_pipeline.commands.preview_sources import Look
from audience_pipeline.commands.tables import number, percent

NAMES = {
    "holdout": "held out",
    "opted_out": "opted out",
    "no_consent": "no consent",
    "no_identifier": "no identifier",
}


def shown(look: Look) -> Iterator[Table | str]:
    """The preview, one renderable after the other."""
    seen, name = look.preview, escape(look.preview.audience)
    yield (
        f"[bold]{name}[/] as of {look.as_of}: [bold]{seen.members:,}[/] of {seen.customers:,} customers. "
        "Nothing is sent."
    )
    yield _waterfall(look)
    yield _matches(look)
    for one in seen.platforms:
        yield f"{one.platform.value}: the match rate is expected {one.expected.how}."
    for one in seen.platforms:
        yield from explained(one)
    for sentence in warnings(look):
        yield f"[bold yellow]Warning:[/] {escape(sentence)}."
    yield from suggested(look)
    if seen.members:
        yield _composed(look)
    if look.overlaps:
        yield _overlapping(look)


def _waterfall(look: Look) -> Table:
    seen = look.preview
    steps: list[tuple[str, str]] = [
        ("customers", number(seen.customers)),
        ("meet include", number(seen.included)),
        ("of these, excluded", number(seen.excluded)),
        *((f"suppressed: {rule}", number(count)) for rule, count in seen.suppressed.items()),
        ("members", number(seen.members)),
    ]
    platforms = seen.platforms
    rows = [(step, *([count] * len(platforms))) for step, count in steps]
    rows += [(f"  {NAMES[reason]}", *(number(one.left_out[reason]) for one in platforms)) for reason in NAMES]
    rows.append(("can be sent", *(number(one.eligible) for one in platforms)))
    headings = {"": "left", **{one.platform.value: "right" for one in platforms}}
    return table("From everybody to those who can be sent", headings, rows)


def _matches(look: Look) -> Table:
    return table(
        "What the platforms are expected to recognise",
        {
            "platform": "left",
            "can be sent": "right",
            "match rate": "right",
            "between": "right",
            "matches": "right",
            "from to": "right",
            "platform needs": "right",
        },
        [
            (
                one.platform.value,
                number(one.eligible),
                percent(one.expected.rate.expected) if one.eligible else "-",
                f"{percent(one.expected.rate.low)} and {percent(one.expected.rate.high)}"
                if one.eligible
                else "-",
                number(one.expected.matches.expected),
                f"{number(one.expected.matches.low)} to {number(one.expected.matches.high)}",
                number(one.minimum_audience),
            )
            for one in look.preview.platforms
        ],
    )


def warnings(look: Look) -> list[str]:
    """Everything that somebody should see before the audience is sent, as sentences without a full stop."""
    found = [*look.notes, *(flag.sentence for flag in look.preview.flags)]
    for one in look.preview.platforms:
        if one.warning:
            found.append(f"{one.platform.value}: {one.warning}")
        found += advice(one)
    return found


def explained(one: PlatformPreview) -> Iterator[str]:
    """Why most of those without consent are, where they agreed to advertising: nobody would guess."""
    left_out = one.left_out["no_consent"]
    for purpose, people in one.lacking.items():
        if 2 * people > left_out:
            yield (
                f"{one.platform.value}: {people:,} of the {left_out:,} without consent agreed to "
                f"advertising, but not to {purpose}, which {one.platform.value} asks for besides."
            )


def advice(one: PlatformPreview) -> list[str]:
    """What would raise a low match rate on a platform."""
    if not one.missing:
        return []
    rate = f"{one.platform.value}: the expected match rate is {percent(one.expected.rate.expected)}"
    sentences = []
    for missing in one.missing:
        people = "1 person has" if missing.people == 1 else f"{missing.people:,} people have"
        sentences.append(
            f"{rate}; {people} no {missing.identifier}: with one, about {round(missing.matches):,} more "
            "would match"
        )
    return sentences


def suggested(look: Look) -> Iterator[Table | str]:
    """Changes that were tried out and would reach more people."""
    found = look.preview.suggestions
    if found.best:
        platforms = [one.platform for one in look.preview.platforms]
        yield table(
            "What would reach more people",
            {
                "change": "left",
                "members": "right",
                **{f"matches, {platform.value}": "right" for platform in platforms},
            },
            [
                (
                    one.sentence,
                    f"+{one.members:,}",
                    *(f"+{round(gain.matches):,} = {round(gain.matches_then):,}" for gain in one.gains),
                )
                for one in found.best
            ],
            caption="Each change alone, tried out on everybody; first what is enough, the smallest change "
            "before others, and what keeps every condition before what gives one up.",
        )
    elif any(one.warning for one in look.preview.platforms):
        yield "No single change of the definition was found that would bring more people."
    if not found.complete:
        yield "Not every change could be tried in the time of a preview."


def _composed(look: Look) -> Table:
    rows: list[tuple[str, ...]] = []
    last = ""
    for share in look.preview.composition:
        if not share.members and share.field != "ltv_quintile":
            continue
        rows.append(
            (
                COMPOSED_OF[share.field] if share.field != last else "",
                share.value,
                number(share.members),
                percent(share.share),
                percent(share.base_share),
                number(share.index),
            )
        )
        last = share.field
    return table(
        "What it is made of, beside all customers",
        {
            "": "left",
            "value": "left",
            "members": "right",
            "share": "right",
            "of all": "right",
            "index": "right",
        },
        rows,
        caption="Index 100: as frequent as among all customers; 200: twice as frequent.",
    )


def _overlapping(look: Look) -> Table:
    return table(
        f"Members who are in other audiences too, as of {look.overlaps_as_of}",
        {"audience": "left", "in both": "right", "share of this one": "right"},
        [(one.audience, number(one.members_in_both), percent(one.share, 1)) for one in look.overlaps],
    )


def as_json(look: Look) -> dict[str, Any]:
    """The preview as plain values."""
    seen = look.preview
    return {
        "audience": seen.audience,
        "as_of": look.as_of.isoformat(),
        "customers": seen.customers,
        "included": seen.included,
        "excluded": seen.excluded,
        "suppressed": dict(seen.suppressed),
        "members": seen.members,
        "platforms": [_platform(one) for one in seen.platforms],
        "warnings": warnings(look),
        "suggestions": suggestions_as_json(look),
        "suggestions_complete": seen.suggestions.complete,
        "composition": [_share(one) for one in seen.composition],
        "overlaps": [
            {"audience": one.audience, "members_in_both": one.members_in_both, "share": round(one.share, 6)}
            for one in look.overlaps
        ],
        "overlaps_as_of": look.overlaps_as_of.isoformat() if look.overlaps_as_of else None,
        "policy_flags": [_flag(one) for one in seen.flags],
        "notes": list(look.notes),
    }


def suggestions_as_json(look: Look) -> list[dict[str, Any]]:
    """The changes that would reach more people, as plain values."""
    return [_suggestion(one) for one in look.preview.suggestions.best]


def _platform(one: PlatformPreview) -> dict[str, Any]:
    return {
        "platform": one.platform.value,
        "eligible": one.eligible,
        "left_out": dict(one.left_out),
        "no_consent_lacking": dict(one.lacking),
        "match_rate": _range(one.expected.rate, 4),
        "expected_matches": _range(one.expected.matches, 0),
        "how": one.expected.how,
        "minimum_audience": one.minimum_audience,
        "warning": one.warning,
        "missing_identifiers": [
            {"identifier": missing.identifier, "people": missing.people, "matches": round(missing.matches)}
            for missing in one.missing
        ],
    }


def _range(values: Range, digits: int) -> dict[str, float]:
    return {
        name: round(value, digits or None)
        for name, value in (("low", values.low), ("expected", values.expected), ("high", values.high))
    }


def _suggestion(one: Suggestion) -> dict[str, Any]:
    return {
        "change": one.sentence,
        "kind": one.change.kind,
        "members": one.members,
        "platforms": [
            {
                "platform": gain.platform.value,
                "eligible": gain.sendable,
                "matches": round(gain.matches),
                "matches_then": round(gain.matches_then),
            }
            for gain in one.gains
        ],
    }


def _share(one: Share) -> dict[str, Any]:
    return {
        "field": one.field,
        "value": one.value,
        "members": one.members,
        "share": round(one.share, 6),
        "base_share": round(one.base_share, 6),
        "index": one.index,
    }


def _flag(one: Flag) -> dict[str, Any]:
    return {
        "where": one.where,
        "word": one.word,
        "topic": one.topic,
        "platforms": [platform.value for platform in one.platforms],
    }
