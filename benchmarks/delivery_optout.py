"""From a file of opt-outs in the inbox to their removal on three platforms, with the real daemon.

The workspace is that of a small demo. Dagster's daemon runs as it does beside the user interface; the file is
dropped when it has ticked, and the sandbox is asked until nobody of the file is left anywhere.
"""

from __future__ import annotations

import csv
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import requests
from delivery_common import PLATFORMS, audiences_of, lift_limits, publish

from audience_pipeline.commands.sandboxes import ACCOUNTS, TOKENS
from audience_pipeline.sandbox.server import process
from audience_pipeline.settings import PROJECT_ROOT
from audience_pipeline_tests.delivery.proof.spelled import digest, email

CUSTOMERS, PEOPLE, BAR, LONGEST, ROUNDS = 1_500, 5, 60.0, 300.0, 3
WARM = 45.0
"""Seconds in which the daemon loads the code and every sensor has its first turn."""


def optout(rounds: int = ROUNDS) -> bool:
    """Some files one after another; the slowest counts."""
    seconds: list[float] = []
    receipts: list[float] = []
    with tempfile.TemporaryDirectory(prefix="optout-") as name:
        folder = Path(name)
        home = folder / "workspace"
        _demo(home, folder)
        population = home / "input" / "truth" / "population.parquet"
        with process(home / "sandbox", population, delay=0.0) as (address, _):
            lift_limits(address)
            with _daemon(home, address, folder):
                time.sleep(WARM)
                for number in range(rounds):
                    people = _everywhere(home, address)[number * PEOPLE : (number + 1) * PEOPLE]
                    assert len(people) == PEOPLE, "too few people are on all platforms"
                    begun = time.monotonic()
                    _drop(home, [customer for customer, _ in people], number)
                    try:
                        seconds.append(_until_gone(address, [raw for _, raw in people], begun))
                        receipts.append(_until_verified(home, begun))
                    except AssertionError as error:
                        said = (folder / "daemon.log").read_text(errors="replace")[-6_000:]
                        raise AssertionError(
                            f"file {number + 1}: {error}; the daemon said:\n{said}"
                        ) from error
                    # The next file comes at another moment between two turns of the sensor.
                    time.sleep(7 * (number + 1))
    slowest, verified = max(seconds), max(receipts)
    rows = [
        ("what", "bar", "measured"),
        (
            f"file with {PEOPLE} opt-outs in the inbox to removal on three platforms, slowest of {rounds}",
            f"{BAR:.0f} s",
            f"{slowest:.1f} s ({', '.join(f'{one:.1f}' for one in seconds)})",
        ),
        ("until the ledger says that it was verified", f"{BAR:.0f} s", f"{verified:.1f} s"),
    ]
    met = slowest <= BAR and verified <= BAR
    return publish("optout", rows, {"seconds": seconds, "verified_seconds": receipts}, met=met)


def _demo(home: Path, folder: Path) -> None:
    program = str(Path(sys.executable).with_name("audience-pipeline"))
    command = [program, "demo", "--dir", str(home), "--customers", str(CUSTOMERS), "--json"]
    with (folder / "demo.log").open("wb") as log:
        done = subprocess.run(command, stdout=log, stderr=log, check=False)
    assert done.returncode == 0, (folder / "demo.log").read_text()[-2_000:]


@contextmanager
def _daemon(home: Path, address: str, folder: Path) -> Iterator[None]:
    """Dagster's daemon on the workspace, pointed at the sandbox."""
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home / "dagster"),
        "AUDIENCE_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "META_BASE_URL": address,
        "GOOGLE_DATA_MANAGER_BASE_URL": address,
        "GOOGLE_ADS_BASE_URL": address,
        "TIKTOK_BASE_URL": address,
        **TOKENS,
        **ACCOUNTS,
    }
    program = str(Path(sys.executable).with_name("dagster-daemon"))
    command = [program, "run", "--workspace", str(PROJECT_ROOT / "workspace.yaml")]
    with (folder / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()


def _hashes(raw: str) -> Mapping[str, str]:
    return {platform: digest(email(raw, platform) or "") for platform in PLATFORMS}


def _holdings(address: str) -> dict[str, set[str]]:
    """Every hash that each platform holds in any audience."""
    held: dict[str, set[str]] = {}
    for platform in PLATFORMS:
        held[platform] = set()
        for one in audiences_of(address, platform):
            query = {"platform": platform, "audience_id": one["id"]}
            answer = requests.get(f"{address}/_sandbox/members", params=query, timeout=60).json()
            held[platform].update(value for row in answer["members"] for value in row)
    return held


def _everywhere(home: Path, address: str) -> list[tuple[str, str]]:
    """Customers with their typed address who are on all three platforms now."""
    held = _holdings(address)
    with (home / "input" / "crm.csv").open(encoding="utf-8", newline="") as file:
        typed = {row["customer_id"]: row["email"] for row in csv.DictReader(file) if row["email"]}
    return [
        (customer, raw)
        for customer, raw in sorted(typed.items())
        if email(raw, "meta") and all(hashed in held[name] for name, hashed in _hashes(raw).items())
    ]


def _drop(home: Path, customers: list[str], number: int) -> None:
    """Put a file of statements into the inbox, whole at once."""
    inbox = home / "inbox" / "consent"
    inbox.mkdir(parents=True, exist_ok=True)
    partial = inbox / f"opt_outs_{number}.csv.partial"
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("event_at", "customer_id", "status", "purpose", "source"))
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        writer.writerows((now, customer, "denied", "advertising", "a form") for customer in customers)
    partial.rename(partial.with_suffix(""))


def _until_gone(address: str, typed: list[str], begun: float) -> float:
    taboo = [_hashes(raw) for raw in typed]
    while time.monotonic() - begun < LONGEST:
        held = _holdings(address)
        if not any(hashed in held[name] for one in taboo for name, hashed in one.items()):
            return round(time.monotonic() - begun, 1)
        time.sleep(0.5)
    raise AssertionError(f"not gone after {LONGEST:.0f} s")


def _until_verified(home: Path, begun: float) -> float:
    """Until every receipt of a removal is verified."""
    while time.monotonic() - begun < LONGEST:
        with closing(sqlite3.connect(f"file:{home / 'ledger.db'}?mode=ro", uri=True)) as ledger:
            states = {
                state
                for (state,) in ledger.execute(
                    "select state from removal_receipts where request_id = "
                    "(select request_id from removal_receipts order by requested_at desc limit 1)"
                )
            }
        if states == {"verified"}:
            return round(time.monotonic() - begun, 1)
        time.sleep(0.5)
    raise AssertionError(f"the receipts are not verified after {LONGEST:.0f} s")
