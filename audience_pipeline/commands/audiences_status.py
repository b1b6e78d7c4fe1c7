"""``audience-pipeline audiences status``: what was sent, what arrived, what waits, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from audience_pipeline.commands.console import DirOption, JsonOption, fail, out, print_json, workspace

if TYPE_CHECKING:
    from audience_pipeline.defs.audience_details import Details
    from audience_pipeline.settings import Settings


def status(
    name: Annotated[str | None, typer.Argument(help="One audience, in detail; all without it.")] = None,
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """What each platform holds, as far as it has said: sent, accepted, matched, and when. Problems first.

    With a name, besides: why people were refused, what is held and how it goes on, what the people of each
    platform are like, where platforms differ and why, and what would bring more matches.

    Example: audience-pipeline audiences status high_predicted_ltv --json
    """
    settings = workspace(directory)
    if name is None:
        _all(settings, as_json=as_json)
    else:
        _one(settings, name, as_json=as_json)


def _all(settings: Settings, *, as_json: bool) -> None:
    from audience_pipeline.commands.report import delivered
    from audience_pipeline.commands.tables import delivery_tables

    audiences, deliveries = delivered(settings)
    if as_json:
        print_json(deliveries)
        return
    for part in delivery_tables(audiences, deliveries):
        out.print(part)


def _one(settings: Settings, name: str, *, as_json: bool) -> None:
    from audience_pipeline.commands.status_tables import as_plain, shown
    from audience_pipeline.defs.audience_details import details
    from audience_pipeline.ledger.database import Ledger
    from audience_pipeline.ledger.members import MemberStore

    with Ledger.open(settings.ledger_url) as ledger:
        found = details(settings, MemberStore(ledger, settings.delivered), name)
    if not found.rows:
        from audience_pipeline.audiences.words import shown as quoted

        fail(f"{quoted(name)} has never been delivered; audience-pipeline audiences list shows the names")
    tried, why_not = _suggestions(settings, name, found)
    if as_json:
        print_json(as_plain(name, found, tried, why_not))
        return
    for part in shown(name, found, tried, why_not):
        out.print(part, highlight=False)


def _suggestions(settings: Settings, name: str, found: Details) -> tuple[Any | None, str]:
    """The preview of an audience that is too small somewhere, with changes that were tried out; or why there
    is none.
    """
    if not found.small:
        return None, ""
    from audience_pipeline.audiences.definition import DefinitionErrors
    from audience_pipeline.audiences.errors import EvaluationError
    from audience_pipeline.commands.preview_sources import NotThereError, UnknownAudienceError, seen

    try:
        return seen(settings, name, None), ""
    except (DefinitionErrors, EvaluationError, NotThereError, UnknownAudienceError) as error:
        return None, f"What would bring more people cannot be tried out: {error}"
