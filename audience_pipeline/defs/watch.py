"""Keeps a delivery up to date with what people say while it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date

from audience_pipeline.defs.consent_log import log_statements, newest_statement
from audience_pipeline.defs.lake import newest_landing
from audience_pipeline.defs.recipients import Recipients, stated
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.settings import Settings

LOOK_SECONDS = 2.0
"""How often a delivery looks whether somebody has opted out since it began."""
TURN_SECONDS = 20.0
"""How long a turn goes on at least before an opt-out ends it, so that many of them do not stop it all."""


class Watch:
    """The people of one platform, decided anew when a statement lands."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        as_of: date,
        platform: Platform,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take note of what is delivered.

        Args:
            settings: the workspace.
            ledger: its ledger.
            as_of: the day of the memberships.
            platform: where people are sent.
            sleep: waits so many seconds.
        """
        self._settings, self._ledger, self._as_of, self._platform = settings, ledger, as_of, platform
        self._sleep = sleep
        self._looked = self._turned = 0.0
        self._began = self._statement = -1
        self._people: Recipients | None = None

    def begin(self) -> tuple[int, Recipients]:
        """Begin a turn.

        Returns:
            The sequence of the newest landing, and the people as all that has landed up to it decides.
        """
        statements, people = self._gather()
        self._began, self._turned = self._statement, time.monotonic()
        return statements, people

    def people(self) -> Recipients:
        """The people as of now: whoever has opted out since the turn began is none of them."""
        if self._people is None or self._has_landed():
            return self._gather()[1]
        return self._people

    def overtaken(self) -> bool:
        """Whether a statement has landed since the turn began: whoever was sent before it may have to go."""
        return newest_statement(self._ledger) > self._began

    def interrupts(self) -> bool:
        """Whether the turn is to end, because somebody waits to be removed from audiences that had theirs."""
        return time.monotonic() - self._turned >= TURN_SECONDS and self._is_behind()

    def sleep(self, seconds: float) -> None:
        """Wait, but not while somebody waits to be removed."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._is_behind():
            self._sleep(min(left, LOOK_SECONDS))

    def _is_behind(self) -> bool:
        return self._statement > self._began or self._has_landed()

    def _has_landed(self) -> bool:
        """Whether a statement is there that the people do not know of; looked at now and then."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return False
        self._looked = time.monotonic()
        return newest_statement(self._ledger) > self._statement

    def _gather(self) -> tuple[int, Recipients]:
        statements = newest_landing(self._ledger)
        log_statements(self._settings, self._ledger)
        self._statement, self._looked = newest_statement(self._ledger), time.monotonic()
        known = stated(self._settings, self._ledger, self._as_of, statements)
        self._people = Recipients(self._settings, self._as_of, self._platform, known)
        return statements, self._people
