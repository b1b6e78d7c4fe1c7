"""Cleaning that every identifier shares: blanks, invisible characters, Unicode form, the one hash."""

from __future__ import annotations

import hashlib
import re
import unicodedata

INVISIBLE = (
    "\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
    "\u2060\u2066\u2067\u2068\u2069\ufeff"
)
"""Zero-width and direction characters: they come along when text is copied and are part of no identifier."""
BLANKS = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008"
    "\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
BLANK = re.compile(f"[{BLANKS}]")
_INVISIBLE = re.compile(f"[{INVISIBLE}]")
_HASHED = re.compile(r"[0-9a-fA-F]{64}")


def clean(value: str) -> str:
    """The text without invisible characters and outer blanks, in Unicode form NFC."""
    if value.isascii():
        return value.strip(BLANKS)
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", value)).strip(BLANKS)


def lowered(value: str) -> str:
    """:func:`clean` in lower case by the full Unicode rules, still NFC."""
    text = clean(value).lower()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def without_blanks(text: str) -> str:
    """The text without any white space."""
    return BLANK.sub("", text)


def letters(text: str, *, digits: bool = False) -> str:
    """Only the letters (with their accents), and the digits if wanted."""
    kinds = "LMN" if digits else "LM"
    return "".join(character for character in text if unicodedata.category(character)[0] in kinds)


def looks_hashed(text: str) -> bool:
    """Whether the text has the form of a SHA-256 in hex: hashed elsewhere, so it is no raw value."""
    return _HASHED.fullmatch(text) is not None


def digest(text: str) -> bytes:
    """SHA-256 of the UTF-8 bytes: 32 bytes, no salt."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
