"""Looks for what must not be there: the addresses, numbers and names of the input, in all that a run wrote.

Files are searched as bytes, and SQLite and Parquet also by their decoded values. All needles are searched at
once and in any case; UTF-8 is read as Latin-1 so that bytes stay bytes.
"""

from __future__ import annotations

import gzip
import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from audience_pipeline_tests.end_to_end.raw_files import email_for, phone_digits, rows

LONG_NAME = 8
"""Letters of a name that does not turn up by chance in a megabyte of anything."""
LONG_NUMBER = 10
"""Digits of a phone number that the digits of some fraction do not repeat by chance."""
CHUNK = 4_000_000


@dataclass(frozen=True)
class Needles:
    """What to look for: ``anywhere`` inside any text, ``whole`` as the whole value of a table's cell."""

    anywhere: frozenset[str]
    whole: frozenset[str]


def needles(contacts: Path, consent: Path, engagement: Path) -> Needles:
    """Everything personal in the input files: as typed, and as each platform would write it."""
    anywhere: set[str] = set()
    names: set[str] = set()
    for row in rows(contacts):
        anywhere |= _addresses(row["email"]) | _numbers(row["phone"], row["country"].strip().upper())
        first, last = row["first_name"].strip(), row["last_name"].strip()
        names |= {first, last}
        anywhere |= {f"{first} {last}", f"{last}, {first}", f"{last} {first}"} if first and last else set()
    for row in rows(consent):
        anywhere |= _addresses(row["email"]) | _numbers(row["phone"], "")
    for typed in {row["email"] for row in rows(engagement)}:
        anywhere |= _addresses(typed)
    names |= {_ascii(name) for name in names}
    anywhere |= {name for name in names if len(name) >= LONG_NAME}
    return Needles(
        frozenset(_bytes_as_text(text) for text in anywhere),
        frozenset(name.casefold() for name in names if name),
    )


def _addresses(typed: str) -> set[str]:
    if "@" not in typed:
        return set()
    variants = {typed.strip()} | {
        email_for(platform, typed) or "" for platform in ("meta", "google", "tiktok")
    }
    locals_ = {variant.partition("@")[0] for variant in variants}
    # The part before the @ alone, where it is more than a word.
    return {text for text in variants | locals_ if len(text) >= LONG_NAME and re.search(r"[@\d]", text)} - {
        "test@test.com",
        "noemail@noemail.com",
        "na@na.na",
    }


def _numbers(typed: str, country: str) -> set[str]:
    digits = re.sub(r"\D", "", typed)
    variants = {typed.strip(), digits, phone_digits(typed, country) if country and digits else digits}
    return {text for text in variants if text and _is_a_number(re.sub(r"\D", "", text))}


def _is_a_number(digits: str) -> bool:
    return len(digits) >= LONG_NUMBER and len(set(digits)) > 2 and digits != "1234567890"


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _bytes_as_text(text: str) -> str:
    return text.encode().decode("latin-1")


def found(folder: Path, wanted: Needles, leave_out: Iterable[Path] = ()) -> list[str]:
    """``file: what was found`` for every file below ``folder``; empty when there is nothing."""
    skipped = tuple(leave_out)
    anywhere = sorted(wanted.anywhere)
    hits = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or any(path.is_relative_to(out) for out in skipped):
            continue
        texts = [_bytes_as_text(str(path.relative_to(folder))), *_contents(path)]
        hits += [f"{path}: {hit}" for hit in search(texts, anywhere)]
        hits += [
            f"{path}: {cell} (a whole value)" for cell in _cells(path) if cell.casefold() in wanted.whole
        ]
    return hits


def search(texts: list[str], anywhere: list[str]) -> list[str]:
    """The needles that occur in any of the texts."""
    matches = (
        pl.Series(texts, dtype=pl.String)
        .str.extract_many(anywhere, ascii_case_insensitive=True)
        .explode()
        .drop_nulls()
    )
    return sorted(set(matches.to_list()))


def _contents(path: Path) -> Iterator[str]:
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data += gzip.decompress(data)
    overlap = 200
    for start in range(0, len(data), CHUNK):
        yield data[max(start - overlap, 0) : start + CHUNK].decode("latin-1")
    for cell in _cells(path):
        yield _bytes_as_text(cell)


def _cells(path: Path) -> Iterator[str]:
    """The text values of a table, decoded: they may be compressed, or split between pages."""
    with path.open("rb") as file:
        head = file.read(16)
    if head[:4] == b"PAR1":
        yield from _parquet(path)
    elif head.startswith(b"SQLite format 3"):
        yield from _sqlite(path)


def _parquet(path: Path) -> Iterator[str]:
    frame = pl.read_parquet(path)
    for column in frame:
        values = column.explode() if isinstance(column.dtype, pl.List) else column
        if isinstance(values.dtype, pl.String | pl.Categorical | pl.Enum):
            yield from values.cast(pl.String).drop_nulls().unique()
        elif isinstance(values.dtype, pl.Binary):
            yield from (value.decode("latin-1") for value in values.drop_nulls().unique())
        elif isinstance(values.dtype, pl.Struct):
            yield from (str(value) for value in values.unique())


def _sqlite(path: Path) -> Iterator[str]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    if isinstance(value, str):
                        yield value
                    elif isinstance(value, bytes):
                        yield value.decode("latin-1")
    connection.close()
