"""Phone numbers to E.164 with the ``phonenumbers`` library: what cannot be read with certainty is refused."""

from __future__ import annotations

import re
import unicodedata

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, ValidationResult

from audience_pipeline.identifiers import phone_plans
from audience_pipeline.identifiers.text import clean, looks_hashed

REGIONS = frozenset(phonenumbers.SUPPORTED_REGIONS)
_LABEL = re.compile(r"[^\W\d_]+\s*[.:]\s*")
_EXTENSION = re.compile(r"[\s,;]*(?:extension|ext|x|#|durchwahl|dw)[\s.:]*[0-9]{1,6}", re.IGNORECASE)
_LEADING_ZEROS = re.compile(r"[\s().\-/]*0[\s().\-/]*0[\s().\-/0]*")
PLACEHOLDERS = frozenset({"1234567", "12345678", "123456789", "1234567890", "123456789012", "9876543210"})


def e164(value: str, default_region: str | None = None) -> str | None:
    """The number as ``+`` and digits; ``default_region`` (ISO2) reads a number without country code.

    None for what is no number, for a national number without region (guessing would send a stranger's
    number) and for placeholders such as ``0000000000``.
    """
    text = clean(value)
    if not text.isascii():
        text = _ascii(text)
    region = default_region.upper() if default_region else None
    number = phone_plans.certain(text, region)
    if number is None:
        parsed = _read(text, region)
        if parsed is None:
            return None
        number = phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
        national = phonenumbers.national_significant_number(parsed)
    else:
        national = number[phone_plans.country_code_length(number) + 1 :]
    return None if _is_placeholder(national) else number


def _ascii(text: str) -> str:
    """Digits and signs of any script in their plain form."""
    plain = (
        str(unicodedata.decimal(character)) if character.isdecimal() else character
        for character in unicodedata.normalize("NFKC", text)
    )
    return "".join(plain).replace("\u2010", "-").replace("\u2013", "-").replace("\u2212", "-")


def _is_placeholder(national: str) -> bool:
    return len(set(national)) == 1 or national.lstrip("0") in PLACEHOLDERS


def _read(text: str, region: str | None) -> PhoneNumber | None:
    """The best reading: written as international, else national and valid, else as a fall-back possible."""
    if looks_hashed(text):
        return None
    label = _LABEL.match(text)
    text = text[label.end() :] if label else text
    extension = _EXTENSION.search(text)
    if extension and extension.end() == len(text):
        text = text[: extension.start()]
    if any(character.isalpha() for character in text):
        return None
    if text.startswith(("+", "(+")):
        return _international(text.lstrip("(+ "))
    zeros = _LEADING_ZEROS.match(text)
    national = _parse(text, region) if region in REGIONS else None
    if national is not None and phonenumbers.is_valid_number(national):
        return national
    if zeros:
        return _international(text)
    return _without_plus(text, region, national) if region in REGIONS else None


def _without_plus(text: str, region: str | None, national: PhoneNumber | None) -> PhoneNumber | None:
    """A number that is not valid in its region: perhaps the plus got lost, perhaps a plan we do not know."""
    if text.lstrip("( ").startswith("0"):
        stripped = _parse(text.lstrip("( 0"), region)
        readings = [national, stripped]
    else:
        international = _parse(f"+{text}", None)
        if international is not None and phonenumbers.is_valid_number(international):
            return international
        readings = [national]
    return next((number for number in readings if number is not None and _is_possible(number)), None)


def _international(text: str) -> PhoneNumber | None:
    zeros = _LEADING_ZEROS.match(text)
    number = _parse(f"+{text[zeros.end() :] if zeros else text}", None)
    return number if number is not None and _is_possible(number) else None


def _parse(text: str, region: str | None) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None


def _is_possible(number: PhoneNumber) -> bool:
    # Some short numbers are valid and possible within their country alone.
    result = phonenumbers.is_possible_number_with_reason(number)
    return bool(result == ValidationResult.IS_POSSIBLE or phonenumbers.is_valid_number(number))
