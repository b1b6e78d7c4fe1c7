"""Three ad platforms under their real paths, as one application; trouble on the wire is made here."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote

from audience_pipeline.sandbox import behind, google, google_ads, inspection, meta, tiktok, troubles
from audience_pipeline.sandbox.faults import Fault
from audience_pipeline.sandbox.wire import Answer, Call, Refused
from audience_pipeline.sandbox.world import World

_ADS = re.compile(r"/v\d+/customers/")
_RESETS = frozenset({Fault.RESET_BEFORE, Fault.RESET_AFTER})
_INSTEAD = frozenset({Fault.THROTTLED, Fault.UNAVAILABLE, Fault.EXPIRED_TOKEN})

Handler = Callable[[World, Call], Answer]
Scope = dict[str, Any]
Receive = Callable[[], Any]
Send = Callable[[dict[str, Any]], Any]
Application = Callable[[Scope, Receive, Send], Any]


def platform_of(path: str) -> tuple[str, Handler]:
    """Who answers a path; what is nobody else's is Meta's, whose paths may lack a version."""
    if path.startswith("/_sandbox/"):
        return "sandbox", inspection.handle
    if path.startswith("/open_api/"):
        return "tiktok", tiktok.handle
    if path == "/token":
        return "google", google.token
    if path.startswith("/v1/"):
        return "google", google.handle
    if _ADS.match(path):
        return "google", google_ads.handle
    return "meta", meta.handle


def application(world: World) -> Application:
    """The ASGI application that serves ``world``."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        call = await _call(scope, receive)
        answer, fault = handled(world, call)
        if fault is Fault.SLOW:
            await asyncio.sleep(world.faults.options.slow_seconds)
        # ASGI cannot break a connection; uvicorn's sender knows the transport.
        transport: Any = getattr(send, "__self__").transport if fault else None  # noqa: B009
        if fault in _RESETS:
            transport.abort()
            await _gone(receive)
            return
        headers = [
            (b"content-type", answer.media_type.encode()),
            (b"content-length", b"%d" % len(answer.body)),
        ]
        headers += [(name.encode(), value.encode()) for name, value in answer.headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if fault is Fault.HALF_ANSWER:
            half = answer.body[: len(answer.body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
            transport.close()
            await _gone(receive)
            return
        await send({"type": "http.response.body", "body": answer.body if call.method != "HEAD" else b""})

    return serve


def handled(world: World, call: Call) -> tuple[Answer, Fault | None]:
    """The answer to one call and what happens to it on the wire."""
    platform, handler = platform_of(call.path)
    if platform == "sandbox":
        return _plain(world, handler, call), None
    trouble = world.faults.draw(platform, f"{call.method} {call.path}")
    if trouble is None:
        answer = _plain(world, handler, call)
    elif trouble.fault in _INSTEAD:
        world.faults.strikes(trouble.fault)
        answer = troubles.answer(world, platform, call, trouble)
    elif trouble.fault is Fault.RESET_BEFORE:
        world.faults.strikes(trouble.fault)
        answer = Answer(200, b"")
    else:
        with world.state.transaction():
            behind.happens(world, platform, trouble)
        answer = _plain(world, handler, call)
        if trouble.fault in {Fault.RESET_AFTER, Fault.HALF_ANSWER, Fault.SLOW, Fault.ERROR_AFTER}:
            world.faults.strikes(trouble.fault)
        if trouble.fault is Fault.ERROR_AFTER:
            answer = troubles.answer(world, platform, call, trouble)
    world.faults.end(platform)
    return answer, trouble.fault if trouble else None


def _plain(world: World, handler: Handler, call: Call) -> Answer:
    try:
        with world.state.transaction():
            return handler(world, call)
    except Refused as refused:
        return refused.answer


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _call(scope: Scope, receive: Receive) -> Call:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Call(
        scope["method"],
        unquote(scope["path"]) if "%" in scope["path"] else scope["path"],
        dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        headers,
        b"".join(parts),
        f"http://{headers.get('host', '127.0.0.1')}",
    )
