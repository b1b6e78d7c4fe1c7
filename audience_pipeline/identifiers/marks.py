"""Keyed marks of people: what stays of an id or an address when nothing else of it may. Pure.

A mark is HMAC-SHA256 under the key of the workspace. Without the key nobody can tell from a mark, even by
trying every address there is, whose it is; with the key, whether it is that of a given person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from typing import Self

import polars as pl

from audience_pipeline.identifiers.text import digest

KEY_BYTES = 32
_BLOCK = 64


class Named(StrEnum):
    """What a mark is made of."""

    ID = "id"
    """A source id, by its SHA-256."""
    EMAIL = "email"
    """Any of the hashes of an e-mail address."""
    PHONE = "phone"
    """Any of the hashes of a phone number."""
    DEVICE = "device"
    """An advertising id in lower case, by its SHA-256."""


class Marker:
    """Makes marks under one key."""

    def __init__(self, key: bytes) -> None:
        """``key``: 32 random bytes."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes")
        # The two halves of HMAC are begun once: that is three times as fast as beginning them for each mark.
        padded = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))
        self.name = self._mark(b"the name of this key").hex()[:16]
        """Tells keys apart, and nothing about them."""

    @classmethod
    def of(cls, text: str) -> Self:
        """The marker of a key as it is written in a file: 64 hex digits.

        Raises:
            ValueError: it is none.
        """
        return cls(bytes.fromhex(text.strip()))

    def __repr__(self) -> str:
        return f"Marker({self.name})"

    def marks(self, named: Named, values: Iterable[bytes]) -> list[bytes]:
        """The mark (32 bytes) of each value: a hash of 32 bytes, as :class:`Named` says."""
        prefix = f"{named.value}:".encode()
        return [self._mark(prefix + value) for value in values]

    def of_texts(self, named: Named, texts: Iterable[str]) -> list[bytes]:
        """The marks of ids or device ids as they stand in a table."""
        return self.marks(named, map(digest, texts))

    def column(self, named: Named, values: pl.Series) -> pl.Series:
        """The marks of a column of texts or of hashes, as Binary; null stays null."""
        there = values.drop_nulls().unique()
        make = self.of_texts if values.dtype == pl.String else self.marks
        made = pl.Series(make(named, there), dtype=pl.Binary)
        pairs = pl.DataFrame({"value": there, "mark": made})
        frame = values.alias("value").to_frame()
        return frame.join(pairs, on="value", how="left", maintain_order="left")["mark"].alias(values.name)

    def _mark(self, message: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()
