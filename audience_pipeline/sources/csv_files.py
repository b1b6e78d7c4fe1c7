"""CSV files as text tables: separator and header found, clean files read by DuckDB as they are."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from audience_pipeline.sources import header
from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.lines import LineMap
from audience_pipeline.sources.options import ReadOptions
from audience_pipeline.sources.repair import Dialect, repair
from audience_pipeline.sources.survey import LINE_LIMIT, Survey
from audience_pipeline.sources.table import Rejected, TextTable, quoted

_SEPARATORS = (",", ";", "\t", "|")
_REPAIRED = "repaired.csv"


def csv_table(
    file: Survey, kind: Kind, options: ReadOptions, scratch: Path, *, repaired: bool = False
) -> TextTable:
    """The relation of a CSV file.

    Args:
        file: the surveyed file.
        kind: its contract.
        options: column names and separator.
        scratch: private folder.
        repaired: False reads the file as it is, which only works where every record is one whole line;
            True writes what is whole into ``scratch`` first, and says what is not.

    Raises:
        SourceError: the header does not fit the contract, or there is nothing under it.
    """
    names, delimiter, header_lines = _header(file, options)
    positions = header.match(file.name, kind, names, options)
    dialect = Dialect(delimiter, len(names))
    columns = {name: names[position] for name, position in positions.items()}
    if repaired:
        target = scratch / _REPAIRED
        with file.open() as source, target.open("wb") as clean:
            outcome = repair(source, clean, dialect, skip=header_lines)
        relation = _relation(target, dialect, positions, gzipped=False, skip=0)
        return TextTable(relation, columns, outcome.records, outcome.line_map, outcome.rejected)
    blanks = file.blanks[file.blanks > header_lines]
    records = file.lines - header_lines - len(blanks)
    if records <= 0:
        raise SourceError(
            file.name, "there is a header and nothing under it", "export it again, with its rows"
        )
    relation = _relation(_linked(file, scratch), dialect, positions, gzipped=file.gzipped, skip=header_lines)
    line_map = LineMap.around_blanks(header_lines + 1, blanks)
    odd_blanks = file.hard_blanks or (file.tabs and delimiter != "\t")
    return TextTable(relation, columns, records, line_map, Rejected(), odd_blanks)


def _linked(file: Survey, scratch: Path) -> Path:
    """The file under a name without characters that DuckDB takes for a pattern."""
    link = scratch / "source"
    if not link.is_symlink():
        link.symlink_to(file.text.resolve())
    return link


def _relation(path: Path, dialect: Dialect, positions: dict[str, int], *, gzipped: bool, skip: int) -> str:
    fields = [f"f{number}" for number in range(dialect.width)]
    chosen = "".join(f"f{position} AS {name}, " for name, position in positions.items())
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in fields)
    return (
        f"SELECT {chosen}hash({', '.join(fields)}) AS whole_line, false AS malformed, false AS blank "
        f"FROM read_csv({quoted(str(path))}, auto_detect=false, header=false, skip={skip}, "
        f"delim={quoted(dialect.delimiter)}, quote='\"', escape='\"', max_line_size={LINE_LIMIT}, "
        f"compression='{'gzip' if gzipped else 'none'}', columns={{{columns}}})"
    )


def _header(file: Survey, options: ReadOptions) -> tuple[list[str], str, int]:
    """Names, separator, and the number of lines up to the end of the header."""
    with file.open() as stream:
        block = stream.read(LINE_LIMIT)
    text = block.decode(errors="replace")
    readings = [
        _first_record(text, separator)
        for separator in ([options.delimiter] if options.delimiter else _SEPARATORS)
    ]
    best = max((reading for reading in readings if reading), key=lambda r: len(r[0]), default=None)
    if best is None:
        raise SourceError(
            file.name, "the header is longer than 2,000,000 bytes or not closed", "check its quotes"
        )
    names, separator, lines = best
    return [name.strip() for name in names], separator, lines


def _first_record(text: str, separator: str) -> tuple[list[str], str, int] | None:
    if len(text) >= LINE_LIMIT and "\n" not in text:
        return None
    reader = csv.reader(io.StringIO(text), delimiter=separator, strict=True, skipinitialspace=True)
    try:
        names = next((record for record in reader if any(field.strip() for field in record)), None)
    except csv.Error:
        return None
    return None if names is None else (names, separator, reader.line_num)
