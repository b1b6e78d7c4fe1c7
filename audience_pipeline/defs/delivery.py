"""Each platform made equal to the newest memberships: one looping asset per platform."""

from datetime import UTC, date, datetime

import dagster as dg
import polars as pl

from audience_pipeline.audiences.definition import Definition, load_definitions
from audience_pipeline.audiences.eligibility import eligibility
from audience_pipeline.customers import consent as consents
from audience_pipeline.defs.lake import dataset, ensure_dataset
from audience_pipeline.defs.pictures import small_table
from audience_pipeline.defs.resources import LedgerResource, NotConfiguredError, PlatformResource
from audience_pipeline.defs.sensors import BACKFILL_TAG
from audience_pipeline.defs.storage import table_path
from audience_pipeline.delivery.recipients import members_for
from audience_pipeline.delivery.report import DeliveryReport
from audience_pipeline.delivery.run import sync
from audience_pipeline.ledger import deliveries, refreshes
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.records import DeliveryState
from audience_pipeline.platforms.contract import CAPABILITIES, AudienceClient, Platform
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind

audience_partitions = dg.DynamicPartitionsDefinition(name="audiences")


class SyncConfig(dg.Config):
    """Which audiences are delivered, and how carefully."""

    audiences: list[str] | None = None
    """Names; every audience of the platform without it."""
    dry_run: bool = False
    """Only say what would be sent."""
    confirm: bool = False
    """Go on where the brake would hold: a change that empties or doubles an audience."""


def newest_refresh(ledger: Ledger) -> date:
    """The newest as-of date whose memberships are complete.

    Raises:
        dg.Failure: there is none yet.
    """
    complete = refreshes.completed(ledger)
    if not complete:
        raise dg.Failure("no as-of date is complete yet: run daily_refresh first", allow_retries=False)
    return complete[-1].as_of


def deliver(
    settings: Settings, ledger: Ledger, client: AudienceClient, config: SyncConfig
) -> list[DeliveryReport]:
    """Gather what is wanted on one platform and sync each of its audiences.

    Consent is decided with every statement that has landed by now, not only with those of the as-of date.
    """
    as_of = newest_refresh(ledger)
    for kind in (Kind.CONSENT, Kind.CRM):
        ensure_dataset(settings.lake, kind)
    platform = client.capabilities.platform
    members = pl.read_parquet(table_path(settings.lake, "audience_memberships", as_of.isoformat()))
    identifiers = pl.read_parquet(table_path(settings.lake, "identifiers", as_of.isoformat()))
    now = consents.consent(
        dataset(settings.lake, Kind.CONSENT),
        dataset(settings.lake, Kind.CRM),
        max(as_of, datetime.now(UTC).date()),
        customers=members.lazy().select("customer_id").unique(),
    ).collect()
    no_consent = frozenset(now.filter(~pl.col(f"advertising_{platform.value}"))["customer_id"])
    reports = []
    for audience in _audiences(settings, platform, config):
        decided = eligibility(
            members.filter(pl.col("audience") == audience.name), identifiers, now, CAPABILITIES[platform]
        )
        wanted = members_for(platform, decided.filter("eligible")["customer_id"], identifiers)
        report = sync(
            ledger,
            client,
            audience.name,
            wanted,
            as_of=as_of,
            consent_lost=no_consent,
            confirm=config.confirm,
            dry_run=config.dry_run,
            prefix=f"{settings.config.shop.name} ",
            description=" ".join(audience.description.split()),
        )
        reports.append(report)
        if report.platform_stopped:
            return reports
    if config.audiences is None:
        reports += _retire(settings, ledger, client, config, as_of, no_consent)
    return reports


def _retire(
    settings: Settings,
    ledger: Ledger,
    client: AudienceClient,
    config: SyncConfig,
    as_of: date,
    no_consent: frozenset[str],
) -> list[DeliveryReport]:
    """Empty the audiences that were delivered once and that no definition asks for any more."""
    platform = client.capabilities.platform
    wanted = {audience.name for audience in _audiences(settings, platform, config)}
    with ledger.reading() as connection:
        known = deliveries.audiences(connection, platform, client.account)
    return [
        sync(
            ledger,
            client,
            audience.key.audience,
            {},
            as_of=as_of,
            consent_lost=no_consent,
            confirm=config.confirm,
            dry_run=config.dry_run,
            prefix=f"{settings.config.shop.name} ",
        )
        for audience in known
        if audience.key.audience not in wanted
    ]


def _audiences(settings: Settings, platform: Platform, config: SyncConfig) -> list[Definition]:
    definitions = load_definitions(settings.audiences)
    if unknown := sorted(set(config.audiences or []) - set(definitions.names)):
        raise dg.Failure(
            f"no audience is called {', '.join(unknown)}; there are {', '.join(definitions.names)}",
            allow_retries=False,
        )
    return [
        audience
        for audience in definitions
        if platform in audience.platforms and (config.audiences is None or audience.name in config.audiences)
    ]


def delivery_definitions(settings: Settings) -> dg.Definitions:
    """The sync asset of each platform, and the history of each audience on it."""
    return dg.Definitions.merge(*(_platform_definitions(settings, platform) for platform in Platform))


