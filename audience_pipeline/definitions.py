"""The Dagster front door: assembles everything, decides nothing."""

import dagster as dg

from audience_pipeline.defs.attribution import attribution_asset
from audience_pipeline.defs.audience_history import audience_history_definitions
from audience_pipeline.defs.audiences import audience_assets
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.cohorts import cohort_asset
from audience_pipeline.defs.consent import consent_asset
from audience_pipeline.defs.customers import customer_assets
from audience_pipeline.defs.delivery import delivery_definitions
from audience_pipeline.defs.delivery_checks import delivery_checks
from audience_pipeline.defs.entities import entities_asset
from audience_pipeline.defs.erasure_job import erasure_definitions
from audience_pipeline.defs.identities import identities_asset
from audience_pipeline.defs.jobs import JOBS, SCHEDULES, verify_schedule
from audience_pipeline.defs.ltv import ltv_assets
from audience_pipeline.defs.model_sensors import build_model_sensors
from audience_pipeline.defs.profile import profile_asset
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.defs.segments import segment_assets
from audience_pipeline.defs.sensors import build_sensors
from audience_pipeline.defs.side_by_side import SideBySide
from audience_pipeline.defs.sources import Files, source_assets
from audience_pipeline.defs.storage import ParquetIOManager
from audience_pipeline.defs.warehouse import dbt_definitions
from audience_pipeline.settings import Settings


def build_definitions(
    settings: Settings, files: Files | None = None, together: SideBySide | None = None
) -> dg.Definitions:
    """The whole graph of a workspace.

    Args:
        settings: the workspace.
        files: what the source assets land besides the inbox, per dataset.
        together: does the deliveries of a run side by side in this process.
    """
    calendar = AsOfCalendar.of(settings)
    return dg.Definitions.merge(
        dg.Definitions(
            assets=[
                *source_assets(settings, files or {}),
                identities_asset(settings, calendar),
                *customer_assets(settings, calendar),
                consent_asset(settings, calendar),
                attribution_asset(settings, calendar),
                *ltv_assets(settings, calendar),
                *segment_assets(settings, calendar),
                profile_asset(settings, calendar),
                *audience_assets(settings, calendar),
                cohort_asset(settings, calendar),
                entities_asset(settings),
            ],
            asset_checks=delivery_checks(settings),
            jobs=JOBS,
            schedules=[*SCHEDULES, verify_schedule(settings.config.shop.time_zone)],
            sensors=[*build_sensors(settings, calendar), *build_model_sensors(settings, calendar)],
            resources={
                "io_manager": ParquetIOManager(lake=str(settings.lake)),
                "ledger": LedgerResource.of(settings),
            },
            executor=_executor(settings),
        ),
        audience_history_definitions(settings, calendar),
        dbt_definitions(settings),
        delivery_definitions(settings, together),
        erasure_definitions(settings),
    )


def _executor(settings: Settings) -> dg.ExecutorDefinition:
    if settings.in_process:
        return dg.in_process_executor
    return dg.multiprocess_executor.configured(
        {
            "max_concurrent": 2,
            "start_method": {
                "forkserver": {"preload_modules": ["dagster", "polars", "audience_pipeline.definitions"]}
            },
        }
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What ``workspace.yaml`` names."""
    return build_definitions(Settings.from_environment())
