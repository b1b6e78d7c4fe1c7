"""Google's Data Manager API and token endpoint: credentials, quotas, errors and who answers what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from audience_pipeline.sandbox import google_lists, google_members
from audience_pipeline.sandbox.google_errors import GoogleError, envelope, request_id
from audience_pipeline.sandbox.google_schema import rendered
from audience_pipeline.sandbox.wire import Answer, Call, Refused, json_answer, parse_json, words
from audience_pipeline.sandbox.world import World

TOKEN = "sandbox-google-token"  # noqa: S105 (documented)
REFRESH_TOKEN = "sandbox-google-refresh-token"  # noqa: S105
TOKEN_LIFE = 3_599
QUOTAS = {
    "google_ingestion_writes": "IngestionMutateRequests",
    "google_status_reads": "IngestionRetrieveRequests",
    "google_list_reads": "UserListReadRequests",
    "google_list_writes": "UserListMutateRequests",
}
STATUS = "/v1/requestStatus:retrieve"
_LISTS = re.compile(r"/v1/accountTypes/(\w+)/accounts/(\w+)/userLists(?:/(\w+))?")
_SYSTEM = words("$alt alt fields key prettyPrint quotaUser $.xgafv uploadType upload_protocol")
_STATUS_QUERY = words("requestId request_id")
_LISTS_QUERY = words("pageSize pageToken filter page_size page_token updateMask update_mask validateOnly")
_ACCOUNT_HEADER = re.compile(r"accountTypes/[A-Z_]+/accounts/\d+")


def handle(world: World, call: Call) -> Answer:
    """Answer one call to the Data Manager API.

    Raises:
        Refused: an error in Google's envelope.
    """
    try:
        check_token(world, call)
        content = _route(world, call)
    except GoogleError as error:
        raise Refused(json_answer(envelope(error), error.http)) from None
    numbers = "enum-encoding=int" in call.query.get("$alt", "")
    return json_answer(rendered(content, numbers=numbers))


def token(world: World, call: Call) -> Answer:
    """``POST /token``: a fresh access token for the documented refresh token.

    Raises:
        Refused: the grant is not valid.
    """
    form = dict(parse_qsl(call.body.decode("utf-8", "replace")))
    if call.method != "POST" or form.get("grant_type") != "refresh_token":
        raise Refused(
            json_answer({"error": "unsupported_grant_type", "error_description": "Invalid grant_type"}, 400)
        )
    if not form.get("client_id") or not form.get("client_secret"):
        raise Refused(json_answer({"error": "invalid_client", "error_description": "Unauthorized"}, 401))
    if form.get("refresh_token") != REFRESH_TOKEN:
        raise Refused(
            json_answer(
                {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}, 400
            )
        )
    issued = f"{TOKEN}-{world.state.next_number('token')}"
    world.state.connection.execute(
        "INSERT INTO tokens VALUES (?, ?)", (issued, world.clock.now() + TOKEN_LIFE)
    )
    scope = "https://www.googleapis.com/auth/datamanager https://www.googleapis.com/auth/adwords"
    return json_answer(
        {"access_token": issued, "expires_in": TOKEN_LIFE, "scope": scope, "token_type": "Bearer"}
    )


def check_token(world: World, call: Call) -> None:
    """Let only a valid bearer token pass.

    Raises:
        GoogleError: 401.
    """
    scheme, _, given = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise GoogleError(
            401,
            "Request is missing required authentication credential.",
            "UNAUTHENTICATED",
            "CREDENTIALS_MISSING",
        )
    if given.strip() == TOKEN:
        return
    found = world.state.connection.execute(
        "SELECT expires FROM tokens WHERE token = ?", (given.strip(),)
    ).fetchone()
    if found is None or world.clock.now() >= found[0]:
        reason = "ACCESS_TOKEN_TYPE_UNSUPPORTED" if found is None else "ACCESS_TOKEN_EXPIRED"
        raise GoogleError(401, "Request had invalid authentication credentials.", "UNAUTHENTICATED", reason)


def quota_of(method: str, path: str) -> str:
    """The quota that a call counts against."""
    if path == STATUS:
        return "google_status_reads"
    if path in google_members.WRITES:
        return "google_ingestion_writes"
    return "google_list_reads" if method == "GET" else "google_list_writes"


def _route(world: World, call: Call) -> object:
    named = _LISTS.fullmatch(call.path)
    reads = call.path == STATUS and call.method == "GET"
    writes = call.path in google_members.WRITES and call.method == "POST"
    if not (reads or writes or named):
        raise GoogleError(404, f"Method not found: {call.method} {call.path}", "NOT_FOUND", "NOT_FOUND")
    _count(world, quota_of(call.method, call.path))
    unknown = set(call.query) - _SYSTEM - (_STATUS_QUERY if reads else _LISTS_QUERY if named else frozenset())
    if unknown:
        text = f'Invalid JSON payload received. Unknown name "{min(unknown)}": Cannot bind query parameter.'
        raise GoogleError(400, text)
    if reads:
        return google_members.status(world, call.query.get("requestId") or call.query.get("request_id") or "")
    if writes or named is None:
        return google_members.WRITES[call.path](world, _body(call))
    for header in ("login-account", "linked-account"):
        if header in call.headers and not _ACCOUNT_HEADER.fullmatch(call.headers[header]):
            raise GoogleError(400, f"Header {header} is not a resource name of an account.")
    return _lists(world, call, *named.groups())


def _lists(world: World, call: Call, account_type: str, account: str, list_id: str | None) -> object:
    if account_type != "GOOGLE_ADS" or not account.isdigit():
        raise GoogleError(400, "The parent must be accountTypes/GOOGLE_ADS/accounts/{digits}.")
    only = _flag(call.query, "validateOnly")
    if list_id is None:
        if call.method == "POST":
            return google_lists.create(world, account, _body(call), validate_only=only)
        if call.method == "GET":
            return google_lists.list_in_account(world, account, call.query)
    elif call.method == "GET":
        return google_lists.read(world, account, list_id)
    elif call.method == "PATCH":
        mask = call.query.get("updateMask", call.query.get("update_mask"))
        return google_lists.update(world, account, list_id, _body(call), mask, validate_only=only)
    elif call.method == "DELETE":
        return google_lists.delete(world, account, list_id, validate_only=only)
    raise GoogleError(404, f"Method not found: {call.method} {call.path}", "NOT_FOUND", "NOT_FOUND")


def _flag(query: Mapping[str, str], name: str) -> bool:
    value = query.get(name, "false").lower()
    if value not in {"true", "false"}:
        raise GoogleError(400, f"Invalid value at '{name}' (TYPE_BOOL)")
    return value == "true"


def _body(call: Call) -> Any:
    try:
        return parse_json(call.body)
    except ValueError:
        raise GoogleError(400, "Invalid JSON payload received.") from None


def _count(world: World, quota: str) -> None:
    for window in ("minute", "day"):
        if world.quotas.use(f"{quota}_per_{window}", "project").over:
            raise over_quota(quota, window)


def over_quota(quota: str, window: str) -> GoogleError:
    """The refusal of a call over a quota of :data:`QUOTAS`; ``window`` is minute or day."""
    name = f"{QUOTAS[quota]}Per{window.title()}PerProject"
    return GoogleError(
        429,
        f"Quota exceeded for quota metric '{QUOTAS[quota]}' and limit '{name}'.",
        "RESOURCE_EXHAUSTED",
        "RATE_LIMIT_EXCEEDED",
        metadata={"quota_limit": name, "service": "datamanager.googleapis.com", "requestId": request_id()},
    )
