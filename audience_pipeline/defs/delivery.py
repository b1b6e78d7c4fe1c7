"""Each platform made equal to the newest memberships: one looping asset per platform."""

import time
from collections.abc import Iterator

import dagster as dg

from audience_pipeline.defs.jobs import IN_ONE_PROCESS
from audience_pipeline.defs.outcome import arrived, metadata, planned, refusal, unfinished
from audience_pipeline.defs.resources import LedgerResource, PlatformResource
from audience_pipeline.defs.sending import Outcome, Progress, SyncConfig, deliver_where_configured
from audience_pipeline.defs.sensors import BACKFILL_TAG
from audience_pipeline.defs.side_by_side import Shared, SideBySide
from audience_pipeline.defs.tasks import UnknownAudienceError
from audience_pipeline.delivery.report import DeliveryReport
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind

audience_partitions = dg.DynamicPartitionsDefinition(name="audiences")
SAID_SECONDS = 15.0
"""How often a long delivery says how far it is."""


def delivery_definitions(settings: Settings, together: SideBySide | None = None) -> dg.Definitions:
    """The sync asset of each platform, and the history of each audience on it.

    Args:
        settings: the workspace.
        together: does the deliveries of a run side by side in this process; without it, each step its own.
    """
    shared = Shared(settings)
    return dg.Definitions.merge(
        *(_platform_definitions(settings, platform, together, shared) for platform in Platform)
    )


def _platform_definitions(
    settings: Settings, platform: Platform, together: SideBySide | None, shared: Shared
) -> dg.Definitions:
    history = dg.AssetSpec(
        dg.AssetKey([platform.value, "audience"]),
        description=f"History of each audience on {platform.value}: one event per change.",
        partitions_def=audience_partitions,
        group_name="delivery",
        kinds={platform.value},
        deps=[dg.AssetKey([platform.value, "audience_sync"])],
    )
    key = dg.AssetKey([platform.value, "audience_sync"])

    @dg.multi_asset(
        name="__".join(key.path),
        specs=[
            dg.AssetSpec(
                key,
                description=(
                    f"Makes {platform.value} hold exactly the newest memberships of every audience that "
                    "names it: additions, removals, proof of arrival. People without consent are never sent. "
                    "Launched with `dry_run: true` it only observes what it would send; `confirm: true` goes "
                    "on where the brake holds, for the `audiences` that are named."
                ),
                # Consent is decided anew, and what lands may say whose an address is, or object.
                deps=["audience_memberships", *(kind.dataset for kind in Kind)],
                group_name="delivery",
                kinds={platform.value, "python"},
                owners=["team:growth"],
                skippable=True,
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(
                "every_audience_arrived",
                asset=key,
                description="The platform accepted every change, or the sentence says what to do.",
            )
        ],
        # A dry run yields nothing, and nothing is checked after it.
        can_subset=True,
        # A place in a pool outlives a killed process; on the command line the ledger's locks do as well.
        pool=None if settings.in_process else f"{platform.value}_api",
        required_resource_keys={"ledger", f"{platform.value}_account"},
        # On the command line somebody waits: the sentence is worth more there than three more tries.
        retry_policy=None
        if settings.in_process
        else dg.RetryPolicy(max_retries=2, delay=60, backoff=dg.Backoff.EXPONENTIAL),
    )
    def audience_sync(
        context: dg.AssetExecutionContext, config: SyncConfig
    ) -> Iterator[dg.MaterializeResult]:
        if BACKFILL_TAG in context.run.tags:
            raise dg.Failure(
                "a backfill never talks to a platform; launch the delivery job by itself", allow_retries=False
            )
        resource: PlatformResource = getattr(context.resources, f"{platform.value}_account")
        ledger: LedgerResource = context.resources.ledger
        try:
            if together is not None:
                outcome = together.take(resource, config)
            elif context.job_name == IN_ONE_PROCESS and not context.retry_number:
                outcome = shared.take(context.run.run_id, _platforms_of(context.run), resource, config)
            else:
                with ledger.open() as opened:
                    outcome = deliver_where_configured(settings, opened, resource, config, _said(context))
        except UnknownAudienceError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        if config.dry_run:
            context.log_event(dg.AssetObservation(key, metadata=planned(outcome)))
            return
        _record_history(context, history.key, outcome)
        yield dg.MaterializeResult(
            asset_key=key, metadata=metadata(outcome), check_results=[arrived(outcome)]
        )
        if unfinished(outcome):
            raise refusal(outcome)

    return dg.Definitions(
        assets=[history, audience_sync],
        resources={f"{platform.value}_account": PlatformResource.of(platform, settings)},
    )


def _platforms_of(run: dg.DagsterRun) -> list[Platform]:
    """Whose syncs a run has: all, unless somebody repeats some of its steps."""
    steps, assets = run.step_keys_to_execute, run.asset_selection
    return [
        platform
        for platform in Platform
        if (steps is None or f"{platform.value}__audience_sync" in steps)
        and (assets is None or dg.AssetKey([platform.value, "audience_sync"]) in assets)
    ]


def _said(context: dg.AssetExecutionContext) -> Progress:
    """Says now and then how many audiences are done."""
    done: set[str] = set()
    last = time.monotonic()

    def progress(report: DeliveryReport) -> None:
        nonlocal last
        done.add(report.key.audience)
        if time.monotonic() - last >= SAID_SECONDS:
            last = time.monotonic()
            context.log.info("%s audiences are done", f"{len(done):,}")

    return progress


def _record_history(context: dg.AssetExecutionContext, key: dg.AssetKey, outcome: Outcome) -> None:
    """One event per audience that changed; audiences that stayed as they were leave no trace."""
    changed = [report for report in outcome.reports if report.sent or report.removed]
    new = [report.key.audience for report in changed]
    if new:
        context.instance.add_dynamic_partitions("audiences", new)
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
