"""Why a row goes to quarantine: a code in the staged file, a sentence for people."""

from __future__ import annotations

from enum import IntEnum

from audience_pipeline.sources.contract import CONTRACTS, Kind
from audience_pipeline.sources.options import ReadOptions, ShopFacts


class Fault(IntEnum):
    """Zero is a good value."""

    NONE = 0
    EMPTY = 1
    NOBODY = 2
    UNUSABLE_CONTACT = 3
    NOT_ALLOWED = 4
    CONTACT = 5
    ERASED = 6
    AMBIGUOUS_DATE = 10
    UNREADABLE_DATE = 11
    NO_SUCH_DAY = 12
    TOO_EARLY = 13
    IN_FUTURE = 14
    NOT_FINITE = 20
    TOO_LARGE = 21
    COMMA_THOUSANDS = 22
    POINT_THOUSANDS = 23
    DECIMAL_COMMA = 24
    UNCLEAR_COMMA = 25
    OTHER_THOUSANDS = 26
    NOT_A_NUMBER = 27
    NOT_A_CURRENCY = 30
    TOO_FEW_FIELDS = 40
    TOO_MANY_FIELDS = 41
    NOT_UTF8 = 42
    TOO_LONG = 43
    BROKEN_QUOTES = 44
    NOT_AN_OBJECT = 45


def reason(fault: int, field: str, kind: Kind, options: ReadOptions, facts: ShopFacts) -> str:
    """The sentence for a fault of a field, remedy included."""
    contract = CONTRACTS[kind]
    match Fault(fault):
        case Fault.NOT_ALLOWED:
            choices = contract.column(field).choices
            return f"not one of {', '.join(choices)}"
        case Fault.NOBODY:
            return f"none of {', '.join(contract.person)} is given"
        case Fault.UNUSABLE_CONTACT:
            contacts = [_CONTACTS[name] for name in contract.instead if name in _CONTACTS]
            ids = [name for name in contract.person if name not in _CONTACTS]
            return f"no {' or '.join(ids)}, and no {' or '.join(contacts)} that can be used"
        case Fault.TOO_EARLY:
            return f"before {facts.earliest_date.isoformat()}"
        case Fault.IN_FUTURE:
            return f"later than tomorrow ({facts.today.isoformat()} is today)"
        case Fault.UNREADABLE_DATE if options.date_format is not None:
            return f"does not read as {options.date_format}"
        case known:
            return _SENTENCES[known]


_CONTACTS = {"email": "e-mail address", "phone": "phone number"}
_SENTENCES = {
    Fault.EMPTY: "empty",
    Fault.CONTACT: "no customer_id, and anonymous_id is an e-mail address or phone number",
    Fault.ERASED: "of somebody who was erased: it does not come back",
    Fault.AMBIGUOUS_DATE: "day and month cannot be told apart: give date_format, such as %d/%m/%Y",
    Fault.UNREADABLE_DATE: "not a date as YYYY-MM-DD, YYYY/MM/DD, YYYYMMDD or DD.MM.YYYY: give date_format",
    Fault.NO_SUCH_DAY: "no such day or time in the calendar",
    Fault.NOT_FINITE: "not a finite number",
    Fault.TOO_LARGE: "larger than any amount of money (a million million)",
    Fault.COMMA_THOUSANDS: "commas between thousands: give thousands ','",
    Fault.POINT_THOUSANDS: "points between thousands: give thousands '.' and decimal ','",
    Fault.DECIMAL_COMMA: "decimal comma: give decimal ','",
    Fault.UNCLEAR_COMMA: "a comma before decimals or between thousands: give decimal ',' or thousands ','",
    Fault.OTHER_THOUSANDS: "blanks or apostrophes between thousands: give thousands",
    Fault.NOT_A_NUMBER: "not a number",
    Fault.NOT_A_CURRENCY: "not a currency code of three letters",
    Fault.TOO_FEW_FIELDS: "fewer fields than the header",
    Fault.TOO_MANY_FIELDS: "more fields than the header",
    Fault.NOT_UTF8: "not UTF-8",
    Fault.TOO_LONG: "longer than 2,000,000 bytes",
    Fault.BROKEN_QUOTES: "a quote that is not closed or not doubled",
    Fault.NOT_AN_OBJECT: "not a JSON object",
}
