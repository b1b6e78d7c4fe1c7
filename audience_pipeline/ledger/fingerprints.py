"""What stands for identifiers as sent: numbers that the ledger remembers instead of them. Columnar, pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, reduce
from hashlib import sha256
from operator import add

import polars as pl

from audience_pipeline.platforms.contract import Capabilities

_BYTES = 8
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
    terms = [_number(frame, name).fill_null(0) * _factor(name) for name in columns]
    sums = frame.select(fingerprint=reduce(add, terms))["fingerprint"]
    for name in columns:
        if frame.schema[name] == pl.Binary and (frame[name].bin.size() < _BYTES).any():
            raise ValueError(
                f"The column {name} holds a hash of fewer than {_BYTES} bytes: land the contacts again."
            )
    return sums


def keys(frame: pl.DataFrame, capabilities: Capabilities) -> pl.DataFrame:
    """What people are known by on a platform: one row for each complete group of ``reachable_by``.

    Args:
        frame: PEOPLE with the columns of ``Capabilities.identifiers``.
        capabilities: the platform.

    Returns:
        PEOPLE and ``key: UInt64``: equal where two rows share a complete group of identifiers.
    """
    # A missing value makes the sum of its group null.
    groups = {
        str(place): reduce(add, (_number(frame, name) * _factor(name) for name in group))
        for place, group in enumerate(capabilities.reachable_by)
    }
    found = frame.select(*PEOPLE, **groups).unpivot(index=PEOPLE, value_name="key")
    return found.select(*PEOPLE, "key").drop_nulls("key")


def near(frame: pl.DataFrame, others: pl.DataFrame, capabilities: Capabilities) -> pl.DataFrame:
    """The rows of ``frame`` that may have a key in common with one of ``others``: a few too many, fast.

    Both are PEOPLE with the columns of ``Capabilities.identifiers``.
    """
    hashed = [name for name in capabilities.identifiers if frame.schema[name] == pl.Binary]
    groups = [[name for name in group if name in hashed] for group in capabilities.reachable_by]
    if not all(groups):
        return frame
    sums = [reduce(add, (_first_bytes(name) * _factor(name) for name in group)) for group in groups]
    few = others.select(number.alias(str(place)) for place, number in enumerate(sums))
    return frame.filter(
        pl.any_horizontal(
            number.is_in(few[str(place)].drop_nulls().unique().implode()) for place, number in enumerate(sums)
        )
    )


def _number(frame: pl.DataFrame, column: str) -> pl.Expr:
    if frame.schema[column] == pl.Binary:
        return _first_bytes(column)
    distinct = frame[column].drop_nulls().unique().cast(pl.String)
    if not distinct.len():
        return pl.when(pl.col(column).is_not_null()).then(pl.lit(0, dtype=pl.UInt64))
    digests = pl.Series([_digest(text) for text in distinct.to_list()], dtype=pl.UInt64)
    return pl.col(column).cast(pl.String).replace_strict(distinct, digests, return_dtype=pl.UInt64)


def _first_bytes(column: str) -> pl.Expr:
    return pl.col(column).bin.slice(0, _BYTES).bin.reinterpret(dtype=pl.UInt64, endianness="little")


@lru_cache(maxsize=100_000)
def _digest(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:_BYTES], "little")


def _factor(column: str) -> pl.Expr:
    return pl.lit(_digest(column) | 1, dtype=pl.UInt64)
