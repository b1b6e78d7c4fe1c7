"""Processes that deliver and can be killed anywhere.

A parent process imports the product once and forks for every run, so that a run costs milliseconds and dies a
real death: by SIGKILL at a chosen request, commit or rename, or from outside at any moment.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from audience_pipeline_tests.delivery.proof.product import Job, run

POINTS = (
    "before request",
    "after request",
    "before commit",
    "after commit",
    "before rename",
    "after rename",
)
LONGEST_RUN = 120.0
"""Seconds after which a run counts as hanging."""
KILLED, DONE = -signal.SIGKILL, 0


class Reaper:
    """Counts the points that a run passes, and kills it at one of them."""

    def __init__(self, kill: tuple[str, int] | None) -> None:
        self.passed: Counter[str] = Counter()
        self._kill = kill
        self._lock = threading.Lock()

    def at(self, point: str) -> None:
        """A point is passed."""
        with self._lock:
            self.passed[point] += 1
            if self._kill == (point, self.passed[point]):
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, with a point before and after it."""

        def wrapped(*args: Any, **named: Any) -> Any:
            self.at(f"before {what}")
            result = function(*args, **named)
            self.at(f"after {what}")
            return result

        return wrapped

    def watch(self) -> None:
        """From now on every request, commit and rename of this process is a point."""
        import requests
        from sqlalchemy.engine.default import DefaultDialect

        requests.Session.send = self.around("request", requests.Session.send)  # type: ignore[method-assign]
        DefaultDialect.do_commit = self.around("commit", DefaultDialect.do_commit)  # type: ignore[method-assign]
        os.replace = self.around("rename", os.replace)
        os.rename = self.around("rename", os.rename)


@dataclass
class Ended:
    """How a run ended."""

    status: int
    """0, or the signal that ended it, negative; 1 after an exception."""
    value: Any
    """What came of it, when it came so far."""
    passed: Counter[str]
    log: str


@dataclass
class Started:
    """A run that has been started."""

    pid: int
    output: Path
    log: Path


class Mother:
    """Starts runs and tells how they ended."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process, self._folder = process, folder
        self._number = 0

    def start(self, job: Job) -> Started:
        """Fork a run."""
        self._number += 1
        output = self._folder / f"run_{self._number}.json"
        started = replace(job, output=str(output))
        pid = self._ask({"start": started.as_json()})
        return Started(pid, output, output.with_suffix(".log"))

    def end(self, started: Started, kill_after: float | None = None) -> Ended:
        """Wait for a run; kill it after so many seconds if it is still there.

        Raises:
            AssertionError: it hangs.
        """
        begun, killed = time.monotonic(), False
        while (status := self._ask({"poll": started.pid})) is None:
            lived = time.monotonic() - begun
            if not killed and (lived > (LONGEST_RUN if kill_after is None else kill_after)):
                os.kill(started.pid, signal.SIGKILL)
                killed = True
                if kill_after is None:
                    raise AssertionError(f"a run hangs: {started.log.read_text()[-2_000:]}")
            time.sleep(0.005)
        found = json.loads(started.output.read_text()) if status == DONE else {}
        # A run that is killed at once has not begun its log.
        log = started.log.read_text() if started.log.exists() else ""
        return Ended(status, found.get("value"), Counter(found.get("passed", {})), log)

    def run(self, job: Job, kill_after: float | None = None) -> Ended:
        """Start a run and wait for its end."""
        return self.end(self.start(job), kill_after)

    def _ask(self, what: dict[str, Any]) -> Any:
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answers is not None
        asked.write(json.dumps(what) + "\n")
        asked.flush()
        line = answers.readline()
        assert line, "the parent of the runs has died"
        return json.loads(line)


@contextmanager
def mother(folder: Path) -> Iterator[Mother]:
    """A process that forks runs, for the length of a ``with`` block."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "POLARS_MAX_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", __spec__.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            yield Mother(process, folder)
        finally:
            process.kill()


def main() -> None:
    """Read orders from standard input, one a line, until it ends."""
    # What a run needs is imported here, once; threads and connections begin in the runs.
    import alembic.command
    import phonenumbers
    import polars as pl

    assert alembic.command
    assert phonenumbers
    assert pl
    answers = sys.stdout
    ended: dict[int, int] = {}
    for line in sys.stdin:
        order = json.loads(line)
        answer: int | None
        if "start" in order:
            given = json.loads(order["start"])
            kill = given.pop("kill")
            answer = _fork(Job(**given, kill=tuple(kill) if kill else None), answers)
        else:
            pid = order["poll"]
            if pid not in ended:
                found, status = os.waitpid(pid, os.WNOHANG)
                if found:
                    ended[pid] = os.waitstatus_to_exitcode(status)
            answer = ended.get(pid)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _fork(job: Job, answers: IO[str]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        output = Path(job.output)
        log = os.open(output.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        for stream in (1, 2):
            os.dup2(log, stream)
        assert answers
        reaper = Reaper(job.kill)
        reaper.watch()
        value = run(job)
        output.write_text(json.dumps({"value": value, "passed": reaper.passed}))
        status = 0
    except BaseException:  # noqa: BLE001 (whatever it is, it is told in the log and by the status)
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
