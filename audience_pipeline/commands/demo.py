"""``audience-pipeline demo``: the whole flow once, on a synthetic shop or on one's own file."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from audience_pipeline.commands.console import (
    DEMO_ROOT,
    NEWEST,
    JsonOption,
    Step,
    fail,
    note,
    out,
    print_json,
    progress,
)
from audience_pipeline.commands.demo_input import (
    OWN,
    InputError,
    demo_settings,
    invented_files,
    shop_files,
    waiting_files,
)
from audience_pipeline.commands.reading import Said, reads_files
from audience_pipeline.commands.report import gather
from audience_pipeline.commands.runner import JobFailedError, run_job
from audience_pipeline.commands.sandboxes import sandbox_beside
from audience_pipeline.commands.sync import deliver
from audience_pipeline.commands.tables import show
from audience_pipeline.settings import Settings, SettingsError


@dataclass
class Clock:
    """Seconds per stage, shown at the end."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[Step]:
        """Time one stage and show its progress."""
        started = time.perf_counter()
        with progress(name) as step:
            yield step
        self.seconds[name] = time.perf_counter() - started
        note(f"  {name}: {self.seconds[name]:.1f} s")


@reads_files
def demo(
    transactions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Your own transactions: CSV, JSON or Parquet, plain or gzip."),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option("--dir", metavar="DIR", help="Where everything is kept; a folder in .demo without it."),
    ] = None,
    customers: Annotated[
        int, typer.Option(help="Customers of the synthetic shop.", min=1, max=5_000_000)
    ] = 20_000,
    seed: Annotated[int, typer.Option(help="Another seed draws another shop.", min=0)] = 7,
    as_json: JsonOption = False,
    *,
    said: Said,
) -> None:
    """The whole flow: raw files to audiences on three sandbox platforms. Nothing leaves the machine.

    Example: audience-pipeline demo --transactions orders.csv
    """
    if transactions is not None and not transactions.is_file():
        fail(f"{transactions}: there is no such file", 2)
    home = directory or DEMO_ROOT / _name(transactions, customers, seed)
    if elsewhere := [name for name in OWN[2:] if os.environ.get(name)]:
        note(
            f"The demo keeps everything in {home} and does not heed {' and '.join(elsewhere)}: unset that "
            "before other commands on it."
        )
    clock = Clock()
    started = time.perf_counter()
    try:
        changed = _run(home, transactions, said, customers, seed, clock)
        settings = demo_settings(home)
        report = gather(settings)
    except (InputError, JobFailedError, SettingsError) as error:
        fail(str(error))
    if directory is None:
        (DEMO_ROOT / NEWEST).write_text(home.name, encoding="utf-8")
    report["changed"] = changed
    report["seconds"] = round(time.perf_counter() - started, 1)
    report["workspace"] = str(home)
    if as_json:
        print_json(report)
    else:
        for shown in show(report):
            out.print(shown)


def _name(transactions: Path | None, customers: int, seed: int) -> str:
    if transactions is None:
        return "shop" if (customers, seed) == (20_000, 7) else f"shop-{customers}-{seed}"
    stem = re.sub(r"[^A-Za-z0-9]+", "-", transactions.name.split(".")[0]).strip("-").lower() or "file"
    return f"{stem}-{hashlib.sha256(str(transactions.resolve()).encode()).hexdigest()[:6]}"


