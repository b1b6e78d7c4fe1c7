"""Deliveries to several platforms at once in one process: on the command line, and where people opt out.

Dagster runs the steps of one process one after the other, and several of its runs in threads of one process
lock each other out. So the steps only take and record what threads have delivered.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from audience_pipeline.defs.resources import PlatformResource
from audience_pipeline.defs.sending import Outcome, Progress, SyncConfig, deliver_where_configured
from audience_pipeline.delivery.report import DeliveryReport
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.settings import Settings


class StoppedError(Exception):
    """Somebody has stopped the run. What was sent is in the ledger, and the next run goes on from there."""

    def __init__(self) -> None:
        super().__init__(
            "stopped before its end; what was sent is in the ledger, and the next run goes on from there"
        )


class SideBySide:
    """Deliveries of one run. They start together, when the first step asks for its own."""

    def __init__(
        self, settings: Settings, platforms: Sequence[Platform], progress: Progress | None = None
    ) -> None:
        """Take note of what is to be delivered.

        Args:
            settings: the workspace.
            platforms: those whose steps the run has.
            progress: told each report as it is done, from any thread.
        """
        self._settings, self._progress = settings, progress
        self._platforms = platforms
        self._stopped = threading.Event()
        self._threads = ThreadPoolExecutor(len(platforms), thread_name_prefix="delivery")
        self._running: dict[Platform, Future[Outcome]] = {}

    def take(self, resource: PlatformResource, config: SyncConfig) -> Outcome:
        """Wait for the delivery to a platform. Whatever it raised is raised here."""
        if not self._running:
            self._running = {
                platform: self._threads.submit(self._deliver, platform, config)
                for platform in self._platforms
            }
        return self._running[Platform(resource.platform)].result()

    @property
    def outcomes(self) -> dict[Platform, Outcome]:
        """What has become of the platforms whose deliveries came to an end."""
        return {
            platform: one.result()
            for platform, one in self._running.items()
            if one.done() and not one.cancelled() and one.exception() is None
        }

    @property
    def errors(self) -> dict[Platform, BaseException]:
        """What kept the others from it."""
        return {
            platform: error
            for platform, one in self._running.items()
            if one.done() and not one.cancelled() and (error := one.exception()) is not None
        }

    def _deliver(self, platform: Platform, config: SyncConfig) -> Outcome:
        resource = PlatformResource.of(platform, self._settings)
        with Ledger.open(self._settings.ledger_url) as ledger:
            return deliver_where_configured(self._settings, ledger, resource, config, self._told, self._sleep)

    def _told(self, report: DeliveryReport) -> None:
        if self._stopped.is_set():
            raise StoppedError
        if self._progress is not None:
            self._progress(report)

    def _sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise StoppedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the deliveries, if they are not done, after the audience that they are at."""
        self._stopped.set()
        self._threads.shutdown(wait=True, cancel_futures=True)


class Shared:
    """The deliveries of each run of which all steps share a process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._of_run: dict[str, tuple[SideBySide, set[Platform]]] = {}

    def take(
        self, run_id: str, platforms: Sequence[Platform], resource: PlatformResource, config: SyncConfig
    ) -> Outcome:
        """Wait for the delivery to a platform; the first step of a run starts all of its ``platforms``."""
        if run_id not in self._of_run:
            self._of_run[run_id] = (SideBySide(self._settings, platforms), set(platforms))
        together, left = self._of_run[run_id]
        try:
            return together.take(resource, config)
        finally:
            left.discard(Platform(resource.platform))
            if not left:
                del self._of_run[run_id]
                together.close()
