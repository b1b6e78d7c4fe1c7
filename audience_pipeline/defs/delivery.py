"""Each platform made equal to the newest memberships: one looping asset per platform."""

from collections.abc import Mapping

import dagster as dg
import polars as pl

from audience_pipeline.defs.lake import newest_landing, note_consent_sent
from audience_pipeline.defs.pictures import small_table
from audience_pipeline.defs.resources import LedgerResource, NotConfiguredError, PlatformResource
from audience_pipeline.defs.sending import SyncConfig, deliver
from audience_pipeline.defs.sensors import BACKFILL_TAG
from audience_pipeline.delivery.report import DeliveryReport
from audience_pipeline.ledger.records import DeliveryState
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind

audience_partitions = dg.DynamicPartitionsDefinition(name="audiences")


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
        # Consent is decided anew, and everything that lands may say whose an address is, or object.
        deps=["audience_memberships", *(kind.dataset for kind in Kind)],
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
        ledger: LedgerResource = context.resources.ledger
        resource: PlatformResource = getattr(context.resources, f"{platform.value}_account")
        try:
            client = resource.client()
        except NotConfiguredError as error:
            with ledger.open() as opened:
                # Nothing of ours is there: no statement of consent is owed.
                note_consent_sent(settings.lake, platform.value, newest_landing(opened))
            return _nothing_sent(str(error))
        with ledger.open() as opened:
            reports, unknown = deliver(settings, opened, client, config)
        if not config.dry_run:
            _record_history(context, history.key, reports)
        _raise_unfinished(reports)
        return _result(reports, unknown)

    return dg.Definitions(
        assets=[history, audience_sync],
        resources={f"{platform.value}_account": PlatformResource.of(platform, settings)},
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


def _result(reports: list[DeliveryReport], unknown: Mapping[str, str]) -> dg.MaterializeResult:
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
    if unknown:
        sentences += [
            f"{audience} could not be brought up to date: {why}" for audience, why in unknown.items()
        ]
        metadata["not_evaluated"] = dg.MetadataValue.json(dict(unknown))
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
