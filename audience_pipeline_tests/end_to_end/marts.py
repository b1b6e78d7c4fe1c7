"""dbt's models, built from whatever lies in a workspace's lake."""

from __future__ import annotations

import dagster as dg

from audience_pipeline.definitions import build_definitions
from audience_pipeline.settings import Settings

MODELS = ("stg_transactions", "stg_activity", "orders", "customer_activity")


def build_marts(settings: Settings) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return (
            build_definitions(settings)
            .resolve_job_def("land_sources")
            .execute_in_process(instance=instance, asset_selection=[dg.AssetKey(name) for name in MODELS])
        )
