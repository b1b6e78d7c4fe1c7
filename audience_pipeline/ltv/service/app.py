"""The application: routes, and what happens when it starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from audience_pipeline.ltv.service.batching import Batcher, QueueFullError
from audience_pipeline.ltv.service.limits import Limits
from audience_pipeline.ltv.service.metrics import Metrics
from audience_pipeline.ltv.service.models import Current, Follower, Served, Source
from audience_pipeline.ltv.service.openapi import SCORE
from audience_pipeline.ltv.service.problems import Problem, RefusedError, refused
from audience_pipeline.ltv.service.requests import Customer, parse
from audience_pipeline.ltv.service.scoring import predictions

REFRESH_SECONDS = 60.0
_SCORE = "/score"
_LOOK_FOR_CLIENT_SECONDS = 0.05
_GONE = 499
_EXPLAINING = 20
"""Transactions that take as long as the reasons of one customer."""
_NO_MODEL = RefusedError(
    503, [Problem("", "no model has been loaded yet", "see /readyz; train one, or wait")], retry_after=60
)
_FULL = RefusedError(503, [Problem("", "too many requests wait already", "try again")], retry_after=1)

Answer = tuple[str, list[dict[str, Any]]]


class Service:
    """One model, one queue, one application."""

    def __init__(
        self,
        source: Source,
        *,
        limits: Limits | None = None,
        refresh_seconds: float = REFRESH_SECONDS,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        """Load the model and warm it up.

        Args:
            source: Where the model comes from.
            limits: Of requests.
            refresh_seconds: How often a source that changes is asked for a newer model.
            today: What ``as_of`` is unless a request says it.
        """
        self.limits, self._today = limits or Limits(), today
        self.current = Current(source, _warm_up)
        self.metrics = Metrics(self.current)
        self.batcher: Batcher[list[Customer], Answer] = Batcher(self._score, self.limits)
        self._follower = Follower(self.current, refresh_seconds)
        self.current.refresh()
        self.app = _App(
            self,
            title="Customer values",
            summary="Predicted values of customers from their transactions",
            lifespan=self._lifespan,
            # The pages of both would load scripts from elsewhere.
            docs_url=None,
            redoc_url=None,
        )
        self.app.post(_SCORE, summary="Predict the value of customers", **SCORE)(self.score)
        self.app.get("/healthz", summary="The process is alive")(self.healthz)
        self.app.get("/readyz", summary="A model answers, and which")(self.readyz)
        self.app.get("/metrics", summary="For prometheus")(self.metrics_text)
        self.app.add_exception_handler(HTTPException, _http_error)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        scoring = asyncio.create_task(self.batcher.run())
        self._follower.start()
        # What stands now stands until the end: looking through it again and again takes tens of milliseconds.
        gc.collect()
        gc.freeze()
        try:
            yield
        finally:
            self._follower.stop()
            scoring.cancel()
            gc.unfreeze()

    async def score(self, request: Request) -> Response:
        """Predict; see ``audience_pipeline.ltv.service``."""
        start = time.perf_counter()
        try:
            response = await self._answer(request)
        except RefusedError as error:
            response = _refusal(error)
        except ClientDisconnect:
            response = Response(status_code=_GONE)
        except Exception:  # noqa: BLE001 - logged where it happened; the client learns that it was not its fault
            response = _refusal(
                refused(500, "", "the request could not be scored", "try again, or report it")
            )
        self.metrics.requests.labels(str(response.status_code)).inc()
        self.metrics.seconds.observe(time.perf_counter() - start)
        return response

    async def healthz(self) -> Response:
        """Answers while the event loop turns."""
        return _json({"status": "alive"})

    async def readyz(self) -> Response:
        """Whether requests can be answered, by which model, and whether looking for a newer one works."""
        served, current = self.current.served, self.current
        checked = current.checked_at and current.checked_at.isoformat(timespec="seconds")
        state = {
            "status": "ready" if served else "no model",
            "model_version": served and served.version,
            "model_as_of": served and served.model.as_of.isoformat(),
            "loaded_at": served and served.loaded_at.isoformat(timespec="seconds"),
            "refresh": {"ok": current.failure is None, "checked_at": checked, "reason": current.failure},
        }
        return _json(state, 200 if served else 503)

    async def metrics_text(self) -> Response:
        """The metrics as text."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _answer(self, request: Request) -> Response:
        customers = parse(await _body(request, self.limits), self.limits, self._today())
        if self.current.served is None:
            raise _NO_MODEL
        usable = [customer for customer in customers if customer.problem is None]
        self.metrics.customers.labels("scored").inc(len(usable))
        self.metrics.customers.labels("no_order").inc(len(customers) - len(usable))
        version = self.current.served.version
        scored: list[dict[str, Any]] = []
        if usable:
            try:
                waiting = self.batcher.submit(usable, _size(usable))
            except QueueFullError:
                raise _FULL from None
            try:
                while not waiting.done():
                    await asyncio.wait((waiting,), timeout=_LOOK_FOR_CLIENT_SECONDS)
                    if not waiting.done() and await request.is_disconnected():
                        return Response(status_code=_GONE)
            finally:
                waiting.cancel()
            version, scored = waiting.result()
        rest = iter(scored)
        entries = [
            next(rest)
            if customer.problem is None
            else {"customer_id": customer.customer_id, "error": customer.problem.as_dict()}
            for customer in customers
        ]
        return _json({"model_version": version, "predictions": entries})

    def _score(self, works: Sequence[list[Customer]]) -> list[Answer]:
        """One call for all; each request gets its own customers back."""
        served = self.current.served
        if served is None:
            raise _NO_MODEL
        start = time.perf_counter()
        everybody = [customer for work in works for customer in work]
        rows = iter(predictions(served.model, served.version, everybody))
        self.metrics.batch_customers.observe(len(everybody))
        self.metrics.batch_seconds.observe(time.perf_counter() - start)
        return [(served.version, [next(rows) for _ in work]) for work in works]


