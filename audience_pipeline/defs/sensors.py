"""What starts work when something happens: new files, new opt-outs, a finished refresh."""

import contextlib
import hashlib
import logging
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.consent_log import newest_statement
from audience_pipeline.defs.follow_up import unfinished
from audience_pipeline.defs.jobs import daily_refresh, delivery, land_sources, opt_outs
from audience_pipeline.defs.lake import consent_sent
from audience_pipeline.defs.resources import can_be_told
from audience_pipeline.ledger import refreshes
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.inbox import waiting

logger = logging.getLogger(__name__)
BACKFILL_TAG = "dagster/backfill"
UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
FOLLOW_UP_SECONDS = 900
FOLLOWED = timedelta(days=2)
"""What began earlier is left to the deliveries of each day."""
SENDS = "audience_pipeline/sends"
"""Tag of a refresh that was asked to stay at home when its value is ``no``."""


def _fingerprint(files: list[Path]) -> str:
    """Changes when a file does. A digest, because names of files may be personal and cursors are kept."""
    seen = hashlib.sha256()
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            stat = file.stat()
            seen.update(f"{file.name}:{stat.st_mtime_ns}:{stat.st_size}|".encode())
    return seen.hexdigest()


def build_sensors(settings: Settings, calendar: AsOfCalendar) -> list[dg.SensorDefinition]:
    """All sensors but those of the model. They list and compare; the runs that they ask for do the work."""

    @dg.sensor(
        name="inbox",
        job=land_sources,
        minimum_interval_seconds=60,
        description="Lands new files of transactions, contacts and events from the inbox.",
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def new_files(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        files = [path for kind, path in waiting(settings.inbox) if kind is not Kind.CONSENT]
        return _new(context, files)

    @dg.sensor(
        name="consent_inbox",
        job=opt_outs,
        minimum_interval_seconds=15,
        description=(
            "Lands new consent statements and removes people who opted out from every platform. Asks again "
            "until every audience follows the newest statement, whichever run has landed it."
        ),
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def new_consent(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        files = [path for kind, path in waiting(settings.inbox) if kind is Kind.CONSENT]
        asked = _new(context, files)
        owed = None if isinstance(asked, dg.RunRequest) else _owed(settings)
        if owed is None:
            return asked
        if _under_way(context.instance, opt_outs.name):
            return dg.SkipReason("people are being removed")
        # One run in ten minutes: a platform that is down is asked again, and not without pause.
        turn = int(time.time() // 600)
        return dg.RunRequest(run_key=f"consent:{owed}:{turn}")

    @dg.sensor(
        name="delivery_follow_up",
        job=delivery,
        minimum_interval_seconds=300,
        description=(
            "Delivers again, every 15 minutes at most, while a platform still processes what it was sent or "
            "an audience is not complete."
        ),
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def delivery_follow_up(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        ledger = Ledger.open(settings.ledger_url)
        try:
            left = unfinished(ledger, datetime.now(UTC) - FOLLOWED)
        finally:
            ledger.close()
        left = [name for name in left if can_be_told(Platform(name), settings)]
        if not left:
            return dg.SkipReason("no platform is processing anything, and every delivery is complete")
        if _under_way(context.instance, delivery.name, opt_outs.name):
            return dg.SkipReason("a delivery is under way")
        if time.time() - float(context.cursor or 0) < FOLLOW_UP_SECONDS:
            return dg.SkipReason(f"{', '.join(left)} had a follow-up less than 15 minutes ago")
        context.update_cursor(str(time.time()))
        return dg.RunRequest(asset_selection=[dg.AssetKey([name, "audience_sync"]) for name in left])

    @dg.run_status_sensor(
        name="delivery_after_refresh",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[daily_refresh],
        request_job=delivery,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sends the audiences once the newest as-of date is complete. Backfills are never sent.",
    )
    def delivery_after_refresh(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
        run = context.dagster_run
        if BACKFILL_TAG in run.tags or run.tags.get(SENDS) == "no":
            return dg.SkipReason("backfills and past dates send nothing")
        if run.tags.get("dagster/partition") != calendar.daily.get_last_partition_key():
            return dg.SkipReason("not the newest as-of date")
        return dg.RunRequest(run_key=f"delivery:{run.run_id}")

    @dg.run_failure_sensor(
        name="failed_run_alert",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Says which run failed and where to look, in the daemon's log.",
    )
    def failed_run_alert(context: dg.RunFailureSensorContext) -> None:
        logger.error(
            "%s failed (run %s, partition %s): open the run in Dagster; every step can be run again as it is",
            context.dagster_run.job_name,
            context.dagster_run.run_id,
            context.dagster_run.tags.get("dagster/partition", "none"),
        )

    return [new_files, new_consent, delivery_follow_up, delivery_after_refresh, failed_run_alert]


def _under_way(instance: dg.DagsterInstance, *jobs: str) -> bool:
    """Whether a run of these jobs waits or works. One that was killed on the command line counts no more."""
    recently = datetime.now(UTC) - timedelta(hours=2)
    return any(
        instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNDER_WAY, created_after=recently), limit=1)
        for job in jobs
    )


def _new(context: dg.SensorEvaluationContext, files: list[Path]) -> dg.RunRequest | dg.SkipReason:
    if not files:
        context.update_cursor("")
        return dg.SkipReason("no new files in the inbox")
    seen = _fingerprint(files)
    if seen == context.cursor:
        return dg.SkipReason(f"{len(files)} files could not be landed and still wait in the inbox")
    context.update_cursor(seen)
    # No run key: a file that went and came back as it was is to be landed again.
    return dg.RunRequest()


def _owed(settings: Settings) -> int | None:
    """The newest landing of statements or signals that some platform does not follow yet; None if all do.

    A platform without credentials is not waited for: no run could tell it anything.
    """
    ledger = Ledger.open(settings.ledger_url)
    try:
        if not refreshes.completed(ledger):
            return None
        newest = newest_statement(ledger)
    finally:
        ledger.close()
    sent = consent_sent(settings.lake)
    behind = [platform for platform in Platform if sent.get(platform.value, 0) < newest]
    return newest if any(can_be_told(platform, settings) for platform in behind) else None
