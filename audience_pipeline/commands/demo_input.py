"""What a demo runs on: the synthetic shop, or a file of the user's with contacts invented for it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import polars as pl

from audience_pipeline.commands.console import Step
from audience_pipeline.ledger import landings
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.sections import Attribution, CouponCode
from audience_pipeline.settings import (
    CONFIG_NAME,
    Account,
    Calendar,
    Config,
    Platforms,
    Settings,
    Shop,
    read_config,
    write_config,
)
from audience_pipeline.sources.contract import Kind


class InputError(Exception):
    """The demo has nothing to run on; the message says why."""


COUPONS = {
    "INSTA10": CouponCode(campaign="creators", platform="meta", channel="paid_social"),
    "TIKTOK15": CouponCode(campaign="creators", platform="tiktok", channel="paid_social"),
    "SEARCH5": CouponCode(campaign="brand_search", platform="google", channel="paid_search"),
    "NEWS10": CouponCode(campaign="newsletter", channel="email"),
}
"""What the codes of the synthetic shop stand for; the others are given to everybody."""
DEMO_PLATFORMS = Platforms(sandbox_only=True, tiktok=Account(requests_per_second=16))
"""The sandbox answers as fast as TikTok does at its higher levels."""


OWN = ("AUDIENCE_HOME", "AUDIENCE_CONFIG", "AUDIENCE_LAKE", "AUDIENCE_LEDGER_URL", "MLFLOW_TRACKING_URI")
"""Variables that a demo does not heed: it keeps everything in its folder."""


def demo_settings(home: Path, config: Config | None = None) -> Settings:
    """The settings of a demo: everything in its folder, the platforms as the environment has them.

    Args:
        home: the demo's folder.
        config: what its ``audience.yaml`` says when there is none yet.
    """
    import os

    env = {key: value for key, value in os.environ.items() if key not in OWN}
    file = home / CONFIG_NAME
    if not file.is_file():
        said = config or Config(shop=Shop(name="demo"))
        write_config(file, said.model_copy(update={"platforms": DEMO_PLATFORMS}))
    return _within_data(Settings.at(home, read_config(file), env))


def _within_data(settings: Settings) -> Settings:
    """A demo's calendar is that of its transactions: from the first day to the last one landed."""
    ledger = Ledger.open(settings.ledger_url)
    try:
        landed = landings.committed(ledger, Kind.TRANSACTIONS.value)
    finally:
        ledger.close()
    days = [
        (landing.first_date, landing.last_date)
        for landing in landed
        if landing.first_date and landing.last_date
    ]
    if not days:
        return settings
    calendar = Calendar(first_day=min(day for day, _ in days), last_day=max(day for _, day in days))
    if calendar == settings.config.calendar:
        return settings
    stored = read_config(settings.home / CONFIG_NAME)
    write_config(settings.home / CONFIG_NAME, stored.model_copy(update={"calendar": calendar}))
    return settings.model_copy(update={"config": settings.config.model_copy(update={"calendar": calendar})})


def shop_files(home: Path, customers: int, seed: int, step: Step) -> dict[str, list[Path]]:
    """Draw the synthetic shop, unless it is there already; files per dataset."""
    from audience_pipeline.sandbox.shop import ShopParameters, make_shop
    from audience_pipeline.sandbox.shop.names import COMPETITOR_DOMAINS

    directory = home / "input"
    parameters = ShopParameters(customers=customers, seed=seed)
    demo_settings(
        home,
        Config(
            shop=Shop(name="demo shop", currency=parameters.currency, competitor_domains=COMPETITOR_DOMAINS),
            attribution=Attribution(coupons=COUPONS),
        ),
    )
    summary = directory / "truth" / "shop.json"
    wanted = json.loads(json.dumps(asdict(parameters), default=str))
    if not (summary.is_file() and json.loads(summary.read_text(encoding="utf-8"))["parameters"] == wanted):
        make_shop(directory, parameters, lambda _what, done: step(f"{done:.0%}"))
    return {
        Kind.TRANSACTIONS.dataset: [directory / f"transactions.{parameters.file_format}"],
        Kind.CRM.dataset: [directory / "crm.csv"],
        Kind.WEB.dataset: [directory / f"web_events.{parameters.file_format}"],
        Kind.ENGAGEMENT.dataset: [directory / f"engagement_events.{parameters.file_format}"],
        Kind.CONSENT.dataset: [directory / "consent.csv"],
    }


def invented_files(home: Path, seed: int) -> dict[str, list[Path]]:
    """Contacts and consent for every landed customer, invented and marked as such; files per dataset."""
    from audience_pipeline.sandbox.invented import invent_contacts

    settings = demo_settings(home)
    ids = (
        pl.scan_parquet(settings.lake / Kind.TRANSACTIONS.dataset / "*.parquet")
        .select(pl.col("customer_id").unique())
        .collect(engine="streaming")["customer_id"]
    )
    if ids.is_empty():
        raise InputError(
            "the file holds no transaction of a known customer: see the reasons in the quarantine"
        )
    files = invent_contacts(ids, home / "input", seed)
    return {Kind.CRM.dataset: [files.crm], Kind.CONSENT.dataset: [files.consent]}


def waiting_files(home: Path, files: dict[str, list[Path]]) -> dict[str, list[Path]]:
    """The files that have not landed yet, per dataset."""
    kinds = {kind.dataset: kind for kind in Kind}
    ledger = Ledger.open(demo_settings(home).ledger_url)
    try:
        waiting = {
            dataset: [
                path.resolve()
                for path in paths
                if landings.find(ledger, kinds[dataset].value, _sha256(path)) is None
            ]
            for dataset, paths in files.items()
        }
    finally:
        ledger.close()
    return {dataset: paths for dataset, paths in waiting.items() if paths}


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
