"""Members of Google's lists: ingest, remove, remove all, and the status of each request."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
from audience_pipeline.sandbox.google_reading import Destination, Reading, destinations_of, parsed, validated
from audience_pipeline.sandbox.members import rows_of
from audience_pipeline.sandbox.wire import words
from audience_pipeline.sandbox.world import World

OLDEST_REQUEST = 50 * 86_400.0
CONSENT_COUNTRIES = words(
    "AT BE BG HR CY CZ DK EE FI FR DE GR HU IS IE IT LV LI LT LU MT NL NO PL PT RO SK SI ES SE GB CH"
)


def ingest(world: World, body: object) -> object:
    """``POST /v1/audienceMembers:ingest``: accepted as a whole or refused as a whole."""
    request = parsed(INGEST_MEMBERS, body)
    destinations, reading = validated(world, request)
    terms = (request.get("termsOfService") or {}).get("customerMatchTermsOfServiceStatus")
    if reading.kind in {"userData", "mobileData"} and terms != TermsOfServiceStatus.ACCEPTED:
        raise wrong(
            "terms_of_service.customer_match_terms_of_service_status", "TERMS_AND_CONDITIONS_NOT_SIGNED"
        )
    members = request["audienceMembers"]
    consents = [_consent(request, member) for member in members]
    if request.get("validateOnly"):
        return {}
    rows = rows_of(world.members.people, "google", reading.entries)
    statuses = []
    for destination in destinations:
        chosen = _chosen(members, destination)
        problems = {place: _problem(world, reading, consents, place, rows[place].person) for place in chosen}
        used = [rows[place] for place in chosen if problems[place] is None]
        world.members.add(destination.audience, used)
        matched = sum(row.person is not None for row in used)
        statuses.append(
            _status(
                destination,
                Counter(problem for problem in problems.values() if problem is not None),
                len(chosen),
                _ingested(reading, chosen, matched),
            )
        )
    return _accepted(world, statuses)


def remove(world: World, body: object) -> object:
    """``POST /v1/audienceMembers:remove``."""
    request = parsed(REMOVE_MEMBERS, body)
    destinations, reading = validated(world, request)
    if request.get("validateOnly"):
        return {}
    rows, statuses = rows_of(world.members.people, "google", reading.entries), []
    for destination in destinations:
        chosen = _chosen(request["audienceMembers"], destination)
        world.members.remove(destination.audience, [rows[place] for place in chosen])
        name = f"{reading.kind}RemovalStatus"
        counted = {"audienceMembersRemovalStatus": {name: _counts(reading, chosen)}}
        statuses.append(_status(destination, Counter(), len(chosen), counted))
    return _accepted(world, statuses)


def remove_all(world: World, body: object) -> object:
    """``POST /v1/audienceMembers:removeAll``: everybody last added before a time."""
    request = parsed(REMOVE_ALL_MEMBERS, body)
    destinations, now = destinations_of(world, request, None), world.clock.now()
    before = request.get("removeAsOfTime", now)
    if before > now:
        raise wrong("remove_as_of_time", "INVALID_REMOVE_AS_OF_TIME")
    if request.get("validateOnly"):
        return {}
    statuses = []
    for destination in destinations:
        world.members.clear(destination.audience, before)
        statuses.append(_status(destination, Counter(), 0, {"removeAllAudienceMembersStatus": {}}))
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


def _status(
    destination: Destination, problems: Counter[ProcessingErrorReason], records: int, counted: dict[str, Any]
) -> dict[str, Any]:
    failed = problems.total()
    outcome = RequestStatus.SUCCESS
    if failed:
        outcome = RequestStatus.FAILED if failed == records else RequestStatus.PARTIAL_SUCCESS
    errors = [{"recordCount": str(count), "reason": reason} for reason, count in sorted(problems.items())]
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


def _chosen(members: Sequence[dict[str, Any]], destination: Destination) -> list[int]:
    return [
        place
        for place, member in enumerate(members)
        if not member.get("destinationReferences") or destination.reference in member["destinationReferences"]
    ]


def _consent(request: Mapping[str, Any], member: Mapping[str, Any]) -> tuple[int, int]:
    """Consent of a member; what it does not say is taken from the request."""
    own, general = member.get("consent") or {}, request.get("consent") or {}
    user_data, personalisation = (
        own.get(name) or general.get(name) or ConsentStatus.CONSENT_STATUS_UNSPECIFIED
        for name in ("adUserData", "adPersonalization")
    )
    return user_data, personalisation


def _problem(
    world: World, reading: Reading, consents: Sequence[tuple[int, int]], place: int, person: int | None
) -> ProcessingErrorReason | None:
    """Why an accepted member is not used."""
    if ConsentStatus.CONSENT_DENIED in consents[place]:
        return ProcessingErrorReason.PROCESSING_ERROR_REASON_DENIED_CONSENT
    if ConsentStatus.CONSENT_STATUS_UNSPECIFIED not in consents[place]:
        return None
    country = reading.countries[place]
    european = country in CONSENT_COUNTRIES
    if country is None and person is not None:
        european = world.members.people.lives_in(person, CONSENT_COUNTRIES)
    return ProcessingErrorReason.PROCESSING_ERROR_REASON_NO_CONSENT if european else None
