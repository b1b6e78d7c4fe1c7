"""Following many audiences that TikTok computes: their details are read for up to a hundred at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Entry = dict[str, Any]
"""Details and history of one audience."""
MOST = 100
_FRESH = 10.0
"""Seconds for which an entry that was read along with another's is good."""


class SettlingDetails:
    """Entries of audiences whose files are being processed. Each entry is handed out once."""

    def __init__(
        self, read: Callable[[Sequence[str]], Mapping[str, Entry]], clock: Callable[[], float]
    ) -> None:
        """``read`` asks TikTok for up to :data:`MOST` ids and leaves out those that are gone."""
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        self._followed: dict[str, None] = {}
        self._fresh: dict[str, tuple[Entry | None, float]] = {}
        self._changes = 0

    def follow(self, remote_ids: Iterable[str]) -> None:
        """Audiences that may be computed: they are read along with those that are asked for."""
        with self._lock:
            for remote_id in remote_ids:
                self._followed.setdefault(remote_id, None)

    def changed(self, remote_id: str) -> None:
        """An audience has been sent a file: what was read before says nothing of it."""
        with self._lock:
            self._followed[remote_id] = None
            self._fresh.clear()
            self._changes += 1

    def settled(self, remote_id: str) -> None:
        """Nothing more is to be learned of an audience."""
        with self._lock:
            self._followed.pop(remote_id, None)

    def of(self, remote_id: str) -> Entry | None:
        """The entry of an audience; None when it is gone."""
        with self._lock:
            entry, read_at = self._fresh.pop(remote_id, (None, float("-inf")))
            if self._clock() - read_at <= _FRESH:
                return entry
            self._followed[remote_id] = None
            ids = [remote_id, *(other for other in self._followed if other != remote_id)][:MOST]
            for asked in ids:
                # To the end: the next to be read along are those that were not.
                self._followed.pop(asked)
                self._followed[asked] = None
            changes, now = self._changes, self._clock()
        found = self._read(ids)
        with self._lock:
            if changes == self._changes:
                self._fresh.update({other: (found.get(other), now) for other in ids[1:]})
        return found.get(remote_id)
