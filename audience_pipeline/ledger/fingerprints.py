"""What stands for identifiers as sent: numbers that the ledger remembers instead of them. Columnar, pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from hashlib import sha256
from operator import add

import polars as pl

from audience_pipeline.platforms.contract import Capabilities

PEOPLE = ("customer_id", "fingerprint")
PEOPLE_SCHEMA = pl.Schema({"customer_id": pl.String, "fingerprint": pl.UInt64})


def fingerprints(frame: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """What stands for the values of a row, as ``fingerprint: UInt64``; zero where there is none.

    It is the sum, modulo 2^64, of the number of each value times the number of its column. The number of a
    value is the first 8 bytes, little-endian, of a hash (Binary) or of the SHA-256 of a text; that of a
    column is the same of the SHA-256 of its name, made odd. The ledger remembers fingerprints, so this never
    changes. The order of columns does not matter.

    Raises:
        ValueError: a hash is shorter than 8 bytes.
    """
    if not columns:
        return pl.zeros(frame.height, dtype=pl.UInt64, eager=True).alias("fingerprint")
    terms = [_number(frame[name]) * pl.Series([_factor(name)], dtype=pl.UInt64) for name in columns]
    return reduce(add, terms).alias("fingerprint")


def keys(frame: pl.DataFrame, capabilities: Capabilities) -> pl.DataFrame:
    """What people are known by on a platform: one row for each complete group of ``reachable_by``.

    Args:
        frame: PEOPLE with the columns of ``Capabilities.identifiers``.
        capabilities: the platform.

    Returns:
        PEOPLE and ``key: UInt64``: equal where two rows share a complete group of identifiers.
    """
    parts = []
    for group in capabilities.reachable_by:
        complete = pl.all_horizontal(pl.col(column).is_not_null() for column in group)
        found = frame.lazy().filter(complete).select(*PEOPLE, *group).collect()
        parts.append(found.select(*PEOPLE, fingerprints(found, group).alias("key")))
    return pl.concat(parts)


def _number(values: pl.Series) -> pl.Series:
    if values.dtype != pl.Binary:
        distinct = values.unique().drop_nulls().cast(pl.String)
        if distinct.is_empty():
            return pl.zeros(values.len(), dtype=pl.UInt64, eager=True)
        digests = pl.Series([_first_eight(text) for text in distinct], dtype=pl.UInt64)
        return values.cast(pl.String).replace_strict(distinct, digests, return_dtype=pl.UInt64).fill_null(0)
    numbers = values.bin.slice(0, 8).bin.reinterpret(dtype=pl.UInt64, endianness="little")
    if numbers.null_count() != values.null_count():
        raise ValueError(
            f"The column {values.name} holds a hash of fewer than 8 bytes: land the contacts again."
        )
    return numbers.fill_null(0)


def _first_eight(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:8], "little")


def _factor(column: str) -> int:
    return _first_eight(column) | 1
