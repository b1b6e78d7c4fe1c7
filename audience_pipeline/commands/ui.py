"""``audience-pipeline ui``: Dagster on loopback, with the sandbox beside it where a demo made one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Annotated

import typer

from audience_pipeline.commands.console import DirOption, fail, note, out, workspace
from audience_pipeline.commands.runner import prepare_instance
from audience_pipeline.commands.sandboxes import sandbox_beside
from audience_pipeline.settings import PROJECT_ROOT


def ui(
    directory: DirOption = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)] = 3000,
) -> None:
    """Open Dagster on 127.0.0.1: the asset graph, partitions, schedules, sensors, checks and pictures.

    Example: audience-pipeline ui --port 3001
    """
    settings = workspace(directory)
    if not settings.home.is_dir():
        fail(f"{settings.home}: there is no workspace yet; run make demo first, or ingest a file", 2)
    if _in_use(port):
        fail(f"port {port} on 127.0.0.1 is in use; choose another with --port")
    prepare_instance(settings)
    # Stopped like with Ctrl-C, so that Dagster's processes and the sandbox go too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.ExitStack() as stack:
        stack.enter_context(sandbox_beside(settings))
        process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("dagster")),
                "dev",
                "--workspace",
                str(PROJECT_ROOT / "workspace.yaml"),
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--log-level",
                "warning",
            ],
            cwd=settings.home,
            # Dagster recommends another of its command lines at every start.
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        stack.callback(_stop, process)
        threading.Thread(target=_welcome, args=(port, settings.home), daemon=True).start()
        stopped = False
        try:
            process.wait()
        except KeyboardInterrupt:
            stopped = True
    if process.returncode and not stopped:
        fail(f"Dagster ended with code {process.returncode}; its last lines above say why")


def _in_use(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)


def _welcome(port: int, home: Path) -> None:
    """Wait until Dagster answers, close its newsletter dialog for good, and say where it is."""
    url = f"http://127.0.0.1:{port}"
    body = json.dumps({"query": "mutation { setNuxSeen }"}).encode()
    request = urllib.request.Request(  # noqa: S310 - a loopback address of our own
        f"{url}/graphql", data=body, headers={"Content-Type": "application/json"}
    )
    for _ in range(240):
        try:
            with urllib.request.urlopen(request, timeout=5):  # noqa: S310 - as above
                break
        except OSError:
            time.sleep(0.5)
    else:
        note("Dagster has not answered for two minutes; its messages above may say why")
        return
    out.print(f"Dagster: [bold]{url}[/]  (workspace {home.name}; stop with Ctrl-C)", highlight=False)
