"""One currency a workspace: which it is, and dated rates for amounts in others."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.files import file_name
from audience_pipeline.sources.options import ShopFacts

_CODE = re.compile("[A-Z]{3}")
_HEADER = ["date", "currency", "rate"]
_HOW = (
    "give rates: a CSV file date,currency,rate that says what one unit is worth in the workspace's currency "
    "from that day on"
)


@dataclass(frozen=True, slots=True)
class Money:
    """The currency in which a file's amounts land, and those that have to be converted."""

    currency: str | None
    foreign: tuple[str, ...] = ()


def decide(file: str, found: Sequence[str], facts: ShopFacts, landed: str | None) -> Money:
    """The currency of a file's rows.

    Args:
        file: name of the file.
        found: the codes in its currency column, if it has one, in upper case.
        facts: the shop's currency and rates.
        landed: the currency of what has landed before; None where nothing has, or it was not said.

    Raises:
        SourceError: amounts in another currency and no rates for it, or the shop's currency has changed.
    """
    if facts.currency and landed and facts.currency != landed:
        raise SourceError(
            file,
            f"earlier files landed in {landed}, and the shop's currency is set to {facts.currency}",
            f"set currency back to {landed}, or begin a new workspace",
        )
    codes = sorted({code for code in found if _CODE.fullmatch(code)})
    currency = facts.currency or landed or (codes[0] if len(codes) == 1 else None)
    if currency is None and codes:
        raise SourceError(
            file,
            f"it holds amounts in {_and(codes)}, and the workspace's currency is not set",
            f"set currency, and {_HOW}",
            field="currency",
        )
    foreign = tuple(code for code in codes if code != currency)
    if foreign and facts.rates is None:
        raise SourceError(
            file,
            f"it holds amounts in {_and(foreign)}, and the workspace counts in {currency}",
            _HOW,
            field="currency",
        )
    return Money(currency, foreign)


def _and(codes: Sequence[str]) -> str:
    return codes[0] if len(codes) == 1 else f"{', '.join(codes[:-1])} and {codes[-1]}"


def read_rates(path: Path) -> list[tuple[date, str, Decimal]]:
    """The table of rates, sorted by currency and date.

    Raises:
        SourceError: it cannot be read, or a line is not ``YYYY-MM-DD,ABC,1.2345``.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise SourceError(file_name(path), "the rates cannot be read", "give a CSV file in UTF-8") from None
    if not lines or [name.strip().lower() for name in lines[0]] != _HEADER:
        raise SourceError(
            file_name(path), "the rates have another header", f"it must be {','.join(_HEADER)}", line=1
        )
    rates: dict[tuple[str, date], Decimal] = {}
    for number, line in enumerate(lines[1:], 2):
        if not any(line):
            continue
        try:
            day, code, text = (part.strip() for part in line)
            rate = Decimal(text)
            key = (code.upper(), date.fromisoformat(day))
        except (ValueError, InvalidOperation):
            raise SourceError(
                file_name(path), "a rate cannot be read", "write it like 2025-03-31,USD,0.9251", line=number
            ) from None
        if not _CODE.fullmatch(key[0]) or not rate.is_finite() or not 0 < rate < 10**6:
            raise SourceError(
                file_name(path), "not a currency code or not a rate above 0", "correct it", line=number
            )
        if rates.get(key, rate) != rate:
            raise SourceError(
                file_name(path), "two rates for one currency and day", "remove one", line=number
            )
        rates[key] = rate
    return [(day, code, rate) for (code, day), rate in sorted(rates.items())]


def convert(connection: Any, staged: str, target: Path, money: Money, rates_file: Path, file: str) -> None:
    """Write ``staged`` to ``target`` with foreign amounts in the workspace's minor units.

    Args:
        connection: a DuckDB connection.
        staged: SQL of the staged relation (``row, currency, transaction_date, amount_minor, ...``).
        target: Parquet file to write.
        money: the workspace's currency and the foreign ones.
        rates_file: the dated rates.
        file: name of the file, for messages.

    Raises:
        SourceError: there is no rate for a currency on or before a day.
    """
    connection.execute("CREATE TEMP TABLE rates (since DATE, currency VARCHAR, rate DECIMAL(20, 12))")
    for since, code, rate in read_rates(rates_file):
        connection.execute("INSERT INTO rates VALUES (?, ?, ?)", [since, code, rate])
    foreign = ", ".join(f"'{code}'" for code in money.foreign)
    rated = (
        f"FROM {staged} s ASOF LEFT JOIN rates r "
        f"ON r.currency = s.currency AND s.transaction_date >= r.since AND s.currency IN ({foreign})"
    )
    lacking = connection.execute(
        f"SELECT s.currency, min(s.transaction_date) {rated} "
        f"WHERE s.currency IN ({foreign}) AND r.rate IS NULL AND s.transaction_date IS NOT NULL "
        "AND s.amount_minor IS NOT NULL GROUP BY 1 ORDER BY 1 LIMIT 1"
    ).fetchall()
    for code, day in lacking:
        raise SourceError(
            file,
            f"there is no rate for {code} on or before {day.isoformat()} in {file_name(rates_file)}",
            f"add a line {day.isoformat()},{code},<what one {code} is worth in {money.currency}>",
            field="currency",
        )
    converted = ", ".join(
        f"CASE WHEN r.rate IS NULL THEN s.{name} ELSE "
        f"try_cast(round(CAST(s.{name} AS DECIMAL(18, 0)) * r.rate) AS BIGINT) END AS {name}"
        for name in ("amount_minor", "discount_minor")
    )
    connection.execute(
        f"COPY (SELECT s.* REPLACE ({converted}) {rated} ORDER BY s.row) TO ? (FORMAT parquet)",
        [str(target)],
    )
