"""Three ad platforms in one process, each under its real paths, on one loopback port."""

from __future__ import annotations

import argparse
import gc
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from audience_pipeline.sandbox.application import application
from audience_pipeline.sandbox.world import World

HOST = "127.0.0.1"
MODULE = "audience_pipeline.sandbox.server"
ADDRESS_FILE = "address"
LOG_FILE = "sandbox.log"
START_SECONDS = 60.0


class LongUrls(HttpToolsProtocol):
    """Reads URLs of any length: Meta's official client puts the people of a removal there."""

    def on_headers_complete(self) -> None:
        """Keep the query from a parser that takes 64 kB at most."""
        self.url, _, query = self.url.partition(b"?")
        super().on_headers_complete()
        self.scope["query_string"] = query


def run(
    port: int,
    state_dir: Path,
    population: Path | None = None,
    delay: float = 0.3,
    faults: int | None = None,
    *,
    app_secret: str | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until interrupted; port 0 takes a free one, which ``state_dir/address`` and ``on_ready`` tell.

    Args:
        port: on 127.0.0.1.
        state_dir: holds the state; the same folder continues where it stopped.
        population: Parquet of the platforms' people (columns in :mod:`people`); None leaves it to chance.
        delay: seconds of sandbox time until an upload is processed.
        faults: seed of reproducible trouble; None for none.
        app_secret: when set, Meta wants an ``appsecret_proof``.
        on_ready: called with the base URL once the port is bound.

    Raises:
        OSError: the port is taken.
        ValueError: the population lacks a column.
        RuntimeError: another sandbox uses the state folder.
    """
    # Requests of 10,000 people are many small objects that live as long as the request: looking for cycles
    # among them is half of the work, and there are none.
    gc.set_threshold(1_000_000, 50, 50)
    world = World.open(state_dir, population, delay=delay, faults=faults, app_secret=app_secret)
    try:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, port))
            except OSError as error:
                raise OSError(
                    f"port {port} on {HOST} is taken: choose another, or 0 for a free one"
                ) from error
            # From here on calls wait instead of being turned away.
            listener.listen(128)
            address = f"http://{HOST}:{listener.getsockname()[1]}"
            config = uvicorn.Config(
                application(world),
                lifespan="off",
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=2,
                http=LongUrls,
            )
            (state_dir / ADDRESS_FILE).write_text(address)
            if on_ready is not None:
                on_ready(address)
            uvicorn.Server(config).run(sockets=[listener])
    finally:
        world.state.close()


def serving(state_dir: Path, pid: int | None = None) -> str | None:
    """The base URL of the sandbox that serves this state folder now, in the process ``pid`` if given."""
    try:
        address = (state_dir / ADDRESS_FILE).read_text()
        with urllib.request.urlopen(f"{address}/_sandbox/health", timeout=5) as answer:  # noqa: S310 (our own)
            told = json.load(answer)
        found = told["state"] == str(state_dir.resolve()) and pid in {None, told["pid"]}
    except (OSError, ValueError, KeyError):
        return None
    return address if found else None


@contextmanager
def running(
    state_dir: Path,
    population: Path | None = None,
    port: int = 0,
    *,
    delay: float = 0.3,
    faults: int | None = None,
    app_secret: str | None = None,
) -> Iterator[str]:
    """A sandbox in a process of its own, for the length of a ``with`` block; yields its base URL.

    Raises:
        RuntimeError: it did not start; the message holds what it said.
    """
    with process(state_dir, population, port, delay=delay, faults=faults, app_secret=app_secret) as (
        address,
        _,
    ):
        yield address


@contextmanager
def process(
    state_dir: Path,
    population: Path | None = None,
    port: int = 0,
    *,
    delay: float = 0.3,
    faults: int | None = None,
    app_secret: str | None = None,
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """As :func:`running`, and the process too, for those who want to kill it."""
    state_dir.mkdir(parents=True, exist_ok=True)
    log = state_dir / LOG_FILE
    command = [sys.executable, "-m", MODULE, "--port", str(port), "--state", str(state_dir)]
    options = {"--population": population, "--delay": delay, "--faults": faults, "--app-secret": app_secret}
    command += [part for name, value in options.items() if value is not None for part in (name, str(value))]
    with log.open("ab") as output:
        # Its input is a pipe that closes when this process ends, however it ends.
        child = subprocess.Popen(
            [*command, "--until-input-ends"], stdin=subprocess.PIPE, stdout=output, stderr=output
        )
        try:
            yield _wait(child, state_dir, log), child
        finally:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            if child.stdin is not None:
                child.stdin.close()


def _wait(child: subprocess.Popen[bytes], state_dir: Path, log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        address = serving(state_dir, child.pid)
        if address:
            return address
        time.sleep(0.02)
    said = log.read_text(errors="replace").strip().splitlines()[-1:]
    raise RuntimeError(f"the sandbox did not start: {said[0] if said else 'it said nothing'}")


def main() -> None:
    """Serve with options from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--population", type=Path)
    parser.add_argument("--delay", type=float, default=0.3)
    parser.add_argument("--faults", type=int)
    parser.add_argument("--app-secret")
    parser.add_argument("--until-input-ends", action="store_true")
    given = parser.parse_args()
    if given.until_input_ends:
        threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        run(given.port, given.state, given.population, given.delay, given.faults, app_secret=given.app_secret)
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(str(error))


def _end_with_input() -> None:
    # Not through sys.stdin, whose lock would be in the way of an orderly end.
    while os.read(0, 1024):
        pass
    # The state is safe at any moment, so there is nothing to tidy up.
    os._exit(0)


if __name__ == "__main__":
    main()
