"""Broken CSV made whole: records that can be read are copied, the others are named.

A record that is broken costs its first line only: reading resumes on the next one, so that a quote which
is never closed does not swallow the rows that follow it.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from audience_pipeline.sources.faults import Fault
from audience_pipeline.sources.lines import LineMap
from audience_pipeline.sources.survey import LINE_LIMIT, whole_lines
from audience_pipeline.sources.table import Rejected

_NEWLINE, _QUOTE = 10, b'"'


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the file is written."""

    delimiter: str
    width: int
    """Fields in a record."""


@dataclass(slots=True)
class Repaired:
    """What was copied and what was not."""

    line_map: LineMap
    records: int = 0
    rejected: Rejected = field(default_factory=Rejected)


def repair(source: BinaryIO, target: BinaryIO, dialect: Dialect, *, skip: int) -> Repaired:
    """Copy the whole records of ``source``, after ``skip`` lines, to ``target`` as plain CSV.

    Returns:
        The number of records copied, the line of each, and the records that were left out.
    """
    return _Repair(target, dialect, skip).run(source)


class _Repair:
    def __init__(self, target: BinaryIO, dialect: Dialect, skip: int) -> None:
        self._target, self._dialect, self._skip = target, dialect, skip
        self._line = 1
        """Line number of the next line that comes in."""
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._outcome = Repaired(LineMap(skip + 1))
        self._limit = csv.field_size_limit()

    def run(self, source: BinaryIO) -> Repaired:
        csv.field_size_limit(LINE_LIMIT)
        try:
            for block in self._blocks(source):
                if not self._waiting and self._line > self._skip and self._is_plain(block):
                    self._copy(block)
                    continue
                self._take(block)
                self._consume(final=False)
            self._consume(final=True)
        finally:
            csv.field_size_limit(self._limit)
        return self._outcome

    def _blocks(self, source: BinaryIO) -> Iterator[bytes]:
        """Blocks of whole lines; of a line that is too long only so much as shows that it is."""
        dropping = False
        for raw in whole_lines(source):
            block = raw
            if dropping:
                end = raw.find(b"\n") + 1
                block, dropping = raw[end:], not end
                if dropping or not block:
                    continue
            block = block.replace(b"\r\n", b"\n")
            dropping = len(block) > LINE_LIMIT and not block.endswith(b"\n")
            yield block + b"\n" if dropping else block

    def _is_plain(self, block: bytes) -> bool:
        """Whether every line of the block is a whole record that needs no quotes."""
        if _QUOTE in block or b"\r" in block or not block.endswith(b"\n") or len(block) > LINE_LIMIT:
            return False
        if not block.isascii():
            try:
                block.decode()
            except UnicodeDecodeError:
                return False
        # A blank before a field is dropped with its quotes or kept without: the same way for all records.
        if f"{self._dialect.delimiter} ".encode() in block or b"\n " in block or block.startswith(b" "):
            return False
        data = np.frombuffer(block, dtype=np.uint8)
        ends = np.flatnonzero(data == _NEWLINE)
        separator = self._dialect.delimiter.encode()
        between = self._dialect.width - 1
        if len(separator) > 1 or between == 0:
            return False
        separators = np.flatnonzero(data == separator[0])
        if len(separators) != len(ends) * between:
            return False
        by_line = separators.reshape(len(ends), between)
        return bool((by_line[:, -1] < ends).all() and (by_line[1:, 0] > ends[:-1]).all())

    def _copy(self, block: bytes) -> None:
        count = block.count(b"\n")
        self._outcome.line_map.add(self._outcome.records, self._line)
        self._outcome.records += count
        self._line += count
        self._target.write(block)

    def _take(self, block: bytes) -> None:
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        for line in lines:
            if self._line > self._skip:
                self._waiting.append((self._line, line))
            self._line += 1

    def _consume(self, *, final: bool) -> None:
        text = io.StringIO()
        writer = csv.writer(
            text, delimiter=self._dialect.delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL
        )
        while self._waiting:
            outcome = self._record(final=final)
            if outcome is None:
                break
            number = self._waiting[0][0]
            fields, taken = outcome
            for _ in range(taken):
                self._waiting.popleft()
            if isinstance(fields, Fault):
                if fields is not Fault.NONE:
                    self._outcome.rejected.add(number, fields)
                continue
            self._outcome.line_map.add(self._outcome.records, number)
            self._outcome.records += 1
            writer.writerow(fields)
        self._target.write(text.getvalue().encode())

    def _record(self, *, final: bool) -> tuple[list[str] | Fault, int] | None:
        """The next record or what is wrong with it, and how many lines it takes; None to wait for more."""
        first = self._waiting[0][1]
        if not first.strip():
            return Fault.NONE, 1
        if len(first) > LINE_LIMIT:
            return Fault.TOO_LONG, 1
        lines = _Lines(self._waiting)
        reader = csv.reader(lines, delimiter=self._dialect.delimiter, strict=True, skipinitialspace=True)
        try:
            fields = next(reader)
        except UnicodeDecodeError:
            return (Fault.NOT_UTF8 if lines.taken == 1 else Fault.BROKEN_QUOTES), 1
        except (csv.Error, StopIteration):
            if lines.exhausted and not final and lines.size <= LINE_LIMIT:
                return None
            return Fault.BROKEN_QUOTES, 1
        if lines.size > LINE_LIMIT:
            return Fault.TOO_LONG, 1
        if len(fields) != self._dialect.width:
            return (Fault.TOO_FEW_FIELDS if len(fields) < self._dialect.width else Fault.TOO_MANY_FIELDS), 1
        return fields, lines.taken


class _Lines:
    """The waiting lines as text, as many as one record asks for."""

    def __init__(self, waiting: deque[tuple[int, bytes]]) -> None:
        self._lines = iter(waiting)
        self.taken = self.size = 0
        self.exhausted = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.size > LINE_LIMIT:
            raise StopIteration
        try:
            _, line = next(self._lines)
        except StopIteration:
            self.exhausted = True
            raise
        self.taken += 1
        self.size += len(line) + 1
        return line.decode() + "\n"
