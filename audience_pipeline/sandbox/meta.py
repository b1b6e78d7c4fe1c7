"""The Graph API of Meta: versions, credentials, errors, usage headers and who answers what."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from math import ceil
from typing import Any
from urllib.parse import parse_qsl

from audience_pipeline.sandbox import meta_audiences, meta_description, meta_lookalikes, meta_users
from audience_pipeline.sandbox.meta_answers import (
    SERVED,
    VERSION,
    business_usage,
    envelope,
    idle_headers,
    usage_headers,
)
from audience_pipeline.sandbox.meta_calls import (
    ALWAYS_ALLOWED,
    GraphCall,
    GraphError,
    missing_object,
)
from audience_pipeline.sandbox.wire import Answer, Call, Refused, json_answer, parse_json
from audience_pipeline.sandbox.world import World

TOKEN = "sandbox-meta-token"  # noqa: S105 (documented)
EXPIRED_TOKEN = "sandbox-meta-expired-token"  # noqa: S105
PERMISSIONS = ("ads_management", "ads_read", "business_management", "public_profile")
_VERSION = re.compile(r"v(\d+)\.(\d+)")


def handle(world: World, call: Call) -> Answer:
    """Answer one call.

    Raises:
        Refused: an error in Meta's envelope.
    """
    version, segments = _version(call.path)
    headers = {"facebook-api-version": version, **idle_headers("0")}
    try:
        if version not in SERVED:
            raise GraphError(2635, f"You are calling a deprecated version of the Ads API: {version}.")
        graph = _read(world, call, segments)
        _check_credentials(world, call, graph)
        meta_description.forget_idle(world)
        account = _account(world, segments)
        headers |= _count(world, account, graph.method)
        return json_answer(_route(graph, segments), headers=headers)
    except GraphError as error:
        raise Refused(envelope(error, headers)) from None


def _version(path: str) -> tuple[str, list[str]]:
    segments = [segment for segment in path.split("/") if segment]
    asked = _VERSION.fullmatch(segments[0]) if segments else None
    if asked is None:
        return VERSION, segments
    known_or_retired = float(asked[1]) <= float(VERSION[1:])
    # The real service answers a version that does not exist with the default of the app.
    return (segments[0] if known_or_retired else VERSION), segments[1:]


def _read(world: World, call: Call, segments: list[str]) -> GraphCall:
    parameters: dict[str, Any] = dict(call.query)
    if call.body:
        try:
            if call.media_type == "application/json":
                body = parse_json(call.body)
            else:
                body = dict(parse_qsl(call.body.decode(), keep_blank_values=True, max_num_fields=1000))
        except ValueError:
            raise GraphError(100, "The body is neither a form nor JSON.") from None
        if not isinstance(body, dict):
            raise GraphError(100, "The body must be an object.")
        parameters |= body
    method = call.method
    override = parameters.pop("method", None)
    if method == "POST" and isinstance(override, str):
        method = override.upper()
    return GraphCall(world, method, "/".join(segments), parameters, call.base_url + call.path)


def _check_credentials(world: World, call: Call, graph: GraphCall) -> None:
    scheme, _, header = call.headers.get("authorization", "").partition(" ")
    token = header.strip() if scheme.lower() in {"bearer", "oauth"} else graph.parameters.get("access_token")
    if not token:
        raise GraphError(2500, "An access token is required to request this resource.", status=400)
    if token == EXPIRED_TOKEN:
        raise GraphError(190, "Error validating access token: Session has expired.", subcode=463, status=401)
    if token != TOKEN:
        raise GraphError(190, "Invalid OAuth access token - Cannot parse access token", status=401)
    if world.app_secret is not None:
        message = str(token)
        if graph.parameters.get("appsecret_time"):
            message += f"|{graph.parameters['appsecret_time']}"
        proof = hmac.new(world.app_secret.encode(), message.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(proof, str(graph.parameters.get("appsecret_proof", ""))):
            raise GraphError(100, "Invalid appsecret_proof provided in the API argument")
    for name in ALWAYS_ALLOWED:
        graph.parameters.pop(name, None)


def _account(world: World, segments: list[str]) -> str:
    if not segments:
        return "0"
    if segments[0].startswith("act_"):
        return segments[0].removeprefix("act_")
    audience = world.state.audience("meta", segments[0])
    return audience.account if audience else "0"


def _permissions(call: GraphCall) -> object:
    """What the token may do: every permission that the documented token needs."""
    call.allow({"permission", "status", "fields"})
    held = [{"permission": name, "status": "granted"} for name in PERMISSIONS]
    asked = {name: value for name in ("permission", "status") if (value := call.text(name)) is not None}
    return {"data": [one for one in held if asked.items() <= one.items()]}


def _route(call: GraphCall, segments: list[str]) -> object:
    node, edge = [*segments, "", ""][:2]
    if (call.method, segments) == ("GET", ["me", "permissions"]):
        return _permissions(call)
    if len(segments) in {1, 2}:
        if re.fullmatch(r"act_\d+", node):
            handler = ACCOUNT_EDGES.get((call.method, edge))
            if handler:
                return handler(call, node.removeprefix("act_"))
        elif node.isdigit():
            audience = call.world.state.audience("meta", node)
            if audience is None:
                raise missing_object(call.method, node)
            edge_handler = AUDIENCE_EDGES.get((call.method, edge))
            if edge_handler:
                return edge_handler(call, audience)
    raise GraphError(
        2500 if not node else 100, f"Unsupported {call.method.lower()} request: unknown path components."
    )


def _create(call: GraphCall, account: str) -> object:
    if call.parameters.get("subtype") == "LOOKALIKE":
        return meta_lookalikes.create(call, account)
    return meta_audiences.create(call, account)


ACCOUNT_EDGES: dict[tuple[str, str], Callable[[GraphCall, str], object]] = {
    ("GET", ""): meta_description.read_account,
    ("POST", "customaudiences"): _create,
    ("GET", "customaudiences"): meta_audiences.list_in_account,
    ("DELETE", "usersofanyaudience"): meta_users.remove_everywhere,
}
AUDIENCE_EDGES: dict[tuple[str, str], Callable[..., object]] = {
    ("GET", ""): meta_audiences.read,
    ("POST", ""): meta_audiences.update,
    ("DELETE", ""): meta_audiences.delete,
    ("POST", "users"): meta_users.add,
    ("DELETE", "users"): meta_users.remove,
    ("POST", "usersreplace"): meta_users.replace,
    ("GET", "sessions"): meta_users.sessions,
}


def _count(world: World, account: str, method: str) -> dict[str, str]:
    """Count the call against every limit and return the usage headers."""
    use = world.quotas.use
    app = use("meta_app_calls", "app")
    if app.over:
        raise GraphError(4, "(#4) Application request limit reached")
    score = use("meta_account_score", account, 1 if method == "GET" else 3)
    if score.over:
        raise GraphError(17, "(#17) User request limit reached", subcode=2446079)
    if method != "GET" and use("meta_mutations", account).over:
        raise GraphError(613, "(#613) Calls to this api have exceeded the rate limit.", subcode=5044001)
    calls = use("meta_custom_audience_calls", account)
    if calls.over:
        error = GraphError(
            80003,
            "(#80003) There have been too many calls from this ad-account. Wait a bit and try again.",
            subcode=2446079,
        )
        error.headers |= business_usage(account, 100, ceil(calls.wait / 60))
        raise error
    return usage_headers(account, app, score, calls)
