"""Members of Google's lists: ingest, remove, remove all, and the status of each request."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from audience_pipeline.sandbox.faults import Fault
from audience_pipeline.sandbox.google_destinations import Destination, destinations_of
from audience_pipeline.sandbox.google_errors import wrong
from audience_pipeline.sandbox.google_messages import (
    INGEST_MEMBERS,
    REMOVE_ALL_MEMBERS,
    REMOVE_MEMBERS,
    AccountType,
    ConsentStatus,
    ProcessingErrorReason,
    RequestStatus,
    TermsOfServiceStatus,
    match_range,
)
from audience_pipeline.sandbox.google_quick import usual
from audience_pipeline.sandbox.google_reading import Reading, parsed, validated
from audience_pipeline.sandbox.google_schema import Reader
from audience_pipeline.sandbox.wire import words
from audience_pipeline.sandbox.world import World

OLDEST_REQUEST = 50 * 86_400.0
_GRANTED = (ConsentStatus.CONSENT_GRANTED, ConsentStatus.CONSENT_GRANTED)
CONSENT_COUNTRIES = words(
    "AT BE BG HR CY CZ DK EE FI FR DE GR HU IS IE IT LV LI LT LU MT NL NO PL PT RO SK SI ES SE GB CH"
)


def ingest(world: World, body: object) -> object:
    """``POST /v1/audienceMembers:ingest``: accepted as a whole or refused as a whole."""
    request, reading = _read(INGEST_MEMBERS, body)
    destinations, reading = validated(world, request, reading)
    terms = (request.get("termsOfService") or {}).get("customerMatchTermsOfServiceStatus")
    if reading.kind in {"userData", "mobileData"} and terms != TermsOfServiceStatus.ACCEPTED:
        raise wrong(
            "terms_of_service.customer_match_terms_of_service_status", "TERMS_AND_CONDITIONS_NOT_SIGNED"
        )
    if request.get("validateOnly"):
        return {}
    rows = world.members.rows.register("google", reading.rows)
    persons = world.members.rows.persons(rows)
    problems = _problems(world, request, reading, persons)
    refused = world.faults.some(Fault.PARTIAL, len(reading.rows))
    problems |= dict.fromkeys(refused, ProcessingErrorReason.PROCESSING_ERROR_REASON_INVALID_FORMAT)
    indices = bool(refused) and min(refused) % 2 == 0
    failed = _fails(world)
    statuses = []
    for destination in destinations:
        chosen = _chosen(reading, destination)
        if failed:
            statuses.append(_failure(destination, len(chosen)))
            continue
        used = [place for place in chosen if place not in problems]
        world.members.add(destination.audience, BitMap(rows[used]))
        counted = _ingested(reading, chosen, int((persons[used] >= 0).sum()))
        found = {place: problems[place] for place in chosen if place in problems}
        statuses.append(_status(destination, found, len(chosen), counted, indices=indices))
    return _accepted(world, statuses)


def remove(world: World, body: object) -> object:
    """``POST /v1/audienceMembers:remove``."""
    request, reading = _read(REMOVE_MEMBERS, body)
    destinations, reading = validated(world, request, reading)
    if request.get("validateOnly"):
        return {}
    rows, statuses = world.members.rows.register("google", reading.rows), []
    failed = _fails(world)
    for destination in destinations:
        chosen = _chosen(reading, destination)
        if failed:
            statuses.append(_failure(destination, len(chosen)))
            continue
        world.members.remove(destination.audience, BitMap(rows[chosen]))
        name = f"{reading.kind}RemovalStatus"
        counted = {"audienceMembersRemovalStatus": {name: _counts(reading, chosen)}}
        statuses.append(_status(destination, {}, len(chosen), counted))
    return _accepted(world, statuses)


def _read(reader: Reader, body: object) -> tuple[dict[str, Any], Reading | None]:
    found = usual(body)
    return (parsed(reader, body), None) if found is None else (parsed(reader, found[0]), found[1])


def remove_all(world: World, body: object) -> object:
    """``POST /v1/audienceMembers:removeAll``: everybody last added before a time."""
    request = parsed(REMOVE_ALL_MEMBERS, body)
    destinations, now = destinations_of(world, request, None), world.clock.now()
    before = request.get("removeAsOfTime", now)
    if before > now:
        raise wrong("remove_as_of_time", "INVALID_REMOVE_AS_OF_TIME")
    if request.get("validateOnly"):
        return {}
    statuses, failed = [], _fails(world)
    for destination in destinations:
        if failed:
            statuses.append(_failure(destination, 0))
            continue
        world.members.clear(destination.audience, before)
        statuses.append(_status(destination, {}, 0, {"removeAllAudienceMembersStatus": {}}))
    return _accepted(world, statuses)


WRITES: Mapping[str, Callable[[World, object], object]] = {
    "/v1/audienceMembers:ingest": ingest,
    "/v1/audienceMembers:remove": remove,
    "/v1/audienceMembers:removeAll": remove_all,
}


def status(world: World, request_id: str) -> object:
    """``GET /v1/requestStatus:retrieve``: ``PROCESSING`` for a while, then what came of it."""
    if not request_id:
        raise wrong("request_id", "REQUIRED_FIELD_MISSING")
    query = "SELECT created, ready_at, statuses FROM requests WHERE id = ?"
    found = world.state.connection.execute(query, (request_id,)).fetchone()
    if found is None:
        raise wrong("request_id", "INVALID_REQUEST_ID")
    created, ready_at, statuses = found
    if world.clock.now() > created + OLDEST_REQUEST:
        raise wrong("request_id", "REQUEST_TOO_OLD")
    settled = world.clock.now() >= ready_at
    return {
        "requestStatusPerDestination": [_told(status, settled=settled) for status in json.loads(statuses)]
    }


def _told(status: dict[str, Any], *, settled: bool) -> dict[str, Any]:
    account = status["destination"]["operatingAccount"]
    destination = {
        **status["destination"],
        "operatingAccount": {**account, "accountType": AccountType.GOOGLE_ADS},
    }
    if not settled:
        return {"destination": destination, "requestStatus": RequestStatus.PROCESSING}
    told = {**status, "destination": destination, "requestStatus": RequestStatus(status["requestStatus"])}
    for error in told.get("errorInfo", {}).get("errorCounts", []):
        error["reason"] = ProcessingErrorReason(error["reason"])
    for counts in told.get("audienceMembersIngestionStatus", {}).values():
        if "percent" in counts:
            counts["uploadMatchRateRange"] = match_range(counts.pop("percent"))
    return told


def _accepted(world: World, statuses: list[dict[str, Any]]) -> object:
    now = world.clock.now()
    request_id = f"sandbox-{world.state.next_number('request'):012d}"
    world.state.connection.execute(
        "INSERT INTO requests VALUES (?, ?, ?, ?)",
        (request_id, now, now + world.members.delay, json.dumps(statuses)),
    )
    return {"requestId": request_id}


def _fails(world: World) -> bool:
    """The request is accepted, and then nothing of it takes effect."""
    return world.faults.strikes(Fault.PROCESSING) is not None


def _failure(destination: Destination, records: int) -> dict[str, Any]:
    reason = ProcessingErrorReason.PROCESSING_ERROR_REASON_INTERNAL_ERROR
    return {
        "destination": destination.sent,
        "requestStatus": RequestStatus.FAILED,
        "errorInfo": {"errorCounts": [{"recordCount": str(records), "reason": reason}]},
    }


def _status(
    destination: Destination,
    problems: Mapping[int, ProcessingErrorReason],
    records: int,
    counted: dict[str, Any],
    *,
    indices: bool = False,
) -> dict[str, Any]:
    outcome = RequestStatus.SUCCESS
    if problems:
        outcome = RequestStatus.FAILED if len(problems) == records else RequestStatus.PARTIAL_SUCCESS
    places: dict[ProcessingErrorReason, list[int]] = {}
    for place, reason in sorted(problems.items()):
        places.setdefault(reason, []).append(place)
    errors = [
        {"recordCount": str(len(found)), "reason": reason, **({"recordIndices": found} if indices else {})}
        for reason, found in sorted(places.items())
    ]
    return {
        "destination": destination.sent,
        "requestStatus": outcome,
        **({"errorInfo": {"errorCounts": errors}} if errors else {}),
        **counted,
    }


def _ingested(reading: Reading, chosen: Sequence[int], matched: int) -> dict[str, Any]:
    counts = _counts(reading, chosen)
    if reading.kind == "userData":
        counts["percent"] = 100 * matched // len(chosen) if chosen else 0
    return {"audienceMembersIngestionStatus": {f"{reading.kind}IngestionStatus": counts}}


def _counts(reading: Reading, chosen: Sequence[int]) -> dict[str, Any]:
    name = {"userData": "userIdentifierCount", "mobileData": "mobileIdCount"}.get(reading.kind, "userIdCount")
    return {"recordCount": str(len(chosen)), name: str(sum(reading.identifiers[place] for place in chosen))}


def _chosen(reading: Reading, destination: Destination) -> list[int]:
    return [
        place
        for place, references in enumerate(reading.references)
        if not references or destination.reference in references
    ]


def _problems(
    world: World, request: Mapping[str, Any], reading: Reading, persons: npt.NDArray[np.int64]
) -> dict[int, ProcessingErrorReason]:
    """Why accepted members are not used, by their place.

    What a member does not say of consent is taken from the request.
    """
    said = request.get("consent") or {}
    general = said.get("adUserData") or 0, said.get("adPersonalization") or 0
    problems = {}
    for place, own in enumerate(reading.consents):
        consent = own[0] or general[0], own[1] or general[1]
        if consent == _GRANTED:
            continue
        if ConsentStatus.CONSENT_DENIED in consent:
            problems[place] = ProcessingErrorReason.PROCESSING_ERROR_REASON_DENIED_CONSENT
            continue
        country, person = reading.countries[place], int(persons[place])
        european = country in CONSENT_COUNTRIES
        if country is None and person >= 0:
            european = world.members.people.lives_in(person, CONSENT_COUNTRIES)
        if european:
            problems[place] = ProcessingErrorReason.PROCESSING_ERROR_REASON_NO_CONSENT
    return problems
