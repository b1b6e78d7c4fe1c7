"""What is there before a run: the audience under the id that the ledger knows, or under its name."""

from __future__ import annotations

from dataclasses import dataclass, replace

from audience_pipeline.ledger.records import AudienceState, PlatformAudience
from audience_pipeline.platforms.contract import AudienceClient, RemoteAudience


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


def look(client: AudienceClient, known: PlatformAudience | None, name: str) -> Sight:
    """Find the audience on the platform; nothing is changed."""
    if known is not None and known.remote_id is None and known.state is AudienceState.ACTIVE:
        # Deleted by us, because nobody was left for it: whatever has its name is not ours.
        known = None
    remote_id = known.remote_id if known is not None else None
    if remote_id is not None:
        remote = client.read(remote_id)
        if remote is not None:
            return Sight(known, remote)
    found = client.find(name)
    if known is None:
        return Sight(foreign=found.remote_id if found is not None else "")
    if found is not None and remote_id in (None, found.remote_id):
        adopted = replace(known, remote_id=found.remote_id)
        if known.state is AudienceState.CREATING:
            adopted = replace(adopted, state=AudienceState.FILLING)
        return Sight(adopted, found, adopted=remote_id is None)
    return Sight(
        replace(known, remote_id=None, state=AudienceState.CREATING),
        gone=remote_id is not None,
        foreign=found.remote_id if found is not None else "",
    )
