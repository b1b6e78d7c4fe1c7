"""The jobs and the two clocks: daily refresh, monthly retraining; delivery stands apart."""

import dagster as dg

from audience_pipeline.platforms.contract import Platform

SYNCS = tuple(dg.AssetKey([platform.value, "audience_sync"]) for platform in Platform)
HEAVY = {"audience_pipeline/weight": "heavy"}
"""Tag of runs that the instance admits two of: places are left for those that cannot wait."""
AT_ONCE = {"dagster/priority": "10"}
"""Tag of runs that go before all others that wait: requests of people."""
MONTHLY_MODELS = ("ltv_model", "segment_model")

sources = dg.AssetSelection.groups("sources")
per_as_of_date = dg.AssetSelection.groups(
    "customers", "ltv", "segments", "audiences", "results"
) - dg.AssetSelection.assets(*MONTHLY_MODELS)

land_sources = dg.define_asset_job(
    "land_sources",
    selection=sources,
    description="Land and validate what waits in the inbox, then build orders and customer activity.",
)
daily_refresh = dg.define_asset_job(
    "daily_refresh",
    selection=sources | per_as_of_date,
    description="From new files to audience memberships, for one as-of date. Sends nothing.",
    tags=HEAVY,
)
monthly_retraining = dg.define_asset_job(
    "monthly_retraining",
    selection=sources | dg.AssetSelection.assets(*MONTHLY_MODELS),
    description="Land what waits, then train and find segments again, as of the last day of the month.",
    tags=HEAVY,
)
_side_by_side = dg.multiprocess_executor.configured(
    {
        "max_concurrent": len(Platform),
        "start_method": {
            "forkserver": {"preload_modules": ["dagster", "polars", "audience_pipeline.definitions"]}
        },
    }
)
"""No platform waits for another; each step holds the people of one platform in memory."""
delivery = dg.define_asset_job(
    "delivery",
    selection=dg.AssetSelection.assets(*SYNCS),
    description="Make each platform hold exactly the newest memberships. Refused as part of a backfill.",
    executor_def=_side_by_side,
)
IN_ONE_PROCESS = "opt_outs"
"""Job whose steps share a process, because starting four would take longer than all that they do."""
opt_outs = dg.define_asset_job(
    IN_ONE_PROCESS,
    selection=dg.AssetSelection.assets("consent_events", *SYNCS),
    description="Land new consent statements and take people who opted out off every platform at once.",
    executor_def=dg.in_process_executor,
    tags=AT_ONCE,
)
verify = dg.define_asset_job(
    "verify",
    selection=(
        dg.AssetSelection.checks_for_assets(*SYNCS)
        - dg.AssetSelection.checks(*(dg.AssetCheckKey(sync, "every_audience_arrived") for sync in SYNCS))
    )
    | dg.AssetSelection.assets("entities"),
    description="Compare what platforms show with the ledger, and publish the entities. Sends nothing.",
    executor_def=_side_by_side,
)
JOBS = (land_sources, daily_refresh, monthly_retraining, delivery, opt_outs, verify)

SCHEDULES = (
    dg.build_schedule_from_partitioned_job(
        daily_refresh,
        name="daily_refresh",
        hour_of_day=5,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every day at 05:00, shop time: yesterday's as-of date.",
    ),
    dg.build_schedule_from_partitioned_job(
        monthly_retraining,
        name="monthly_retraining",
        day_of_month=1,
        hour_of_day=3,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="On the first of each month at 03:00, shop time: the month that has ended.",
    ),
)


def verify_schedule(time_zone: str) -> dg.ScheduleDefinition:
    """Every day, some hours after the delivery: platforms need a while to show what they hold."""
    return dg.ScheduleDefinition(
        name="verify",
        job=verify,
        cron_schedule="0 12 * * *",
        execution_timezone=time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every day at 12:00, shop time: ledger and platforms are compared; a gap fails a check.",
    )
