"""The few calls of the Google Ads API that lists and lookalikes need."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from audience_pipeline.sandbox import google_criteria, google_lists
from audience_pipeline.sandbox.google import check_token
from audience_pipeline.sandbox.google_errors import GoogleError, envelope, request_id, strict
from audience_pipeline.sandbox.google_gaql import LEVELS, AdsError
from audience_pipeline.sandbox.google_search import search
from audience_pipeline.sandbox.wire import Answer, Call, Refused, json_answer, parse_json
from audience_pipeline.sandbox.world import World

_STATUS = {
    "quotaError": (429, "RESOURCE_EXHAUSTED"),
    "requestError": (404, "NOT_FOUND"),
    "authenticationError": (401, "UNAUTHENTICATED"),
    "internalError": (500, "INTERNAL"),
}
VERSIONS = frozenset({"v23", "v24", "v25", "v26"})
SEEDS_LIMIT = 10
_PATH = re.compile(r"/(v\d+)/customers/(\d+)(?:/(\w+))?(?::(\w+))?")


def handle(world: World, call: Call) -> Answer:
    """Answer one call to the Google Ads API.

    Raises:
        Refused: an error in Google's envelope.
    """
    found, trace = _PATH.fullmatch(call.path), request_id()
    try:
        check_token(world, call)
        if found is None or call.method != "POST":
            raise GoogleError(404, "Requested entity was not found.", "NOT_FOUND", "NOT_FOUND")
        version, customer, resource, verb = found.groups()
        if version not in VERSIONS:
            raise AdsError(
                "requestError", "UNSUPPORTED_VERSION", f"Version {version} is no longer supported."
            )
        content = _route(world, call, customer, resource, verb)
    except GoogleError as error:
        if error.http == 401:
            name = "OAUTH_TOKEN_EXPIRED" if error.reason == "ACCESS_TOKEN_EXPIRED" else "OAUTH_TOKEN_INVALID"
            raise Refused(refusal(AdsError("authenticationError", name, error.text), "v26", trace)) from None
        raise Refused(json_answer(envelope(error), error.http, {"request-id": trace})) from None
    except AdsError as error:
        raise Refused(refusal(error, found[1] if found else "v26", trace)) from None
    return json_answer(content, headers={"request-id": trace})


def refusal(error: AdsError, version: str, trace: str) -> Answer:
    """The answer to a call that fails as a whole."""
    http, status = _STATUS.get(next(iter(error.content["errorCode"])), (400, "INVALID_ARGUMENT"))
    body = {"code": http, "message": "Request contains an invalid argument.", "status": status}
    return json_answer(
        {"error": {**body, "details": [_failure([error], version, trace)]}}, http, {"request-id": trace}
    )


def _failure(errors: Sequence[AdsError], version: str, trace: str) -> dict[str, Any]:
    return {
        "@type": f"type.googleapis.com/google.ads.googleads.{version}.errors.GoogleAdsFailure",
        "errors": [error.content for error in errors],
        "requestId": trace,
    }


def _route(world: World, call: Call, customer: str, resource: str | None, verb: str | None) -> object:
    try:
        body = parse_json(call.body)
    except ValueError:
        raise GoogleError(400, "Invalid JSON payload received.") from None
    if (resource, verb) in {("offlineUserDataJobs", "create"), (None, "uploadUserData")}:
        raise AdsError(
            "notAllowlistedError",
            "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE",
            "Customer Match uploads are closed to new adopters: use the Data Manager API.",
        )
    if verb == "mutate" and resource in {"userLists", *google_criteria.PARENTS}:
        known = {"operations", "partialFailure", "validateOnly", "customerId"}
        return _mutate(world, customer, str(resource), strict(body, known))
    if (resource, verb) in {("googleAds", "search"), ("googleAds", "searchStream")}:
        _count(world, 1)
        query = strict(body, {"query", "pageToken", "validateOnly", "searchSettings", "customerId"}).get(
            "query"
        )
        fields, rows = search(world, customer, str(query or ""))
        batch = {"results": rows, "fieldMask": ",".join(fields)} if rows else {"fieldMask": ",".join(fields)}
        return [{**batch, "requestId": request_id()}] if verb == "searchStream" else batch
    raise GoogleError(404, "Requested entity was not found.", "NOT_FOUND", "NOT_FOUND")


def over_quota(delay: str) -> AdsError:
    """The refusal of an operation over the quota; ``delay`` is a duration such as ``30s``."""
    error = AdsError("quotaError", "RESOURCE_EXHAUSTED", "Too many requests. Retry later.")
    told = {"rateScope": "DEVELOPER", "rateName": "Number of operations per day", "retryDelay": delay}
    error.content["details"] = {"quotaErrorDetails": told}
    return error


def _count(world: World, operations: int) -> None:
    if world.quotas.use("google_ads_operations_per_day", "project", operations).over:
        raise over_quota("30s")


def _mutate(world: World, customer: str, resource: str, body: Mapping[str, Any]) -> object:
    operations = body.get("operations")
    if not isinstance(operations, list) or not operations:
        raise AdsError("requestError", "REQUIRED_FIELD_MISSING", "operations is required.")
    _count(world, len(operations))
    results: list[dict[str, str]] = []
    errors: list[AdsError] = []
    dry = body.get("validateOnly") is True
    for place, operation in enumerate(operations):
        try:
            if resource == "userLists":
                results.append(_operate(world, customer, operation, place, dry=dry))
            else:
                results.append(google_criteria.operate(world, customer, resource, operation, place, dry=dry))
        except AdsError as error:
            if body.get("partialFailure") is not True:
                raise
            results.append({})
            errors.append(error)
    answer: dict[str, Any] = {"results": results}
    if errors:
        failure = _failure(errors, "v26", request_id())
        answer["partialFailureError"] = {"code": 3, "message": "Multiple errors.", "details": [failure]}
    return {} if dry else answer


def _operate(world: World, customer: str, operation: object, place: int, *, dry: bool) -> dict[str, str]:
    where: list[tuple[str, int | None]] = [("operations", place)]
    parts = strict(operation, {"create", "update", "updateMask", "remove"})
    if "remove" in parts:
        found = re.fullmatch(rf"customers/{customer}/userLists/(\d+)", str(parts["remove"]))
        audience = world.state.audience("google", found[1]) if found else None
        if audience is None or audience.account != customer:
            raise AdsError(
                "mutateError", "RESOURCE_NOT_FOUND", "Resource was not found.", [*where, ("remove", None)]
            )
        if not dry:
            world.state.delete(audience)
        return {"resourceName": str(parts["remove"])}
    if "create" not in parts:
        raise AdsError("mutateError", "MUTATE_NOT_ALLOWED", "Change lists in the Data Manager API.", where)
    where.append(("create", None))
    wanted = strict(parts["create"], {"name", "description", "lookalikeUserList", "membershipLifeSpan"})
    spec = wanted.get("lookalikeUserList")
    if spec is None:
        raise AdsError(
            "userListError",
            "CAN_NOT_MUTATE_SENSITIVE_USERLIST",
            "Create lists in the Data Manager API.",
            where,
        )
    where.append(("lookalike_user_list", None))
    details = _lookalike(
        world, customer, strict(spec, {"seedUserListIds", "expansionLevel", "countryCodes"}), where
    )
    if not wanted.get("name"):
        raise AdsError("userListError", "NAME_ALREADY_USED", "A name is required.", where[:2])
    if world.state.named("google", str(wanted["name"]), customer):
        raise AdsError("userListError", "NAME_ALREADY_USED", "The name is used by another list.", where[:2])
    if dry:
        return {}
    made = world.new_audience(
        "google", customer, google_lists.FIRST_ID, str(wanted["name"]), "lookalike", details
    )
    made.ready_at = made.created + world.members.delay
    world.state.save(made)
    return {"resourceName": f"customers/{customer}/userLists/{made.id}"}


def _lookalike(
    world: World, customer: str, spec: Mapping[str, Any], where: Sequence[tuple[str, int | None]]
) -> dict[str, Any]:
    seeds, level = spec.get("seedUserListIds") or [], spec.get("expansionLevel")
    countries = spec.get("countryCodes") or []
    if not isinstance(seeds, list) or not 1 <= len(seeds) <= SEEDS_LIMIT:
        raise AdsError("userListError", "SEED_LIST_DOES_NOT_EXIST", "1 to 10 seed lists are needed.", where)
    for seed in seeds:
        found = world.state.audience("google", str(seed))
        if found is None or found.account != customer:
            raise AdsError("userListError", "SEED_LIST_DOES_NOT_EXIST", "A seed list does not exist.", where)
        if found.kind != "members":
            raise AdsError("userListError", "INVALID_SEED_LIST_TYPE", "A lookalike cannot be a seed.", where)
    if level not in LEVELS:
        raise GoogleError(400, "Invalid value at 'expansion_level' (enum LookalikeExpansionLevel)")
    valid = isinstance(countries, list) and all(re.fullmatch(r"[A-Z]{2}", str(code)) for code in countries)
    if not countries or not valid:
        raise AdsError(
            "userListError", "INVALID_COUNTRY_CODES", "Two capital letters per country are needed.", where
        )
    details = {
        "seeds": sorted(str(seed) for seed in seeds),
        "level": level,
        "countries": sorted(set(countries)),
    }
    for other in world.state.in_account("google", customer, "lookalike"):
        if all(other.details[name] == details[name] for name in details):
            raise AdsError(
                "userListError", "DUPLICATE_LOOKALIKE", "The same lookalike exists already.", where
            )
    return details
