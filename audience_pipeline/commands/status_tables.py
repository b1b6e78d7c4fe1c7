"""One audience on all of its platforms, for people and as plain values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from audience_pipeline.commands.console import table
from audience_pipeline.commands.preview_tables import suggested, suggestions_as_json
from audience_pipeline.commands.tables import number, percent
from audience_pipeline.delivery.composition import DESCRIBED_BY, ShareOn

if TYPE_CHECKING:
    from audience_pipeline.commands.preview_sources import Look
    from audience_pipeline.defs.audience_details import Details
    from audience_pipeline.delivery.status import Status

MOST_VALUES = 8
"""Values of a field that are shown; --json has all."""


def shown(name: str, found: Details, tried: Look | None, why_not: str) -> Iterator[Table | str]:
    """The details, one renderable after the other."""
    yield f"[bold]{escape(name)}[/], platform beside platform"
    yield _figures(found.rows)
    for row in found.rows:
        if row.message:
            yield f"[bold]{row.platform}[/]: {escape(row.message)}"
        if row.release:
            yield f"[bold]{row.platform}[/]: held; to let it go on: {escape(row.release)}"
    if found.composition:
        yield _composition(found)
    if found.differences:
        yield table("Where platforms differ, and why", {"difference": "left"}, _sentences(found))
    advised = [(platform.value, said) for platform, all_ in found.advice.items() for said in all_]
    if advised:
        yield table("What to know about matches", {"platform": "left", "advice": "left"}, advised)
    if tried is not None:
        yield from suggested(tried)
    if why_not:
        yield escape(why_not)


def as_plain(name: str, found: Details, tried: Look | None, why_not: str) -> dict[str, Any]:
    """The details, for JSON."""
    return {
        "audience": name,
        "platforms": [
            row.as_dict()
            | {"matched_text": row.matched, "rate_text": row.match_rate}
            | {
                "advice": [
                    said
                    for platform, all_ in found.advice.items()
                    if platform == row.platform
                    for said in all_
                ]
            }
            for row in found.rows
        ],
        "described_as_of": found.as_of.isoformat() if found.as_of else None,
        "composition": [
            {
                "field": one.field,
                "value": one.value,
                "people": {platform.value: count for platform, count in one.people.items()},
                "shares": {platform.value: round(share, 6) for platform, share in one.shares.items()},
            }
            for one in found.composition
        ],
        "differences": [asdict(one) for one in found.differences],
        "suggestions": suggestions_as_json(tried) if tried is not None else [],
        "no_suggestions_because": why_not or None,
    }


def _figures(rows: Sequence[Status]) -> Table:
    several = len({row.account for row in rows}) > len({row.platform for row in rows})
    lines: list[tuple[str, list[str]]] = [
        ("state of the last delivery", [row.state for row in rows]),
        ("status on the platform", [row.status or "-" for row in rows]),
        ("id on the platform", [row.remote_id or "-" for row in rows]),
        ("wanted", [number(row.wanted) for row in rows]),
        ("sent", [number(row.sent) for row in rows]),
        ("accepted", [number(row.accepted) for row in rows]),
        ("refused", [number(row.rejected) for row in rows]),
        ("  why", [_reasons(row) for row in rows]),
        ("in processing", [number(row.processing) for row in rows]),
        ("not confirmed", [number(row.unconfirmed) for row in rows]),
        ("matched", [row.matched for row in rows]),
        ("needed to deliver ads", [number(row.minimum_audience) for row in rows]),
        ("match rate", [row.match_rate for row in rows]),
        ("  how it was obtained", [row.match_rate_how or "-" for row in rows]),
        ("  read", [f"{row.read_at:%Y-%m-%d %H:%M} UTC" if row.read_at else "-" for row in rows]),
        ("members as of", [str(row.as_of or "-") for row in rows]),
        ("last sync", [f"{row.last_sync:%Y-%m-%d %H:%M} UTC" if row.last_sync else "-" for row in rows]),
        ("next refresh due by", [str(row.refresh_due or "never: nobody expires") for row in rows]),
    ]
    heads = [f"{row.platform} {row.account}" if several else row.platform for row in rows]
    kept = [(name, *values) for name, values in lines if any(value not in ("", "-") for value in values)]
    return table("Deliveries", dict.fromkeys(["", *heads], "left"), kept)


def _reasons(row: Status) -> str:
    return ", ".join(f"{reason} ({count:,})" for reason, count in sorted(row.reasons.items()))


def _composition(found: Details) -> Table:
    platforms = list(found.composition[0].shares)
    rows: list[tuple[str, ...]] = []
    for field, values in groupby(found.composition, key=lambda one: one.field):
        listed: list[ShareOn] = list(values)
        for place, one in enumerate(listed[:MOST_VALUES]):
            rows.append(
                (
                    DESCRIBED_BY.get(field, field) if place == 0 else "",
                    one.value,
                    *(
                        f"{percent(one.shares[platform])} ({one.people[platform]:,})"
                        for platform in platforms
                    ),
                )
            )
        if len(listed) > MOST_VALUES:
            rows.append(("", f"{len(listed) - MOST_VALUES} others", *("" for _ in platforms)))
    return table(
        f"Who is there, by the profile of {found.as_of}",
        {"": "left", "value": "left", **{platform.value: "right" for platform in platforms}},
        rows,
    )


def _sentences(found: Details) -> list[tuple[str, ...]]:
    return [(one.sentence,) for one in found.differences]
