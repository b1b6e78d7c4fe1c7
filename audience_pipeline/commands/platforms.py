"""``audience-pipeline platforms``: whether the platforms can be used, and what is missing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from audience_pipeline.commands.console import (
    DirOption,
    JsonOption,
    out,
    print_json,
    progress,
    table,
    workspace,
)
from audience_pipeline.commands.sandboxes import sandbox_beside
from audience_pipeline.platforms.contract import AudienceClient, Platform, PlatformError

if TYPE_CHECKING:
    from audience_pipeline.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Platforms: whether they can be used, and what is missing.")
app.callback()(lambda: None)

CONFIGURATION = "configuration"
"""What is looked at before a platform is asked at all."""


@dataclass(frozen=True, slots=True)
class Looked:
    """One thing that was looked at."""

    platform: str
    account: str
    subject: str
    level: str
    """ok, warning or problem."""
    sentence: str


@app.command()
def check(
    platform: Annotated[
        list[Platform] | None, typer.Option(help="Only this platform; may be repeated.")
    ] = None,
    directory: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Test credentials, permissions, terms and limits of each ad account, and say what is missing. Changes
    nothing.

    Example: audience-pipeline platforms check --platform meta
    """
    settings = workspace(directory)
    chosen = list(dict.fromkeys(platform or Platform))
    with sandbox_beside(settings) as sandbox, progress("platforms") as step:
        if sandbox is not None:
            settings = workspace(settings.home)
        step("asking")
        with ThreadPoolExecutor(len(chosen)) as each:
            found = [one for looked in each.map(lambda one: look(settings, one), chosen) for one in looked]
    usable = all(one.level != "problem" for one in found)
    if as_json:
        print_json({"usable": usable, "findings": [asdict(one) for one in found]})
    else:
        out.print(_table(found))
    if not usable:
        raise typer.Exit(1)


def look(settings: Settings, platform: Platform) -> list[Looked]:
    """Everything that can be found out about one platform; whatever goes wrong is a finding."""
    from audience_pipeline.defs.resources import NotConfiguredError, PlatformResource, is_loopback

    resource = PlatformResource.of(platform, settings)

    def told(level: str, sentence: str, account: str = "", subject: str = CONFIGURATION) -> Looked:
        return Looked(platform.value, account, subject, level, sentence)

    where = resource.base_url
    nearby = " (on this machine: a sandbox)" if is_loopback(where) else ""
    try:
        clients = resource.clients()
    except (NotConfiguredError, PlatformError) as error:
        return [told("problem", str(error))]
    many = "1 ad account" if len(clients) == 1 else f"{len(clients)} ad accounts"
    found = [told("ok", f"{many} at {where}{nearby}")]
    for client in clients:
        found += [
            told(level, sentence, client.account, subject) for subject, level, sentence in _asked(client)
        ]
    return found


def _asked(client: AudienceClient) -> list[tuple[str, str, str]]:
    try:
        return [(one.subject, one.level, one.sentence) for one in client.check()]
    except PlatformError as error:
        return [("account", "problem", f"it cannot be asked: {error}")]


def _table(found: list[Looked]) -> Table:
    rows: list[tuple[str, ...]] = []
    last: tuple[str, str] = ("", "")
    for one in found:
        here = (one.platform, one.account)
        rows.append(
            (
                one.platform if one.platform != last[0] else "",
                one.account if here != last else "",
                one.subject,
                one.level,
                one.sentence,
            )
        )
        last = here
    columns: dict[str, Any] = dict.fromkeys(("platform", "account", "what", "level", "finding"), "left")
    problems = sum(one.level == "problem" for one in found)
    caption = {
        0: "Everything that was looked at can be used.",
        1: "1 problem: until it is mended, audiences may not arrive.",
    }.get(problems, f"{problems} problems: until they are mended, audiences may not arrive.")
    return table("Platforms", columns, rows, caption)
