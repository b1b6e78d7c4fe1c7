"""How long a preview takes: ``python benchmarks/preview.py``; a million customers in 1 s is the bar.

Measured are the command as somebody types it, from its start to its end, what starting it costs, and the
function inside a process that runs already; beside it the naive way: eligibility by joins for each platform.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
from audiences_data import AS_OF, write_activity, write_profile

from audience_pipeline.audiences.definition import load_definitions
from audience_pipeline.audiences.eligibility import eligibility
from audience_pipeline.audiences.fields import FIELDS
from audience_pipeline.audiences.membership import attempts, holdout, selections
from audience_pipeline.audiences.stored import People, stored
from audience_pipeline.commands.preview_sources import seen
from audience_pipeline.defs.activity_files import store_activity
from audience_pipeline.defs.standing import write_standing
from audience_pipeline.ledger import refreshes
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.platforms.contract import CAPABILITIES, Platform
from audience_pipeline.settings import Settings

BAR_CUSTOMERS, BAR_SECONDS = 1_000_000, 1.0
RESULTS = Path(__file__).parent / "results" / "preview.json"
DAY = AS_OF.isoformat()
LARGE, SMALL, DID = "large", "small", "looked_around"
SHOWN: dict[str, str] = {
    LARGE: "include:\n  all:\n    - where: ltv_quintile <= 2 and days_since_last_order < 90\n"
    "    - where: churn_risk <> 'lost'\n",
    SMALL: "include:\n  all:\n    - where: ltv_quintile = 1 and days_since_last_order between 180 and 200\n"
    "    - where: orders >= 150\n    - where: country in ('country_1', 'country_2')\n"
    "exclude:\n  any:\n    - where: churn_risk = 'lost'\n    - where: observed_value > 100\n",
    DID: "include:\n  all:\n    - where: ltv_quintile = 1 and predicted_ltv > 200\n    - any:\n"
    "        - did: {event: product_view, at_least: 6, within_days: 14, where: \"category = 'shoes'\"}\n"
    "        - did: {event: email_click, at_least: 4, within_days: 14}\n",
}


def main() -> None:
    """Measure, print one table, write JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--customers", type=int, default=BAR_CUSTOMERS)
    arguments.add_argument("--events", type=int, default=20_000_000)
    arguments.add_argument("--audiences", type=int, default=100)
    arguments.add_argument("--times", type=int, default=5)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = workspace(Path(folder), chosen.customers, chosen.events, chosen.audiences)
        measured = {name: measure(settings, name, chosen.times) for name in SHOWN}
    result = {
        "customers": chosen.customers,
        "fields": len(FIELDS),
        "events": chosen.events,
        "other_audiences": chosen.audiences,
        "start_seconds": round(started(chosen.times), 3),
        "load_average": round(os.getloadavg()[0], 1),
        "previews": measured,
    }
    print(f"{'preview':>15} {'members':>9} {'suggested':>9} {'command':>8} {'function':>8} {'naive':>8}")
    for name, row in measured.items():
        print(
            f"{name:>15} {row['members']:>9,} {row['suggestions']:>9} {row['command_seconds']:>8} "
            f"{row['function_seconds']:>8} {row['naive_seconds'] or '-':>8}"
        )
    print(f"{'start alone':>15} {'':>9} {'':>9} {result['start_seconds']:>8}")
    if chosen.customers == BAR_CUSTOMERS:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if any(row["command_seconds"] > BAR_SECONDS for row in measured.values()):
        sys.exit(f"slower than {BAR_SECONDS:g} s")


def workspace(home: Path, customers: int, events: int, audiences: int) -> Settings:
    """A workspace as a refresh leaves it."""
    (home / "definitions").mkdir()
    os.environ.update(AUDIENCE_HOME=str(home), AUDIENCE_DEFINITIONS=str(home / "definitions"))
    settings = Settings.from_environment()
    write_definitions(home / "definitions", audiences)
    lake = settings.lake
    for table in ("customer_profile", "identifiers", "consent", "audience_memberships"):
        (lake / table).mkdir(parents=True)
    write_profile(lake / "customer_profile" / f"{DAY}.parquet", customers, 7)
    write_people(lake, customers)
    write_activity(lake / "customer_activity.parquet", customers, events, 7)
    write_standing(settings, DAY)
    store_activity(lake, AS_OF)
    profile = pl.read_parquet(lake / "customer_profile" / f"{DAY}.parquet")
    others = [name for name in load_definitions(settings.audiences).names if name not in SHOWN]
    found = attempts(profile, load_definitions(settings.audiences), others)
    table, _ = stored(found, People.of(profile), "")
    table.write_parquet(lake / "audience_memberships" / f"{DAY}.parquet")
    with Ledger.open(settings.ledger_url) as ledger:
        refreshes.record(ledger, date.fromisoformat(DAY), 1)
    return settings


