"""``audience-pipeline audiences preview``: sizes, what becomes of them on each platform, what would help."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from audience_pipeline.commands.audience_files import refuse
from audience_pipeline.commands.console import DirOption, JsonOption, fail, out, print_json, workspace


def preview(
    name: Annotated[
        str, typer.Argument(metavar="NAME|PATH", help="The audience, or a file that is not saved there yet.")
    ],
    directory: DirOption = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="Without it, the newest date."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """How many people an audience holds on each platform, why the others fall out, what would help. Sends
    nothing.

    Example: audience-pipeline audiences preview high_predicted_ltv
    """
    from audience_pipeline.audiences.definition import DefinitionErrors
    from audience_pipeline.audiences.errors import EvaluationError
    from audience_pipeline.commands.preview_sources import NotThereError, UnknownAudienceError, seen
    from audience_pipeline.commands.preview_tables import as_json as plain
    from audience_pipeline.commands.preview_tables import shown

    settings = workspace(directory)
    try:
        found = seen(settings, name, as_of.date() if as_of else None)
    except DefinitionErrors as error:
        refuse(error, as_json=as_json)
    except UnknownAudienceError as error:
        fail(str(error), 2)
    except NotThereError as error:
        fail(str(error))
    except EvaluationError as error:
        fail(f"{name} cannot be evaluated: {error}")
    if as_json:
        print_json(plain(found))
        return
    for part in shown(found):
        out.print(part, highlight=False)
