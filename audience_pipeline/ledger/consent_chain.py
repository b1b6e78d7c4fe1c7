"""The hash chain of the log of consent: each entry carries the hash of itself and of all before it. Pure.

An entry is written as a list of netstrings (``<bytes>:<text>,``, or ``-`` for nothing), so that no two
entries can be written alike; its hash is SHA-256 of the hash before it and of that text.
"""

from __future__ import annotations

from hashlib import sha256

import polars as pl

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
SEGMENT: dict[str, pl.DataType] = {
    "entry": pl.Int64(),
    "origin": pl.String(),
    "reference": pl.String(),
    **STATED,
    "entry_hash": pl.Binary(),
}
"""The columns of a segment. ``entry`` counts all entries of the log from 1."""
_HASHED = [name for name in SEGMENT if name != "entry_hash"]


def segment(
    stated: pl.DataFrame, origin: str, reference: str, *, after: int, previous: bytes
) -> pl.DataFrame:
    """Chain what was stated to the log, in an order that does not depend on that of the rows.

    Args:
        stated: columns ``STATED``; those that are absent say nothing.
        origin: what brought the statements.
        reference: the landing that they come from.
        after: entries that the log holds already.
        previous: hash of the last of them, ``START`` for none.

    Returns:
        Columns ``SEGMENT``.
    """
    absent = [pl.lit(None, dtype).alias(name) for name, dtype in STATED.items() if name not in stated.columns]
    rows = stated.with_columns(absent).select(pl.col(name).cast(dtype) for name, dtype in STATED.items())
    said = rows.select(canonical(list(STATED)).alias("said")).to_series()
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
    return ordered.with_columns(chained(ordered, previous)).select(list(SEGMENT))


def chained(rows: pl.DataFrame, previous: bytes) -> pl.Series:
    """The hash that each row must carry (``entry_hash``), chained to ``previous``."""
    texts = rows.select(canonical(_HASHED).alias("text")).to_series()
    hashes: list[bytes] = []
    for text in texts.to_list():
        previous = sha256(previous + text.encode()).digest()
        hashes.append(previous)
    return pl.Series("entry_hash", hashes, dtype=pl.Binary)


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
