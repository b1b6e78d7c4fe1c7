"""The options that say how a file is written; the same for every command that reads one."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from audience_pipeline.commands.console import fail

ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column", metavar="OURS=THEIRS", help="Name of one of our columns in the file; repeatable."
    ),
]
DateFormatOption = Annotated[str | None, typer.Option(help="How dates are written, such as %d/%m/%Y.")]
DecimalOption = Annotated[str | None, typer.Option(help="Decimal sign of amounts: . or ,")]
ThousandsOption = Annotated[str | None, typer.Option(help="Thousands separator of amounts, if any.")]
EncodingOption = Annotated[str | None, typer.Option(help="Encoding of the file, such as latin-1.")]
DelimiterOption = Annotated[str | None, typer.Option(help="Separator of CSV fields, where it is not found.")]


def reading(
    column: list[str] | None,
    date_format: str | None,
    decimal: str | None,
    thousands: str | None,
    encoding: str | None,
    delimiter: str | None,
) -> dict[str, Any]:
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
