"""JSON files (an array of objects, or one object a line) as text tables."""

from __future__ import annotations

import codecs
import contextlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import duckdb

from audience_pipeline.sources import header
from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.faults import Fault
from audience_pipeline.sources.lines import LineMap
from audience_pipeline.sources.options import ReadOptions
from audience_pipeline.sources.survey import BLOCK, LINE_LIMIT, Survey, whole_lines
from audience_pipeline.sources.table import IrregularTextError, Rejected, TextTable, quoted

_KEYS_READ = 2000
_REMEDY = "give an array of objects, or one object a line"


def json_table(
    file: Survey, kind: Kind, options: ReadOptions, scratch: Path, *, repaired: bool = False
) -> TextTable:
    """The relation of a JSON file.

    Args:
        file: the surveyed file.
        kind: its contract.
        options: column names.
        scratch: private folder; arrays are written there as lines.
        repaired: True leaves out lines that are no text or too long, and says which.

    Raises:
        SourceError: not JSON, no array of objects, or its keys do not fit the contract.
    """
    rejected = Rejected()
    if _is_array(file):
        path = scratch / "array.jsonl"
        with path.open("wb") as target:
            line_map, records = _array_to_lines(file, target)
        gzipped = False
    elif repaired:
        path = scratch / "repaired.jsonl"
        with file.open() as source, path.open("wb") as target:
            line_map, records = _whole_lines(source, target, rejected)
        gzipped = False
    else:
        _refuse_single_object(file)
        path, gzipped, line_map, records = _linked(file, scratch), file.gzipped, LineMap(), file.lines
    lines = (
        "SELECT nullif(trim(line, E' \\t\\r\\n'), '') AS line FROM "
        f"read_csv({quoted(str(path))}, auto_detect=false, header=false, delim='\\x1f', quote='', escape='', "
        f"max_line_size={LINE_LIMIT}, compression='{'gzip' if gzipped else 'none'}', "
        "columns={'line': 'VARCHAR'})"
    )
    objects = (
        "SELECT line, CASE WHEN json_valid(line) THEN json_type(line) = 'OBJECT' ELSE false END AS is_object "
        f"FROM ({lines})"
    )
    names = _keys(file, objects)
    positions = header.match(file.name, kind, names, options)
    columns = {name: names[position] for name, position in positions.items()}
    paths = ", ".join(quoted('$."' + name.replace('"', '\\"') + '"') for name in columns.values())
    values = f"CASE WHEN is_object THEN json_extract_string(line, [{paths}]) END"
    chosen = "".join(f"v[{number}] AS {name}, " for number, name in enumerate(columns, 1))
    relation = (
        f"SELECT {chosen}hash(line) AS whole_line, NOT is_object AS malformed, line IS NULL AS blank "
        f"FROM (SELECT line, is_object, {values} AS v FROM ({objects}))"
    )
    return TextTable(relation, columns, records, line_map, rejected)


def _linked(file: Survey, scratch: Path) -> Path:
    link = scratch / "source"
    if not link.is_symlink():
        link.symlink_to(file.text.resolve())
    return link


def _is_array(file: Survey) -> bool:
    with file.open() as stream:
        return stream.read(BLOCK).lstrip()[:1] == b"["


def _keys(file: Survey, objects: str) -> list[str]:
    query = (
        f"SELECT DISTINCT unnest(json_keys(line)) AS key FROM ({objects}) WHERE is_object LIMIT {_KEYS_READ}"
    )
    keys = None
    with duckdb.connect() as connection, contextlib.suppress(duckdb.Error):
        keys = sorted(row[0] for row in connection.execute(query).fetchall())
    if keys is None:
        raise IrregularTextError
    if not keys:
        raise SourceError(file.name, "there is no JSON object with values in it", _REMEDY)
    return keys


