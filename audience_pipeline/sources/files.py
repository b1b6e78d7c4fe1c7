"""A file before anything in it is read: how it may be called, that it is one, and whether it changes."""

from __future__ import annotations

import hashlib
import re
import stat
import unicodedata
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from audience_pipeline.sources.errors import SourceError

UNNAMED = "(file with a personal name)"
SUFFIX = re.compile(r"(\.(csv|tsv|txt|json|jsonl|ndjson|parquet|xlsx|xls|zip)(\.gz)?|\.gz)$", re.IGNORECASE)
"""The endings that are no part of a file's own name."""
_COPY = re.compile(r" ?\([0-9]{1,2}\)$")
"""What browsers add to the name of a file that is there already."""
_SEPARATORS = " _.-"
_PIECE = re.compile(r"[0-9]+|[^\W\d_]+")
_NUMBER = re.compile("[0-9](?:[ _.-]*[0-9])*")
_LONGEST_NUMBER = 5
_YEAR, _MONTH, _DAY = "(?:19|20)[0-9]{2}", "(?:0[1-9]|1[0-2])", "(?:0[1-9]|[12][0-9]|3[01])"
_TIME = "(?:[ _.-]*(?:[01][0-9]|2[0-3])[_.-]?[0-5][0-9](?:[_.-]?[0-5][0-9])?)?"
_DATE = f"(?:{_YEAR}[ _.-]?{_MONTH}[ _.-]?{_DAY}|{_DAY}[_.-]{_MONTH}[_.-]{_YEAR}){_TIME}"
_PERIOD = f"{_YEAR}(?:[ _.-]?{_MONTH})?"
_DATES = re.compile(f"(?:{_DATE}(?:[ _.-]+{_DATE})?|{_PERIOD}(?:[ _.-]+{_PERIOD})?)(?:[ _.-][0-9]{{1,3}})?")


def file_name(path: Path) -> str:
    """The file's name for reports and messages; only its suffix where the name could be a person's.

    It is told when it consists of letters, digits, blanks and ``_ - .``, has no number of six digits or
    more save dates, and no two capitalised words next to each other. A name in lower case passes.
    """
    name = unicodedata.normalize("NFC", path.name)
    found = SUFFIX.search(name)
    suffix = found[0] if found else ""
    stem = _COPY.sub("", name.removesuffix(suffix))
    return UNNAMED + suffix.lower() if _could_be_personal(stem) else name


def _could_be_personal(stem: str) -> bool:
    if not all(c in _SEPARATORS or (c.isascii() and c.isdigit()) or c.isupper() or c.islower() for c in stem):
        return True
    numbers = _NUMBER.finditer(re.sub("(?<=[0-9])T(?=[0-9])", " ", stem))
    if any(
        sum(map(str.isdigit, number[0])) > _LONGEST_NUMBER and not _DATES.fullmatch(number[0])
        for number in numbers
    ):
        return True
    humps = "".join(f" {c}" if c.isupper() and before.islower() else c for before, c in pairwise(f" {stem}"))
    pieces = _PIECE.findall(humps)
    return any(one[0].isupper() and other[0].isupper() for one, other in pairwise(pieces))


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file as it was when it was looked at."""

    path: Path
    sha256: str
    stamp: tuple[int, int, int, int]

    @property
    def name(self) -> str:
        """:func:`file_name`."""
        return file_name(self.path)

    def refuse_changed(self) -> None:
        """Raise SourceError unless the file is still the one, and as it was."""
        if _stamp(self.path) != self.stamp:
            raise SourceError(
                self.name,
                "the file was changed while it was read",
                "nothing was landed; start again when it is complete",
            )


def source_file(path: Path) -> SourceFile:
    """The file with its SHA-256 in hex.

    Raises:
        SourceError: there is no such file, it may not be read, or it is a folder, a link or no file at all.
    """
    name = file_name(path)
    try:
        stamp = _stamp(path)
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        unreadable = _unreadable(name, error)
    else:
        return SourceFile(path, digest, stamp)
    raise unreadable


def _stamp(path: Path) -> tuple[int, int, int, int]:
    """Which file it is, how long, and when it was written; OSError when there is none."""
    seen = path.lstat()
    if stat.S_ISLNK(seen.st_mode):
        raise SourceError(
            file_name(path), "this is a link to a file", "give the file itself, or a copy of it"
        )
    if stat.S_ISDIR(seen.st_mode):
        raise SourceError(file_name(path), "this is a folder", "give the files in it one by one")
    if not stat.S_ISREG(seen.st_mode):
        raise SourceError(
            file_name(path), "this is a pipe or a device, not a file", "write it into a file first"
        )
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns


def _unreadable(name: str, error: OSError) -> SourceError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return SourceError(name, "there is no such file", "check the path")
    if isinstance(error, PermissionError):
        return SourceError(
            name,
            f"the file may not be read ({error.strerror})",
            "give the user that runs this the right to read it",
        )
    return SourceError(name, f"the file cannot be read ({error.strerror})", "check the disk it is on")
