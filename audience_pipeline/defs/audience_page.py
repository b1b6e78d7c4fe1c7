"""Writes the page of all audiences of a date: gathers what it shows from lake and ledger."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl

from audience_pipeline.audiences.definition import Definition, Definitions
from audience_pipeline.audiences.match_rate import Delivered
from audience_pipeline.audiences.page import Arrived, OnPlatform, Page, PageAudience, html_page
from audience_pipeline.audiences.page_counts import largest_overlaps, on_platforms
from audience_pipeline.audiences.policy import flagged
from audience_pipeline.audiences.sizes import history
from audience_pipeline.audiences.suggestions import USEFUL_SIZE
from audience_pipeline.defs.standing import STANDING, write_standing
from audience_pipeline.defs.storage import table_path
from audience_pipeline.delivery.status import status
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.match_rates import known_rates
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.settings import Settings

DAYS_SHOWN = 90
"""Days of the history of sizes that are drawn."""


def page_path(settings: Settings, as_of: date) -> Path:
    """Where the page of a date lies."""
    return settings.home / "reports" / f"audiences-{as_of.isoformat()}.html"


def write_page(
    settings: Settings,
    ledger: Ledger,
    as_of: date,
    definitions: Definitions,
    found: pl.DataFrame,
    unusual: Mapping[str, str],
) -> Path:
    """Write the page of a date whole, then rename it.

    Args:
        settings: the workspace.
        ledger: knows what was delivered.
        as_of: the date; its memberships are there.
        definitions: the audiences of the workspace.
        found: ``SIZES_SCHEMA`` of the date.
        unusual: audience to what is odd about its size.
    """
    path = page_path(settings, as_of)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(
        html_page(_page(settings, ledger, as_of, definitions, found, unusual)), encoding="utf-8"
    )
    partial.replace(path)
    return path


def _page(
    settings: Settings,
    ledger: Ledger,
    as_of: date,
    definitions: Definitions,
    found: pl.DataFrame,
    unusual: Mapping[str, str],
) -> Page:
    day = as_of.isoformat()
    memberships = pl.read_parquet(
        table_path(settings.lake, "audience_memberships", day), columns=["audience", "size", "members"]
    )
    standing = _standing(settings, day)
    reached = dict(
        on_platforms(
            memberships,
            standing,
            definitions,
            delivered=_delivered(ledger),
            salt=settings.config.audiences.holdout_salt,
        )
    )
    arrived = _arrived(settings, ledger)
    earlier = history(settings.lake / "audience_sizes", as_of, DAYS_SHOWN).filter(pl.col("as_of") < as_of)
    drawn: dict[str, list[tuple[date, int]]] = defaultdict(list)
    for name, at, size in pl.concat([earlier, found]).select("audience", "as_of", "size").iter_rows():
        drawn[name].append((at, size))
    rows = {row["audience"]: row for row in found.iter_rows(named=True)}
    before = found["before"].drop_nulls()
    return Page(
        shop=settings.config.shop.name,
        as_of=as_of,
        before=before[0] if len(before) else None,
        customers=standing.height,
        audiences=[
            PageAudience(
                name=definition.name,
                description=" ".join(definition.description.split()),
                size=row["size"] if row else None,
                change=(row["added"], row["removed"]) if row and row["before"] else None,
                sizes=drawn[definition.name],
                platforms=[
                    replace(one, arrived=arrived.get((definition.name, one.platform)))
                    for one in reached.get(definition.name, ())
                ],
                warnings=_warnings(
                    definition,
                    reached.get(definition.name, ()),
                    unusual.get(definition.name, ""),
                    evaluated=row is not None,
                ),
            )
            for definition in sorted(definitions, key=lambda one: one.name)
            for row in [rows.get(definition.name)]
        ],
        overlaps=largest_overlaps(memberships.filter(pl.col("audience").is_in(definitions.names))),
    )


def _warnings(
    definition: Definition, reached: Sequence[OnPlatform], odd: str, *, evaluated: bool
) -> Sequence[str]:
    if not evaluated:
        return [
            "It could not be evaluated on this date, or was defined after it: run audience-pipeline refresh."
        ]
    said = [f"{odd[0].upper()}{odd[1:]}."] if odd else []
    small = [
        f"{one.platform.value} {one.expected.matches.expected:,.0f}"
        for one in reached
        if one.expected and one.expected.matches.expected < USEFUL_SIZE
    ]
    if small and not odd:
        said.append(
            f"Fewer than {USEFUL_SIZE:,} matches are expected ({', '.join(small)}): audience-pipeline "
            f"audiences preview {definition.name} says what would help."
        )
    said += [
        f"{flag.sentence[0].upper()}{flag.sentence[1:]}."
        for flag in flagged(definition.name, definition.description)
    ]
    return said


def _standing(settings: Settings, day: str) -> pl.DataFrame:
    path, profile = (table_path(settings.lake, name, day) for name in (STANDING, "customer_profile"))
    if not path.is_file() or path.stat().st_mtime_ns < profile.stat().st_mtime_ns:
        write_standing(settings, day, sound=False)
    return pl.read_parquet(path)


def _arrived(settings: Settings, ledger: Ledger) -> Mapping[tuple[str, Platform], Arrived]:
    rows = status(MemberStore(ledger, settings.delivered))
    return {
        (row.audience, Platform(row.platform)): Arrived(
            sent=row.sent,
            matched=row.matched,
            rate=row.match_rate,
            how=row.match_rate_how,
            read_on=row.read_at.date() if row.read_at else None,
            state=row.state,
        )
        for row in rows
    }


def _delivered(ledger: Ledger) -> Mapping[Platform, Sequence[Delivered]]:
    found: dict[Platform, list[Delivered]] = defaultdict(list)
    with ledger.reading() as connection:
        for rate in known_rates(connection):
            found[Platform(rate.platform)].append(Delivered(rate.audience, rate.people, rate.low, rate.high))
    return found
