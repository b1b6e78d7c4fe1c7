"""Files written piece by piece, and renamed to their names when they are whole."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import IO, Any

import polars as pl

from audience_pipeline.sandbox.shop.parameters import FileFormat

_ROW_GROUP = 200_000

Piece = bytes | pl.DataFrame
"""Part of a file, ready to be written: text, or rows of a Parquet file."""


def encode(frame: pl.DataFrame, file_format: FileFormat, *, header: bool) -> Piece:
    """Turn rows into what is written; may run beside the writing of other pieces."""
    if file_format == "parquet":
        return frame
    buffer = io.BytesIO()
    frame.write_csv(buffer, include_header=header)
    if file_format == "csv.gz":
        return gzip.compress(buffer.getvalue(), compresslevel=5, mtime=0)
    return buffer.getvalue()


class GrowingFile:
    """A file that grows by pieces and appears under its name when it is complete."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = path.with_name(path.name + ".part")
        self._text: IO[bytes] | None = None
        self._table: Any = None
        self._waiting: list[pl.DataFrame] = []
        self._waiting_rows = 0

    def append(self, piece: Piece) -> None:
        """Add a piece; all pieces of a file are of one sort."""
        if isinstance(piece, bytes):
            if self._text is None:
                self._text = self._part.open("wb")
            self._text.write(piece)
            return
        self._waiting.append(piece)
        self._waiting_rows += len(piece)
        if self._waiting_rows >= _ROW_GROUP:
            self._write_rows()

    def complete(self) -> None:
        """Write what waits and give the file its name."""
        if self._waiting:
            self._write_rows()
        self.abandon()
        self._part.replace(self.path)

    def abandon(self) -> None:
        """Close the file without giving it its name."""
        for handle in (self._text, self._table):
            if handle is not None:
                handle.close()
        self._text = self._table = None

    def _write_rows(self) -> None:
        from pyarrow import parquet

        rows = pl.concat(self._waiting).rechunk().to_arrow()
        if self._table is None:
            self._table = parquet.ParquetWriter(self._part, rows.schema, compression="zstd")
        self._table.write_table(rows, row_group_size=len(rows) or None)
        self._waiting, self._waiting_rows = [], 0
