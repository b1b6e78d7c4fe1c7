"""The options that say how a file is written; the same for every command that reads one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer

from audience_pipeline.commands.console import fail

Said = dict[str, Any]
"""What was said, by the names of :class:`audience_pipeline.sources.options.ReadOptions`."""


def reads_files(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the options that say how a file is written, in place of its parameter ``said``."""
    own = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    options = inspect.signature(reading)
    option_hints = get_type_hints(reading, include_extras=True)
    parameters = [
        one.replace(annotation=hints[one.name]) for one in own.parameters.values() if one.name != "said"
    ] + [
        one.replace(annotation=option_hints[one.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for one in options.parameters.values()
    ]

    def run(**given: Any) -> None:
        said = reading(**{name: given.pop(name) for name in options.parameters})
        command(**given, said=said)

    run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, command.__module__
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run


def reading(
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="OURS=THEIRS", help="Name of one of our columns in the file; repeatable."),
    ] = None,
    date_format: Annotated[str | None, typer.Option(help="How dates are written, such as %d/%m/%Y.")] = None,
    decimal: Annotated[str | None, typer.Option(help="Decimal sign of amounts: . or ,")] = None,
    thousands: Annotated[str | None, typer.Option(help="Thousands separator of amounts, if any.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of the file, such as latin-1.")] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="Separator of CSV fields, where it is not found.")
    ] = None,
) -> Said:
    """What was said, by the names of :class:`audience_pipeline.sources.options.ReadOptions`.

    Options that cannot be meant end the command as wrong usage.
    """
    from audience_pipeline.sources.options import ReadOptions

    given: dict[str, Any] = {
        "columns": _columns(column or []),
        "date_format": date_format,
        "decimal": decimal,
        "thousands": thousands,
        "encoding": encoding,
        "delimiter": delimiter,
    }
    said = {name: value for name, value in given.items() if value}
    try:
        ReadOptions(**said)
    except ValueError as error:
        fail(str(error), 2)
    return said


def _columns(pairs: list[str]) -> dict[str, str]:
    columns = {}
    for pair in pairs:
        ours, sign, theirs = pair.partition("=")
        if not sign or not ours or not theirs:
            fail("--column takes OURS=THEIRS, such as --column customer_id=CustomerNo", 2)
        columns[ours] = theirs
    return columns
