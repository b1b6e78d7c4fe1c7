"""``audience-pipeline audiences``: check definitions, look at sizes, deliver, see what arrived."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from audience_pipeline.commands.audience_files import (
    list_audiences,
    schema,
    upload,
    validate,
)
from audience_pipeline.commands.audiences_preview import preview
from audience_pipeline.commands.console import (
    DirOption,
    JsonOption,
    fail,
    note,
    out,
    print_json,
    progress,
    table,
    workspace,
)
from audience_pipeline.commands.runner import JobFailedError, Ran, run_job
from audience_pipeline.commands.sandboxes import sandbox_beside
from audience_pipeline.commands.tables import delivery_tables, number
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Audiences: list, validate, preview, upload, sync, status.")
app.command()(preview)
app.command("list")(list_audiences)
app.command()(validate)
app.command()(schema)
app.command()(upload)


@app.command()
def sync(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="Audiences; all without it.")
    ] = None,
    platform: Annotated[
        list[Platform] | None, typer.Option(help="Only this platform; may be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Go on where the brake would hold.")] = False,
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the platforms hold exactly the newest memberships, and prove it.

    Example: audience-pipeline audiences sync high_predicted_ltv --platform meta --dry-run
    """
    settings = workspace(directory)
    mistakes = _mistakes(settings, names or [])
    chosen = [f"{one.value}/audience_sync" for one in (platform or list(Platform))]
    config = {
        key.replace("/", "__"): {"audiences": names or None, "dry_run": dry_run, "confirm": yes}
        for key in chosen
    }
    with sandbox_beside(settings), progress("delivery") as step:
        try:
            ran = run_job(workspace(settings.home), "delivery", step, config=config, selection=chosen)
        except JobFailedError as error:
            fail(str(error))
    reports = [report for key in chosen for report in (ran.metadata.get(key, {}).get("reports") or [])]
    missing = [
        str(ran.metadata[key]["not_configured"])
        for key in chosen
        if "not_configured" in ran.metadata.get(key, {})
    ]
    reasons = _not_evaluated(ran, chosen)
    if as_json:
        print_json({"deliveries": reports, "not_configured": missing, "not_evaluated": reasons})
    else:
        if reports:
            out.print(_reports_table(reports, dry_run=dry_run))
        for sentence in [*missing, *_said(reasons)]:
            out.print(sentence, highlight=False)
    if mistakes or missing or any(report["state"] in {"failed", "incomplete", "held"} for report in reports):
        raise typer.Exit(1)


def _mistakes(settings: Settings, names: list[str]) -> bool:
    """Whether definitions have mistakes, which are said: opt-outs and the other audiences are sent all the
    same.
    """
    from audience_pipeline.audiences.definition import DefinitionErrors, audience_names, load_definitions
    from audience_pipeline.audiences.words import nearest, shown
    from audience_pipeline.defs.vocabulary import vocabulary

    there = audience_names(settings.audiences)
    if unknown := [f"{shown(name)}{nearest(name, there)}" for name in sorted(set(names) - there)]:
        fail(f"no audience is called {', '.join(unknown)}", 2)
    try:
        load_definitions(settings.audiences, **vocabulary(settings, with_segments=False))
    except DefinitionErrors as error:
        note(f"{error}\nAudiences with a mistake keep whom they have, without those who opted out.")
        return True
    except ValueError as error:
        fail(f"audience.yaml: {error}", 2)
    return False


def _not_evaluated(ran: Ran, chosen: list[str]) -> dict[str, str]:
    """Audiences whose members nobody knows, with the reason."""
    reasons: dict[str, str] = {}
    for key in chosen:
        reasons |= ran.metadata.get(key, {}).get("not_evaluated") or {}
    return dict(sorted(reasons.items()))


def _said(reasons: dict[str, str]) -> list[str]:
    from audience_pipeline.defs.sending import DEFINED_LATER

    later = sorted(name for name, reason in reasons.items() if reason == DEFINED_LATER)
    said = [f"{name}: {reason}" for name, reason in reasons.items() if name not in later]
    if later:
        said.append(
            f"{', '.join(later)}: defined after the newest refresh; run audience-pipeline refresh first"
        )
    return said


def _reports_table(reports: list[dict[str, Any]], *, dry_run: bool) -> Any:
    def counts(report: dict[str, Any]) -> tuple[str, str]:
        if dry_run and report["plan"]:
            return number(report["plan"]["to_add"]), number(report["plan"]["to_remove"])
        return number(report["sent"]), number(report["removed"])

    return table(
        "What would be sent" if dry_run else "What was sent",
        {
            "audience": "left",
            "platform": "left",
            "wanted": "right",
            "added": "right",
            "removed": "right",
            "there now": "right",
            "state": "left",
            "note": "left",
        },
        [
            (
                str(report["audience"]),
                str(report["platform"]),
                number(report["wanted"]),
                *counts(report),
                number(report["delivered"]),
                str(report["state"]),
                " ".join([*report["sentences"], (report["plan"] or {}).get("held", "")]).strip(),
            )
            for report in reports
        ],
    )


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(help="One audience; all without it.")] = None,
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """What each platform holds, as far as it has said: sent, accepted, matched, and when.

    Example: audience-pipeline audiences status --json
    """
    from audience_pipeline.commands.report import gather

    report = gather(workspace(directory))
    deliveries = [row for row in report["deliveries"] if name is None or row["audience"] == name]
    if name is not None and not deliveries:
        from audience_pipeline.audiences.words import shown

        fail(f"{shown(name)} has never been delivered; audience-pipeline audiences list shows the names")
    if as_json:
        print_json(deliveries)
        return
    for part in delivery_tables(report["audiences"], deliveries):
        out.print(part)
