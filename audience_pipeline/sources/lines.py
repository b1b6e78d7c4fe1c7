"""From the number of a record to the line of the file on which it begins."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray


class LineMap:
    """Record number (from 0) to line number (from 1), where most records take one line.

    Only the places are kept at which a record begins on another line than the one after its predecessor.
    """

    def __init__(self, first_line: int = 1) -> None:
        self._records = array("q", [0])
        self._lines = array("q", [first_line])

    def add(self, record: int, line: int) -> None:
        """State that ``record`` begins on ``line``; records are stated in rising order."""
        if line == self._lines[-1] + record - self._records[-1]:
            return
        if record == self._records[-1]:
            self._lines[-1] = line
        else:
            self._records.append(record)
            self._lines.append(line)

    def lines(self, records: NDArray[np.int64]) -> NDArray[np.int64]:
        """Line numbers (int64) of ``records`` (int64)."""
        starts = np.frombuffer(self._records, dtype=np.int64)
        lines = np.frombuffer(self._lines, dtype=np.int64)
        at = np.searchsorted(starts, records, side="right") - 1
        numbers: NDArray[np.int64] = lines[at] + records - starts[at]
        return numbers

    @classmethod
    def around_blanks(cls, first_line: int, blanks: NDArray[np.int64]) -> LineMap:
        """Records of one line each from ``first_line`` on, with blank lines (rising numbers) skipped."""
        result = cls(first_line)
        for skipped, blank in enumerate(blanks[blanks >= first_line].tolist()):
            result.add(blank - first_line - skipped, blank + 1)
        return result
