"""``audience-pipeline delivery``: whether platforms hold what the ledger says."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from audience_pipeline.commands.console import (
    DirOption,
    JsonOption,
    fail,
    out,
    print_json,
    progress,
    table,
    workspace,
)
from audience_pipeline.commands.sandboxes import sandbox_beside
from audience_pipeline.platforms.contract import Platform

if TYPE_CHECKING:
    from audience_pipeline.delivery.verify import Verification
    from audience_pipeline.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Deliveries: whether platforms hold what the ledger says.")
app.callback()(lambda: None)

SHOWN = 200
"""Gaps, and remarks, that are shown; --json has all of them."""


@app.command()
def verify(
    platform: Annotated[
        list[Platform] | None, typer.Option(help="Only this platform; may be repeated.")
    ] = None,
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read every audience of every account and compare it with the ledger: sizes, status, names, expiry,
    removals. Sends nothing. Exit code 1 where there is a gap. Remarks, such as that an audience is
    too small to be used, are none.

    Example: audience-pipeline delivery verify --platform meta
    """
    settings = workspace(directory)
    chosen = list(dict.fromkeys(platform or Platform))
    with sandbox_beside(settings), progress("verify") as step:
        step("reading the platforms")
        # The base URLs of a sandbox are known only now.
        found = _verified(workspace(settings.home), chosen)
    if as_json:
        print_json([one.as_dict() for one in found])
    else:
        _show(found)
    if not all(one.ok for one in found):
        raise typer.Exit(1)


def _verified(settings: Settings, platforms: list[Platform]) -> list[Verification]:
    from audience_pipeline.defs.resources import NotConfiguredError, PlatformResource
    from audience_pipeline.defs.verifying import verify_platform
    from audience_pipeline.ledger.database import Ledger

    resources = [PlatformResource.of(one, settings) for one in platforms]
    try:
        for resource in resources:
            resource.missing()
    except NotConfiguredError as error:
        # What is not set up has nothing to compare; a file of credentials that cannot be used is a mistake.
        fail(str(error))
    with Ledger.open(settings.ledger_url) as ledger, ThreadPoolExecutor(len(platforms)) as each:
        found = each.map(lambda one: verify_platform(settings, ledger, one), resources)
        return [verification for some in found for verification in some]


def _show(found: list[Verification]) -> None:
    if not found:
        out.print("No ad account is configured and nothing was delivered: there is nothing to compare.")
        return
    out.print(
        table(
            "Ledger and platforms",
            {
                "platform": "left",
                "account": "left",
                "audiences": "right",
                "gaps": "right",
                "remarks": "right",
                "read": "left",
            },
            [
                (
                    one.platform,
                    one.account,
                    f"{one.audiences:,}",
                    f"{sum(gap.needs_action for gap in one.gaps):,}",
                    f"{sum(not gap.needs_action for gap in one.gaps):,}",
                    f"{one.checked_at:%Y-%m-%d %H:%M} UTC",
                )
                for one in found
            ],
        )
    )
    for title, needs_action in (("Gaps", True), ("Remarks", False)):
        rows = [
            (one.platform, gap.audience or f"(account {one.account})", gap.sentence)
            for one in found
            for gap in one.gaps
            if gap.needs_action == needs_action
        ]
        if rows:
            out.print(_listed(title, rows))


def _listed(title: str, rows: Sequence[tuple[str, ...]]) -> Table:
    more = len(rows) - SHOWN
    said = "what differs, and what to do" if title == "Gaps" else "nothing to do, but good to know"
    columns = {"platform": "left", "audience": "left", said: "left"}
    return table(title, columns, rows[:SHOWN], f"and {more:,} more; --json has all" if more > 0 else "")