def write_definitions(folder: Path, audiences: int) -> None:
    """The audiences that are shown, and others beside them."""
    rules = "rules: [{name: competitors, description: They watch us., include: {where: is_competitor}}]\n"
    (folder / "_suppression.yaml").write_text(rules, encoding="utf-8")
    tail = "platforms: [meta, google, tiktok]\nholdout_percent: 5\n"
    for name, rule in SHOWN.items():
        (folder / f"{name}.yaml").write_text(f"name: {name}\ndescription: Shown.\n{rule}{tail}", "utf-8")
    for number in range(audiences):
        text = (
            f"name: other_{number:03d}\ndescription: One of many.\ninclude:\n  all:\n"
            f"    - where: ltv_quintile <= {1 + number % 5} and days_since_last_order < {20 + number}\n"
            f"    - where: orders >= {number % 7} or country = 'country_{number % 30}'\n"
        )
        (folder / f"other_{number:03d}.yaml").write_text(text + tail, encoding="utf-8")


def write_people(lake: Path, customers: int) -> None:
    """Identifiers and consent of everybody; one in eight lacks an address, one in five a number."""
    rng = np.random.default_rng(3)
    ids = pl.read_parquet(lake / "customer_profile" / f"{DAY}.parquet", columns=["customer_id"])

    def hashed(kind: str, share: float) -> pl.Series:
        digest = pl.Series(np.arange(customers, dtype=np.uint64)).cast(pl.String) + f"{kind}" * 3
        return digest.cast(pl.Binary).set(pl.Series(rng.random(customers) > share), None)

    email, phone = hashed("email-of-32-", 0.88), hashed("phone-of-32-", 0.8)
    text = pl.Series(rng.choice(["DE", "AT", "US"], customers))
    columns = {
        **{f"{platform}_email": email for platform in ("meta", "google", "tiktok")},
        **{f"{platform}_phone": phone for platform in ("meta", "google")},
        **dict.fromkeys(
            ("meta_first_name", "meta_last_name", "google_given_name", "google_family_name"), email
        ),
        "country": text,
        "postal_code": text,
    }
    ids.with_columns(**columns).write_parquet(lake / "identifiers" / f"{DAY}.parquet")
    out, granted = rng.random(customers) < 0.01, rng.random(customers) < 0.75
    flags = {"opted_out": out} | {f"opted_out_{platform}": out for platform in Platform}
    flags |= {f"advertising_{platform}": granted & ~out for platform in Platform}
    ids.with_columns(**{name: pl.Series(values) for name, values in flags.items()}).write_parquet(
        lake / "consent" / f"{DAY}.parquet"
    )


def measure(settings: Settings, name: str, times: int) -> dict[str, Any]:
    """One preview as command, as function and the naive way, by turns."""
    command, processor, function, naive = [], [], [], []
    for _ in range(times):
        before = children()
        command.append(timed(lambda: run("audiences", "preview", name, "--json")))
        processor.append(children() - before)
        function.append(timed(lambda: seen(settings, name, None)))
        naive.append(timed(lambda: naively(settings, name)) if name != DID else float("nan"))
    said = json.loads(run("audiences", "preview", name, "--json"))
    return {
        "members": said["members"],
        "suggestions": len(said["suggestions"]),
        "suggestions_complete": said["suggestions_complete"],
        "command_seconds": round(median(command), 3),
        "command_seconds_best": round(min(command), 3),
        "command_processor_seconds": round(min(processor), 3),
        "function_seconds": round(median(function), 3),
        "naive_seconds": None if name == DID else round(median(naive), 3),
    }


def naively(settings: Settings, name: str) -> None:
    """Size and waterfall alone: everything is read, and who may be sent is found by joins."""
    profile, identifiers, consent = (
        pl.read_parquet(settings.lake / table / f"{DAY}.parquet")
        for table in ("customer_profile", "identifiers", "consent")
    )
    definitions = load_definitions(settings.audiences)
    selection = next(one for one in selections(profile, definitions, [name]) if one.audience.name == name)
    members = profile.filter(pl.Series(selection.members)).select(
        "customer_id", holdout(pl.col("person_key"), selection.audience).alias("holdout")
    )
    for platform in selection.audience.platforms:
        eligibility(members, identifiers, consent, CAPABILITIES[platform]).group_by("reason").len()


def started(times: int) -> float:
    """Seconds until the command line has read its arguments and shown the help."""
    return median(timed(lambda: run("audiences", "preview", "--help")) for _ in range(times))


def run(*arguments: str) -> str:
    """The command line in a process of its own."""
    program = [sys.executable, "-c", "from audience_pipeline.cli import main; main()", *arguments]
    return subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True).stdout


def children() -> float:
    """Processor seconds of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(action: Callable[[], object]) -> float:
    """Seconds that an action takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
