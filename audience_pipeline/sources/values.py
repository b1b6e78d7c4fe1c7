"""One value of a transaction at a time, by the rules by which whole files are landed.

A file is parsed by DuckDB (``plan.py``). A value that arrives alone, over HTTP, is parsed here in
microseconds; a test holds both to the same results.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from audience_pipeline.identifiers import holds_contact
from audience_pipeline.sources.amounts import LIMIT_MINOR, MINOR_DIGITS, fault_patterns
from audience_pipeline.sources.contract import FREE_TEXT, Kind
from audience_pipeline.sources.faults import Fault
from audience_pipeline.sources.options import ReadOptions, ShopFacts

BLANKS = " \t\r\n\u00a0\ufeff"
_CENT = Decimal(1).scaleb(-MINOR_DIGITS)
_MOST_DIGITS = 18
"""Of a number with an exponent: DuckDB's cast overflows beyond."""
_PIECES, _MOST_PIECES = Decimal("0.001"), Decimal(10) ** 15
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?P<exponent>[eE][-+]?\d{1,9})?", re.ASCII)
_PLAIN = re.compile(r"-?\d{1,12}\.\d\d", re.ASCII)
_FAULTS = [(re.compile(pattern, re.ASCII), fault) for pattern, fault in fault_patterns(ReadOptions())]
_MOMENT = re.compile(
    r"(?:(?P<y>\d{4})(?P<sign>[-/])(?P<m>\d\d)(?P=sign)(?P<d>\d\d)|(?P<dd>\d\d?)\.(?P<dm>\d\d?)\.(?P<dy>\d{4}))"
    r"(?P<time>[T ](?P<h>\d\d):(?P<min>\d\d)(?::(?P<s>\d\d)(?:\.(?P<f>\d{1,9}))?)?"
    r"(?: ?(?P<zone>[Zz]|[+-](?P<zh>[01]\d)(?::?(?P<zm>[0-5]\d))?))?)?",
    re.ASCII,
)
_PLAIN_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[T ](?:[01]\d|2[0-3]):\d\d(?::\d\d)?(?:Z|[+-][01]\d:?[0-5]\d)?", re.ASCII
)
"""What Python reads by itself, in a tenth of the time."""
_DAY_LENGTH, _TWO_DAYS = len("2025-03-31"), timedelta(days=2)
_COMPACT = re.compile(r"\d{8}", re.ASCII)
_AMBIGUOUS = re.compile(r"\d{1,2}[-/. ]\d{1,2}[-/. ](\d{4}|\d{2})([T ,].*)?", re.ASCII)
_DECIMAL_ID = re.compile(r"\d+\.0", re.ASCII)
_FREE_TEXT = {
    name: (re.compile(patterns.harmless), patterns) for name, patterns in FREE_TEXT[Kind.TRANSACTIONS].items()
}


def trimmed(text: str) -> str | None:
    """The text without blanks around it; None where nothing is left."""
    return text.strip(BLANKS) or None


def minor_units(text: str) -> int | Fault:
    """An amount with a decimal point, in minor units and rounded half away from zero.

    Args:
        text: Trimmed, such as ``129.90``.
    """
    # Nearly all of real data, in a third of the time.
    if _PLAIN.fullmatch(text):
        return int(text[:-3] + text[-2:])
    found = _NUMBER.fullmatch(text)
    if found is None:
        return _amount_fault(text)
    if found["exponent"] and sum(map(str.isdigit, text[: found.start("exponent")])) > _MOST_DIGITS:
        return Fault.TOO_LARGE
    try:
        minor = int(Decimal(text).quantize(_CENT, ROUND_HALF_UP).scaleb(MINOR_DIGITS))
    except InvalidOperation:
        return Fault.TOO_LARGE
    return minor if abs(minor) <= LIMIT_MINOR else Fault.TOO_LARGE


def _amount_fault(text: str) -> Fault:
    return next((fault for pattern, fault in _FAULTS if pattern.fullmatch(text)), Fault.NOT_A_NUMBER)


def moment(text: str, facts: ShopFacts) -> tuple[date, datetime | None] | Fault:
    """The day of a text, and the moment in UTC where it holds a time.

    Args:
        text: Trimmed; a format that ``sources.dates`` reads without ``date_format``.
        facts: The range of days that can be.
    """
    if len(text) == _DAY_LENGTH and text[4] == "-" == text[7]:
        try:
            day, at = date.fromisoformat(text), None
        except ValueError:
            return Fault.NO_SUCH_DAY if _MOMENT.fullmatch(text) else Fault.UNREADABLE_DATE
    else:
        read = _read(text)
        if isinstance(read, Fault):
            return read
        day, at = read.date(), read if len(text) > _DAY_LENGTH else None
    if day < facts.earliest_date:
        return Fault.TOO_EARLY
    if day > facts.today and day >= facts.today + _TWO_DAYS:
        return Fault.IN_FUTURE
    return day, at


def _read(text: str) -> datetime | Fault:
    try:
        if _PLAIN_MOMENT.fullmatch(text):
            at = datetime.fromisoformat(text)
            return at if at.tzinfo is None else at.astimezone(UTC).replace(tzinfo=None)
        found = _MOMENT.fullmatch(text)
        if found is None:
            if _COMPACT.fullmatch(text):
                return datetime(int(text[:4]), int(text[4:6]), int(text[6:]))
            return Fault.AMBIGUOUS_DATE if _AMBIGUOUS.fullmatch(text) else Fault.UNREADABLE_DATE
        part = found.group
        at = datetime(
            int(part("y") or part("dy")), int(part("m") or part("dm")), int(part("d") or part("dd"))
        )
        if part("time") is None:
            return at
        hour, minute, second = int(part("h")), int(part("min")), int(part("s") or 0)
        if hour == 24 and not minute and not second and not int(part("f") or 0):
            at += timedelta(days=1)
        else:
            at = at.replace(
                hour=hour, minute=minute, second=second, microsecond=int((part("f") or "")[:6].ljust(6, "0"))
            )
        if part("zone") in {None, "Z", "z"}:
            return at
        ahead = timedelta(hours=int(part("zh")), minutes=int(part("zm") or 0))
        zone = timezone(ahead if part("zone")[0] == "+" else -ahead)
        return at.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return Fault.NO_SUCH_DAY


def identifier(text: str) -> str:
    """A trimmed id; one that a spreadsheet has turned into a decimal (``12346.0``) becomes what it was."""
    return text[:-2] if text.endswith(".0") and _DECIMAL_ID.fullmatch(text) else text


def free_text(name: str, text: str) -> str | None:
    """A trimmed value of a column of transactions; None where it holds an e-mail address or phone number."""
    harmless, patterns = _FREE_TEXT[name]
    return text if harmless.fullmatch(text) or not holds_contact(text, patterns) else None


def quantity(text: str) -> Decimal | None:
    """Pieces in thousandths; None where the text is no number of pieces, which is no fault."""
    if _NUMBER.fullmatch(text) is None:
        return None
    try:
        pieces = Decimal(text).quantize(_PIECES, ROUND_HALF_UP)
    except InvalidOperation:
        return None
    return pieces if abs(pieces) < _MOST_PIECES else None
