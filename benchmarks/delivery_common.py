"""What the delivery benchmarks share: sandbox, clients, people by the hundred thousand, the report."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import requests

RESULTS = Path(__file__).parent / "results" / "delivery.json"
PLATFORMS = ("meta", "google", "tiktok")
HASHES = (
    "meta_email",
    "google_email",
    "tiktok_email",
    "meta_phone",
    "google_phone",
    "meta_first_name",
    "meta_last_name",
    "google_given_name",
    "google_family_name",
)
MIB = 2**20


def machine() -> dict[str, Any]:
    """Where and of what the figures are."""
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    with Path("/proc/meminfo").open(encoding="utf-8") as info:
        memory = int(info.readline().split()[1]) // MIB
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "processors": os.cpu_count(),
        "memory_gib": memory,
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


def publish(subject: str, rows: Sequence[Sequence[str]], figures: Mapping[str, Any], *, met: bool) -> bool:
    """Print the rows of a subject (what, bar, measured) and keep its figures; whether the bar was met."""
    here = machine()
    print(
        f"\n{subject}: {'met' if met else 'MISSED'}, at {here['commit']} on {here['processors']} processors"
    )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    kept[subject] = {**here, "met": met, **figures}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    sys.stdout.flush()
    return met


def in_its_own_process(module: str, *arguments: object) -> dict[str, Any]:
    """What ``python module.py --step ...`` prints as its last line; memory is then that of the step alone.

    Raises:
        RuntimeError: it failed; the message holds what it said.
    """
    command = [sys.executable, str(Path(__file__).with_name(f"{module}.py")), "--step", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} {arguments[0]} failed:\n{done.stderr[-4_000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def sandbox(folder: Path, population: Path | None = None, *, delay: float = 0.0) -> Iterator[str]:
    """A sandbox without limits and, as far as it goes, without delay."""
    from audience_pipeline.sandbox.server import running

    with running(folder, population, delay=delay) as address:
        lift_limits(address)
        yield address


def lift_limits(address: str) -> None:
    """Take every limit of calls from a sandbox."""
    limits = requests.get(f"{address}/_sandbox/limits", timeout=30).json()
    requests.post(f"{address}/_sandbox/limits", json=dict.fromkeys(limits), timeout=30).raise_for_status()


def audiences_of(address: str, name: str) -> list[dict[str, Any]]:
    """The audiences of one platform, as the sandbox tells."""
    answer = requests.get(f"{address}/_sandbox/audiences", params={"platform": name}, timeout=600)
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()["audiences"]
    return found


def emails_held(address: str, name: str, audience_id: str) -> set[str]:
    """The first hash of every row of an audience: that of the e-mail address, where everybody has one."""
    query = {"platform": name, "audience_id": audience_id}
    answer = requests.get(f"{address}/_sandbox/members", params=query, timeout=600)
    answer.raise_for_status()
    return {row[0] for row in answer.json()["members"]}


def clients(address: str, accounts: int = 1, *, unpaced: bool = False) -> dict[str, list[Any]]:
    """The real clients of some accounts of each platform, as they come or without their own pace."""
    from audience_pipeline.platforms.google import GoogleClient
    from audience_pipeline.platforms.meta import MetaClient
    from audience_pipeline.platforms.pace import Pace
    from audience_pipeline.platforms.tiktok import TikTokClient

    made: dict[str, Any] = {"meta": MetaClient, "google": GoogleClient, "tiktok": TikTokClient}
    means = {"pace": Pace()} if unpaced else {}
    return {
        name: [
            made[name](
                base_url=address,
                access_token=f"sandbox-{name}-token",
                account=str(1_234_567_890 + number),
                **means,
            )
            for number in range(accounts)
        ]
        for name in PLATFORMS
    }


def identifiers(people: int, seed: int) -> pl.DataFrame:
    """An ``identifiers`` table of people who have everything; hashes are drawn, not made."""
    draw = np.random.default_rng(seed)

    def hashes() -> pl.Series:
        array = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(32), people, [None, pa.py_buffer(draw.bytes(32 * people))]
        )
        return pl.Series(pl.from_arrow(array.cast(pa.binary())))

    email = hashes()
    columns = {name: email if name.endswith("_email") else hashes() for name in HASHES}
    return pl.DataFrame({"customer_id": customer_ids(people), **columns}).with_columns(
        country=pl.lit("US"), postal_code=pl.lit("94045")
    )


def customer_ids(people: int) -> pl.Series:
    """``C0000000`` and so on."""
    number = pl.int_range(people, eager=True)
    return pl.select(pl.lit("C") + number.cast(pl.String).str.zfill(7)).to_series()


def consent_of_all(customers: pl.Series) -> pl.DataFrame:
    """Everybody has agreed to everything."""
    no = {f"opted_out{end}": False for end in ("", *(f"_{name}" for name in PLATFORMS))}
    yes = {f"advertising_{name}": True for name in PLATFORMS}
    return pl.DataFrame({"customer_id": customers}).with_columns(
        pl.lit(value).alias(name) for name, value in {**no, **yes}.items()
    )


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Seconds of a block, wall and processor, and the peak memory of this process so far in MiB."""
    import resource

    found: dict[str, float] = {}
    started, worked = time.perf_counter(), time.process_time()
    yield found
    found["seconds"] = round(time.perf_counter() - started, 2)
    found["processor_seconds"] = round(time.process_time() - worked, 2)
    found["peak_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def middle(values: Sequence[float]) -> float:
    """The median."""
    return float(np.median(np.asarray(values)))
