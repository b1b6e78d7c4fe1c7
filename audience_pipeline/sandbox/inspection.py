"""What only the sandbox has: a look inside, and control of time and limits. Under ``/_sandbox/``."""

from __future__ import annotations

from typing import Any

from audience_pipeline.sandbox.clock import rfc3339
from audience_pipeline.sandbox.google_lists import expire
from audience_pipeline.sandbox.state import Audience
from audience_pipeline.sandbox.wire import Answer, Call, Refused, json_answer, parse_json
from audience_pipeline.sandbox.world import World

PLATFORMS = ("meta", "google", "tiktok")


def handle(world: World, call: Call) -> Answer:
    """Answer one call.

    Raises:
        Refused: 400 or 404 with a sentence.
    """
    place = call.method, call.path.removeprefix("/_sandbox")
    if place == ("GET", "/health"):
        return json_answer({"status": "ok", "time": world.clock.now(), "platforms": PLATFORMS})
    if place == ("GET", "/audiences"):
        audiences = world.state.audiences(_platform(call))
        return json_answer({"audiences": [_summary(world, audience) for audience in audiences]})
    if place == ("GET", "/members"):
        found = world.state.audience(_platform(call), call.query.get("audience_id", ""))
        if found is None:
            raise _no(404, "there is no such audience")
        summary = _summary(world, found)
        content = {"audience_id": found.id, "size": summary["size"], "matched": summary["matched"]}
        return json_answer({**content, "members": world.members.hashes(found)})
    if place == ("GET", "/limits"):
        return json_answer(world.quotas.limits())
    if place == ("POST", "/limits"):
        try:
            world.quotas.change(_object(call))
        except ValueError as error:
            raise _no(400, str(error)) from None
        return json_answer(world.quotas.limits())
    if place == ("POST", "/clock"):
        seconds = _object(call).get("advance_seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
            raise _no(400, "advance_seconds must be a number that is not negative")
        now = world.clock.advance(seconds)
        return json_answer({"time": now, "iso": rfc3339(now)})
    raise _no(404, "the sandbox has health, audiences, members, limits and clock")


def _summary(world: World, audience: Audience) -> dict[str, Any]:
    if audience.platform == "google":
        expire(world, audience)
    return {
        "id": audience.id,
        "name": audience.name,
        "account": audience.account,
        "kind": audience.kind,
        "size": world.members.size(audience),
        "matched": world.members.matched(audience),
        "created": rfc3339(audience.created),
    }


def _platform(call: Call) -> str:
    platform = call.query.get("platform", "")
    if platform not in PLATFORMS:
        raise _no(400, f"platform must be one of {', '.join(PLATFORMS)}")
    return platform


def _object(call: Call) -> dict[str, Any]:
    try:
        content = parse_json(call.body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise _no(400, "the body must be a JSON object")
    return content


def _no(status: int, reason: str) -> Refused:
    return Refused(json_answer({"error": reason}, status))
