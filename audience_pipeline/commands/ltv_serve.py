"""``audience-pipeline ltv serve``: predicted values over HTTP."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from audience_pipeline.commands.console import fail, note

if TYPE_CHECKING:
    from audience_pipeline.ltv.service.models import Source

_ENVIRONMENT = {
    "POLARS_MAX_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""A handful of rows is done before a second thread has woken up."""
_DRAIN_SECONDS = 20
_REGISTRY = re.compile(r"(sqlite|postgresql|mysql|mssql|https?|databricks)([+]\w+)?:")
_VERSION = re.compile(r"models:/ltv(?:@champion|/(?P<version>[1-9]\d*))")


def serve(
    model: Annotated[
        str,
        typer.Option(
            metavar="DIR|MLFLOW_URI",
            help="What ltv train has written; models:/ltv@champion (or models:/ltv/VERSION) of the registry "
            "that MLFLOW_TRACKING_URI names; or the address of a registry, such as sqlite:///mlflow.db.",
        ),
    ],
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8080,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    refresh_seconds: Annotated[
        float, typer.Option(help="How often a registry is asked for a new champion.", min=1)
    ] = 60,
    ready_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Written with the service's address once it answers."),
    ] = None,
) -> None:
    """Answer POST /score with the predicted values of customers, in milliseconds.

    The numbers are those of ltv score, every transaction counting: days that a file repeats as a whole are
    dropped from files only. A request holds "customers", each with "customer_id" and
    "transactions" (columns as in a file), and may hold "as_of" (a date; today unless given) or
    "observe_days". The answer holds "predictions" in the same order. GET /openapi.json has it all; /healthz,
    /readyz and /metrics tell how it is. SIGTERM answers what waits and ends with 0.

    Example: audience-pipeline ltv serve --model model/ --port 8080
    """
    folder = None if _is_registry(model) else Path(model)
    tracking_uri = None if folder else _tracking_uri(model)
    if folder is not None and not (folder / "model.json").is_file():
        fail(f"{folder}: this is no model folder; ltv train makes one", 2)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            fail(f"cannot listen on {host}, port {port}: {error.strerror}; choose another with --port", 1)
        if any(os.environ.get(name) != value for name, value in _ENVIRONMENT.items()):
            # Read when the libraries are loaded, which has happened already.
            listener.close()
            os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **_ENVIRONMENT})  # noqa: S606
        # While it serves, uvicorn handles these: it answers what waits and then raises them again.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _end)
        with tempfile.TemporaryDirectory(prefix="ltv-") as cache:
            source = _source(folder, tracking_uri, model, Path(cache))
            _run(source, listener, refresh_seconds, ready_file)


def _is_registry(model: str) -> bool:
    return model.startswith("models:") or _REGISTRY.match(model) is not None


def _tracking_uri(model: str) -> str:
    if not model.startswith("models:"):
        return model
    if _VERSION.fullmatch(model) is None:
        fail("--model: of a registry, models:/ltv@champion or models:/ltv/VERSION can be served", 2)
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        fail("--model models:/... needs MLFLOW_TRACKING_URI, the address of the registry", 2)
    return uri


def _source(folder: Path | None, tracking_uri: str | None, model: str, cache: Path) -> Source:
    from audience_pipeline.ltv.service.models import Folder, Registry

    if tracking_uri is not None:
        version = _VERSION.fullmatch(model)
        return Registry(tracking_uri, cache, version and version["version"])
    assert folder is not None  # noqa: S101 - one of the two is given
    try:
        return Folder(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        fail(
            f"{folder}: this is no model folder that can be read ({type(error).__name__}); train it again", 2
        )


def _run(source: Source, listener: socket.socket, refresh_seconds: float, ready_file: Path | None) -> None:
    import uvicorn

    from audience_pipeline.ltv.service.app import Service

    service = Service(source, refresh_seconds=refresh_seconds)
    if service.current.served is None:
        note(f"No model yet: {service.current.failure}. It is asked for again every {refresh_seconds:g} s.")
    host, port = listener.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started and ready_file is not None:
                partial = ready_file.with_name(ready_file.name + ".partial")
                partial.write_text(address, encoding="utf-8")
                partial.replace(ready_file)
            note(f"Answering on {address}/score; stop with Ctrl-C")

    config = uvicorn.Config(
        service.app,
        lifespan="on",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    try:
        Server(config).run(sockets=[listener])
    finally:
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
