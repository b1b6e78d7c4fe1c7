"""The command line: assembles the commands."""

from __future__ import annotations

import typer

from audience_pipeline.commands import audiences, demo, flow, ltv, sandboxes, ui

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
app.add_typer(ltv.app, name="ltv")
app.command()(sandboxes.sandbox)
app.command()(ui.ui)


def main() -> None:
    """Run the command line."""
    app()
