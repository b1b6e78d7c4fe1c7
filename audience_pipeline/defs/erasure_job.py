"""The job that deletes erased people, and the sensor that starts it once every platform has let them go."""

import time

import dagster as dg

from audience_pipeline.defs.erasure import complete, due
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.settings import Settings

BUSY = ("land_sources", "daily_refresh", "monthly_retraining")
"""Jobs that read tables and write others: whoever is deleted meanwhile would come back with them."""
_UNDER_WAY = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


def erasure_definitions(settings: Settings) -> dg.Definitions:
    """Job ``erasures`` and its sensor."""

    @dg.op(
        name="delete_erased_people",
        required_resource_keys={"ledger"},
        description="Deletes whoever asked to be erased and is on no platform any more. Killed, it goes on.",
    )
    def delete_erased_people(context: dg.OpExecutionContext) -> None:
        ledger: LedgerResource = context.resources.ledger
        with ledger.open() as opened:
            finished = complete(settings, opened, lambda what: context.log.info("erasing: %s", what))
        for one in finished:
            context.log.info("request %s: %s", one.request_id, one.sentence)
        context.add_output_metadata(
            {
                "requests": len(finished),
                "sentences": dg.MetadataValue.json([one.sentence for one in finished]),
            }
        )

    @dg.job(name="erasures", description="Deletes erased people from lake, profile, snapshots and lists.")
    def erasures() -> None:
        delete_erased_people()

    @dg.sensor(
        name="erasures_due",
        job_name="erasures",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts the deletion of people whom every platform has let go, when nothing else writes.",
    )
    def erasures_due(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        with Ledger.open(settings.ledger_url) as ledger:
            if not due(settings, ledger):
                return dg.SkipReason("nobody is to be deleted")
        for name in (*BUSY, "erasures"):
            filters = dg.RunsFilter(job_name=name, statuses=_UNDER_WAY)
            if context.instance.get_runs_count(filters):
                return dg.SkipReason(f"waits for {name}, which reads or writes what is to be deleted")
        # One run in ten minutes: what waits for somebody's answer is asked again, and not without pause.
        return dg.RunRequest(run_key=f"erasures:{int(time.time() // 600)}")

    return dg.Definitions(jobs=[erasures], sensors=[erasures_due])
