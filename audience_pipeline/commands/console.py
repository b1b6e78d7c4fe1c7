"""What every command shares: where it prints, how it fails, how it shows progress."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from audience_pipeline.settings import CONFIG_NAME, PROJECT_ROOT, Settings, SettingsError, read_config

_WIDE = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 160
"""In a file or a pipe tables take the width that they need; a terminal, or COLUMNS, says its own. A height
goes with it: without one, a terminal that calls itself dumb would cut tables at 80."""
out = Console(width=_WIDE, height=None if _WIDE is None else 25)
"""Results."""
err = Console(stderr=True)
"""Progress, notices and errors, so that results can be piped."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
DirOption = Annotated[
    Path | None,
    typer.Option(
        "--dir",
        metavar="DIR",
        help="The workspace. Without it: AUDIENCE_HOME, else .audience in the project, else the newest demo.",
        show_default=False,
    ),
]


def fail(message: str, code: int = 1) -> NoReturn:
    """Print one clear sentence and end with ``code``: 1 failed, 2 wrong usage."""
    err.print(f"[bold red]Error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def note(message: str) -> None:
    """Print a notice beside the results."""
    err.print(escape(message), highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print ``value`` as JSON; dates as ISO text."""
    typer.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


SHORT_TEXT = 9
"""Characters that a column of text keeps in a narrow terminal."""


def table(title: str, columns: dict[str, str], rows: Sequence[tuple[str, ...]], caption: str = "") -> Table:
    """A table; ``columns`` maps a heading to ``left`` or ``right``."""
    made = Table(
        title=title, title_justify="left", title_style="bold", caption=caption, caption_justify="left"
    )
    for index, (heading, side) in enumerate(columns.items()):
        if side == "right":
            made.add_column(heading, justify="right", no_wrap=True, overflow="crop")
        else:
            longest = max((len(row[index]) for row in rows), default=0)
            made.add_column(heading, overflow="fold", min_width=min(longest, SHORT_TEXT))
    for row in rows:
        made.add_row(*(escape(cell) for cell in row))
    return made


Step = Callable[[str], None]


@contextmanager
def progress(title: str) -> Iterator[Step]:
    """Show what is being done and for how long; the function given out renames the step."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    if not err.is_terminal:
        yield lambda text: note(f"  {title}: {text}")
        return
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(title)
        yield lambda text: bar.update(task, description=f"{title}: {text}")


def workspace(directory: Path | None, *, demos: bool = True) -> Settings:
    """The settings of the workspace that a command works on; ends the command when they are wrong.

    Args:
        directory: what the user said.
        demos: whether a demo may be meant where nothing was said. Real data must not land in one.
    """
    settings = _settings(directory, demos=demos)
    _tell_of_another_ledger(settings.home, settings.ledger_url)
    return settings


@cache
def _tell_of_another_ledger(home: Path, url: str) -> None:
    """Say, once, that a workspace has a ledger of its own which is not the one that is used."""
    own = home / "ledger.db"
    used = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None
    if own.is_file() and (used is None or used.resolve() != own.resolve()):
        note(
            f"AUDIENCE_LEDGER_URL names another ledger than the one of this workspace ({own}): what that one "
            "knows is not seen here. Unset the variable to use it."
        )


def _settings(directory: Path | None, *, demos: bool) -> Settings:
    try:
        if directory is not None:
            config = directory / CONFIG_NAME
            env = {
                key: value
                for key, value in os.environ.items()
                if key not in {"AUDIENCE_HOME", "AUDIENCE_CONFIG"}
            }
            if config.is_file():
                return Settings.at(directory, read_config(config), env)
            return Settings.from_environment({**env, "AUDIENCE_HOME": str(directory)})
        newest = newest_demo() if demos and not (PROJECT_ROOT / ".audience").is_dir() else None
        if not os.environ.get("AUDIENCE_HOME") and newest is not None:
            return Settings.from_environment({**os.environ, "AUDIENCE_HOME": str(newest)})
        return Settings.from_environment()
    except SettingsError as error:
        fail(str(error), 2)


DEMO_ROOT = PROJECT_ROOT / ".demo"
NEWEST = "newest"


def newest_demo(root: Path = DEMO_ROOT) -> Path | None:
    """The workspace of the newest demo, or None."""
    pointer = root / NEWEST
    if not pointer.is_file():
        return None
    home = root / pointer.read_text(encoding="utf-8").strip()
    return home if (home / CONFIG_NAME).is_file() else None
