"""Members of the usual form, read fast; whatever looks different is left to the general reader.

Usual is: contact data in lower-case hex under its JSON names, nothing missing and nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

from audience_pipeline.sandbox.google_messages import ConsentStatus, Encoding
from audience_pipeline.sandbox.google_reading import (
    IDENTIFIERS_LIMIT,
    MEMBERS_LIMIT,
    POSTAL_CODE_LENGTH,
    Reading,
)
from audience_pipeline.sandbox.people import Kind, sha256
from audience_pipeline.sandbox.rows import pack, packed

_KEYS = frozenset({"destinationReferences", "consent", "userData"})
_CONSENTS = {consent.name: int(consent) for consent in ConsentStatus} | {
    int(one): int(one) for one in ConsentStatus
}
_KINDS = {"emailAddress": int(Kind.EMAIL), "phoneNumber": int(Kind.PHONE)}
_ADDRESS = bytes((Kind.FIRST_NAME, Kind.LAST_NAME, Kind.PLAIN_POSTAL_CODE, Kind.PLAIN_COUNTRY))


class _Unusual(Exception):  # noqa: N818 (nothing is wrong with the request)
    pass


def usual(body: object) -> tuple[dict[str, Any], Reading] | None:
    """The request without its members, and the members; None unless all are of the usual form."""
    if not isinstance(body, dict):
        return None
    encoding = body.get("encoding")
    if type(encoding) not in {str, int} or encoding not in {Encoding.HEX.name, int(Encoding.HEX)}:
        return None
    members = body.get("audienceMembers")
    if type(members) is not list or not 0 < len(members) <= MEMBERS_LIMIT:
        return None
    reading = Reading("userData")
    try:
        for member in members:
            _read(member, reading)
    except (_Unusual, KeyError, TypeError, ValueError, AttributeError):
        return None
    return {name: value for name, value in body.items() if name != "audienceMembers"}, reading


def _read(member: Mapping[str, Any], reading: Reading) -> None:
    if not member.keys() <= _KEYS:
        raise _Unusual
    references = member.get("destinationReferences", ())
    if references and (type(references) is not list or any(type(one) is not str for one in references)):
        raise _Unusual
    data = member["userData"]
    identifiers = data["userIdentifiers"]
    if len(data) != 1 or type(identifiers) is not list or not 0 < len(identifiers) <= IDENTIFIERS_LIMIT:
        raise _Unusual
    kinds, plain, country = bytearray(), b"", None
    texts: list[str] = []
    for identifier in identifiers:
        ((name, value),) = identifier.items()
        if name == "address":
            if plain or len(value) != 4:
                raise _Unusual
            texts += (value["givenName"], value["familyName"])
            kinds += _ADDRESS
            country = value["regionCode"]
            plain = _place(country, value["postalCode"])
        elif plain:
            raise _Unusual
        else:
            kinds.append(_KINDS[name])
            texts.append(value)
    text = "".join(texts)
    digests = bytes.fromhex(text)
    if set(map(len, texts)) != {64} or digests.hex() != text:
        raise _Unusual
    reading.rows.append(_row(bytes(kinds), digests + plain))
    reading.identifiers.append(len(identifiers))
    reading.countries.append(country)
    reading.references.append(references)
    reading.consents.append(_consent(member["consent"]) if "consent" in member else (0, 0))


def _row(kinds: bytes, digests: bytes) -> bytes:
    if _ascend(kinds):
        return packed(kinds, digests)
    return pack((kind, digests[32 * place : 32 * place + 32]) for place, kind in enumerate(kinds))


@lru_cache(1_000)
def _ascend(kinds: bytes) -> bool:
    return all(one < other for one, other in pairwise(kinds))


def _consent(consent: Mapping[str, Any]) -> tuple[int, int]:
    user_data, personalisation = consent["adUserData"], consent["adPersonalization"]
    if len(consent) != 2 or type(user_data) is bool or type(personalisation) is bool:
        raise _Unusual
    return _CONSENTS[user_data], _CONSENTS[personalisation]


@lru_cache(100_000)
def _place(region: str, postal_code: str) -> bytes:
    """The digests of postal code and country."""
    code = postal_code.strip()
    if not re.fullmatch(r"[A-Z]{2}", region) or not 0 < len(code) <= POSTAL_CODE_LENGTH:
        raise _Unusual
    return sha256(code) + sha256(region)
