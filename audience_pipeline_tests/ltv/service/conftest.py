"""The service in this process: requests go straight to the application, without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from audience_pipeline.ltv.model import LtvModel
from audience_pipeline.ltv.service.app import Service
from audience_pipeline.ltv.service.limits import Limits
from audience_pipeline.ltv.service.models import Folder
from audience_pipeline.ltv.training import Trained

TODAY = date(2025, 4, 2)


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[Callable[..., Awaitable[Answered]]]:
    """Start the application; what is given out sends one request to it."""

    async def send(
        method: str, path: str, body: Any = None, *, gone: bool = False, **headers: str
    ) -> Answered:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        incoming = [{"type": "http.request", "body": content}]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if incoming:
                return incoming.pop()
            if gone:
                return {"type": "http.disconnect"}
            return await asyncio.get_running_loop().create_future()

        async def answer(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        }
        await service.app(scope, receive, answer)
        got = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answered(sent[0]["status"], got, b"".join(part.get("body", b"") for part in sent[1:]))

    async with service.app.router.lifespan_context(service.app):
        yield send


@pytest.fixture(scope="session")
def folder(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as ltv train writes it."""
    path = tmp_path_factory.mktemp("served")
    trained.model.save(path)
    return path


@pytest.fixture(scope="session")
def model(folder: Path) -> LtvModel:
    return LtvModel.load(folder)


@pytest.fixture
def make_service(folder: Path) -> Callable[..., Service]:
    def make(limits: Limits | None = None) -> Service:
        return Service(Folder(folder), limits=limits, today=lambda: TODAY)

    return make


def customer(customer_id: str, *amounts: Any, day: str = "2025-01-10") -> dict[str, Any]:
    lines = [{"transaction_date": day, "transaction_amount": amount} for amount in amounts]
    return {"customer_id": customer_id, "transactions": lines}
