"""E-mail addresses and phone numbers in text that is meant for something else: categories, order ids."""

from __future__ import annotations

import re
from dataclasses import dataclass

from audience_pipeline.identifiers.text import BLANKS, INVISIBLE

# Read by Python's `re`, by DuckDB and by polars: no look-around, explicit classes.
_WIDE_AT, _WIDE_PLUS, _WIDE_DOT = "\uff20", "\uff0b", "\u3002"
_DASHES = "\u2010-\u2015\u2212"
_AT = rf"(?:[@{_WIDE_AT}]|%(?:25)*40|&#0*64;|&#[xX]0*40;|&commat;)"
_DOT = rf"(?:[.{_WIDE_DOT}]|%(?:25)*2[Ee])"
_NOT_BLANK = f"[^@{BLANKS}]"
_EMAIL = rf"{_NOT_BLANK}{_AT}{_NOT_BLANK}"
_SPACED_EMAIL = rf"{_NOT_BLANK}[{BLANKS}]*{_AT}[{BLANKS}]*[^@{BLANKS}.]+{_DOT}[A-Za-z]{{2}}"

_BLANK_SIGN = rf"(?:[{BLANKS}{INVISIBLE}()]|%(?:25)*2[089])"
_SIGN = rf"(?:[{BLANKS}{INVISIBLE}().\-/{_DASHES}]|%(?:25)*2[089DdEeFf])"
_DIGIT = rf"(?:{_SIGN}*[0-9])"
_BEFORE = r"(?:^|[^0-9A-Za-z]|%[0-9A-Fa-f]{2})"
_AFTER = "(?:[^0-9]|$)"
_PLUS = rf"(?:[+{_WIDE_PLUS}]|%(?:25)*2[Bb])"
_INTERNATIONAL = rf"{_BEFORE}{_PLUS}{_DIGIT}{{7,15}}{_AFTER}"
_AREA = rf"(?:[(][0-9]{{3}}[)]{_SIGN}*|[0-9]{{3}}{_SIGN}+)"
_AMERICAN = rf"(?:^|[^0-9A-Za-z\-]){_AREA}[0-9]{{3}}{_SIGN}+[0-9]{{4}}(?:[^0-9A-Za-z\-]|$)"

_NUMBER = rf"{_SIGN}*[0-9]{_DIGIT}{{9,14}}{_SIGN}*"
_NINE_DIGITS = "[0-9]{3}(?: [0-9]{3}){2}|[0-9]{2,3}(?: [0-9]{2}){3}"
_TRUNK = rf"{_SIGN}*0{_SIGN}*(?:0{_SIGN}*)?[1-9]{_DIGIT}{{7,13}}{_SIGN}*"
_WITH_BLANKS = rf"{_SIGN}*[0-9]*{_DIGIT}*{_BLANK_SIGN}{_SIGN}*{_DIGIT}*{_SIGN}*"
_MONTH, _DAY = "(?:0[1-9]|1[0-2])", "(?:0[1-9]|[12][0-9]|3[01])"
_DATE = rf"(?:19|20)[0-9]{{2}}(?:[-./]{_MONTH}[-./]{_DAY}|{_MONTH}{_DAY})"
_DATES = rf"{_DATE}(?:[ ./\-][0-9.\-/ ]*)?"


@dataclass(frozen=True, slots=True)
class ContactPatterns:
    """What tells a contact in a text: it fits ``anywhere``, or all of ``whole`` and not ``but``.

    DuckDB, polars and Python read them alike.
    """

    harmless: str
    """Fits the whole of a text that is certainly none; quick, for the many."""
    anywhere: str
    """Fits a part of the text."""
    whole: tuple[str, ...]
    """Each fits the whole of the text."""
    but: str
    """Fits the whole of a text that is no number after all."""


_SIMPLE = r"[A-Za-z_ &/.\-]"
_HARMLESS = f"{_SIMPLE}*(?:[0-9]{_SIMPLE}*){{0,7}}"
"""Too few digits for a number, and no sign that an address could have."""
_ANYWHERE = "|".join((_EMAIL, _SPACED_EMAIL, _INTERNATIONAL, _AMERICAN))
WORDS = ContactPatterns(_HARMLESS, _ANYWHERE, (f"{_NUMBER}|{_NINE_DIGITS}",), _DATES)
"""For names of things, such as categories and channels: ten to fifteen digits are a phone number."""
CODES = ContactPatterns(_HARMLESS, _ANYWHERE, (_NUMBER, f"{_TRUNK}|{_WITH_BLANKS}"), f"[0-9]*|{_DATES}")
"""For ids, where digits alone are an id: a number must be written like one that is dialled."""


def holds_contact(text: str, patterns: ContactPatterns = WORDS) -> bool:
    """Whether a text is or holds an e-mail address, percent-encoded too, or looks like a phone number."""
    if re.search(patterns.anywhere, text) is not None:
        return True
    return (
        all(re.fullmatch(pattern, text) is not None for pattern in patterns.whole)
        and re.fullmatch(patterns.but, text) is None
    )
