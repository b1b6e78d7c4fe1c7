"""Which model answers: one of a folder, or the champion of a registry, followed without a restart."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Protocol

from audience_pipeline.ltv.model import LtvModel

_log = logging.getLogger(__name__)


class NoChampionError(Exception):
    """There is no model to serve yet."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model, and where it is from."""

    model: LtvModel
    version: str
    loaded_at: datetime


class Source(Protocol):
    """Where models come from."""

    changes: bool
    """Whether another model can come."""

    def latest(self) -> str | None:
        """The version that should answer; None where there is none yet."""

    def load(self, version: str) -> LtvModel:
        """The model of a version."""


class Folder:
    """What ``ltv train`` has written; its version is the last day that it has seen, as in ``ltv score``."""

    changes = False

    def __init__(self, folder: Path) -> None:
        self._model = LtvModel.load(folder)

    def latest(self) -> str:
        """The one that there is."""
        return str(self._model.as_of)

    def load(self, version: str) -> LtvModel:  # noqa: ARG002 - there is one only
        """The one that there is."""
        return self._model


class Registry:
    """The champion of an MLflow registry, or one fixed version of it."""

    def __init__(self, tracking_uri: str, cache: Path, version: str | None = None) -> None:
        """Args:
        tracking_uri: Of MLflow.
        cache: Folder that keeps the files of versions.
        version: None follows the champion.
        """  # fmt: skip
        self._uri, self._cache, self._version = tracking_uri, cache, version
        self.changes = version is None

    def latest(self) -> str | None:
        """The champion's version."""
        from audience_pipeline.ltv import registry, store

        # Asking a database that is not there yet would make one.
        if self._version is not None or not store.exists(self._uri):
            return self._version
        return registry.version_on(self._uri, date.max)

    def load(self, version: str) -> LtvModel:
        """Fetch a version, or read it where it has been fetched before."""
        from audience_pipeline.ltv import registry

        return registry.read(self._uri, self._cache, version).model


class Current:
    """The model that answers now. :meth:`refresh` may run in another thread than the readers."""

    def __init__(self, source: Source, warm_up: Callable[[Served], None]) -> None:
        """Args:
        source: Where models come from.
        warm_up: Called with a model before it answers; one that raises does not get to answer.
        """  # fmt: skip
        self._source, self._warm_up = source, warm_up
        self.served: Served | None = None
        self.failure: str | None = None
        """Why the last refresh failed; None where it did not."""
        self.failures = 0
        self.checked_at: datetime | None = None

    @property
    def changes(self) -> bool:
        """Whether another model can come."""
        return self._source.changes

    def refresh(self) -> None:
        """Take over the version that should answer; where that fails, the one before goes on answering."""
        try:
            version = self._source.latest()
            if version is None:
                raise NoChampionError("the registry has no champion yet: audience-pipeline train trains one")
            if self.served is None or version != self.served.version:
                fresh = Served(self._source.load(version), version, datetime.now(UTC))
                self._warm_up(fresh)
                self.served = fresh
                _log.info("model version %s answers now", version)
            self.failure = None
        except Exception as error:  # noqa: BLE001 - whatever it is, the model before must go on answering
            self.failure = _said(error)
            self.failures += 1
            _log.warning("the model was not refreshed: %s", self.failure)
        self.checked_at = datetime.now(UTC)


class Follower:
    """Refreshes again and again in a thread of its own, which never keeps the process from ending.

    A version that cannot change is asked for until it is there.
    """

    def __init__(self, current: Current, every_seconds: float) -> None:
        self._current, self._every = current, every_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="model refresh", daemon=True)

    def start(self) -> None:
        """Begin, where another model can come, or the only one has not come yet."""
        if self._awaited:
            self._thread.start()

    @property
    def _awaited(self) -> bool:
        return self._current.changes or self._current.served is None

    def stop(self) -> None:
        """Ask for the end; a refresh that is under way is left behind."""
        self._stopped.set()

    def _run(self) -> None:
        while self._awaited and not self._stopped.wait(self._every):
            self._current.refresh()


def _said(error: Exception) -> str:
    """Messages of our own; those of others may hold the password of a database."""
    ours = type(error) is ValueError or type(error).__module__.startswith("audience_pipeline.")
    return str(error) if ours else f"{type(error).__name__} while reading from the registry"
