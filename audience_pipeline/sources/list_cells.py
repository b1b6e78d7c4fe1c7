"""The values of an uploaded list, as they stand in its file: one a line, or the cells of a CSV."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.files import file_name

KINDS = ("customer_id", "email", "phone", "device_id", "loyalty_id", "email_sha256", "phone_sha256")
"""What a column of a list may hold."""
_OTHER_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("mail", "emailaddress", "mailaddress", "emailadresse", "mailadresse"), "email"),
    **dict.fromkeys(
        ("phonenumber", "mobile", "mobilephone", "mobilenumber", "cell", "cellphone", "tel", "telephone",
         "telefon", "telefonnummer", "handy"),
        "phone",
    ),
    **dict.fromkeys(
        ("customer", "customerno", "customernumber", "custid", "id", "clientid", "userid", "kundennummer"),
        "customer_id",
    ),
    **dict.fromkeys(("device", "madid", "maid", "idfa", "gaid", "aaid", "advertisingid"), "device_id"),
    **dict.fromkeys(("loyalty", "loyaltycard", "cardnumber"), "loyalty_id"),
    **{kind.replace("_", ""): kind for kind in KINDS},
}  # fmt: skip
_MIXED = frozenset({"value", "values", "identifier", "identifiers", "contact", "contacts"})
_SEPARATORS = ",;\t|"
_LINE_LIMIT = 100_000
_SAMPLE = 64 * 1024
_BATCH = 200_000
_WORDS = re.compile(r"[^\W\d_][^\d@]*")


@dataclass(slots=True)
class Cells:
    """A batch of values: what the column says that they are (None: anything), the value, its line."""

    kinds: list[str | None] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


@dataclass(slots=True)
class ListFile:
    """A file of identifiers; what is known of its form after the first batch.

    Attributes:
        header: whether the first line was taken for names of columns.
        unused: columns that say that they hold something else.
        records: lines with a value in them, the header aside.
        too_long: lines with more values than the header has names.
        first_too_long: the first of them.
    """

    path: Path
    columns: Mapping[str, str]
    header: bool = False
    unused: tuple[str, ...] = ()
    records: int = 0
    too_long: int = 0
    first_too_long: int = 0

    def cells(self) -> Iterator[Cells]:
        """The values that are there, in batches.

        Raises:
            SourceError: the file is no text, or it does not say which columns hold identifiers.
        """
        with closing(self._open()) as stream:
            sample = stream.read(_SAMPLE)
            self._refuse_other_files(sample)
            stream.seek(0)
            text = io.TextIOWrapper(stream, encoding=_encoding(sample), errors="replace", newline=None)
            yield from self._batches(self._records(text, _separator(text)))

    def _open(self) -> IO[bytes]:
        with self.path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
        return cast("IO[bytes]", gzip.open(self.path)) if packed else self.path.open("rb")

    def _refuse_other_files(self, sample: bytes) -> None:
        if sample.startswith(b"PK\x03\x04"):
            raise SourceError(file_name(self.path), "this is a spreadsheet or an archive", "save it as CSV")
        if b"\x00" in sample and not sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise SourceError(file_name(self.path), "this is not a text file", "save it as CSV")

    def _records(self, text: IO[str], separator: str) -> Iterator[tuple[int, Sequence[str]]]:
        lines = self._lines(text)
        if not separator:
            for number, line in enumerate(lines, 1):
                yield number, (line.strip().strip('"'),)
            return
        reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
        try:
            for record in reader:
                yield reader.line_num, record
        except csv.Error:
            raise SourceError(
                file_name(self.path),
                "a value is longer than 131,072 characters: a quote is opened and never closed",
                "check the quotes",
                line=reader.line_num,
            ) from None

    def _lines(self, text: IO[str]) -> Iterator[str]:
        number = 0
        while line := text.readline(_LINE_LIMIT):
            number += 1
            if len(line) >= _LINE_LIMIT:
                raise SourceError(
                    file_name(self.path),
                    f"the line has {_LINE_LIMIT:,} characters or more",
                    "give one value a line, or a CSV",
                    line=number,
                )
            yield line

    def _batches(self, records: Iterator[tuple[int, Sequence[str]]]) -> Iterator[Cells]:
        batch = Cells()
        kinds: list[str | None] | None = None
        named = 0
        for line, record in records:
            values = [value.strip() for value in record]
            if not any(values):
                continue
            if kinds is None:
                kinds, self.header = self._kinds(values)
                named = len(kinds) if self.header else 0
                if self.header:
                    continue
            self.records += 1
            if named and len(values) > named:
                self.too_long += 1
                self.first_too_long = self.first_too_long or line
                continue
            for kind, value in zip(kinds if named else [None] * len(values), values, strict=False):
                if value and kind != "":
                    batch.kinds.append(kind or None)
                    batch.texts.append(value)
                    batch.lines.append(line)
            if len(batch.texts) >= _BATCH:
                yield batch
                batch = Cells()
        yield batch

    def _kinds(self, first: Sequence[str]) -> tuple[list[str | None], bool]:
        """What each column holds (None: anything, empty: nothing of use), and whether this is a header."""
        mapped = {theirs: ours for ours, theirs in self.columns.items()}
        if missing := [theirs for theirs in mapped if theirs not in first]:
            raise SourceError(
                file_name(self.path),
                f"--column names {missing[0]!r}, which is not in the first line",
                "the first line must hold the names of the columns",
            )
        plain = [re.sub(r"[\W_]", "", name).casefold() for name in first]
        known = [mapped.get(name, _OTHER_NAMES.get(key, "")) for name, key in zip(first, plain, strict=True)]
        if mapped:
            known = [mapped.get(name, "") for name in first]
        if any(known) or any(key in _MIXED for key in plain):
            kinds = [
                None if key in _MIXED and not kind else kind for kind, key in zip(known, plain, strict=True)
            ]
            self.unused = tuple(name for name, kind in zip(first, kinds, strict=True) if kind == "")
            return kinds, True
        if any(not _WORDS.fullmatch(name) for name in first if name):
            return [None], False
        if len(first) == 1:
            return [None], True
        # The line is not shown: it may be names of people.
        raise SourceError(
            file_name(self.path),
            "no name in the first line says which column holds what",
            "say it: --column email='the name of the column with e-mail addresses'",
            line=1,
        )


def _encoding(sample: bytes) -> str:
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8-sig"


def _separator(text: io.TextIOWrapper) -> str:
    """The sign that stands in most of the first lines, if it stands in half of them."""
    sample = text.read(_SAMPLE)
    text.seek(0)
    lines = [line for line in sample.splitlines()[:200] if line.strip()]
    counts = {sign: sum(sign in line for line in lines) for sign in _SEPARATORS}
    best = max(counts, key=lambda sign: counts[sign])
    return best if lines and counts[best] * 2 >= len(lines) else ""
