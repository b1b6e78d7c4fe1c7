"""Everything that the stand-ins share: state, time, people, members, quotas."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audience_pipeline.sandbox import people
from audience_pipeline.sandbox.clock import Clock
from audience_pipeline.sandbox.faults import Faults
from audience_pipeline.sandbox.members import Members
from audience_pipeline.sandbox.quotas import Quotas
from audience_pipeline.sandbox.state import Audience, State

STATE_FILE = "sandbox.sqlite3"


@dataclass(frozen=True, slots=True)
class World:
    """One sandbox."""

    state: State
    clock: Clock
    members: Members
    quotas: Quotas
    faults: Faults
    app_secret: str | None = field(default=None, repr=False)
    """When set, Meta wants an ``appsecret_proof`` with every call."""

    @classmethod
    def open(
        cls,
        state_dir: Path,
        population: Path | None = None,
        *,
        delay: float = 0.3,
        faults: int | None = None,
        app_secret: str | None = None,
    ) -> World:
        """Open the state of a folder and load the people; ``delay`` in seconds of sandbox time."""
        known = people.load(population)
        state = State(state_dir / STATE_FILE)
        clock = Clock(state)
        return cls(
            state,
            clock,
            Members(state, clock, known, delay),
            Quotas(state, clock),
            Faults(state, faults),
            app_secret,
        )

    def new_audience(
        self, platform: str, account: str, first_id: int, name: str, kind: str, details: dict[str, Any]
    ) -> Audience:
        """Store a new, empty audience; its id counts on from ``first_id``."""
        number, now = self.state.next_number("audience"), self.clock.now()
        audience = Audience(
            number,
            platform,
            account,
            str(first_id + number),
            name,
            kind,
            now,
            now,
            ready_at=now,
            details=details,
        )
        self.state.insert(audience)
        return audience


COUNTRY_USERS = {"US": 230_000_000, "IN": 350_000_000, "BR": 140_000_000, "GB": 50_000_000, "DE": 45_000_000}


def users_in(countries: list[str]) -> int:
    """Invented but stable: how many users a platform has in some countries, for the size of lookalikes."""
    return sum(COUNTRY_USERS.get(country, 10_000_000) for country in countries)