def _run(
    home: Path, transactions: Path | None, said: dict[str, Any], customers: int, seed: int, clock: Clock
) -> bool:
    """Every stage once; True when anything in the workspace changed."""
    if transactions is None:
        with clock.stage("synthetic shop") as step:
            files = shop_files(home, customers, seed, step)
        changed = _land(home, files, clock)
    else:
        changed = _land(home, {"transactions": [transactions]}, clock, said)
        with clock.stage("invented contacts"):
            files = invented_files(home, seed)
        note(
            "  The file names no contacts: e-mail addresses, phone numbers and consent are invented for the "
            "sandbox, marked as invented, and used nowhere else."
        )
        changed = _land(home, files, clock) or changed
    settings = demo_settings(home)
    as_of = settings.config.calendar.last_day
    if as_of is None:
        raise InputError("nothing was landed, so there is no day to look at: see the reasons above")
    if changed or _is_due(settings, as_of):
        _compute(settings, as_of, clock)
        changed = True
    with clock.stage("delivery to three sandbox platforms") as step, sandbox_beside(settings):
        # The base URLs of the sandbox are known only now.
        done = deliver(demo_settings(home), step)
    if unfinished := done.unfinished:
        raise JobFailedError(" | ".join(unfinished))
    changed = changed or any(report.sent or report.removed for report in done.reports)
    if changed:
        with clock.stage("entities for SQL") as step:
            run_job(settings, "verify", step, selection=["entities"])
    return changed


def _land(home: Path, files: dict[str, list[Path]], clock: Clock, said: dict[str, Any] | None = None) -> bool:
    """Land what has not landed yet; True when rows were added."""
    waiting = waiting_files(home, files)
    if not waiting:
        return False
    with clock.stage(f"landing {', '.join(waiting)}") as step:
        ran = run_job(
            demo_settings(home),
            "land_sources",
            step,
            config={dataset: {"reading": said or {}} for dataset in waiting},
            selection=list(waiting),
            files=waiting,
        )
    for dataset in waiting:
        if refused := ran.metadata[dataset]["refused"]:
            raise InputError(" ".join(refused))
    return any(ran.metadata[dataset]["rows_landed"] for dataset in waiting)


def _is_due(settings: Settings, as_of: date) -> bool:
    from audience_pipeline.ledger import refreshes
    from audience_pipeline.ledger.database import Ledger

    ledger = Ledger.open(settings.ledger_url)
    try:
        done = {refresh.as_of for refresh in refreshes.completed(ledger)}
        return as_of not in done or as_of in refreshes.stale(ledger)
    finally:
        ledger.close()


PER_CUSTOMER = (
    "identities",
    "customer_features",
    "ltv_predictions",
    "ltv_quintiles",
    "customer_segments",
    "segment_scorecards",
)
HISTORY_DAYS = 365 + 90
"""What a model needs to have seen a year ago, so that a year of truth can be held against it."""


def _compute(settings: Settings, as_of: date, clock: Clock) -> None:
    """From landed rows to memberships; where the history allows it, also what was predicted a year ago."""
    from audience_pipeline.defs.calendar import AsOfCalendar

    calendar = AsOfCalendar.of(settings)
    with clock.stage("orders and activity (dbt)") as step:
        marts = ["stg_transactions", "stg_activity", "orders", "customer_activity"]
        run_job(settings, "land_sources", step, selection=marts)
    month = calendar.newest_month() or as_of.replace(day=1)
    past = month.replace(year=month.year - 1)
    year_ago = calendar.month_end(past.isoformat())
    if (year_ago - settings.config.calendar.first_day).days >= HISTORY_DAYS:
        with clock.stage(f"what would have been predicted on {year_ago}") as step:
            _train(settings, past, step)
            _refresh(settings, year_ago, step, list(PER_CUSTOMER))
    with clock.stage("value model and segments") as step:
        _train(settings, month, step)
    with clock.stage(f"customers as of {as_of}") as step:
        known = ["identifiers", "consent", "order_attribution", *PER_CUSTOMER]
        audiences = ["customer_profile", "audience_memberships", "audience_sizes"]
        everything = [*known, *audiences, "ltv_reasons", "ltv_cohorts"]
        _refresh(settings, as_of, step, everything)


def _train(settings: Settings, month: date, step: Step) -> None:
    models = ["ltv_model", "segment_model"]
    run_job(settings, "monthly_retraining", step, partition_key=month.isoformat(), selection=models)


def _refresh(settings: Settings, as_of: date, step: Step, selection: list[str]) -> None:
    run_job(settings, "daily_refresh", step, partition_key=as_of.isoformat(), selection=selection)
