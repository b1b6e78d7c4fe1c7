"""Which rule and which hash each platform wants for each identifier."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from audience_pipeline.identifiers import countries, devices, emails, people, phones
from audience_pipeline.identifiers.text import clean, digest

RULES_VERSION = 1
"""Rises with every change that alters a hash: people sent under an older version are removed under it."""

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Rule:
    """How a raw value becomes the text that is hashed or sent."""

    normalise: Callable[[str, str | None], str | None]
    """Raw value and default region to the text; None means that the value must be refused."""
    hashed: bool = True


def _plain(function: Callable[[str], str | None]) -> Callable[[str, str | None], str | None]:
    return lambda value, _region: function(value)


def _meta_email(value: str) -> str | None:
    email = emails.parse(value)
    return email.meta if email else None


def _google_email(value: str) -> str | None:
    email = emails.parse(value)
    return email.google if email else None


def _tiktok_email(value: str) -> str | None:
    email = emails.parse(value)
    return email.tiktok if email else None


def _digits(value: str, default_region: str | None) -> str | None:
    number = phones.e164(value, default_region)
    return number[1:] if number else None


def _device_lowered(value: str) -> str | None:
    device = devices.device_id(value)
    return device.lower() if device else None


def _as_it_is(value: str) -> str | None:
    return value if clean(value) else None


def _amount(value: str) -> str | None:
    text = clean(value)
    return text if _NUMBER.fullmatch(text) else None


RULES: dict[tuple[str, str], Rule] = {
    ("meta", "email"): Rule(_plain(_meta_email)),
    ("meta", "phone"): Rule(_digits),
    ("meta", "first_name"): Rule(_plain(people.meta_name)),
    ("meta", "last_name"): Rule(_plain(people.meta_name)),
    ("meta", "first_initial"): Rule(_plain(people.first_initial)),
    ("meta", "gender"): Rule(_plain(people.gender)),
    ("meta", "dob_year"): Rule(_plain(people.birth_year)),
    ("meta", "dob_month"): Rule(_plain(people.birth_month)),
    ("meta", "dob_day"): Rule(_plain(people.birth_day)),
    ("meta", "city"): Rule(_plain(people.city)),
    ("meta", "state"): Rule(_plain(people.state)),
    ("meta", "zip"): Rule(people.meta_zip),
    ("meta", "country"): Rule(_plain(people.meta_country)),
    ("meta", "madid"): Rule(_plain(_device_lowered), hashed=False),
    ("meta", "extern_id"): Rule(_plain(_as_it_is), hashed=False),
    ("meta", "lookalike_value"): Rule(_plain(_amount), hashed=False),
    ("meta", "sha256_primitive"): Rule(_plain(_as_it_is)),
    ("google", "email"): Rule(_plain(_google_email)),
    ("google", "phone"): Rule(phones.e164),
    ("google", "given_name"): Rule(_plain(people.google_name)),
    ("google", "family_name"): Rule(_plain(people.google_name)),
    ("google", "region_code"): Rule(_plain(countries.iso2), hashed=False),
    ("google", "postal_code"): Rule(_plain(people.google_postal_code), hashed=False),
    ("google", "mobile_id"): Rule(_plain(devices.device_id), hashed=False),
    ("google", "user_id"): Rule(_plain(_as_it_is), hashed=False),
    ("google", "sha256_primitive"): Rule(_plain(_as_it_is)),
    ("tiktok", "email"): Rule(_plain(_tiktok_email)),
    ("tiktok", "phone_file"): Rule(_digits),
    ("tiktok", "phone_streaming"): Rule(phones.e164),
    ("tiktok", "madid_sha256"): Rule(_plain(_device_lowered)),
    ("tiktok", "madid_raw"): Rule(_plain(_device_lowered), hashed=False),
    ("tiktok", "sha256_primitive"): Rule(_plain(_as_it_is)),
}


def normalise(platform: str, identifier: str, value: str, default_region: str | None = None) -> str | None:
    """The text that is hashed or sent for a raw value; None when the value must be refused.

    Args:
        platform: ``meta``, ``google`` or ``tiktok``.
        identifier: a name of that platform, such as ``email`` or ``phone_file``.
        value: the raw value as the source has it.
        default_region: ISO2 country of phone numbers without country code and of postal codes.

    Raises:
        ValueError: the platform has no such identifier.
    """
    return _rule(platform, identifier).normalise(value, default_region)


def hashed(platform: str, identifier: str, value: str, default_region: str | None = None) -> str | None:
    """What goes on the wire: 64 hex characters, or the plain text of an identifier that is never hashed.

    Arguments and errors as in :func:`normalise`.
    """
    rule = _rule(platform, identifier)
    text = rule.normalise(value, default_region)
    if text is None or not rule.hashed:
        return text
    return digest(text).hex()


def _rule(platform: str, identifier: str) -> Rule:
    rule = RULES.get((platform, identifier))
    if rule is None:
        known = sorted(name for owner, name in RULES if owner == platform)
        remedy = f"use one of {', '.join(known)}" if known else "use meta, google or tiktok"
        raise ValueError(f"no rule for identifier {identifier!r} of platform {str(platform)!r}: {remedy}")
    return rule
