"""The product's side of a proof: raw input through its identifiers, its eligibility and its delivery.

Runs in the process that is killed. Nothing of the independent side is used here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from audience_pipeline.audiences import eligibility
from audience_pipeline.delivery.recipients import recipients
from audience_pipeline.delivery.report import DeliveryReport
from audience_pipeline.delivery.run import Task, sync_all
from audience_pipeline.identifiers import contact_hashes, country_code
from audience_pipeline.ledger import Ledger, deliveries
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.platforms.contract import CAPABILITIES, AudienceClient, Platform
from audience_pipeline.platforms.google import GoogleClient
from audience_pipeline.platforms.means import Patience
from audience_pipeline.platforms.meta import MetaClient
from audience_pipeline.platforms.pace import Pace
from audience_pipeline.platforms.tiktok import TikTokClient

FIRST_DAY = date(2026, 11, 20)
_CLIENTS: Mapping[Platform, Callable[..., AudienceClient]] = {
    Platform.META: MetaClient,
    Platform.GOOGLE: GoogleClient,
    Platform.TIKTOK: TikTokClient,
}
_PERSON = ("customer_id", "email", "phone", "first_name", "last_name", "country", "postal_code")


@dataclass(frozen=True)
class Job:
    """One run of the product: what it reads, where it sends, how carefully."""

    raw: str
    """File with the raw input in JSON."""
    home: str
    """Folder of ledger and snapshots."""
    base_url: str
    accounts: Mapping[str, Sequence[str]]
    batch_rows: Mapping[str, int]
    """Platform to people in one request at most."""
    day: int
    """Days since ``FIRST_DAY``."""
    older_by: int = 0
    """Days by which the memberships are older than today."""
    confirm: bool = False
    patience: float = 10_000.0
    in_turn: bool = False
    """One platform after the other."""
    task: str = "deliver"
    kill: tuple[str, int] | None = None
    """Die at the so-manieth time of a point, such as ``before request``."""
    output: str = ""
    """File for what came of it."""

    def as_json(self) -> str:
        """For the process that does it."""
        return json.dumps(asdict(self))


def run(job: Job) -> Any:
    """Do a job; what comes of it is plain values."""
    with Ledger.open(f"sqlite:///{job.home}/ledger.db") as ledger:
        store = MemberStore(ledger, Path(job.home) / "delivered")
        return _believed(store) if job.task == "believed" else _deliver(store, job)


def _deliver(store: MemberStore, job: Job) -> list[dict[str, Any]]:
    raw = json.loads(Path(job.raw).read_text(encoding="utf-8"))
    people = pl.DataFrame(raw["contacts"], schema=dict.fromkeys(_PERSON, pl.String))
    identifiers = hashed(people)
    former = pl.DataFrame(raw["former"], schema=dict.fromkeys(_PERSON, pl.String))
    addresses = hashed(pl.concat([people, former]))
    consent = _consent(people["customer_id"].to_list(), raw["statements"])

    def to(platform: Platform) -> list[DeliveryReport]:
        return _to(platform, store, job, raw["audiences"], identifiers, addresses, consent)

    if job.in_turn:
        found = [to(platform) for platform in Platform]
    else:
        with ThreadPoolExecutor(len(Platform)) as threads:
            found = list(threads.map(to, Platform))
    return [report.as_dict() for reports in found for report in reports]


def hashed(people: pl.DataFrame) -> pl.DataFrame:
    """The ``identifiers`` table of some contacts, as landing makes it for a shop of no region."""
    countries = people["country"].drop_nulls().unique().to_list()
    country = people["country"].replace_strict(
        countries, [country_code(one) for one in countries], default=None, return_dtype=pl.String
    )
    return contact_hashes(people, None).with_columns(
        country=country, postal_code=people["postal_code"].str.strip_chars()
    )


def _consent(customers: Sequence[str], statements: Sequence[Sequence[str | None]]) -> pl.DataFrame:
    word: dict[tuple[str | None, str | None], str | None] = {}
    for who, said, where in statements:
        if said == "granted":
            for platform in (None, *Platform):
                word.pop((who, platform), None)
        word[who, where] = said
    table: dict[str, Any] = {
        "customer_id": customers,
        "opted_out": [word.get((who, None)) == "denied" for who in customers],
    }
    for platform in Platform:
        table[f"opted_out_{platform}"] = [word.get((who, platform)) == "denied" for who in customers]
        table[f"advertising_{platform}"] = [
            word.get((who, None)) == "granted" and word.get((who, platform)) != "denied" for who in customers
        ]
    return pl.DataFrame(table)


def _to(
    platform: Platform,
    store: MemberStore,
    job: Job,
    audiences: Sequence[Mapping[str, Any]],
    identifiers: pl.DataFrame,
    addresses: pl.DataFrame,
    consent: pl.DataFrame,
) -> list[DeliveryReport]:
    capabilities = CAPABILITIES[platform]
    standing = eligibility.standing(identifiers, consent, capabilities, addresses)
    refused = consent.filter(~pl.col(f"advertising_{platform}"))["customer_id"]
    sharing = eligibility.opted_out(identifiers, consent, capabilities, addresses)
    reachable = recipients(platform, identifiers)

    def task(audience: Mapping[str, Any]) -> Task:
        def wanted() -> pl.DataFrame:
            if audience["retired"]:
                return reachable.clear()
            held_out = set(audience["holdout"])
            members = pl.DataFrame(
                {
                    "customer_id": pl.Series(audience["members"], dtype=pl.String),
                    "holdout": pl.Series([who in held_out for who in audience["members"]], dtype=pl.Boolean),
                }
            )
            who = eligibility.decided(members, standing).filter("eligible")
            return reachable.join(who, on="customer_id", how="semi", maintain_order="left")

        return Task(audience["name"], wanted, "a proof", retired=audience["retired"])

    done = sync_all(
        store,
        [
            client(platform, job.base_url, account, job.batch_rows[platform.value])
            for account in job.accounts[platform.value]
        ],
        [task(audience) for audience in audiences],
        as_of=FIRST_DAY + timedelta(days=job.day - job.older_by),
        consent_lost=frozenset(refused) | frozenset(sharing),
        confirm=job.confirm,
        prefix="proof ",
        patience=job.patience,
        sleep=_briefly,
        clock=lambda: datetime.now(UTC) + timedelta(days=job.day),
    )
    return done.reports


def client(platform: Platform, base_url: str, account: str, batch_rows: int | None) -> AudienceClient:
    """The real client of an account, with small batches and without long pauses."""
    made = _CLIENTS[platform]
    if batch_rows is not None:
        small = replace(CAPABILITIES[platform], batch_rows=batch_rows)
        made = type("Small", (made,), {"capabilities": property(lambda _: small)})  # type: ignore[arg-type]
    return made(
        base_url=base_url,
        access_token=f"sandbox-{platform}-token",
        account=account,
        patience=Patience(attempts=4, first_wait=0.01),
        pace=Pace(),
        sleep=_briefly,
    )


def _briefly(seconds: float) -> None:
    time.sleep(min(seconds, 0.02))


def _believed(store: MemberStore) -> list[dict[str, Any]]:
    """Whom the ledger believes to be where."""
    with store.ledger.reading() as connection:
        known = deliveries.audiences(connection)
    found = []
    for one in known:
        members = store.members(one.key)
        found.append(
            {
                "platform": one.key.platform.value,
                "audience": one.key.audience,
                "remote_id": one.remote_id,
                "customers": members["customer_id"].unique().sort().to_list(),
                "states": sorted(members["state"].unique().to_list()),
                "in_flight": int(members["in_flight"].sum()),
            }
        )
    return found
