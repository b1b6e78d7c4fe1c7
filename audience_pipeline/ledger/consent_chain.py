"""The hash chain of the log of consent: each entry carries the hash of itself and of all before it. Pure.

An entry is written as a list of netstrings (``<bytes>:<text>,``, or ``-`` for nothing), so that no two
entries can be written alike; its hash is SHA-256 of the hash before it and of that text.

Whom an entry is about stands in that text as keyed marks and not as it is: when somebody is erased, the id
and the addresses are taken out of the entry, and the chain holds as before. The first version of the log
chained them as they are; there the hash of such an entry stays as a link that cannot be computed again.
"""

from __future__ import annotations

from hashlib import sha256

import polars as pl

from audience_pipeline.identifiers.marks import Marker, Named

START = bytes(32)
"""What the first entry is chained to."""
STATED: dict[str, pl.DataType] = {
    "event_at": pl.Datetime("us"),
    "customer_id": pl.String(),
    "meta_email": pl.Binary(),
    "meta_phone": pl.Binary(),
    "purpose": pl.String(),
    "platform": pl.String(),
    "status": pl.String(),
    "source": pl.String(),
    "legal_basis": pl.String(),
    "signal": pl.String(),
    "line": pl.Int64(),
}
"""What an entry says: a statement as it has landed. No raw value is among it."""
MARKS: dict[str, tuple[str, Named]] = {
    "customer_mark": ("customer_id", Named.ID),
    "email_mark": ("meta_email", Named.EMAIL),
    "phone_mark": ("meta_phone", Named.PHONE),
}
"""Columns of keyed marks, and what each is made of."""
NAMES = tuple(name for name, _ in MARKS.values())
"""Whom an entry is about; empty once the person was erased."""
_PLACE: dict[str, pl.DataType] = {"entry": pl.Int64(), "origin": pl.String(), "reference": pl.String()}
FIRST_SEGMENT: dict[str, pl.DataType] = {**_PLACE, **STATED, "entry_hash": pl.Binary()}
"""The columns of a segment of the first version of the log, whose hashes cover ``NAMES`` as they are."""
SEGMENT: dict[str, pl.DataType] = {
    **_PLACE,
    **STATED,
    **{name: pl.Binary() for name in MARKS},
    "entry_hash": pl.Binary(),
}
"""The columns of a segment. ``entry`` counts all entries of the log from 1."""
_HASHED_FIRST = [name for name in FIRST_SEGMENT if name != "entry_hash"]
_HASHED = [name for name in SEGMENT if name not in {"entry_hash", *NAMES}]


def segment(
    stated: pl.DataFrame,
    origin: str,
    reference: str,
    *,
    after: int,
    previous: bytes,
    marker: Marker | None = None,
) -> pl.DataFrame:
    """Chain what was stated to the log, in an order that does not depend on that of the rows.

    Args:
        stated: columns ``STATED``, maybe with ``MARKS``; those that are absent say nothing.
        origin: what brought the statements.
        reference: the landing that they come from.
        after: entries that the log holds already.
        previous: hash of the last of them, ``START`` for none.
        marker: makes the marks; without it a segment of the first version is made.

    Returns:
        Columns ``SEGMENT``, or ``FIRST_SEGMENT``.
    """
    columns = FIRST_SEGMENT if marker is None else SEGMENT
    given = {name: columns[name] for name in columns if name not in {*_PLACE, "entry_hash"}}
    absent = [pl.lit(None, dtype).alias(name) for name, dtype in given.items() if name not in stated.columns]
    rows = stated.with_columns(absent).select(pl.col(name).cast(dtype) for name, dtype in given.items())
    if marker is not None:
        rows = rows.with_columns(
            marker.column(named, rows[name]).alias(mark)
            for mark, (name, named) in MARKS.items()
            if mark not in stated.columns
        )
    said = rows.select(canonical(list(given)).alias("said")).to_series()
    ordered = (
        rows.with_columns(said.alias("_said"))
        .sort("line", "_said", nulls_last=True)
        .drop("_said")
        .with_row_index("entry", offset=after + 1)
        .with_columns(
            pl.col("entry").cast(pl.Int64),
            pl.lit(origin).alias("origin"),
            pl.lit(reference).alias("reference"),
        )
    )
    return ordered.with_columns(chained(ordered, previous)).select(list(columns))


def chained(rows: pl.DataFrame, previous: bytes) -> pl.Series:
    """The hash that each row must carry (``entry_hash``), chained to ``previous``.

    That of a row of the first version whose names were taken out is the one that it carries.
    """
    is_first = not set(MARKS) <= set(rows.columns)
    texts = rows.select(canonical(_HASHED_FIRST if is_first else _HASHED).alias("text")).to_series()
    kept = [None] * rows.height
    if is_first and "entry_hash" in rows.columns:
        kept = rows.select(pl.when(nameless(rows)).then("entry_hash")).to_series().to_list()
    hashes: list[bytes] = []
    for text, link in zip(texts.to_list(), kept, strict=True):
        previous = link or sha256(previous + text.encode()).digest()
        hashes.append(previous)
    return pl.Series("entry_hash", hashes, dtype=pl.Binary)


def nameless(rows: pl.DataFrame) -> pl.Expr:
    """Whether the names of an entry were taken out of it, because somebody was erased."""
    marks = [name for name in MARKS if name in rows.columns]
    named = pl.any_horizontal(pl.col(marks).is_not_null()) if marks else pl.col("status").is_null()
    return named & pl.all_horizontal(pl.col(list(NAMES)).is_null())


def without_names(rows: pl.DataFrame, entries: pl.Series) -> pl.DataFrame:
    """A segment in which some entries tell nobody any more whom they are about."""
    # The hash of an entry of the first version could be tried against guesses while the rest stands.
    emptied = [*NAMES] if set(MARKS) <= set(rows.columns) else list(STATED)
    gone = pl.col("entry").is_in(entries.implode())
    return rows.with_columns(pl.when(~gone).then(pl.col(name)).alias(name) for name in emptied)


def canonical(columns: list[str]) -> pl.Expr:
    """The text that stands for the values of these columns of ``SEGMENT``, and for no others."""
    parts = []
    for name in columns:
        column, dtype = pl.col(name), SEGMENT[name]
        if dtype == pl.Binary():
            text = column.bin.encode("hex")
        elif dtype == pl.Datetime("us"):
            text = column.dt.epoch("us").cast(pl.String)
        else:
            text = column.cast(pl.String)
        framed = pl.concat_str(text.str.len_bytes().cast(pl.String), pl.lit(":"), text, pl.lit(","))
        parts.append(framed.fill_null("-"))
    return pl.concat_str(parts)


def head(previous: str, *values: object) -> str:
    """SHA-256 in hex of a record of the log that is chained to the head before it."""
    texts = [str(value).encode() for value in (previous, *values)]
    return sha256(b"".join(b"%d:%s," % (len(text), text) for text in texts)).hexdigest()
