"""``audience-pipeline audiences``: check definitions, look at sizes, deliver, see what arrived."""

from __future__ import annotations

import typer

from audience_pipeline.commands.audience_files import (
    list_audiences,
    schema,
    upload,
    validate,
)
from audience_pipeline.commands.audiences_preview import preview
from audience_pipeline.commands.audiences_status import status
from audience_pipeline.commands.sync import sync

app = typer.Typer(no_args_is_help=True, help="Audiences: list, validate, preview, upload, sync, status.")
app.command()(preview)
app.command("list")(list_audiences)
app.command()(validate)
app.command()(schema)
app.command()(upload)
app.command()(sync)
app.command()(status)
