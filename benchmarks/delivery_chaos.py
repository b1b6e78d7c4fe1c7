"""Seeded schedules of faults and kills, and one change that is killed at every point that it passes."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from delivery_common import publish

from audience_pipeline_tests.delivery.proof.chaos import live, stage
from audience_pipeline_tests.delivery.proof.sweep import Sweep

SEEDS = 300
COUNTS = (
    "runs",
    "killed",
    "failed",
    "clean",
    "equal",
    "quarantined",
    "anonymous",
    "refused_to_shrink",
)


def chaos(seeds: int = SEEDS, *, only: int | None = None, sweep: bool = True) -> bool:
    """All seeds, or ``only`` one with its story."""
    if only is not None:
        return _one(only)
    workers = max(1, min(os.cpu_count() or 1, 4))
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="chaos-") as name, ProcessPoolExecutor(workers) as pool:
        shares = [range(number, seeds, workers) for number in range(workers)]
        folders = [Path(name) / str(number) for number in range(workers)]
        found = [one for part in pool.map(_some, shares, folders) for one in part]
        swept = (
            list(pool.map(_swept, (False, True), (Path(name) / "later", Path(name) / "first")))
            if sweep
            else []
        )
    failed = sorted((one["seed"], one["failure"]) for one in found if one["failure"])
    points = sum(one["killed"] for one in swept)
    failures = [failure for one in swept for failure in one["failures"]]
    total = {name: sum(one[name] for one in found) for name in COUNTS}
    for seed, failure in failed:
        print(f"seed {seed}: {failure.splitlines()[0][:400]}")
    for failure in failures:
        print(failure.splitlines()[0][:400])
    rows = [
        ("what", "bar", "measured"),
        (
            "schedules after which everything is exact",
            f"{seeds} of {seeds}",
            f"{seeds - len(failed)} of {seeds}",
        ),
        ("audiences compared after a clean run: equal", "", f"{total['equal']:,} of {total['clean']:,}"),
        ("  equal but for people whom the platform refused by name", "", f"{total['quarantined']:,}"),
        ("  refused by the platform, which told how many and not who", "", f"{total['anonymous']:,}"),
        (
            "  TikTok lets an audience of 1,000 not shrink below, said so",
            "",
            f"{total['refused_to_shrink']:,}",
        ),
        ("runs, of them killed", "", f"{total['runs']:,}, {total['killed']:,}"),
        (
            "killed at every request, commit and rename: exact",
            "all",
            f"{points - len(failures):,} of {points:,}",
        ),
        ("minutes", "", f"{(time.perf_counter() - begun) / 60:.1f}"),
    ]
    figures = {"seeds": seeds, "failed": failed, "sweep": swept, **total}
    return publish("chaos", rows, figures, met=not failed and not failures)


def _one(seed: int) -> bool:
    with tempfile.TemporaryDirectory(prefix="chaos-") as name, stage(Path(name) / "stage") as made:
        try:
            outcome = live(seed, made, Path(name) / "workspace")
        except AssertionError as error:
            print(error)
            return False
    print("\n".join(outcome.story))
    print(f"seed {seed}: exact after {outcome.runs} runs, {outcome.killed} of them killed")
    return True


def _some(seeds: range, folder: Path) -> list[dict[str, Any]]:
    found = []
    with stage(folder / "stage") as made:
        for seed in seeds:
            try:
                found.append({**asdict(live(seed, made, folder / f"workspace_{seed}")), "failure": ""})
            except AssertionError as error:
                found.append({"seed": seed, **dict.fromkeys(COUNTS, 0), "failure": str(error)})
            print(
                f"seed {seed}: {'not exact' if found[-1]['failure'] else 'exact'}",
                file=sys.stderr,
                flush=True,
            )
    return [{name: value for name, value in one.items() if name != "story"} for one in found]


def _swept(first: bool, folder: Path) -> dict[str, Any]:
    killed, failures = 0, []
    with stage(folder / "stage") as made:
        sweep = Sweep(1, made, folder, first=first)
        for point, number in sweep.all_points():
            try:
                killed += sweep.kill_at(point, number) is not None
            except AssertionError as error:
                killed += 1
                failures.append(str(error))
    return {"first_delivery": first, "killed": killed, "failures": failures}
