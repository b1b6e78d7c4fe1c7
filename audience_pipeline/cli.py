"""The command line: assembles the commands."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import typer

from audience_pipeline.commands import console

COMMANDS = {
    "demo": "demo.demo",
    "ingest": "flow.ingest",
    "refresh": "flow.refresh",
    "train": "flow.train",
    "audiences": "audiences.app",
    "customers": "customers.app",
    "delivery": "delivery.app",
    "ltv": "ltv.app",
    "platforms": "platforms.app",
    "privacy": "privacy.app",
    "profile": "profile.app",
    "sandbox": "sandboxes.sandbox",
    "ui": "ui.ui",
}
"""First word of a command to its place below ``commands``; only what is asked for is imported."""


def assembled(words: Iterable[str] = COMMANDS) -> typer.Typer:
    """The command line with the commands that begin with some words; all of them without it."""
    app = typer.Typer(
        name="audience-pipeline",
        no_args_is_help=True,
        pretty_exceptions_show_locals=False,
        help="Raw transactions in; predicted values, segments and exact audiences on three platforms out.",
        epilog="Example: audience-pipeline demo. Exit codes: 0 done, 1 failed, 2 wrong usage.",
    )
    # With a callback a command keeps its name, also where it is the only one.
    app.callback()(lambda: None)
    for word in words:
        module, name = COMMANDS[word].split(".")
        found = getattr(import_module(f"audience_pipeline.commands.{module}"), name)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=word)
        else:
            app.command(name=word)(found)
    _unwrap(app)
    return app


def _unwrap(app: typer.Typer) -> None:
    """Take the line breaks out of each paragraph of the help, so that terminals break lines by themselves."""
    for group in app.registered_groups:
        if group.typer_instance is not None:
            _unwrap(group.typer_instance)
    for command in app.registered_commands:
        paragraphs = (inspect.getdoc(command.callback) or "").split("\n\n")
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def __getattr__(name: str) -> Any:
    if name == "app":
        return assembled()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main() -> None:
    """Run the command line; what goes wrong outside our hands ends in one sentence and exit code 1."""
    asked = [word for word in sys.argv[1:2] if word in COMMANDS]
    try:
        assembled(asked or COMMANDS)()
    except KeyboardInterrupt:
        console.err.print("Stopped. Run the same command again: it goes on where it was.")
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        console.err.print(f"Error: {sentence}", markup=False, soft_wrap=True)
    else:
        return
    sys.exit(1)


def _sentence(error: Exception) -> str | None:
    """What to say of something outside our hands; None where the program itself is wrong."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    from sqlalchemy.exc import OperationalError

    from audience_pipeline.ledger.database import LedgerError

    if isinstance(error, OperationalError):
        # The statement and its parameters are left out: they may hold hashes of people.
        return f"a database cannot be used: {error.orig}"
    return str(error) if isinstance(error, LedgerError) else None
