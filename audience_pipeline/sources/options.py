"""What cannot be seen from a file: how it is written, and facts about the shop."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from audience_pipeline.sources import kept

_DATE_PARTS = {
    "year": ("%Y", "%y", "%D", "%x", "%c"),
    "month": ("%m", "%-m", "%b", "%B", "%j", "%-j", "%D", "%x", "%c"),
    "day": ("%d", "%-d", "%j", "%-j", "%D", "%x", "%c"),
}


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a file is written; None is to see for oneself.

    Raises:
        ValueError: an option that cannot be meant; the message names it.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    """Name in the contract to name in the file."""
    date_format: str | None = None
    """strptime format of the dates, such as ``%d/%m/%Y``."""
    decimal: str = "."
    thousands: str | None = None
    encoding: str | None = None
    """A Python codec; ``utf-8`` puts lines that are not into quarantine instead of refusing the file."""
    delimiter: str | None = None
    keep: Sequence[str] = ()
    """Columns of a file of contacts, by its names for them, that land in ``extra``."""
    hashed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Columns that hold SHA-256 in hex, and the platforms by whose rule they were made."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.decimal not in {".", ","}:
            raise ValueError("decimal must be '.' or ','")
        if self.thousands is not None and self.thousands not in {",", ".", " ", "'"}:
            raise ValueError("thousands must be ',', '.', a blank or an apostrophe")
        if self.thousands == self.decimal:
            raise ValueError(f"decimal and thousands cannot both be {self.decimal!r}")
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise ValueError("delimiter must be one character, such as ';' or a tab")
        if self.date_format is not None:
            lacking = [
                part
                for part, codes in _DATE_PARTS.items()
                if not any(code in self.date_format for code in codes)
            ]
            if lacking:
                raise ValueError(f"date_format lacks the {' and the '.join(lacking)}: write it like %d/%m/%Y")
        kept.refuse(self.keep)
        kept.refuse_hashes(self.hashed)
        if self.encoding is not None:
            try:
                known = codecs.lookup(self.encoding)._is_text_encoding
            except LookupError:
                known = False
            if not known:
                raise ValueError(
                    "encoding is not one that Python knows: write it like latin-1, cp1252 or utf-8"
                )


@dataclass(frozen=True, slots=True)
class ShopFacts:
    """Facts about the shop that no file says."""

    time_zone: str = "UTC"
    """Times with an offset are brought to it; days are its days."""
    currency: str | None = None
    """ISO code of the workspace's currency; None is that of the first file."""
    rates: Path | None = None
    """CSV ``date,currency,rate``: what one unit is worth in the workspace's currency from that day on."""
    default_region: str | None = None
    """ISO2 region of phone numbers without a country code."""
    competitor_domains: tuple[str, ...] = ()
    key: Path | None = None
    """File with the key of the workspace, by which tombstones of erased people are read."""
    earliest_date: date = date(1970, 1, 1)
    today: date = field(default_factory=lambda: datetime.now(UTC).date())
