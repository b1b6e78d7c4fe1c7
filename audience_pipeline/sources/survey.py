"""A first look at a file: its kind, compression, encoding and lines, in one pass and little memory."""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, cast

import numpy as np
from numpy.typing import NDArray

from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.files import file_name
from audience_pipeline.sources.options import ReadOptions

__all__ = ["BLOCK", "LINE_LIMIT", "Survey", "file_name", "survey", "whole_lines"]

Format = Literal["csv", "json", "parquet"]

BLOCK = 1 << 20
LINE_LIMIT = 2_000_000
"""Bytes in a line at most, line breaks inside quotes included; a longer one goes to quarantine."""
_GZIP = b"\x1f\x8b"
_OTHER_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xfd7zXZ", "an xz file"),
    (b"BZh", "a bzip2 file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"ORC", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"\x7fELF", "a program"),
)
_READ = "CSV, JSON (an array or one object a line) and Parquet are read, plain or gzip"
_UTF8 = {"utf-8", "utf-8-sig"}


@dataclass(frozen=True, slots=True)
class Survey:
    """What a file is. ``text`` is UTF-8 text or Parquet, where ``gzipped`` still compressed."""

    name: str
    sha256: str
    format: Format
    text: Path
    gzipped: bool
    lines: int = 0
    """Lines of the text, the last one counted whether or not it ends in a newline."""
    blanks: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """Numbers (from 1) of the empty lines."""
    tabs: bool = False
    """There is a tab somewhere."""
    hard_blanks: bool = False
    """There is a no-break space or a byte order mark somewhere after the beginning."""
    broken: bool = False
    """Some bytes are not UTF-8, and the options say that their lines go to quarantine."""

    def open(self) -> BinaryIO:
        """The text, decompressed, without a byte order mark."""
        stream = cast("BinaryIO", gzip.open(self.text) if self.gzipped else self.text.open("rb"))  # noqa: SIM115
        if stream.read(3) != codecs.BOM_UTF8:
            stream.seek(0)
        return stream


def survey(path: Path, digest: str, options: ReadOptions, scratch: Path) -> Survey:
    """Look through the whole file once.

    Args:
        path: the file.
        digest: its SHA-256.
        options: ``encoding`` counts here.
        scratch: private folder, for text that has to be decoded first.

    Raises:
        SourceError: empty, damaged, of another kind, or in another encoding.
    """
    name = file_name(path)
    try:
        with path.open("rb") as stream:
            gzipped = stream.read(2) == _GZIP
        with gzip.open(path) if gzipped else path.open("rb") as stream:
            head = stream.read(4096)
        if head.startswith(b"PAR1"):
            return Survey(name, digest, "parquet", _plain(path, gzipped, scratch), gzipped=False)
        _refuse_other_kinds(name, head)
        text, gzipped = _as_utf8(name, path, head, options, gzipped=gzipped, scratch=scratch)
        seen = _look_through(name, digest, text, options, gzipped=gzipped)
        if seen is None:
            text = _with_newlines(text, scratch, gzipped=gzipped)
            seen = _look_through(name, digest, text, options, gzipped=False)
        return cast("Survey", seen)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise SourceError(
            name, "the gzip file is cut off or damaged", "copy or export it again; nothing was landed"
        ) from None


def _refuse_other_kinds(name: str, head: bytes) -> None:
    if not head:
        raise SourceError(name, "the file is empty", "export it again")
    if head.startswith(b"PK\x03\x04"):
        is_excel = b"xl/" in head or b"[Content_Types]" in head
        what = "an Excel workbook" if is_excel else "a zip archive"
        remedy = "save the sheet as CSV (UTF-8)" if is_excel else "unpack it first"
        raise SourceError(name, f"this is {what}, not a table", f"{remedy}: {_READ}")
    for magic, what in _OTHER_KINDS:
        if head.startswith(magic):
            raise SourceError(name, f"this is {what}, not a table", _READ)
    if re.match(rb"\s*(<!doctype|<html|<\?xml)", head, re.IGNORECASE):
        raise SourceError(name, "this is a web page or XML, not a table", _READ)


def _plain(path: Path, gzipped: bool, scratch: Path) -> Path:
    if not gzipped:
        return path
    unpacked = scratch / "unpacked.parquet"
    with gzip.open(path) as source, unpacked.open("wb") as target:
        while block := source.read(BLOCK):
            target.write(block)
    return unpacked