def _refuse_single_object(file: Survey) -> None:
    """An object over several lines is no table: usually the rows are in one of its lists."""
    with file.open() as stream:
        block = stream.read(BLOCK).lstrip()
    first, _, rest = block.partition(b"\n")
    closed = first.rstrip().endswith(b"}")
    if closed and (rest.strip() or re.search(rb"[:,]\s*\[\s*\{", first) is None):
        return
    inside = re.search(rb'"(\w{1,40})"\s*:\s*\[', block)
    hint = f": its rows may be in the list '{inside[1].decode()}'" if inside else ""
    if len(first) >= LINE_LIMIT // 2:
        hint = ""
    raise SourceError(file.name, f"this is one JSON object, not an array of them{hint}", _REMEDY)


def _whole_lines(source: BinaryIO, target: BinaryIO, rejected: Rejected) -> tuple[LineMap, int]:
    line_map, number, records, too_long = LineMap(), 0, 0, False
    for block in whole_lines(source):
        for line in block.splitlines(keepends=True):
            if too_long:
                too_long = not line.endswith(b"\n")
                continue
            number += 1
            if len(line) > LINE_LIMIT:
                rejected.add(number, Fault.TOO_LONG)
                too_long = not line.endswith(b"\n")
                continue
            try:
                line.decode()
            except UnicodeDecodeError:
                rejected.add(number, Fault.NOT_UTF8)
                continue
            if line.strip():
                line_map.add(records, number)
                records += 1
                target.write(line.rstrip() + b"\n")
    return line_map, records


def _array_to_lines(file: Survey, target: BinaryIO) -> tuple[LineMap, int]:
    """Write each element of the array on a line of its own."""
    line_map, records = LineMap(), 0
    with file.open() as stream:
        for line, element in _elements(file.name, stream):
            line_map.add(records, line)
            records += 1
            target.write(element.replace("\r", " ").replace("\n", " ").encode() + b"\n")
    if not records:
        raise SourceError(file.name, "the JSON array is empty", "export it again, with its rows")
    return line_map, records


def _elements(name: str, stream: BinaryIO) -> Iterator[tuple[int, str]]:
    """The elements of the array as text, each with the line on which it begins."""
    text = _Buffer(name, stream)
    text.expect("[")
    if text.peek() == "]":
        return
    while True:
        text.peek()
        yield text.line, text.value()
        if text.peek() == "]":
            break
        text.expect(",")
    text.expect("]")
    if text.peek():
        raise text.broken("there is something after the end of the array")


class _Buffer:
    """A window over the text that moves on value by value."""

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self._name, self._stream = name, stream
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self._scan: Callable[[str, int], tuple[object, int]] = json.JSONDecoder(parse_int=float).raw_decode
        self._text, self._at, self._ended = "", 0, False
        self.line = 1

    def peek(self) -> str:
        """The next character that is no blank; empty at the end."""
        while True:
            rest = self._text[self._at : self._at + 4096]
            stripped = rest.lstrip(" \t\r\n")
            self._move(len(rest) - len(stripped))
            if stripped:
                return stripped[0]
            if not rest and not self._read():
                return ""

    def expect(self, character: str) -> None:
        """Step over ``character``."""
        if self.peek() != character:
            raise self.broken(
                f"expected '{character}'" if self._at < len(self._text) else "the file ends early"
            )
        self._move(1)

    def value(self) -> str:
        """The text of the JSON value that begins here."""
        while True:
            start, end = self._at, self._end()
            # A number at the end of the window may go on in the next one.
            if end is not None and (end < len(self._text) or self._ended):
                self._move(end - start)
                return self._text[start:end]
            if self._ended:
                raise self.broken("this is not JSON, or the file ends early")
            if len(self._text) - start > LINE_LIMIT:
                raise self.broken("a value is not JSON, or longer than 2,000,000 characters")
            self._read()

    def broken(self, reason: str) -> SourceError:
        """The error that names the place."""
        return SourceError(self._name, f"the JSON array is broken: {reason}", _REMEDY, line=self.line)

    def _end(self) -> int | None:
        try:
            return self._scan(self._text, self._at)[1]
        except (ValueError, RecursionError):
            return None

    def _move(self, characters: int) -> None:
        self.line += self._text.count("\n", self._at, self._at + characters)
        self._at += characters

    def _read(self) -> bool:
        block = self._stream.read(BLOCK)
        if not block:
            self._ended = True
            return False
        self._text = self._text[self._at :] + self._decode(block)
        self._at = 0
        return True
