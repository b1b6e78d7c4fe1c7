"""Raw files in, validated tables out; one asset per kind of file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import polars as pl
from pydantic import Field

from audience_pipeline.defs.consent_log import log_statements
from audience_pipeline.defs.lake import ensure_dataset
from audience_pipeline.defs.pictures import small_table
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.defs.source_checks import check_results, check_specs
from audience_pipeline.ledger import refreshes
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.settings import Settings
from audience_pipeline.sources import inbox
from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.landing import land
from audience_pipeline.sources.options import ReadOptions, ShopFacts
from audience_pipeline.sources.report import LandingReport
from audience_pipeline.sources.tombstones import KEY_NAME, tombstones_path

DESCRIPTIONS: Mapping[Kind, str] = {
    Kind.TRANSACTIONS: "Every sale and return, a row per line, in minor units. Landing twice adds nothing.",
    Kind.CRM: "Contacts as hashes, as each platform wants them. Raw e-mail, phone and names are dropped.",
    Kind.WEB: "What visitors did on the website and in the app.",
    Kind.ENGAGEMENT: "E-mails, texts and push messages: sent, opened, clicked.",
    Kind.CONSENT: "Who agreed to advertising and who withdrew, statement by statement.",
}


Files = Mapping[str, Sequence[Path]]


class Reading(dg.Config):
    """How the files of this run are written, where it differs from the workspace's settings."""

    columns: dict[str, str] = Field(default_factory=dict)
    date_format: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    keep: list[str] = Field(default_factory=list)
    hashed: dict[str, list[str]] = Field(default_factory=dict)


class LandingConfig(dg.Config):
    """What is to be known of the files that wait."""

    reading: Reading = Field(default_factory=Reading)


def read_options(settings: Settings, kind: Kind, reading: Reading | None = None) -> ReadOptions:
    """How files of a kind are read: the workspace's settings, and what this run says otherwise.

    Raises:
        ValueError: options that cannot be meant together.
    """
    stored = settings.config.sources.get(kind.value)
    options = ReadOptions() if stored is None else ReadOptions(**stored.model_dump())
    given = {name: value for name, value in (reading or Reading()).model_dump().items() if value}
    return replace(options, **given)


def shop_facts(settings: Settings) -> ShopFacts:
    """What sources must know of the shop; today is a day in its time zone."""
    shop = settings.config.shop
    return ShopFacts(
        time_zone=shop.time_zone,
        currency=shop.currency,
        rates=settings.home / shop.rates if shop.rates is not None else None,
        default_region=shop.default_region,
        competitor_domains=shop.competitor_domains,
        key=settings.home / KEY_NAME,
        today=datetime.now(ZoneInfo(shop.time_zone)).date(),
    )


def land_all(
    settings: Settings,
    kind: Kind,
    files: Sequence[Path],
    reading: Reading,
    ledger: Ledger,
    progress: Callable[[str], None],
) -> tuple[list[LandingReport], list[str]]:
    """Land the files of a run and those in the inbox; the reports, and a sentence per refused file.

    A refused file stops no other. Files of the inbox that landed go to the sealed archive, save those that
    may hold somebody who was erased: they are deleted. Others stay.
    """
    inbox.purge(settings.archive, settings.config.inbox.keep_days, datetime.now(UTC))
    reports: list[LandingReport] = []
    refused: list[str] = []
    options = read_options(settings, kind, reading)
    waiting = [path for found, path in inbox.waiting(settings.inbox) if found is kind]
    for path in [*files, *waiting]:
        progress(f"{kind.value}: file {len(reports) + len(refused) + 1}")
        try:
            reports.append(
                land(
                    kind,
                    path,
                    lake=settings.lake,
                    ledger=ledger,
                    options=options,
                    facts=shop_facts(settings),
                    progress=lambda what, rows: progress(f"{what} ({rows:,} rows)"),
                )
            )
        except SourceError as error:
            refused.append(str(error))
            continue
        if path in waiting:
            inbox.archive(
                path,
                settings.archive,
                landed_sha256=reports[-1].file_sha256,
                keep=not _may_hold_erased(settings, reports[-1]),
            )
    return reports, refused


def _may_hold_erased(settings: Settings, report: LandingReport) -> bool:
    """Whether a file may name somebody who was erased: not where all of its rows have landed just now."""
    return tombstones_path(settings.lake).is_file() and report.landed != report.rows_read


def source_assets(settings: Settings, files: Files) -> list[dg.AssetsDefinition]:
    """One asset per kind of file; append-only, idempotent.

    Args:
        settings: the workspace.
        files: what to land besides the inbox, per dataset. They are no run configuration, because their
            names and folders may be personal and run configuration is kept.
    """
    return [_landed(settings, kind, files.get(kind.dataset, ())) for kind in Kind]


def _landed(settings: Settings, kind: Kind, files: Sequence[Path]) -> dg.AssetsDefinition:
    checks = [
        dg.AssetCheckSpec(
            "every_file_was_read",
            asset=kind.dataset,
            description="Refused files wait in the inbox; the sentence says what to do.",
        )
    ]
    checks += check_specs(kind)

    @dg.asset(
        name=kind.dataset,
        description=DESCRIPTIONS[kind],
        group_name="sources",
        kinds={"duckdb", "parquet"},
        owners=["team:data"],
        # Statements are few, and what somebody has asked for waits for no other file.
        pool=None if settings.in_process or kind is Kind.CONSENT else "landing",
        check_specs=checks,
    )
    def landed(
        context: dg.AssetExecutionContext, config: LandingConfig, ledger: LedgerResource
    ) -> dg.MaterializeResult:
        with ledger.open() as opened:
            ensure_dataset(settings.lake, kind)
            reports, refused = land_all(settings, kind, files, config.reading, opened, context.log.info)
            if kind in {Kind.CONSENT, Kind.WEB}:
                log_statements(settings, opened)
            stale = refreshes.stale(opened)
        return dg.MaterializeResult(
            metadata=_counts(reports, refused) | {"stale_as_of_dates": [day.isoformat() for day in stale]},
            check_results=[
                dg.AssetCheckResult(
                    check_name="every_file_was_read",
                    passed=not refused,
                    description=" | ".join(refused) or f"{len(reports)} files",
                ),
                *check_results(settings.lake, kind),
            ],
        )

    return landed


def _counts(reports: list[LandingReport], refused: list[str]) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        name: sum(getattr(report, field) for report in reports)
        for name, field in (
            ("rows_read", "rows_read"),
            ("rows_landed", "landed"),
            ("rows_known", "known"),
            ("rows_repeated", "repeated"),
            ("rows_quarantined", "quarantined"),
        )
    }
    metadata["reports"] = dg.MetadataValue.json([report.to_dict() for report in reports])
    metadata["refused"] = dg.MetadataValue.json(refused)
    reasons = [
        {"field": count.field, "reason": count.reason, "rows": count.rows}
        for report in reports
        for count in report.quarantine
    ]
    if reasons:
        metadata["quarantine"] = small_table(pl.DataFrame(reasons))
    return metadata
