"""One audience on all of its platforms, with what its people are like and what would help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import polars as pl

from audience_pipeline.customers.identity import known as known_contacts
from audience_pipeline.customers.mapped import mapped
from audience_pipeline.defs.comparing import Base, base, sides_of
from audience_pipeline.defs.lake import dataset
from audience_pipeline.defs.storage import table_path
from audience_pipeline.delivery.advice import (
    Known,
    Matched,
    few,
    low_rate,
    matched,
    rate_advice,
    signals_of,
    size_advice,
)
from audience_pipeline.delivery.agreement import Disagreement, disagreements
from audience_pipeline.delivery.composition import ShareOn, shares
from audience_pipeline.delivery.status import Status, status
from audience_pipeline.identifiers.rules import RULES_VERSION
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import AudienceKey, MemberState
from audience_pipeline.platforms.contract import CAPABILITIES, Platform
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind


@dataclass(frozen=True, slots=True)
class Details:
    """Everything that is said of one audience."""

    rows: Sequence[Status]
    as_of: date | None = None
    """Of the profile that the people are described by."""
    composition: Sequence[ShareOn] = ()
    differences: Sequence[Disagreement] = ()
    advice: Mapping[Platform, Sequence[str]] = field(default_factory=dict)
    """What is wrong with size and match rate on a platform, and what would help."""
    small: Sequence[Platform] = ()
    """Platforms that show fewer people than an audience needs to pay."""


def details(settings: Settings, store: MemberStore, audience: str) -> Details:
    """What is known of an audience; no platform is asked. ``rows`` is empty where it was never delivered."""
    rows = status(store, audience)
    now = datetime.now(UTC)
    known = base(settings) if rows else None
    advice: dict[Platform, list[str]] = {}
    for row in rows:
        platform = Platform(row.platform)
        said = [size_advice(CAPABILITIES[platform], _matched(row))]
        if low_rate(row.match_rate_low, row.match_rate_high):
            said += _of_the_rate(settings, store, row, known, now.date())
        if any(said):
            advice[platform] = [sentence for sentence in said if sentence]
    small = [Platform(row.platform) for row in rows if few(_matched(row))]
    if known is None:
        return Details(rows, advice=advice, small=small)
    sides = next((found for _, found in sides_of(store, known, lambda name, _: name == audience, now)), [])
    return Details(
        rows=rows,
        as_of=known.as_of,
        composition=shares(known.profile, {side.platform: side.accepted for side in sides}),
        differences=disagreements(audience, sides, known.profile),
        advice=advice,
        small=small,
    )


def _matched(row: Status) -> Matched | None:
    return matched(row.size_low, row.size_high, row.sent, (row.match_rate_low, row.match_rate_high))


def _of_the_rate(
    settings: Settings, store: MemberStore, row: Status, known: Base | None, today: date
) -> list[str]:
    platform = Platform(row.platform)
    there = (
        store.members(AudienceKey(platform, row.account, row.audience))
        .filter(pl.col("state") != MemberState.ADDING.value)
        .sort("customer_id", "delivered_at", "fingerprint")
        .unique("customer_id", keep="last", maintain_order=True)
    )
    sent = store.variants(platform).of(there.select("customer_id", "fingerprint"))
    people = there.select("customer_id")
    day = known.as_of.isoformat() if known else ""
    return rate_advice(
        CAPABILITIES[platform],
        row.audience,
        (row.match_rate_low, row.match_rate_high),
        Known(
            signals_of(CAPABILITIES[platform], sent),
            rules=_rules(settings, day, people),
            stated=_stated(settings, day, people),
        ),
        today=today,
        rules_version=RULES_VERSION,
    )


def _rules(settings: Settings, day: str, people: pl.DataFrame) -> dict[int, int]:
    path = table_path(settings.lake, "identifiers", day)
    if not day or not path.is_file():
        return {}
    found = (
        pl.scan_parquet(path)
        .select("customer_id", "identifier_rules")
        .join(people.lazy(), on="customer_id", how="semi")
        .drop_nulls("identifier_rules")
        .group_by("identifier_rules")
        .len()
        .sort("identifier_rules")
        .collect()
    )
    return dict(found.iter_rows())


def _stated(settings: Settings, day: str, people: pl.DataFrame) -> list[date]:
    """The day on which each person's contact was stated last, of those with a date."""
    landed = settings.lake / Kind.CRM.dataset
    if not day or not any(landed.glob("*.parquet")):
        return []
    contacts = known_contacts(dataset(settings.lake, Kind.CRM), date.fromisoformat(day))
    who = table_path(settings.lake, "identities", day)
    if who.is_file():
        contacts = mapped(contacts, pl.scan_parquet(who))
    newest = (
        contacts.select("customer_id", stated=pl.col("updated_at").dt.date())
        .drop_nulls()
        .join(people.lazy(), on="customer_id", how="semi")
        .group_by("customer_id")
        .agg(pl.col("stated").max())
        .collect()
    )
    return newest["stated"].to_list()
