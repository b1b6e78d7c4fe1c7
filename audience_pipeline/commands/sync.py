"""``audience-pipeline audiences sync``: the platforms made equal to the newest memberships."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audience_pipeline.commands.console import (
    DirOption,
    JsonOption,
    Step,
    err,
    fail,
    note,
    out,
    print_json,
    progress,
    table,
    workspace,
)
from audience_pipeline.commands.runner import JobFailedError, run_job
from audience_pipeline.commands.sandboxes import sandbox_beside
from audience_pipeline.commands.tables import number
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.settings import Settings

if TYPE_CHECKING:
    from audience_pipeline.defs.sending import Outcome
    from audience_pipeline.delivery.report import DeliveryReport

SHOWN_ALL = 60
"""So many audiences are all shown; of more, those that changed or have a problem."""
ENDED_BADLY = {"failed", "incomplete", "held"}


def sync(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Audiences; all without it.")
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

    The platforms are told side by side; one that fails stops no other. Exit code 1 where an audience is held,
    incomplete or failed, where a platform is not configured and where a definition has a mistake.

    Example: audience-pipeline audiences sync high_predicted_ltv --platform meta --dry-run
    """
    settings = workspace(directory)
    mistakes = _mistakes(settings, names or [])
    platforms = list(dict.fromkeys(platform or list(Platform)))
    config = {"audiences": names or None, "dry_run": dry_run, "confirm": yes}
    with sandbox_beside(settings), progress("delivery") as step:
        # The base URLs of a sandbox are known only now.
        done = deliver(workspace(settings.home), step, platforms, config)
    reports = [report.as_dict() for report in done.reports]
    if as_json:
        print_json(
            {"deliveries": reports, "not_configured": done.not_configured, "not_evaluated": done.unknown}
        )
    else:
        _show(reports, dry_run=dry_run)
        for sentence in dict.fromkeys([*done.not_configured, *_said(done.unknown), *done.erased]):
            out.print(sentence, highlight=False)
    if done.failures and not done.outcomes:
        fail(" | ".join(done.failures))
    for failure in done.failures:
        note(failure)
    ended_badly = any(report["state"] in ENDED_BADLY for report in reports)
    if mistakes or done.not_configured or done.failures or ended_badly:
        raise typer.Exit(1)


@dataclass
class Delivered:
    """What became of deliveries to some platforms, in the order in which these were asked for."""

    outcomes: Sequence[Outcome] = ()
    failures: Sequence[str] = ()
    """Of platforms that came to no end."""
    erased: Sequence[str] = ()
    """What became of requests of people to be erased, who are on no platform any more."""

    @property
    def unknown(self) -> dict[str, str]:
        """Audiences whose members nobody knows, with the reason."""
        found = {name: why for outcome in self.outcomes for name, why in outcome.unknown.items()}
        return dict(sorted(found.items()))

    @property
    def reports(self) -> list[DeliveryReport]:
        """Every audience on every platform."""
        return [report for outcome in self.outcomes for report in outcome.reports]

    @property
    def unfinished(self) -> list[str]:
        """What stopped a platform, or kept an audience from being told everything."""
        from audience_pipeline.defs.outcome import unfinished
        from audience_pipeline.defs.sending import few

        left = [report for outcome in self.outcomes for report in unfinished(outcome)]
        said = [f"{one.key.audience} on {one.key.platform.value}: {' '.join(one.sentences)}" for one in left]
        return [*self.failures, *([few(said)] if said else [])]

    @property
    def not_configured(self) -> list[str]:
        """What to set before platforms can be told anything."""
        return [outcome.not_configured for outcome in self.outcomes if outcome.not_configured]


def deliver(
    settings: Settings,
    step: Step,
    platforms: Sequence[Platform] = tuple(Platform),
    config: Mapping[str, Any] | None = None,
) -> Delivered:
    """Deliver to platforms side by side.

    Args:
        settings: the workspace.
        step: told how many audiences are done.
        platforms: which of them.
        config: which audiences, and how carefully: ``SyncConfig``.
    """
    from audience_pipeline.defs.side_by_side import SideBySide

    step(", ".join(one.value for one in platforms))
    keys = [f"{one.value}/audience_sync" for one in platforms]
    stopped = ""
    with SideBySide(settings, platforms, _Counts(step, platforms)) as together:
        try:
            run_job(
                settings,
                "delivery",
                lambda _: None,
                config={key.replace("/", "__"): config for key in keys} if config else None,
                selection=keys,
                together=together,
            )
        except JobFailedError as error:
            stopped = str(error)
    done = Delivered(
        [together.outcomes[one] for one in platforms if one in together.outcomes],
        _grouped(together.errors),
        _erased(settings, step) if not (config or {}).get("dry_run") else (),
    )
    # Why a run stopped is told better by what its platforms said, where that was the reason.
    return done if done.unfinished or not stopped else replace(done, failures=[stopped])