def _as_utf8(
    name: str, path: Path, head: bytes, options: ReadOptions, *, gzipped: bool, scratch: Path
) -> tuple[Path, bool]:
    """The path of the same text in UTF-8, and whether it is gzip."""
    encoding = codecs.lookup(options.encoding).name if options.encoding else None
    if encoding is None:
        if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
            raise SourceError(name, "this is UTF-32", "give encoding: utf-32 (--encoding utf-32)")
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            encoding = "utf-16"
        elif b"\0" in head:
            raise _with_zeros(name, head)
    if encoding is None or encoding in _UTF8:
        return path, gzipped
    decoded = scratch / "decoded.txt"
    decoder = codecs.getincrementaldecoder(encoding)()
    seen = lines = 0
    with gzip.open(path) if gzipped else path.open("rb") as source, decoded.open("wb") as target:
        block = b"-"
        while block:
            block = source.read(BLOCK)
            text = _decoded(decoder, block, final=not block)
            if isinstance(text, int):
                raise SourceError(
                    name,
                    f"byte {seen + text:,} is not {options.encoding or 'UTF-16'}",
                    "give another encoding",
                    line=lines + 1 + block[: max(text, 0)].count(b"\n"),
                )
            lines += text.count("\n")
            seen += len(block)
            target.write(text.encode())
    return decoded, False


def _decoded(decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool = False) -> str | int:
    """The text of a block, or where in it the first byte is that has no place there.

    The decoder's own exception holds the bytes; it ends here, and is no context of another one.
    """
    pending = len(decoder.getstate()[0])
    try:
        return decoder.decode(block, final)
    except UnicodeError as error:
        return getattr(error, "start", 0) - pending


def _with_zeros(name: str, head: bytes) -> SourceError:
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) * 3 > len(head):
        guess = "utf-16-le" if odd > even else "utf-16-be"
        return SourceError(
            name, "this is UTF-16 without a byte order mark", f"give encoding: {guess} (--encoding {guess})"
        )
    return SourceError(name, "this is a binary file, not a table", _READ)


def whole_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Blocks of some MiB that end where a line ends, save within a line longer than ``LINE_LIMIT``."""
    while block := stream.read(BLOCK):
        yield block if block.endswith(b"\n") else block + stream.readline(LINE_LIMIT)


def _with_newlines(text: Path, scratch: Path, *, gzipped: bool) -> Path:
    target = scratch / "newlines.txt"
    with gzip.open(text) if gzipped else text.open("rb") as source, target.open("wb") as copy:
        while block := source.read(BLOCK):
            copy.write(block.replace(b"\r", b"\n"))
    return target


def _look_through(
    name: str, digest: str, text: Path, options: ReadOptions, *, gzipped: bool
) -> Survey | None:
    """The survey of a text; None when its lines end in carriage returns alone."""
    tolerant = options.encoding is not None
    broken, seen, newlines, returns, last = False, 0, 0, 0, b"\n"
    tabs = hard_blanks = False
    start = b""
    blanks: list[int] = []
    decoder = codecs.getincrementaldecoder("utf-8")()
    with gzip.open(text) if gzipped else text.open("rb") as stream:
        for block in whole_lines(cast("BinaryIO", stream)):
            start = start or block.lstrip(codecs.BOM_UTF8 + b" \t\r\n")[:1]
            tabs = tabs or b"\t" in block
            pending = len(decoder.getstate()[0])
            ascii_only = block.isascii()
            hard_blanks = hard_blanks or (
                not ascii_only and (b"\xc2\xa0" in block or codecs.BOM_UTF8 in block[len(codecs.BOM_UTF8) :])
            )
            if not broken and (pending or not ascii_only):
                at = _decoded(decoder, block)
                broken = isinstance(at, int)
                if isinstance(at, int) and not tolerant:
                    line = newlines + 1 + block[: max(at, 0)].count(b"\n")
                    raise _not_utf8(name, line, seen + at, block[max(at, 0) :])
            if block[:1] == b"\n" or block[:2] == b"\r\n" or b"\n\n" in block or b"\n\r\n" in block:
                lines = block.split(b"\n")[:-1]
                blanks += (
                    newlines + i
                    for i, line in enumerate(lines, 1)
                    if line in (b"", b"\r") and (i > 1 or last == b"\n")
                )
            newlines += block.count(b"\n")
            returns += block.count(b"\r")
            seen += len(block)
            last = block[-1:]
    if pending := len(decoder.getstate()[0]) if not broken else 0:
        broken = True
        if not tolerant:
            raise _not_utf8(name, newlines + 1, seen - pending, b"")
    if not start:
        raise SourceError(name, "the file holds nothing but blanks", "export it again")
    if returns and not newlines:
        return None
    return Survey(
        name,
        digest,
        "json" if start in (b"[", b"{") else "csv",
        text,
        gzipped,
        newlines + (last != b"\n"),
        np.array(blanks, dtype=np.int64),
        tabs,
        hard_blanks,
        broken,
    )


def _not_utf8(name: str, line: int, byte: int, rest: bytes) -> SourceError:
    window = rest[:BLOCK]
    western = any(0x80 <= value <= 0x9F for value in window if value >= 0x80)
    guess, spoken = ("cp1252", "Windows-1252") if western else ("latin-1", "latin-1 (ISO 8859-1)")
    return SourceError(
        name,
        f"byte {byte:,} is not UTF-8; the file looks like {spoken}",
        f"give encoding: {guess} (--encoding {guess}), "
        "or encoding: utf-8 to put the lines that are not UTF-8 into quarantine",
        line=line,
    )
