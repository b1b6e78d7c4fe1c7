"""``ingest``, ``refresh``, ``train``: the stages of the flow without the UI."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from audience_pipeline.commands.audience_files import sound_definitions
from audience_pipeline.commands.console import (
    DirOption,
    JsonOption,
    fail,
    note,
    out,
    print_json,
    progress,
    workspace,
)
from audience_pipeline.commands.reading import Said, reads_all_kinds
from audience_pipeline.commands.runner import JobFailedError, run_job
from audience_pipeline.commands.tables import landing_tables, number
from audience_pipeline.commands.value_tables import model_tables
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind


@reads_all_kinds
def ingest(
    kind: Annotated[Kind, typer.Argument(help="What the files hold.")],
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="CSV, JSON or Parquet, plain or gzip.")
    ],
    directory: DirOption = None,
    as_json: JsonOption = False,
    *,
    said: Said,
) -> None:
    """Land files: validate, quarantine bad rows with reasons, add what is new. Twice adds nothing twice.

    Example: audience-pipeline ingest transactions orders.csv --column customer_id=CustomerNo
    """
    if missing := [str(file) for file in files if not file.is_file()]:
        fail(f"{', '.join(missing)}: there is no such file", 2)
    settings = workspace(directory, demos=False)
    with progress(f"ingest {kind.value}") as step:
        try:
            ran = run_job(
                settings,
                "land_sources",
                step,
                config={kind.dataset: {"reading": said}},
                selection=[kind.dataset],
                files={kind.dataset: [file.resolve() for file in files]},
            )
        except JobFailedError as error:
            fail(str(error))
    landed = ran.metadata[kind.dataset]
    if as_json:
        print_json({"landed": landed["reports"], "refused": landed["refused"]})
    else:
        for shown in landing_tables(landed["reports"]):
            out.print(shown)
    for refusal in landed["refused"]:
        note(f"Refused: {refusal}")
    if landed["refused"]:
        raise typer.Exit(1)


QUIET_DAYS = 3
"""Days without transactions after which somebody should know."""


def newest_as_of(settings: Settings) -> date:
    """The newest as-of date that the workspace has transactions for."""
    from audience_pipeline.defs.calendar import AsOfCalendar
    from audience_pipeline.ledger import landings
    from audience_pipeline.ledger.database import Ledger
    from audience_pipeline.sources.inbox import waiting

    if not settings.home.is_dir():
        fail(
            f"{settings.home}: there is no workspace; audience-pipeline ingest transactions FILE makes one", 2
        )
    ledger = Ledger.open(settings.ledger_url)
    try:
        landed = landings.committed(ledger, Kind.TRANSACTIONS)
    finally:
        ledger.close()
    last = max((one.last_date for one in landed if one.last_date), default=None)
    newest = AsOfCalendar.of(settings).newest_day()
    if newest is None:
        fail(f"no as-of date exists yet: the calendar of {settings.home.name} begins today or later")
    if any(kind is Kind.TRANSACTIONS for kind, _ in waiting(settings.inbox)):
        # Nobody knows the last day of files that this command is about to land.
        return newest
    if last is None:
        fail("no transactions have landed yet: run audience-pipeline ingest transactions FILE first")
    gap = (newest - last).days
    if gap > QUIET_DAYS:
        note(f"The transactions end on {last}, {gap} days before the newest as-of date {newest}.")
    return min(newest, last)


def refresh(
    directory: DirOption = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="The as-of date; without it, the newest."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Land what waits in the inbox and work out everything up to the audience memberships. Sends nothing.

    Audiences whose definitions have mistakes are set aside: the others are worked out, and the exit
    code is 1.

    Example: audience-pipeline refresh --as-of 2026-10-31
    """
    settings = workspace(directory)
    sound = sound_definitions(settings, as_json=as_json)
    newest = newest_as_of(settings)
    day = as_of.date() if as_of else newest
    first = settings.config.calendar.first_day
    if not first <= day <= newest:
        fail(f"--as-of must lie between {first} and {newest}: calendar in audience.yaml", 2)
    with progress(f"refresh {day}") as step:
        try:
            ran = run_job(
                settings,
                "daily_refresh",
                step,
                partition_key=day.isoformat(),
                tags={"audience_pipeline/sends": "no"} if day < newest else {},
            )
        except JobFailedError as error:
            fail(str(error))
    members = ran.metadata.get("audience_memberships", {})
    result: dict[str, Any] = {
        "as_of": day,
        "customers": ran.metadata.get("customer_features", {}).get("customers"),
        "memberships": members.get("members"),
        "audiences": members.get("audiences"),
        "checks_that_do_not_hold": list(ran.failed_checks),
        "set_aside": [str(problem) for problem in sound.problems],
        "run_id": ran.run_id,
    }
    if as_json:
        print_json(result)
    else:
        _show_refreshed(result)
    if sound.problems:
        note("\n".join(["Set aside, with what refers to them:", *result["set_aside"]]))
        raise typer.Exit(1)


def _show_refreshed(result: Mapping[str, Any]) -> None:
    out.print(
        f"As of {result['as_of']}: {number(result['customers'])} customers with orders, "
        f"{number(result['memberships'])} memberships in {result['audiences']} audiences. This command "
        "sends nothing; audience-pipeline audiences sync does, and Dagster where it runs.",
        highlight=False,
    )
    for check in result["checks_that_do_not_hold"]:
        note(f"Does not hold: {check}")


def train(
    directory: DirOption = None,
    month: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m"], metavar="YYYY-MM", help="The month; without it, the last complete one."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Land what waits, then train the value model and find segments, as of the last day of a month.

    Example: audience-pipeline train --month 2026-10
    """
    from audience_pipeline.defs.calendar import AsOfCalendar

    settings = workspace(directory)
    newest_as_of(settings)
    newest = AsOfCalendar.of(settings).newest_month()
    if newest is None:
        fail(f"no month is complete yet: the calendar of {settings.home.name} has just begun")
    first = month.date() if month else newest
    if not settings.config.calendar.first_day.replace(day=1) <= first <= newest:
        fail(f"--month must lie between {settings.config.calendar.first_day:%Y-%m} and {newest:%Y-%m}", 2)
    with progress(f"train {first:%Y-%m}") as step:
        try:
            ran = run_job(settings, "monthly_retraining", step, partition_key=first.isoformat())
        except JobFailedError as error:
            fail(str(error))
    model = _trained(settings, ran.metadata.get("ltv_model", {}))
    if as_json:
        print_json(model)
    else:
        for shown in model_tables(model, settings.config.shop.currency):
            out.print(shown)
        if "verdict" in model:
            out.print(f"Version {model['model_version']}: {model['verdict']}", highlight=False)


def _trained(settings: Settings, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What training found out, or why nothing was trained."""
    from audience_pipeline.ltv import registry

    if "no_model" in metadata:
        return {"no_model": metadata["no_model"]}
    known = registry.read(settings.mlflow_uri, settings.models, str(metadata["model_version"]))
    said = {"verdict": known.verdict.reason} if known.verdict else {}
    return {"model_version": known.version, **said, **known.report}
