"""What is there before a run: every audience of an ad account in one listing, and what that says of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from audience_pipeline.delivery.courier import Courier
from audience_pipeline.ledger.records import AudienceState, PlatformAudience
from audience_pipeline.platforms.contract import AudienceClient, PlatformError, RemoteAudience


@dataclass(frozen=True, slots=True)
class Sight:
    """An audience as the ledger knows it, corrected by what the platform shows."""

    known: PlatformAudience | None = None
    """None: it was never created. Without a ``remote_id``: it is to be created (again)."""
    remote: RemoteAudience | None = None
    gone: bool = False
    """The platform does not hold it any more."""
    adopted: bool = False
    """A creation whose outcome was not known has taken effect."""
    foreign: str = ""
    """The id of an audience of that name that this ledger did not make."""


@dataclass(slots=True, eq=False)
class Account:
    """One ad account in one run."""

    client: AudienceClient
    known: Mapping[str, PlatformAudience]
    """Audiences that the ledger knows in this account, by their own name."""
    there: dict[str, RemoteAudience] = field(default_factory=dict)
    """Audiences on the platform, by id."""
    promised: dict[str, str] = field(default_factory=dict)
    """Audiences that are to be created here, with their names on the platform: they keep their place."""
    calls: list[Courier] = field(default_factory=list)
    """Of removals from every audience of the account."""
    blocked: pl.Series | None = field(default=None, repr=False)
    """Keys of those who are being removed so: nobody with one of them can be added until it is done."""
    error: PlatformError | None = None
    """Why nothing can be done in this account."""

    @property
    def name(self) -> str:
        """The ad account that audiences live in."""
        return self.client.account

    @property
    def is_busy(self) -> bool:
        """A removal from every audience of the account is still processed."""
        return any(call.flights for call in self.calls)

    @property
    def has_room(self) -> bool:
        """A new audience can be created besides those that are promised a place."""
        most = self.client.capabilities.audiences_per_account
        if self.error is not None or most is None:
            return self.error is None
        there = {remote.name for remote in self.there.values()}
        return len(self.there) + len(set(self.promised.values()) - there) < most

    def takes(self, audience: str) -> bool:
        """This audience can be created."""
        most = self.client.capabilities.audiences_per_account
        return most is None or self.has_room or (audience in self.promised and len(self.there) < most)

    def gather(self) -> None:
        """List what is there; the only reading that audiences without a change need.

        Raises:
            PlatformError: it is kept as ``error``, too.
        """
        try:
            self.there = {remote.remote_id: remote for remote in self.client.audiences()}
            self.promised = {
                name: one.remote_name
                for name, one in self.known.items()
                if one.remote_id is None and one.state is AudienceState.CREATING
            }
        except PlatformError as error:
            self.error = error
            raise

    def named(self, name: str) -> RemoteAudience | None:
        """The audience of a name; of several always the same."""
        found = [remote for remote in self.there.values() if remote.name == name]
        return min(found, key=lambda remote: (len(remote.remote_id), remote.remote_id), default=None)

    def look(self, known: PlatformAudience | None, name: str) -> Sight:
        """Find an audience of ours; nothing is changed.

        Args:
            known: what the ledger knows of it.
            name: what it is to be called on the platform.

        Raises:
            PlatformError: it had to be asked for by itself, and could not be read.
        """
        if known is not None and known.remote_id is None and known.state is AudienceState.ACTIVE:
            # Deleted by us, because nobody was left for it: whatever has its name is not ours.
            known = None
        if known is None:
            found = self.named(name)
            return Sight(foreign=found.remote_id if found is not None else "")
        if known.remote_id is not None:
            # A listing may lag behind: what it does not show is asked for before it is said to be gone.
            remote = self.there.get(known.remote_id) or self.client.read(known.remote_id)
            if remote is not None:
                return Sight(known, remote)
        else:
            found = self.named(known.remote_name) or self.client.find(known.remote_name)
            if found is not None:
                adopted = replace(known, remote_id=found.remote_id)
                if known.state is AudienceState.CREATING:
                    adopted = replace(adopted, state=AudienceState.FILLING)
                return Sight(adopted, found, adopted=True)
        other = self.named(name)
        return Sight(
            replace(known, remote_id=None, state=AudienceState.CREATING),
            gone=known.remote_id is not None,
            foreign=other.remote_id if other is not None else "",
        )

    def created(self, audience: str, remote_id: str, name: str) -> None:
        """Remember that an audience was created."""
        self.promised.pop(audience, None)
        self.there[remote_id] = RemoteAudience(remote_id, name, ready=False, status="created")

    def deleted(self, remote_id: str) -> None:
        """Remember that an audience was deleted."""
        self.there.pop(remote_id, None)
