"""What the platforms' pages say of identifiers, written down a second time without the product's code.

Only the forms that the harness invents are read: e-mail addresses, telephone numbers of four countries,
names, postal codes, countries. Everything is plain Python, so that a mistake would have to be made twice.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

PLATFORMS = ("meta", "google", "tiktok")
GMAIL = ("gmail.com", "googlemail.com")
CALLING = {"US": "1", "DE": "49", "GB": "44", "FR": "33"}
COUNTRY_NAMES = {"united states": "US", "germany": "DE", "united kingdom": "GB", "france": "FR"}
NOBODY = frozenset({"test@test.com", "na@na.na", "none@none.com"})
"""Addresses that stand for none."""


@dataclass(frozen=True)
class Contact:
    """What a form holds of a person, as it was typed."""

    email: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    first_name: str | None = field(default=None, repr=False)
    last_name: str | None = field(default=None, repr=False)
    country: str | None = None
    postal_code: str | None = None


def digest(text: str) -> str:
    """SHA-256 in lower-case hex."""
    return sha256(text.encode()).hexdigest()


def trimmed(value: str) -> str:
    """Without invisible characters, and without blanks of any kind at both ends."""
    return "".join(sign for sign in value if unicodedata.category(sign) != "Cf").strip()


def email(value: str | None, platform: str) -> str | None:
    """The address as a platform wants it, or None where there is none that could be used."""
    text = unicodedata.normalize("NFC", trimmed(value or "").lower())
    local, at, domain = text.partition("@")
    if not (local and at and "." in domain) or "@" in domain or text in NOBODY:
        return None
    if any(sign.isspace() for sign in text):
        return None
    if platform == "tiktok" or (platform == "google" and domain in GMAIL):
        local = local.partition("+")[0]
    if platform == "google" and domain in GMAIL:
        local = local.replace(".", "")
    return f"{local}@{domain}" if local else None


def country(value: str | None) -> str | None:
    """ISO2 in upper case."""
    text = trimmed(value or "")
    known = COUNTRY_NAMES.get(text.lower(), text.upper())
    return known if known in CALLING else None


def phone(value: str | None, region: str | None) -> str | None:
    """Country code and number in digits only; a national number needs a region."""
    text = trimmed(value or "").replace("(0)", "")
    digits = "".join(sign for sign in text if sign.isdecimal())
    if len(set(digits)) < 2 or digits == "1234567890" or any(sign.isalpha() for sign in text):
        return None
    if text.startswith("+"):
        return digits.lstrip("0")
    if digits.startswith("00"):
        return digits.lstrip("0")
    if region is None:
        return None
    code = CALLING[region]
    if region == "US":
        return digits if len(digits) == 11 else code + digits
    return code + digits.removeprefix("0")


def letters(value: str | None) -> str | None:
    """A name for Meta: its letters in lower case."""
    text = unicodedata.normalize("NFC", (value or "").lower())
    return "".join(sign for sign in text if unicodedata.category(sign)[0] in "LM") or None


def lowered(value: str | None) -> str | None:
    """A name for Google: trimmed, in lower case."""
    return trimmed(unicodedata.normalize("NFC", value or "")).lower() or None


def meta_zip(value: str | None, region: str | None) -> str | None:
    """Without blanks, in lower case; five digits in the US."""
    text = "".join((value or "").lower().split())
    return (text[:5] if region == "US" else text) or None


@dataclass(frozen=True)
class Spelled:
    """A person as one platform is told of them."""

    naming: tuple[str, ...] = field(repr=False)
    """Hashes of which one alone names the person: of the e-mail address, of the telephone number."""
    row: tuple[str, ...] = field(repr=False)
    """All hashes that are sent, in the order in which the sandbox shows them."""
    reachable: bool


def spell(contact: Contact, platform: str) -> Spelled:
    """What a platform is told of a person: see the table of rules, column by column."""
    region = country(contact.country)
    address, number = email(contact.email, platform), phone(contact.phone, region)
    written = f"+{number}" if platform == "google" and number else number
    naming = tuple(digest(text) for text in (address, written) if text)
    if platform == "tiktok":
        return Spelled(naming, naming, bool(naming))
    if platform == "meta":
        others = [
            letters(contact.first_name),
            letters(contact.last_name),
            meta_zip(contact.postal_code, region),
            region.lower() if region else None,
        ]
        row = naming + tuple(digest(text) for text in others if text)
        return Spelled(naming, row, bool(naming))
    names = [lowered(contact.first_name), lowered(contact.last_name)]
    complete = all(names) and region is not None and bool(trimmed(contact.postal_code or ""))
    # Region and postal code go unhashed, and the sandbox shows hashes only.
    row = naming + tuple(digest(text) for text in names if text and complete)
    return Spelled(naming, row, bool(naming) or complete)


def of_record(record: Mapping[str, str | None]) -> Contact:
    """A contact from a line of the raw input; further columns are left alone."""
    return Contact(**{name: record.get(name) for name in Contact.__dataclass_fields__})
