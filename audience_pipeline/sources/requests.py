"""Requests of people: a file or an id in, statements of consent out, written as a file that can land.

Only hashes and ids leave this module: what a person typed is turned into them in memory.
"""

from __future__ import annotations

import csv
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import polars as pl

from audience_pipeline.identifiers import contact_hashes, customer_id_expr
from audience_pipeline.identifiers.source_ids import LOYALTY
from audience_pipeline.identifiers.text import BLANKS, INVISIBLE
from audience_pipeline.sources.files import source_file
from audience_pipeline.sources.list_cells import Cells, ListFile
from audience_pipeline.sources.options import ReadOptions

Status = Literal["denied", "erase"]
COMMAND_LINE = "command line"
"""Source of statements that came by a command."""
LEGAL_BASIS: Mapping[str, str] = {"denied": "opt-out", "erase": "erasure request"}
FILE_NAME = "request by command.csv"
"""What such a file is called where it landed."""
READ_AS = ReadOptions(hashed={"email": ("meta",), "phone": ("meta",)})
"""How a file of :func:`write` is to be landed."""
NAMED: dict[str, pl.DataType] = {
    "customer_id": pl.String(),
    "meta_email": pl.Binary(),
    "meta_phone": pl.Binary(),
}

_AT = "@|\uff20|%(?:25)*40"
_ADDRESS = re.compile(r"[^\s<>;,|\"'()\[\]]+(?:@|\uff20)[^\s<>;,|\"'()\[\]]+")
_SOMETHING = r"[\p{L}\p{N}]"
_HASH = r"^[0-9a-fA-F]{64}$"
_DIALLED = r"^[+\uff0b(0-9][0-9\s().\-/\u2010-\u2015\u2212]{5,30}$"
_DAY = r"^(?:\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{2,4})$"
_NOT_FOR_CONSENT = "device_id"


@dataclass(frozen=True, slots=True)
class People:
    """Whom a request is about."""

    named: pl.DataFrame
    """Columns ``NAMED``, each row once."""
    doubtful: pl.DataFrame
    """``customer_id, line``: words that could be ids or anybody's name; only those that we know are meant."""
    unread: tuple[int, ...] = ()
    """Lines of the file in which nothing else could be read."""


def one_person(customer_id: str, default_region: str | None = None) -> People:
    """The person with an id; what could be an address or a number stands for that as well."""
    as_id, _, _ = _read(Cells(["customer_id"], [customer_id], [1]), default_region)
    as_seen, _, _ = _read(Cells([None], [customer_id], [1]), default_region)
    return People(pl.concat([as_id, as_seen]).unique(maintain_order=True), _nobody())


def people_of(path: Path, default_region: str | None, columns: Mapping[str, str] | None = None) -> People:
    """The people in a file of ids, addresses and numbers, mixed as they come.

    A value is read as its column says, else as what it looks like: an address where it has an ``@``, also
    amid other text; a phone number and an id where it has the digits of both; an id where it has a digit
    and no blanks. A word without a digit may be a name: it is an id only where it is one of ours.

    Args:
        path: a CSV with or without a header, or one value a line; plain or gzip.
        default_region: ISO2 region of phone numbers without country code.
        columns: kind of identifier to the name of its column, where the file's names do not say it.

    Raises:
        SourceError: the file is no text, or does not say which column is which.
    """
    source = source_file(path)
    file = ListFile(path, dict(columns or {}))
    named, doubtful, read, seen = [], [], set[int](), set[int]()
    for batch in file.cells():
        found, words, lines = _read(batch, default_region)
        named.append(found)
        doubtful.append(words)
        read.update(lines)
        seen.update(batch.lines)
    source.refuse_changed()
    if file.too_long:
        seen.add(file.first_too_long)
    return People(
        pl.concat(named).unique(maintain_order=True) if named else pl.DataFrame(schema=NAMED),
        pl.concat(doubtful).filter(~pl.col("line").is_in(sorted(read))) if doubtful else _nobody(),
        tuple(sorted(seen - read)),
    )


def write(
    folder: Path,
    named: pl.DataFrame,
    status: Status,
    *,
    platform: str | None = None,
    now: datetime | None = None,
) -> Path:
    """Write a request as a file of statements; no raw value is in it.

    Args:
        folder: a private one.
        named: columns ``NAMED``.
        status: what is stated of everybody.
        platform: the one platform that it is about; None for all.
        now: the moment of the statements.
    """
    path = folder / FILE_NAME
    moment = (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            (
                "event_at",
                "status",
                "customer_id",
                "email",
                "phone",
                "platform",
                "source",
                "legal_basis",
                "salt",
            )
        )
        # The digest of the file names the request for ever: nobody shall guess a person from it.
        rest = (platform or "", COMMAND_LINE, LEGAL_BASIS[status], secrets.token_hex(16))
        for customer_id, email, phone in named.select(list(NAMED)).iter_rows():
            writer.writerow((moment, status, customer_id, *map(_hex, (email, phone)), *rest))
    return path