class _App(FastAPI):
    """Scoring goes past the layers that find routes and resolve what they depend on: it needs none."""

    def __init__(self, service: Service, **settings: Any) -> None:
        super().__init__(**settings)
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == _SCORE:
            response = await self._service.score(Request(scope, receive))
            await response(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _size(customers: Sequence[Customer]) -> int:
    """Transactions, and what takes as long as some."""
    explained = sum(customer.reasons for customer in customers)
    return sum(len(customer.lines) for customer in customers) + _EXPLAINING * explained


def _warm_up(served: Served) -> None:
    """Score invented customers, alone and together: first calls load libraries and fill caches."""
    day = served.model.as_of
    lines = [(day, None, 1000 + number, "a", None, None, None, None, None) for number in range(20)]
    for count in (1, 2, 8):
        customers = [Customer(str(number), day, list(lines), reasons=count == 1) for number in range(count)]
        for _ in range(3):
            predictions(served.model, served.version, customers)


async def _body(request: Request, limits: Limits) -> bytes:
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await _read(request, limits.body_bytes)
    except TimeoutError:
        why = f"the body has not come within {limits.body_seconds:g} seconds"
        raise refused(408, "", why, "send it without a pause") from None


async def _read(request: Request, most: int) -> bytes:
    said = request.headers.get("content-length", "")
    too_large = refused(413, "", f"the body is larger than {most:,} bytes", "send fewer customers at once")
    if said.isdigit() and int(said) > most:
        raise too_large
    if request.headers.get("content-encoding", "identity") != "identity":
        raise refused(415, "", "the body is compressed", "send plain JSON")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise too_large
    return bytes(body)


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Floats are written so that they read back to the last digit."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status, headers, media_type="application/json")


def _refusal(error: RefusedError) -> Response:
    headers = None if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return _json({"errors": [problem.as_dict() for problem in error.problems]}, error.status, headers)


async def _http_error(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    remedy = "use POST /score, GET /healthz, /readyz, /metrics or /openapi.json"
    why = "this path does not take this method" if status == 405 else "there is nothing here"
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    return _json({"errors": [Problem("", why, remedy).as_dict()]}, status, headers)
