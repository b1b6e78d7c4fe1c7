"""Everything that waits is scored in one call, in the event loop: one thread, no locks, no pool."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from audience_pipeline.ltv.service.limits import Limits

Work = TypeVar("Work")
Result = TypeVar("Result")
_log = logging.getLogger(__name__)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class QueueFullError(Exception):
    """More waits already than may wait."""


@dataclass(slots=True)
class _Job(Generic[Work, Result]):
    work: Work
    size: int
    answer: asyncio.Future[Result]


class Batcher(Generic[Work, Result]):
    """A queue, and the one coroutine that empties it."""

    def __init__(self, score: Callable[[Sequence[Work]], Sequence[Result]], limits: Limits) -> None:
        """Args:
        score: Results in the order of the works.
        limits: Of batches and of the queue, in requests and transactions.
        """  # fmt: skip
        self._score, self._limits = score, limits
        self._waiting: deque[_Job[Work, Result]] = deque()
        self._size = 0
        self._arrived = asyncio.Event()
        self._expected = 0
        self._enough: asyncio.Future[None] | None = None

    @property
    def waiting(self) -> int:
        """Transactions in the queue."""
        return self._size

    def submit(self, work: Work, size: int) -> asyncio.Future[Result]:
        """Queue a request; cancel the future when nobody waits for the result any more.

        Raises:
            QueueFullError: Nothing was queued.
        """
        if self._waiting and self._size + size > self._limits.waiting_transactions:
            raise QueueFullError
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Job(work, size, answer))
        self._size += size
        self._arrived.set()
        if self._enough is not None and len(self._waiting) >= self._expected and not self._enough.done():
            self._enough.set_result(None)
        return answer

    async def run(self) -> None:
        """Score until cancelled."""
        while True:
            await self._arrived.wait()
            await self._gather()
            jobs = self._take()
            self._answer(jobs)
            self._expected = len(jobs) + len(self._waiting)
            # The answers go out, and what has arrived meanwhile comes in.
            await asyncio.sleep(0)

    async def _gather(self) -> None:
        """Wait a moment for as many as there were last time.

        Clients that were answered together ask again together: a batch of the first alone would keep all
        others waiting for two calls instead of one.
        """
        if len(self._waiting) >= min(self._expected, self._limits.batch_requests):
            return
        loop = asyncio.get_running_loop()
        self._enough = loop.create_future()
        timer = loop.call_later(self._limits.gather_seconds, _settle, self._enough)
        await self._enough
        timer.cancel()
        self._enough = None

    def _take(self) -> list[_Job[Work, Result]]:
        jobs: list[_Job[Work, Result]] = []
        size = 0
        while self._waiting and len(jobs) < self._limits.batch_requests:
            if jobs and size + self._waiting[0].size > self._limits.batch_transactions:
                break
            job = self._waiting.popleft()
            self._size -= job.size
            if not job.answer.cancelled():
                jobs.append(job)
                size += job.size
        if not self._waiting:
            self._arrived.clear()
        return jobs

    def _answer(self, jobs: list[_Job[Work, Result]]) -> None:
        if not jobs:
            return
        try:
            results = self._score([job.work for job in jobs])
        except Exception as error:  # noqa: BLE001 - it is told to the client, or found out one by one
            if len(jobs) > 1:
                for job in jobs:
                    self._answer([job])
                return
            # Without the message: it may hold values of the request.
            place = "".join(traceback.format_tb(error.__traceback__))
            _log.error("a request could not be scored: %s\n%s", type(error).__name__, place)
            jobs[0].answer.set_exception(error)
            return
        for job, result in zip(jobs, results, strict=True):
            job.answer.set_result(result)
