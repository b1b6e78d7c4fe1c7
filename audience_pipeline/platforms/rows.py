"""The people of a batch as Meta and Google want them on the wire, from columns that were checked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache

from audience_pipeline.identifiers import hashed
from audience_pipeline.platforms.contract import GOOGLE, MembersRefusedError
from audience_pipeline.platforms.members import Columns

META_SCHEMA = ("EMAIL", "PHONE", "FN", "LN", "ZIP", "COUNTRY")
"""In the order of ``META.identifiers``."""
_PLACES = 100_000
REFERENCE = "list"
"""What members call the one destination of a request to Google."""
_BEGIN = f'{{"destinationReferences":["{REFERENCE}"],"userData":{{"userIdentifiers":['
_CONSENT = ',"consent":{"adUserData":"CONSENT_GRANTED","adPersonalization":"CONSENT_GRANTED"}'


def meta_rows(columns: Columns) -> list[tuple[str, ...]]:
    """One row of :data:`META_SCHEMA` per person, a missing value being ``""``.

    Country and postal code are hashed here, for Meta alone wants them so.
    """
    names = ("meta_email", "meta_phone", "meta_first_name", "meta_last_name")
    places = [_meta_place(*place) for place in zip(columns["postal_code"], columns["country"], strict=True)]
    rows = zip(*(columns[name] for name in names), places, strict=True)
    return [(email, phone, first, last, *place) for email, phone, first, last, place in rows]


def google_members(columns: Columns, *, consented: bool) -> str:
    """The JSON of ``audienceMembers``, each with its consent when they are ``consented``.

    Written as text: as objects it takes eight times as long, and hashes need no escaping.

    Raises:
        MembersRefusedError: names the people with nothing that Google takes.
    """
    end = f"]}}{_CONSENT if consented else ''}}}"
    members = [f"{_BEGIN}{','.join(identifiers)}{end}" for identifiers in _google_identifiers(columns)]
    return f"[{','.join(members)}]"


def _google_identifiers(columns: Columns) -> Iterator[list[str]]:
    names = ("google_email", "google_phone", "google_given_name", "google_family_name")
    people = zip(*(columns[name] for name in names), columns["country"], columns["postal_code"], strict=True)
    nobody: dict[int, str] = {}
    for position, (email, phone, given, family, country, postal_code) in enumerate(people):
        found = []
        if email:
            found.append(f'{{"emailAddress":"{email}"}}')
        if phone:
            found.append(f'{{"phoneNumber":"{phone}"}}')
        # An incomplete address fails the whole request, so it is all four or none.
        if given and family and (place := _google_place(country, postal_code)):
            found.append(f'{{"address":{{"givenName":"{given}","familyName":"{family}",{place}}}}}')
        if not found:
            nobody[position] = "address without a country and postal code that Google knows"
        yield found
    if nobody:
        raise MembersRefusedError(
            GOOGLE.platform,
            f"member {min(nobody)} cannot be reached: {nobody[min(nobody)]}",
            positions=nobody,
        )


@lru_cache(maxsize=_PLACES)
def _meta_place(postal_code: str, country: str) -> tuple[str, str]:
    zip_code = hashed("meta", "zip", postal_code, country or None) if postal_code else None
    return zip_code or "", (hashed("meta", "country", country) if country else None) or ""


@lru_cache(maxsize=_PLACES)
def _google_place(country: str, postal_code: str) -> str:
    """The second half of an address; empty when Google would refuse it."""
    region = hashed("google", "region_code", country)
    code = hashed("google", "postal_code", postal_code)
    return f'"regionCode":{json.dumps(region)},"postalCode":{json.dumps(code)}' if region and code else ""
