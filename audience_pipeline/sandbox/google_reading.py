"""A request for members of Google's lists, read and validated as a whole."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from audience_pipeline.sandbox.google_destinations import Destination, destinations_of
from audience_pipeline.sandbox.google_errors import GoogleError, invalid, wrong
from audience_pipeline.sandbox.google_messages import DATA_KINDS, Encoding
from audience_pipeline.sandbox.google_schema import Reader, Violation
from audience_pipeline.sandbox.people import Entry, Kind, sha256
from audience_pipeline.sandbox.rows import pack
from audience_pipeline.sandbox.world import World

MEMBERS_LIMIT = 10_000
IDENTIFIERS_LIMIT = 10
POSTAL_CODE_LENGTH = 16
_DEVICE = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


@dataclass(frozen=True, slots=True)
class Reading:
    """The members of a request, read without a mistake."""

    kind: str
    rows: list[bytes] = field(default_factory=list, repr=False)
    """As :func:`rows.pack` makes them."""
    identifiers: list[int] = field(default_factory=list)
    """How many each member has."""
    countries: list[str | None] = field(default_factory=list)
    """The country that an address of the member names."""
    references: list[Sequence[str]] = field(default_factory=list)
    """The destinations that each member names; none is all."""
    consents: list[tuple[int, int]] = field(default_factory=list)
    """What each member itself says of user data and of personalisation."""


def parsed(reader: Reader, body: object) -> dict[str, Any]:
    """A body read by its message.

    Raises:
        GoogleError: 400 with every mistake.
    """
    violations: list[Violation] = []
    request = reader(body, "", violations)
    if violations:
        raise invalid(violations)
    return dict(request or {})


def validated(
    world: World, request: Mapping[str, Any], reading: Reading | None
) -> tuple[list[Destination], Reading]:
    """Destinations and members of a request; ``reading`` when the members have been read already.

    Raises:
        GoogleError: 400, for the whole request.
    """
    kind = reading.kind if reading else _kind(request.get("audienceMembers") or [])
    destinations = destinations_of(world, request, kind)
    encoding = request.get("encoding") or Encoding.ENCODING_UNSPECIFIED
    if kind == "userData" and encoding == Encoding.ENCODING_UNSPECIFIED:
        raise wrong("encoding", "REQUIRED_FIELD_MISSING")
    if "encryptionInfo" in request:
        raise GoogleError(
            400,
            "Encrypted identifiers are not allowed for this project.",
            "FAILED_PRECONDITION",
            "NOT_ALLOWLISTED",
        )
    violations: list[Violation] = []
    if reading is None:
        reading, violations = read_members(request)
    known = {destination.reference for destination in destinations}
    for place, references in enumerate(reading.references):
        if references and not known.issuperset(references):
            path = f"audience_members[{place}].destination_references"
            violations.append(_violation(path, "INVALID_DESTINATION"))
    if violations:
        raise invalid(violations)
    return destinations, reading


def read_members(request: Mapping[str, Any]) -> tuple[Reading, list[Violation]]:
    """The members of a request as its message reads them, and what is wrong with them.

    Raises:
        GoogleError: 400, for their number or kinds.
    """
    encoding = request.get("encoding") or Encoding.ENCODING_UNSPECIFIED
    reading, violations = Reading(_kind(request.get("audienceMembers") or [])), list[Violation]()
    for place, member in enumerate(request["audienceMembers"]):
        _read(member, reading, encoding, f"audience_members[{place}]", violations)
    return reading, violations


def _kind(members: Sequence[Mapping[str, Any]]) -> str:
    """The one kind of data that a request carries."""
    if not members:
        raise wrong("audience_members", "REQUIRED_FIELD_MISSING")
    if len(members) > MEMBERS_LIMIT:
        raise wrong("audience_members", "TOO_MANY_AUDIENCE_MEMBERS")
    kinds = {kind for member in members for kind in DATA_KINDS if kind in member}
    if len(kinds) > 1:
        raise wrong("audience_members", "MULTIPLE_DATA_TYPES_NOT_ALLOWED")
    return min(kinds, default="userData")


def _read(
    member: Mapping[str, Any], reading: Reading, encoding: int, path: str, violations: list[Violation]
) -> None:
    entries, country = _entries(member, reading.kind, encoding, path, violations)
    consent = member.get("consent") or {}
    reading.rows.append(pack(entries))
    reading.identifiers.append(_sent(member, reading.kind))
    reading.countries.append(country)
    reading.references.append(member.get("destinationReferences") or ())
    reading.consents.append((consent.get("adUserData") or 0, consent.get("adPersonalization") or 0))


def _sent(member: Mapping[str, Any], kind: str) -> int:
    data = member.get(kind) or {}
    return len(data.get("userIdentifiers") or data.get("mobileIds") or (1,))


def _violation(path: str, reason: str) -> Violation:
    return Violation(path, reason.replace("_", " ").capitalize() + ".", reason)


def _entries(
    member: Mapping[str, Any], kind: str, encoding: int, path: str, violations: list[Violation]
) -> tuple[list[Entry], str | None]:
    """The identifiers of a member and the country it names; mistakes go to ``violations``."""
    if kind not in member:
        violations.append(_violation(path, "NO_IDENTIFIERS_PROVIDED"))
        return [], None
    if kind == "userData":
        return _user_data(member["userData"], encoding, f"{path}.user_data.user_identifiers", violations)
    if kind == "mobileData":
        return _mobile_data(member["mobileData"], f"{path}.mobile_data.mobile_ids", violations), None
    user_id = (member.get("userIdData") or {}).get("userId")
    if kind == "userIdData" and not user_id:
        violations.append(_violation(f"{path}.user_id_data.user_id", "REQUIRED_FIELD_MISSING"))
    return [(Kind.OWN_ID, sha256(json.dumps(member[kind], sort_keys=True)))], None


def _user_data(
    data: Mapping[str, Any], encoding: int, path: str, violations: list[Violation]
) -> tuple[list[Entry], str | None]:
    identifiers = data.get("userIdentifiers") or []
    if not identifiers:
        violations.append(_violation(path, "NO_IDENTIFIERS_PROVIDED"))
    if len(identifiers) > IDENTIFIERS_LIMIT:
        violations.append(_violation(path, "TOO_MANY_USER_IDENTIFIERS"))
    entries: list[Entry] = []
    country: str | None = None
    for place, identifier in enumerate(identifiers):
        here = f"{path}[{place}]"
        if "emailAddress" in identifier:
            _hashed(
                identifier["emailAddress"], Kind.EMAIL, encoding, f"{here}.email_address", entries, violations
            )
        elif "phoneNumber" in identifier:
            _hashed(
                identifier["phoneNumber"], Kind.PHONE, encoding, f"{here}.phone_number", entries, violations
            )
        elif "address" in identifier:
            country = _address(identifier["address"], encoding, f"{here}.address", entries, violations)
        else:
            violations.append(_violation(here, "NO_IDENTIFIERS_PROVIDED"))
    return entries, country


def _address(
    address: Mapping[str, str], encoding: int, path: str, entries: list[Entry], violations: list[Violation]
) -> str | None:
    names = {"givenName": "given_name", "familyName": "family_name"}
    for name, proto_name in (*names.items(), ("regionCode", "region_code"), ("postalCode", "postal_code")):
        if not address.get(name, "").strip():
            violations.append(_violation(f"{path}.{proto_name}", "REQUIRED_FIELD_MISSING"))
            return None
    region, postal_code = address["regionCode"], address["postalCode"].strip()
    if not re.fullmatch(r"[A-Z]{2}", region):
        violations.append(_violation(f"{path}.region_code", "INVALID_REGION_CODE"))
    if len(postal_code) > POSTAL_CODE_LENGTH:
        violations.append(_violation(f"{path}.postal_code", "INVALID_POSTAL_CODE"))
    for name, kind in zip(names, (Kind.FIRST_NAME, Kind.LAST_NAME), strict=True):
        _hashed(address[name], kind, encoding, f"{path}.{names[name]}", entries, violations)
    entries.append((Kind.PLAIN_COUNTRY, sha256(region)))
    entries.append((Kind.PLAIN_POSTAL_CODE, sha256(postal_code)))
    return region


def _hashed(
    value: str, kind: Kind, encoding: int, path: str, entries: list[Entry], violations: list[Violation]
) -> None:
    hexadecimal = encoding == Encoding.HEX
    try:
        digest = bytes.fromhex(value) if hexadecimal else base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error):
        violations.append(
            _violation(path, "INVALID_HEX_ENCODING" if hexadecimal else "INVALID_BASE64_ENCODING")
        )
        return
    if hexadecimal and len(digest) * 2 != len(value):
        # Python skips white space between the digits.
        violations.append(_violation(path, "INVALID_HEX_ENCODING"))
        return
    if len(digest) != 32:
        violations.append(_violation(path, "INVALID_SHA256_FORMAT"))
        return
    entries.append((kind, digest))


def _mobile_data(data: Mapping[str, Any], path: str, violations: list[Violation]) -> list[Entry]:
    devices = data.get("mobileIds") or []
    if not devices:
        violations.append(_violation(path, "NO_IDENTIFIERS_PROVIDED"))
    if len(devices) > IDENTIFIERS_LIMIT:
        violations.append(_violation(path, "TOO_MANY_USER_IDENTIFIERS"))
    for place, device in enumerate(devices):
        if not _DEVICE.fullmatch(device) or not device.strip("0-"):
            violations.append(_violation(f"{path}[{place}]", "INVALID_MOBILE_ID_FORMAT"))
    return [(Kind.PLAIN_DEVICE, sha256(device)) for device in devices]