def _erased(settings: Settings, step: Step) -> list[str]:
    """Delete whoever asked for it and is gone from every platform; a sentence for each request."""
    from audience_pipeline.defs.erasure import complete
    from audience_pipeline.ledger.database import Ledger

    with Ledger.open(settings.ledger_url) as ledger:
        return [f"Request {one.request_id}: {one.sentence}" for one in complete(settings, ledger, step)]


def _grouped(errors: Mapping[Platform, BaseException]) -> list[str]:
    """Reasons, each once, after the names of the platforms that they stopped."""
    stopped: dict[str, list[str]] = {}
    for platform, error in errors.items():
        why = getattr(error, "description", None) or str(error) or type(error).__name__
        stopped.setdefault(why, []).append(platform.value)
    return [f"{', '.join(names)}: {why}" for why, names in stopped.items()]


class _Counts:
    """Says how many audiences are done: often where one line is overwritten, now and then in a log."""

    def __init__(self, step: Step, platforms: Sequence[Platform]) -> None:
        self._step, self._lock = step, threading.Lock()
        self._done: dict[Platform, set[str]] = {platform: set() for platform in platforms}
        self._every = 0.2 if err.is_terminal else 15.0
        self._last = time.monotonic()

    def __call__(self, report: DeliveryReport) -> None:
        with self._lock:
            self._done[report.key.platform].add(report.key.audience)
            if time.monotonic() - self._last < self._every:
                return
            self._last = time.monotonic()
            counted = ", ".join(f"{one.value} {len(done):,}" for one, done in self._done.items())
        self._step(f"audiences done: {counted}")


def _mistakes(settings: Settings, names: list[str]) -> bool:
    """Whether definitions have mistakes, which are said: opt-outs and the other audiences are sent all the
    same.
    """
    from audience_pipeline.audiences.definition import DefinitionErrors, audience_names, load_definitions
    from audience_pipeline.audiences.words import nearest, shown
    from audience_pipeline.defs.vocabulary import vocabulary

    there = audience_names(settings.audiences)
    if set(names) - there:
        there |= _delivered_once(settings)
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


def _delivered_once(settings: Settings) -> set[str]:
    """Audiences that a platform holds, defined or not: one without a definition can be confirmed by name."""
    from audience_pipeline.ledger import deliveries
    from audience_pipeline.ledger.database import Ledger

    if not settings.home.is_dir():
        return set()
    with Ledger.open(settings.ledger_url) as ledger, ledger.reading() as connection:
        return {known.key.audience for known in deliveries.audiences(connection)}


def _said(reasons: Mapping[str, str]) -> list[str]:
    from audience_pipeline.defs.tasks import DEFINED_LATER

    later = sorted(name for name, reason in reasons.items() if reason == DEFINED_LATER)
    said = [f"{name}: {reason}" for name, reason in reasons.items() if name not in later]
    if later:
        said.append(
            f"{', '.join(later)}: defined after the newest refresh; run audience-pipeline refresh first"
        )
    return said


def _show(reports: Sequence[dict[str, Any]], *, dry_run: bool) -> None:
    if not reports:
        return
    tried = [report for report in reports if report["state"] != "not tried"]
    shown = [report for report in tried if len(tried) <= SHOWN_ALL or _is_worth_a_look(report)]
    if shown:
        out.print(_table(shown, dry_run=dry_run))
    if quiet := len(tried) - len(shown):
        out.print(f"{number(quiet)} audiences are exact and did not change.", highlight=False)
    # What stops a platform is told once, and not of each of its audiences.
    stopped = Counter(
        (report["platform"], " ".join(report["sentences"]))
        for report in reports
        if report["state"] == "not tried"
    )
    for (platform, why), count in stopped.items():
        said = "1 other audience" if count == 1 else f"{number(count)} other audiences"
        out.print(f"{platform}, {said}: {why}", highlight=False)


def _is_worth_a_look(report: Mapping[str, Any]) -> bool:
    added, removed = _moved(report)
    return bool(added or removed or report["sentences"] or report["state"] in ENDED_BADLY)


def _moved(report: Mapping[str, Any]) -> tuple[int, int]:
    """People who came and went, or would."""
    if report["state"] == "planned" and report["plan"]:
        return int(report["plan"]["to_add"]), int(report["plan"]["to_remove"])
    return int(report["sent"]), int(report["removed"])


def _counts(report: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """What the platform should hold, what came and went, and what is there; dashes where it failed before
    anything was looked at.
    """
    if report["state"] == "failed" and report["plan"] is None:
        return ("-",) * 4
    added, removed = _moved(report)
    return number(report["wanted"]), number(added), number(removed), number(report["delivered"])


def _table(reports: Sequence[Mapping[str, Any]], *, dry_run: bool) -> Any:
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
                *_counts(report),
                str(report["state"]),
                " ".join([*report["sentences"], (report["plan"] or {}).get("held", "")]).strip(),
            )
            for report in reports
        ],
    )
