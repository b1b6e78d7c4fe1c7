"""A workspace whose audiences were delivered: tables of a date, and a ledger written without an engine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256

import polars as pl

from audience_pipeline.customers.identity import IDENTIFIERS_SCHEMA
from audience_pipeline.defs.recipients import Stated
from audience_pipeline.defs.storage import table_path, write_table
from audience_pipeline.delivery.recipients import recipients
from audience_pipeline.ledger import deliveries, refreshes
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import (
    AudienceKey,
    AudienceState,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    PlatformAudience,
)
from audience_pipeline.platforms.contract import (
    CAPABILITIES,
    Capabilities,
    Platform,
    PlatformError,
    RemoteAudience,
)
from audience_pipeline.settings import Settings

DAY = date(2026, 3, 15)
NOW = datetime.now(UTC) - timedelta(hours=1)
CUSTOMERS = 2_000
N = pl.int_range(CUSTOMERS)
PEOPLE = [f"c{number:05}" for number in range(CUSTOMERS)]
WITHOUT_PERSONALISATION = 600
"""So many of the first customers agreed to advertising and said nothing of personalisation."""


@dataclass
class Account:
    """One ad account: what its listing shows, or why it cannot be read."""

    capabilities: Capabilities
    account: str = "1"
    shown: list[RemoteAudience] = field(default_factory=list)
    error: PlatformError | None = None

    def audiences(self) -> list[RemoteAudience]:
        if self.error is not None:
            raise self.error
        return list(self.shown)


def tables(settings: Settings, *, opted_out: int = 0, phones: int = 0) -> None:
    """Profile, identifiers and consent of ``DAY``; the last ``opted_out`` of the customers may be nowhere."""
    email = [sha256(person.encode()).digest() for person in PEOPLE]
    phone = [
        sha256(f"+{person}".encode()).digest() if place < phones else None
        for place, person in enumerate(PEOPLE)
    ]
    known = pl.DataFrame(
        {
            "customer_id": PEOPLE,
            **dict.fromkeys(("meta_email", "google_email", "tiktok_email"), email),
            **{name: pl.Series(phone, dtype=pl.Binary) for name in ("meta_phone", "google_phone")},
            "identifier_rules": pl.Series([1] * CUSTOMERS, dtype=pl.Int32),
        }
    )
    missing = {name: dtype for name, dtype in IDENTIFIERS_SCHEMA.items() if name not in known.columns}
    denied = CUSTOMERS - opted_out <= N
    may = {f"advertising_{platform.value}": ~denied for platform in Platform}
    may["advertising_google"] = ~denied & (N >= WITHOUT_PERSONALISATION)
    found = {
        "customer_profile": pl.DataFrame({"customer_id": PEOPLE, "person_key": PEOPLE}).with_columns(
            customer_no=N.cast(pl.UInt32),
            ltv_quintile=(1 + N % 5).cast(pl.Int8),
            country=pl.when(N < CUSTOMERS // 2).then(pl.lit("DE")).otherwise(pl.lit("FR")),
            segment=pl.lit("Loyal"),
        ),
        "identifiers": known.with_columns(pl.lit(None, dtype=t).alias(n) for n, t in missing.items()),
        "consent": pl.DataFrame({"customer_id": PEOPLE}).with_columns(
            advertising=~denied,
            opted_out=denied,
            personalisation_google=may["advertising_google"],
            **may,
            **{f"opted_out_{platform.value}": denied for platform in Platform},
        ),
    }
    for name, table in found.items():
        write_table(table_path(settings.lake, name, DAY.isoformat()), table, 1)
    with Ledger.open(settings.ledger_url) as ledger:
        refreshes.record(ledger, DAY, 1)


def deliver(
    settings: Settings,
    audience: str,
    who: range,
    *platforms: Platform,
    state: DeliveryState = DeliveryState.SETTLED,
    **figures: object,
) -> None:
    """Write into the ledger that people were delivered and that the platform has said something of them."""
    identifiers = pl.read_parquet(table_path(settings.lake, "identifiers", DAY.isoformat()))
    with Ledger.open(settings.ledger_url) as ledger:
        store = MemberStore(ledger, settings.delivered)
        for platform in platforms or Platform:
            key = AudienceKey(platform, "1", audience)
            known = PlatformAudience(key, audience, AudienceState.ACTIVE, NOW, remote_id=f"r-{audience}")
            known = replace(known, read_at=NOW, status="Normal.", **figures)  # type: ignore[arg-type]
            name = f"{audience} {platform.value}"
            made = Delivery(f"d {name}", key, DAY, NOW, NOW, state, wanted=len(who))
            with ledger.begin() as connection:
                deliveries.put_audience(connection, known)
                deliveries.put_delivery(connection, made)
            there = recipients(platform, identifiers).filter(
                pl.col("customer_id").is_in(PEOPLE[who.start : who.stop])
            )
            store.variants(platform).remember(there)
            batch = Batch(f"b {name}", f"d {name}", 1, "add", there.height, BatchState.PLANNED, NOW)
            chosen = there.select("customer_id", "fingerprint")
            store.plan_batch(key, batch, chosen, chosen.clear())
            settled = replace(
                batch, state=BatchState.SETTLED, accepted=there.height, rejected=0, settled_at=NOW
            )
            store.settle_batch(key, settled)


def as_stored(settings: Settings, *_: object) -> Stated:
    """What customers have agreed to, as :func:`tables` has stored it, instead of what has landed."""
    read = {
        name: pl.read_parquet(table_path(settings.lake, name, DAY.isoformat()))
        for name in ("customer_profile", "consent")
    }
    nobody = pl.DataFrame(schema={"customer_id": pl.String, "meta_email": pl.Binary, "meta_phone": pl.Binary})
    customers = read["customer_profile"].select("customer_id", "customer_no")
    return Stated(customers, None, read["consent"], nobody)


def shows(audience: str, people: int, **more: object) -> RemoteAudience:
    """An audience as a platform lists it."""
    one = RemoteAudience(f"r-{audience}", audience, ready=True, status="Normal.")
    one = replace(one, size_low=people, size_high=people)
    return replace(one, **more)  # type: ignore[arg-type]


def account_of(platform: Platform, *shown: RemoteAudience) -> Account:
    """An ad account that lists some audiences."""
    return Account(CAPABILITIES[platform], shown=list(shown))
