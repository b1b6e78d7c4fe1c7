"""The options that say how a file is written; the same for every command that reads one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer

from audience_pipeline.commands.console import fail

Said = dict[str, Any]
"""What was said, by the names of :class:`audience_pipeline.sources.options.ReadOptions`."""


_OF_CONTACTS = ("keep", "hashed")
"""Options that only files of people have."""


def reads_files(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the options that say how a file is written, in place of its parameter ``said``."""
    return _with_options(command, without=_OF_CONTACTS)


def reads_all_kinds(command: Callable[..., None]) -> Callable[..., None]:
    """The same for a command that reads files of contacts too."""
    return _with_options(command)


def _with_options(command: Callable[..., None], without: tuple[str, ...] = ()) -> Callable[..., None]:
    own = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    options = [one for one in inspect.signature(reading).parameters.values() if one.name not in without]
    option_hints = get_type_hints(reading, include_extras=True)
    parameters = [
        one.replace(annotation=hints[one.name]) for one in own.parameters.values() if one.name != "said"
    ] + [
        one.replace(annotation=option_hints[one.name], kind=inspect.Parameter.KEYWORD_ONLY) for one in options
    ]

    def run(**given: Any) -> None:
        said = reading(**{one.name: given.pop(one.name) for one in options})
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
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="crm: a column of the file to keep for audiences; repeatable."),
    ] = None,
    hashed: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=PLATFORMS",
            help="email or phone holds SHA-256 already, for these platforms: email=meta,google; repeatable.",
        ),
    ] = None,
) -> Said:
    """What was said, by the names of :class:`audience_pipeline.sources.options.ReadOptions`.

    Options that cannot be meant end the command as wrong usage.
    """
    from audience_pipeline.sources.options import ReadOptions

    given: dict[str, Any] = {
        "columns": _pairs("column", column, "customer_id=CustomerNo"),
        "date_format": date_format,
        "decimal": decimal,
        "thousands": thousands,
        "encoding": encoding,
        "delimiter": delimiter,
        "keep": keep,
        "hashed": _lists(_pairs("hashed", hashed, "email=meta,google")),
    }
    said = {name: value for name, value in given.items() if value}
    try:
        ReadOptions(**said)
    except ValueError as error:
        fail(str(error), 2)
    return said


def _pairs(option: str, given: list[str] | None, example: str) -> dict[str, str]:
    pairs = {}
    for pair in given or []:
        ours, sign, theirs = pair.partition("=")
        if not sign or not ours or not theirs:
            what = "OURS=THEIRS" if option == "column" else "COLUMN=PLATFORMS"
            fail(f"--{option} takes {what}, such as --{option} {example}", 2)
        pairs[ours] = theirs
    return pairs


def _lists(pairs: dict[str, str]) -> dict[str, list[str]]:
    return {name: [each.strip() for each in listed.split(",")] for name, listed in pairs.items()}
