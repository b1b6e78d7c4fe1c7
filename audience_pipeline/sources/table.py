"""A file as a relation of text: what every reader makes and staging consumes."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from audience_pipeline.sources.lines import LineMap


@dataclass(slots=True)
class Rejected:
    """Records whose structure is broken: where they begin, and why (a code of ``faults``)."""

    lines: array[int] = field(default_factory=lambda: array("q"))
    codes: array[int] = field(default_factory=lambda: array("q"))

    def add(self, line: int, code: int) -> None:
        """State that the record which begins on ``line`` cannot be read."""
        self.lines.append(line)
        self.codes.append(code)

    def __len__(self) -> int:
        return len(self.lines)


@dataclass(frozen=True, slots=True)
class TextTable:
    """The records of a file as text."""

    relation: str
    """SQL of a relation with a VARCHAR column per column of the contract that the file has, and
    ``whole_line`` (UBIGINT, a hash of all that the file says in the record), ``malformed`` and ``blank``
    (BOOLEAN). Records come in the order of the file."""
    columns: Mapping[str, str]
    """Columns of the contract that the file has, and ``kept_0`` and so on, to their names in the file."""
    records: int | None
    """Records that the relation must give; None where the reader cannot say."""
    line_map: LineMap
    rejected: Rejected = field(default_factory=Rejected)
    odd_blanks: bool = True
    """Values can begin or end with other blanks than spaces."""
    unit: str = "line"
    """What a position counts: lines of text, or rows of a Parquet file."""

    def line(self, record: int) -> int:
        """Where a record is in the file."""
        return int(self.line_map.lines(np.array([record], dtype=np.int64))[0])


class IrregularTextError(Exception):
    """The text cannot be read as it is; it has to be repaired first."""


def quoted(text: str) -> str:
    """An SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
