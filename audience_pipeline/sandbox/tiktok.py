"""TikTok's API for Business: token, envelope, call rate and who answers what."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from audience_pipeline.sandbox import tiktok_audiences, tiktok_files, tiktok_lookalikes, tiktok_segments
from audience_pipeline.sandbox.clock import rfc3339
from audience_pipeline.sandbox.tiktok_calls import TikTokCall, TikTokError
from audience_pipeline.sandbox.wire import Answer, Call, Refused, json_answer, multipart, parse_json
from audience_pipeline.sandbox.world import World

TOKEN = "sandbox-tiktok-token"  # noqa: S105 (documented)
BASE = "/open_api/v1.3"
_requests = count(1)

ROUTES: dict[tuple[str, str], Callable[[TikTokCall], object]] = {
    ("POST", "/dmp/custom_audience/file/upload/"): tiktok_files.upload,
    ("POST", "/dmp/custom_audience/create/"): tiktok_audiences.create,
    ("POST", "/dmp/custom_audience/update/"): tiktok_audiences.update,
    ("POST", "/dmp/custom_audience/delete/"): tiktok_audiences.delete,
    ("GET", "/dmp/custom_audience/get/"): tiktok_audiences.get,
    ("GET", "/dmp/custom_audience/list/"): tiktok_audiences.list_in_account,
    ("POST", "/dmp/custom_audience/lookalike/create/"): tiktok_lookalikes.create,
    ("POST", "/dmp/custom_audience/lookalike/update/"): tiktok_lookalikes.refresh,
    ("POST", "/segment/audience/"): tiktok_segments.audience,
    ("POST", "/segment/mapping/"): tiktok_segments.mapping,
}


def handle(world: World, call: Call) -> Answer:
    """Answer one call, always with HTTP 200.

    Raises:
        Refused: a code other than 0.
    """
    try:
        given = call.headers.get("access-token")
        if not given:
            raise TikTokError(40104, "Access token is empty")
        if given != TOKEN:
            raise TikTokError(40105, "Access token is incorrect or has been revoked")
        if world.quotas.use("tiktok_calls_per_second", "app").over:
            raise TikTokError(40100, "App reaches the QPS limit: too many requests. Please retry later.")
        handler = ROUTES.get((call.method, call.path.removeprefix(BASE)))
        if handler is None:
            raise TikTokError(40000, f"There is no {call.method} {call.path}")
        data = handler(TikTokCall(world, _parameters(call)))
    except TikTokError as error:
        raise Refused(envelope(world, error.code, error.text, {})) from None
    return envelope(world, 0, "OK", data)


def envelope(world: World, code: int, text: str, data: object) -> Answer:
    """An answer as TikTok makes them, with a request id."""
    moment = rfc3339(world.clock.now())
    digits = "".join(character for character in moment if character.isdigit())
    request = f"{digits}{next(_requests):012X}"
    return json_answer({"code": code, "message": text, "request_id": request, "data": data})


def _parameters(call: Call) -> dict[str, Any]:
    if call.method == "GET":
        return dict(call.query)
    try:
        if call.media_type == "multipart/form-data":
            parts = multipart(call)
            return {name: part if name == "file" else part.content.decode() for name, part in parts.items()}
        body = parse_json(call.body)
    except ValueError:
        raise TikTokError(40002, "The body cannot be read: send JSON, or multipart for a file") from None
    if call.media_type != "application/json" or not isinstance(body, dict):
        raise TikTokError(40002, "Content-Type must be application/json and the body an object")
    return body