def _hex(value: bytes | None) -> str:
    return value.hex() if value else ""


def _nobody() -> pl.DataFrame:
    return pl.DataFrame(schema={"customer_id": pl.String, "line": pl.Int64})


def _read(batch: Cells, default_region: str | None) -> tuple[pl.DataFrame, pl.DataFrame, Sequence[int]]:
    """People, doubtful words, and the lines in which somebody was found."""
    cells = pl.DataFrame(
        list(_split(batch)),
        schema={"as": pl.String, "text": pl.String, "line": pl.Int64},
        orient="row",
    )
    text = pl.col("text").str.replace_all(f"[{INVISIBLE}]", "").str.strip_chars(BLANKS)
    cells = cells.with_columns(text.str.replace(r"^([0-9]+)\.0$", "$1").alias("text")).filter(
        pl.col("text").str.contains(_SOMETHING) & ~pl.col("as").eq_missing(_NOT_FOR_CONSENT)
    )
    said, value = pl.col("as"), pl.col("text")
    given = said.fill_null("").str.ends_with("_sha256") & value.str.contains(_HASH)
    stray = said.fill_null("").str.ends_with("_sha256") | (said.is_null() & value.str.contains(_HASH))
    is_day = said.is_null() & value.str.contains(_DAY)
    is_email = ~stray & (value.str.contains(_AT) | (said == "email").fill_null(value=False))
    dialled = said.is_null() & value.str.contains(_DIALLED) & ~is_day
    is_phone = ~stray & ((said == "phone").fill_null(value=False) | dialled)
    is_word = said.is_null() & ~stray & ~is_email & ~is_day & ~value.str.contains("[0-9]")
    blank = value.str.contains(f"[{BLANKS}\ufffd]")
    is_id = (
        ~stray
        & ~is_day
        & ~is_word
        & (said.is_in(["customer_id", "loyalty_id"]).fill_null(value=False) | (said.is_null() & ~blank))
    )
    loyal = (said == "loyalty_id").fill_null(value=False)
    decided = cells.with_columns(
        pl.when(is_id).then(value).alias("customer_id"),
        pl.when(is_email).then(value).alias("email"),
        pl.when(is_phone).then(value).alias("phone"),
        pl.when(is_word & ~blank).then(value).alias("_word"),
        loyal.alias("_loyal"),
        *(
            pl.when(given & (said == f"{kind}_sha256"))
            .then(value.str.to_lowercase().str.decode("hex", strict=False))
            .alias(f"_{kind}")
            for kind in ("email", "phone")
        ),
    )
    hashes = contact_hashes(decided.select("customer_id", "email", "phone"), default_region)
    ids = decided.select(customer_id_expr("customer_id"), "_loyal").select(
        pl.when("_loyal").then(pl.lit(LOYALTY) + pl.col("customer_id")).otherwise("customer_id")
    )
    # An address that stands for nobody (a placeholder, a slip of the pen) is no id either.
    not_one = (
        pl.Series(decided["email"].is_not_null() & hashes["meta_email"].is_null())
        & ~decided.select((said == "customer_id").fill_null(value=False)).to_series()
    )
    found = decided.select(
        "line",
        pl.when(~not_one).then(ids.to_series()).alias("customer_id"),
        pl.coalesce(hashes["meta_email"], "_email").alias("meta_email"),
        pl.coalesce(hashes["meta_phone"], "_phone").alias("meta_phone"),
    ).filter(pl.any_horizontal(pl.col(list(NAMED)).is_not_null()))
    words = decided.filter(pl.col("_word").is_not_null()).select(pl.col("_word").alias("customer_id"), "line")
    return found.select(list(NAMED)).unique(maintain_order=True), words, found["line"].to_list()


def _split(batch: Cells) -> Iterator[tuple[str | None, str, int]]:
    """The values of a batch; each address of a text that holds some stands alone."""
    for kind, text, line in zip(batch.kinds, batch.texts, batch.lines, strict=True):
        inside = _ADDRESS.findall(text) if kind in {None, "email"} else []
        if inside and inside != [text]:
            yield from ((kind, address, line) for address in inside)
        else:
            yield kind, text, line
