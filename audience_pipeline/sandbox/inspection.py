"""What only the sandbox has: a look inside, and control of time, limits and faults. Under ``/_sandbox/``."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from audience_pipeline.sandbox.clock import rfc3339
from audience_pipeline.sandbox.faults import PLATFORMS, Options
from audience_pipeline.sandbox.google_lists import expire
from audience_pipeline.sandbox.state import Audience
from audience_pipeline.sandbox.wire import Answer, Call, Refused, json_answer, parse_json
from audience_pipeline.sandbox.world import World


def handle(world: World, call: Call) -> Answer:
    """Answer one call.

    Raises:
        Refused: 400 or 404 with a sentence.
    """
    place = call.method, call.path.removeprefix("/_sandbox")
    if place == ("GET", "/health"):
        told = {"status": "ok", "time": world.clock.now(), "platforms": PLATFORMS, "pid": os.getpid()}
        return json_answer({**told, "state": str(world.state.path.resolve().parent)})
    if place == ("GET", "/audiences"):
        audiences = world.state.audiences(_platform(call))
        return json_answer({"audiences": [_summary(world, audience) for audience in audiences]})
    if place == ("GET", "/members"):
        found = _audience(world, call)
        summary, listed = _summary(world, found), world.members.listed(found)
        content = {
            "audience_id": found.id,
            **{name: summary[name] for name in ("name", "account", "size", "matched")},
        }
        return json_answer(
            {**content, "members": [row for row, _ in listed], "people": [who for _, who in listed]}
        )
    if place == ("GET", "/people"):
        return json_answer({"people": world.members.people.everybody(_platform(call))})
    try:
        return json_answer(_control(world, place, call))
    except ValueError as error:
        raise _no(400, str(error)) from None


def _control(world: World, place: tuple[str, str], call: Call) -> object:
    if place == ("POST", "/limits"):
        world.quotas.change(_object(call))
    if place in {("GET", "/limits"), ("POST", "/limits")}:
        return world.quotas.limits()
    if place == ("POST", "/faults"):
        world.faults.change(Options.read({**asdict(world.faults.options), **_object(call)}))
    if place in {("GET", "/faults"), ("POST", "/faults")}:
        return world.faults.report()
    if place == ("POST", "/clock"):
        seconds = _object(call).get("advance_seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
            raise _no(400, "advance_seconds must be a number that is not negative")
        world.clock.advance(seconds)
    if place in {("GET", "/clock"), ("POST", "/clock")}:
        now = world.clock.now()
        return {"time": now, "iso": rfc3339(now)}
    raise _no(404, "the sandbox has health, audiences, members, people, limits, faults and clock")


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


def _audience(world: World, call: Call) -> Audience:
    """The audience of ``audience_id``, or of ``name`` and, where several accounts have one, ``account``."""
    platform, name = _platform(call), call.query.get("name")
    if name is None:
        found = world.state.audience(platform, call.query.get("audience_id", ""))
        same = [found] if found else []
    else:
        same = world.state.named(platform, name, call.query.get("account"))
    if not same:
        raise _no(404, "there is no such audience")
    if len(same) > 1:
        raise _no(400, f"{len(same)} audiences have this name: ask by audience_id")
    return same[0]


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
