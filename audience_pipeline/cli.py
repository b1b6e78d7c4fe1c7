"""The command line: assembles the commands."""

from __future__ import annotations

import sys

import typer

from audience_pipeline.commands import audiences, console, customers, demo, flow, ltv, profile, sandboxes, ui

app = typer.Typer(
    name="audience-pipeline",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Raw transactions in; predicted values, segments and exact audiences on three platforms out.",
    epilog="Example: audience-pipeline demo. Exit codes: 0 done, 1 failed, 2 wrong usage.",
)
app.command()(demo.demo)
app.command()(flow.ingest)
app.command()(flow.refresh)
app.command()(flow.train)
app.add_typer(audiences.app, name="audiences")
app.add_typer(customers.app, name="customers")
app.add_typer(ltv.app, name="ltv")
app.add_typer(profile.app, name="profile")
app.command()(sandboxes.sandbox)
app.command()(ui.ui)


def main() -> None:
    """Run the command line; what goes wrong outside our hands ends in one sentence and exit code 1."""
    from sqlalchemy.exc import OperationalError

    from audience_pipeline.ledger.database import LedgerError

    try:
        app()
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        console.err.print(f"Error: {where}{error.strerror or error}", markup=False, soft_wrap=True)
    except OperationalError as error:
        # The statement and its parameters are left out: they may hold hashes of people.
        console.err.print(f"Error: a database cannot be used: {error.orig}", markup=False, soft_wrap=True)
    except LedgerError as error:
        console.err.print(f"Error: {error}", markup=False, soft_wrap=True)
    except KeyboardInterrupt:
        console.err.print("Stopped. Run the same command again: it goes on where it was.")
    else:
        return
    sys.exit(1)
