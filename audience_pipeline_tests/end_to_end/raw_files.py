"""The input files as the world reads them: plain Python, none of our own code.

It knows only what the platforms say of identifiers: how an address is written for each platform.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

PLATFORMS = ("meta", "google", "tiktok")
FILES = {
    "consent": "consent.csv",
    "crm": "crm.csv",
    "engagement": "engagement_events.csv",
    "transactions": "transactions.csv",
    "web": "web_events.csv",
}
"""In the order in which a demo reads them."""
DIALLING = {
    "DE": "49",
    "AT": "43",
    "FR": "33",
    "US": "1",
    "NL": "31",
    "ES": "34",
    "GB": "44",
    "IT": "39",
    "CH": "41",
}
NO_TRUNK_ZERO = {"IT", "ES", "US"}
PLACEHOLDERS = {"test@test.com", "noemail@noemail.com", "na@na.na", "1234567890", "see email"}


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def email_for(platform: str, typed: str) -> str | None:
    """An address as a platform hashes it; None when it is none."""
    text = typed.strip().lower()
    if text in PLACEHOLDERS or not re.fullmatch(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+", text):
        return None
    local, _, domain = text.partition("@")
    if platform == "tiktok" or (platform == "google" and domain in {"gmail.com", "googlemail.com"}):
        local = local.partition("+")[0]
    if platform == "google" and domain in {"gmail.com", "googlemail.com"}:
        local = local.replace(".", "")
    return f"{local}@{domain}"


def phone_digits(typed: str, country: str) -> str | None:
    """A number with its country code and no plus; None when it is none."""
    text = typed.strip()
    if text in PLACEHOLDERS or not re.search(r"\d", text):
        return None
    digits = re.sub(r"\D", "", text.replace("(0)", ""))
    if text.startswith("+"):
        return digits
    if digits.startswith("00"):
        return digits[2:]
    code = DIALLING[country]
    return code + (digits if country in NO_TRUNK_ZERO else digits.removeprefix("0"))


def rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