def _platform_definitions(settings: Settings, platform: Platform) -> dg.Definitions:
    history = dg.AssetSpec(
        dg.AssetKey([platform.value, "audience"]),
        description=f"History of each audience on {platform.value}: one event per change.",
        partitions_def=audience_partitions,
        group_name="delivery",
        kinds={platform.value},
        deps=[dg.AssetKey([platform.value, "audience_sync"])],
    )

    @dg.asset(
        key=[platform.value, "audience_sync"],
        description=(
            f"Makes {platform.value} hold exactly the newest memberships of every audience that names it: "
            "additions, removals, proof of arrival. People without consent are never sent."
        ),
        deps=["audience_memberships", Kind.CONSENT.dataset, Kind.CRM.dataset],
        group_name="delivery",
        kinds={platform.value, "python"},
        owners=["team:growth"],
        # A place in a pool outlives a killed process; on the command line the ledger's locks do as well.
        pool=None if settings.in_process else f"{platform.value}_api",
        required_resource_keys={"ledger", f"{platform.value}_account"},
        # On the command line somebody waits: the sentence is worth more there than three more tries.
        retry_policy=None
        if settings.in_process
        else dg.RetryPolicy(max_retries=2, delay=60, backoff=dg.Backoff.EXPONENTIAL),
        check_specs=[
            dg.AssetCheckSpec(
                "every_audience_arrived",
                asset=dg.AssetKey([platform.value, "audience_sync"]),
                description="The platform accepted every change, or the sentence says what to do.",
            )
        ],
    )
    def audience_sync(context: dg.AssetExecutionContext, config: SyncConfig) -> dg.MaterializeResult:
        if BACKFILL_TAG in context.run.tags:
            raise dg.Failure(
                "a backfill never talks to a platform; launch the delivery job by itself", allow_retries=False
            )
        resource: PlatformResource = getattr(context.resources, f"{platform.value}_account")
        try:
            client = resource.client()
        except NotConfiguredError as error:
            return _nothing_sent(str(error))
        ledger: LedgerResource = context.resources.ledger
        with ledger.open() as opened:
            reports = deliver(settings, opened, client, config)
        if not config.dry_run:
            _record_history(context, history.key, reports)
        _raise_unfinished(reports)
        return _result(reports)

    return dg.Definitions(
        assets=[history, audience_sync],
        resources={
            f"{platform.value}_account": PlatformResource.of(
                platform, getattr(settings.config.platforms, platform.value)
            )
        },
    )


def _nothing_sent(reason: str) -> dg.MaterializeResult:
    return dg.MaterializeResult(
        metadata={"audiences": 0, "not_configured": reason},
        check_results=[
            dg.AssetCheckResult(
                check_name="every_audience_arrived",
                passed=False,
                severity=dg.AssetCheckSeverity.WARN,
                description=reason,
            )
        ],
    )


def _record_history(
    context: dg.AssetExecutionContext, key: dg.AssetKey, reports: list[DeliveryReport]
) -> None:
    """One event per audience that changed; audiences that stayed as they were leave no trace."""
    changed = [report for report in reports if report.sent or report.removed]
    context.instance.add_dynamic_partitions("audiences", [report.key.audience for report in changed])
    for report in changed:
        context.log_event(
            dg.AssetMaterialization(
                key,
                partition=report.key.audience,
                metadata={
                    "delivered": report.delivered,
                    "sent": report.sent,
                    "removed": report.removed,
                    "rejected": report.rejected,
                    **({"matched": report.matched} if report.matched is not None else {}),
                },
            )
        )


def _raise_unfinished(reports: list[DeliveryReport]) -> None:
    """A platform that could not be told everything makes the step fail, so that it is tried again."""
    unfinished = [
        report for report in reports if report.state in {DeliveryState.FAILED, DeliveryState.INCOMPLETE}
    ]
    if unfinished:
        raise dg.Failure(
            " | ".join(f"{report.key.audience}: {' '.join(report.sentences)}" for report in unfinished),
            metadata={"audiences_unfinished": len(unfinished), "audiences": len(reports)},
            allow_retries=not any(report.platform_stopped for report in unfinished),
        )


def _result(reports: list[DeliveryReport]) -> dg.MaterializeResult:
    sentences = [
        f"{report.key.audience}: {' '.join(report.sentences)}" for report in reports if not report.ok
    ]
    rows = pl.DataFrame(
        [
            {
                "audience": report.key.audience,
                "state": report.as_dict()["state"],
                "wanted": report.wanted,
                "delivered": report.delivered,
                "sent": report.sent,
                "removed": report.removed,
                "rejected": report.rejected,
                "note": " ".join(report.sentences),
            }
            for report in reports
        ]
    )
    metadata: dict[str, dg.MetadataValue | int] = {
        "audiences": len(reports),
        "delivered": sum(report.delivered for report in reports),
        "sent": sum(report.sent for report in reports),
        "removed": sum(report.removed for report in reports),
        "rejected": sum(report.rejected for report in reports),
        "reports": dg.MetadataValue.json([report.as_dict() for report in reports]),
    }
    if reports:
        metadata["by_audience"] = small_table(rows)
    return dg.MaterializeResult(
        metadata=metadata,
        check_results=[
            dg.AssetCheckResult(
                check_name="every_audience_arrived",
                passed=not sentences,
                description=" | ".join(sentences) or f"{len(reports)} audiences",
            )
        ],
    )
