"""dbt: the staging and marts that analysts own, built by DuckDB in memory from Parquet to Parquet."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, dbt_assets
from filelock import FileLock

from audience_pipeline.defs.lake import ensure_dataset, newest_landing
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind


class Translator(DagsterDbtTranslator):  # type: ignore[misc]
    """Groups and owners of dbt models follow the graph's stages."""

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:  # noqa: ARG002
        """All of dbt belongs to the sources."""
        return "sources"

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:  # noqa: ARG002
        """Analysts own the models."""
        return ["team:analytics"]


def manifest(project: Path) -> Path:
    """The parsed project; parsed anew when a model, test or profile is newer than it.

    Raises:
        RuntimeError: dbt cannot parse the project.
    """
    path = project / "target" / "manifest.json"
    sources = [
        file
        for pattern in ("*.yml", "models/**/*", "tests/**/*", "macros/**/*")
        for file in project.glob(pattern)
    ]
    with FileLock(project / ".parse.lock"):
        newest = max(file.stat().st_mtime for file in sources)
        if path.is_file() and path.stat().st_mtime >= newest:
            return path
        run = subprocess.run(
            [
                Path(sys.executable).with_name("dbt"),
                "parse",
                "--quiet",
                "--project-dir",
                project,
                "--profiles-dir",
                project,
            ],
            env={**os.environ, "AUDIENCE_LAKE": "lake", "DO_NOT_TRACK": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            raise RuntimeError(f"dbt cannot parse {project}: {run.stdout.strip() or run.stderr.strip()}")
    return path


def dbt_definitions(settings: Settings) -> dg.Definitions:
    """The dbt models as assets, their tests as checks."""

    @dbt_assets(  # type: ignore[untyped-decorator]
        manifest=manifest(settings.dbt_project),
        dagster_dbt_translator=Translator(),
        name="warehouse",
        op_tags={"dagster/priority": "1"},
    )
    def warehouse(
        context: dg.AssetExecutionContext, dbt: DbtCliResource, ledger: LedgerResource
    ) -> Iterator[Any]:
        (settings.lake / ".work" / "dbt").mkdir(parents=True, exist_ok=True)
        for kind in (Kind.TRANSACTIONS, Kind.WEB, Kind.ENGAGEMENT):
            ensure_dataset(settings.lake, kind)
        with ledger.open() as opened:
            newest = newest_landing(opened)
        os.environ["AUDIENCE_LAKE"] = str(settings.lake)
        # The staging views live in the memory of one dbt process, and the tests read all of it: whoever asks
        # for one model gets it from a whole build, of which only that model is reported.
        command = ["build", "--select", "fqn:*"] if context.is_subset else ["build"]
        with FileLock(settings.lake / ".work" / "dbt.lock"):
            run = dbt.cli(command, context=context, target_path=settings.lake / ".work" / "dbt")
            yield from (event for event in run.stream() if _was_asked_for(event, context))
            _note_landings(settings.lake, newest)

    return dg.Definitions(
        assets=[warehouse],
        resources={
            "dbt": DbtCliResource(
                project_dir=str(settings.dbt_project),
                profiles_dir=str(settings.dbt_project),
                dbt_executable=str(Path(sys.executable).with_name("dbt")),
            )
        },
    )


def _was_asked_for(event: object, context: dg.AssetExecutionContext) -> bool:
    if isinstance(event, dg.Output):
        return event.output_name in context.op_execution_context.selected_output_names
    if isinstance(event, dg.AssetCheckResult):
        key = dg.AssetCheckKey(event.asset_key, str(event.check_name)) if event.asset_key else None
        return key in context.selected_asset_check_keys
    return True


def _note_landings(lake: Path, sequence: int) -> None:
    path = lake / ".work" / "landings_seen.json"
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(sequence), encoding="utf-8")
    partial.replace(path)


def landings_seen(lake: Path) -> int:
    """Sequence of the newest landing that the marts hold for certain; 0 before they were ever built."""
    path = lake / ".work" / "landings_seen.json"
    return int(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else 0
