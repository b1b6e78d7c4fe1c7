from __future__ import annotations

import difflib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from audience_pipeline.settings import PROJECT_ROOT

SNAPSHOT = Path(__file__).with_name("graph_snapshot.json")
HISTORIES = {dg.AssetKey([platform, "audience"]) for platform in ("meta", "google", "tiktok")} | {
    dg.AssetKey("audience_history")
}
"""Assets that no step makes: the history of each audience, one event per change."""


@pytest.fixture(scope="session")
def assets(graph: dg.Definitions) -> AssetGraph:
    return graph.resolve_asset_graph()


def calendar_of(partitions: dg.PartitionsDefinition | None) -> str:
    match partitions:
        case None:
            return "none"
        case dg.DailyPartitionsDefinition():
            return "daily"
        case dg.MonthlyPartitionsDefinition():
            return "monthly"
        case dg.DynamicPartitionsDefinition():
            return f"one per name in {partitions.name!r}"
    return type(partitions).__name__


def described(graph: dg.Definitions, assets: AssetGraph) -> dict[str, Any]:
    """The graph as somebody would review it."""
    repository = graph.get_repository_def()
    nodes = {key.to_user_string(): assets.get(key) for key in assets.get_all_asset_keys()}
    return {
        "assets": {
            name: {
                "group": node.group_name,
                "deps": sorted(key.to_user_string() for key in node.parent_keys),
                "partitions": calendar_of(node.partitions_def),
                "kinds": sorted(node.kinds),
                "owners": sorted(node.owners),
                "pools": sorted(node.pools or ()),
                "checks": {
                    key.name: "blocking" if assets.get_check_spec(key).blocking else "warning"
                    for key in sorted(node.check_keys)
                },
                "made_by_a_step": node.is_executable,
            }
            for name, node in sorted(nodes.items())
        },
        "jobs": {
            job.name: {
                "assets": sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys),
                "partitions": calendar_of(job.partitions_def),
            }
            for job in sorted(repository.get_all_jobs(), key=lambda job: job.name)
            if job.name != "__ASSET_JOB"
        },
        "schedules": {
            schedule.name: {
                "cron": schedule.cron_schedule,
                "job": schedule.job_name,
                "status": schedule.default_status.value,
            }
            for schedule in sorted(repository.schedule_defs, key=lambda schedule: schedule.name)
        },
        "sensors": {
            sensor.name: {
                "kind": sensor.sensor_type.value,
                "jobs": sorted(target.job_name for target in sensor.targets),
                "every_seconds": sensor.minimum_interval_seconds,
                "status": sensor.default_status.value,
            }
            for sensor in sorted(repository.sensor_defs, key=lambda sensor: sensor.name)
        },
    }


def test_the_graph_is_the_one_that_was_reviewed(graph: dg.Definitions, assets: AssetGraph) -> None:
    """UPDATE_SNAPSHOT=1 writes the snapshot anew; read its difference before committing it."""
    now = json.dumps(described(graph, assets), indent=1) + "\n"
    if os.environ.get("UPDATE_SNAPSHOT") == "1":
        SNAPSHOT.write_text(now, encoding="utf-8")

    reviewed = SNAPSHOT.read_text(encoding="utf-8")
    difference = difflib.unified_diff(
        reviewed.splitlines(), now.splitlines(), "reviewed", "now", lineterm="", n=6
    )
    assert now == reviewed, "\n".join(["the graph has changed:", *difference])


def test_every_dependency_is_an_asset_that_some_step_makes(assets: AssetGraph) -> None:
    """A misspelt dependency would silently become an external asset."""
    keys = assets.get_all_asset_keys()

    assert {key for key in keys if not assets.get(key).is_executable} == HISTORIES


def test_every_asset_has_a_description_a_group_and_an_owner(assets: AssetGraph) -> None:
    nodes = [assets.get(key) for key in assets.get_all_asset_keys()]

    assert [node.key for node in nodes if len(node.description or "") < 20] == []
    assert [node.key for node in nodes if node.group_name in {None, "default"}] == []
    assert [node.key for node in nodes if node.is_executable and not node.owners] == []


def test_no_asset_shows_more_kinds_than_look_good(assets: AssetGraph) -> None:
    counts = {key: len(assets.get(key).kinds) for key in assets.get_all_asset_keys()}

    assert {key: count for key, count in counts.items() if not 1 <= count <= 3} == {}


def test_every_job_schedule_and_sensor_says_what_it_does(graph: dg.Definitions) -> None:
    repository = graph.get_repository_def()
    named = [
        *(job for job in repository.get_all_jobs() if job.name != "__ASSET_JOB"),
        *repository.schedule_defs,
        *repository.sensor_defs,
    ]

    assert [one.name for one in named if not one.description] == []


def test_platforms_are_told_only_by_jobs_that_are_made_for_it(graph: dg.Definitions) -> None:
    syncs = {dg.AssetKey([platform, "audience_sync"]) for platform in ("meta", "google", "tiktok")}
    jobs = [job for job in graph.get_repository_def().get_all_jobs() if job.name != "__ASSET_JOB"]

    telling = {job.name for job in jobs if syncs & set(job.asset_layer.executable_asset_keys)}

    assert telling == {"delivery", "opt_outs"}


def test_the_graph_can_be_loaded(graph: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(graph)

    assert graph.get_repository_def().has_job("daily_refresh")


def test_dagster_finds_the_graph_through_the_workspace_file(tmp_path: Path) -> None:
    run = subprocess.run(
        [
            Path(sys.executable).with_name("dagster"),
            "definitions",
            "validate",
            "--workspace",
            PROJECT_ROOT / "workspace.yaml",
        ],
        cwd=tmp_path,
        env={**os.environ, "AUDIENCE_HOME": str(tmp_path / "workspace")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    assert "Validation successful for code location audience_pipeline" in run.stdout + run.stderr
    assert list(tmp_path.iterdir()) == [], "loading the graph wrote something"
