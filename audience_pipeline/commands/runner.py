"""Dagster jobs run from the command line, recorded where the UI sees them."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audience_pipeline.commands.console import Step

if TYPE_CHECKING:
    import dagster as dg

    from audience_pipeline.defs.side_by_side import SideBySide
    from audience_pipeline.settings import Settings

INSTANCE_CONFIG = """\
# Dagster on one machine, everything in this folder. For PostgreSQL see deploy/dagster.yaml.
telemetry: {enabled: false}
concurrency:
  pools: {default_limit: 1, granularity: op}
  # Two refreshes, trainings or backfills at once; what people ask for never waits for one of them.
  runs:
    max_concurrent_runs: 5
    tag_concurrency_limits: [{key: audience_pipeline/weight, value: heavy, limit: 2}]
run_monitoring:
  {enabled: true, start_timeout_seconds: 180, max_runtime_seconds: 7200, free_slots_after_run_end_seconds: 60}
retention:
  schedule: {purge_after_days: 30}
  sensor: {purge_after_days: {skipped: 7, failure: 30, success: 30}}
python_logs: {managed_python_loggers: [audience_pipeline], python_log_level: INFO}
"""
EARLIER_CONFIGS = frozenset({"73c57bb2d4c6c829e109c5f9ad2ad4e1ee7e8f37ec60755f06ca6b236597f0ef"})
"""SHA-256 of what earlier versions wrote: such a file is replaced, one that somebody has changed is not."""

_EXCEPTION = re.compile(r"^[\w.]+(Error|Failure|Exception): ")
"""The name of an exception's class, which says nothing to whoever reads its message."""


class JobFailedError(Exception):
    """A job did not finish; the message says which asset failed and why."""


@dataclass(frozen=True)
class Ran:
    """A finished job: its run id and, per asset, the metadata of what was materialised."""

    run_id: str
    metadata: Mapping[str, Mapping[str, Any]]
    failed_checks: Sequence[str]


def prepare_instance(settings: Settings) -> None:
    """Create Dagster's own storage in the workspace and make it the one that this process uses."""
    # What is known of people is nobody else's business on this machine.
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.dagster_home.mkdir(exist_ok=True)
    config = settings.dagster_home / "dagster.yaml"
    if not config.is_file() or sha256(config.read_bytes()).hexdigest() in EARLIER_CONFIGS:
        config.write_text(INSTANCE_CONFIG, encoding="utf-8")
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    os.environ["AUDIENCE_HOME"] = str(settings.home)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    logging.getLogger("alembic").setLevel(logging.WARNING)


@contextlib.contextmanager
def instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The workspace's Dagster instance."""
    import dagster as dg

    prepare_instance(settings)
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as opened:
        yield opened


class _StepNames(logging.Handler):
    """Turns Dagster's step events into progress."""

    def __init__(self, step: Step) -> None:
        super().__init__(logging.DEBUG)
        self._step = step

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "dagster_meta", {}).get("dagster_event")
        if event is not None and event.event_type_value == "STEP_START":
            self._step(str(event.step_key).replace("__", "/"))


def run_job(
    settings: Settings,
    name: str,
    step: Step,
    *,
    partition_key: str | None = None,
    config: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    selection: Sequence[str] | None = None,
    files: Mapping[str, Sequence[Path]] | None = None,
    together: SideBySide | None = None,
) -> Ran:
    """Run a job of the graph in this process and record it in the workspace's Dagster instance.

    Args:
        settings: the workspace.
        name: the job.
        step: told the name of each step as it starts.
        partition_key: the as-of date or month, where the job has one.
        config: configuration of assets, by asset name.
        tags: tags of the run.
        selection: only these assets of the job.
        files: what to land besides the inbox, per dataset; their names are recorded nowhere.
        together: does the deliveries of the run side by side.

    Raises:
        JobFailedError: a step failed or a blocking check did not hold.
    """
    import dagster as dg

    from audience_pipeline.definitions import build_definitions

    @dg.logger
    def quiet(_context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("audience_pipeline.run", logging.DEBUG)
        logger.addHandler(_StepNames(step))
        return logger

    prepare_instance(settings)
    definitions = dg.Definitions.merge(
        build_definitions(settings.model_copy(update={"in_process": True}), files, together),
        dg.Definitions(loggers={"console": quiet}),
    )
    # dbt talks on standard output, which belongs to the command's own result.
    with instance(settings) as opened, contextlib.redirect_stdout(io.StringIO()):
        result = definitions.resolve_job_def(name).execute_in_process(
            instance=opened,
            partition_key=partition_key,
            run_config={
                "ops": {asset: {"config": dict(value)} for asset, value in (config or {}).items()},
                "loggers": {"console": {}},
            },
            tags=dict(tags or {}),
            asset_selection=[dg.AssetKey.from_user_string(asset) for asset in selection]
            if selection
            else None,
            raise_on_error=False,
        )
    checks = [
        f"{evaluation.asset_key.to_user_string()}: {evaluation.check_name}"
        + (f" ({evaluation.description})" if evaluation.description else "")
        for evaluation in result.get_asset_check_evaluations()
        if not evaluation.passed
    ]
    if not result.success:
        raise JobFailedError(_reason(name, result, checks))
    metadata = {
        event.asset_key.to_user_string(): {
            key: getattr(value, "value", None) for key, value in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    }
    return Ran(result.run_id, metadata, checks)


def _reason(name: str, result: dg.ExecuteInProcessResult, checks: Sequence[str]) -> str:
    reasons = []
    for event in result.all_node_events:
        if event.is_step_failure:
            failure = event.step_failure_data
            error = failure.error
            while error is not None and error.cause is not None:
                error = error.cause
            text = error.message.strip() if error is not None else "stopped"
            if "DagsterAssetCheckFailedError" not in text:
                reasons.append(f"{event.step_key}: {_EXCEPTION.sub('', text)}")
    return f"{name} stopped. " + " | ".join([*reasons, *checks])
