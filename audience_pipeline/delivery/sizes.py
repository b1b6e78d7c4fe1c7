"""What platforms show of audiences after a delivery."""

from __future__ import annotations

from collections.abc import Sequence

from audience_pipeline.delivery.attempt import Attempt
from audience_pipeline.delivery.gather import Account
from audience_pipeline.platforms.contract import PlatformError, ended

FEW = 3
"""Up to so many audiences are read one by one; of more, the account is listed."""


def read_sizes(account: Account, attempts: Sequence[Attempt]) -> None:
    """Write down what the platform shows now of audiences of an account; an error only says so."""
    try:
        if len(attempts) > FEW:
            account.gather()
        for attempt in attempts:
            remote_id = attempt.remote_id or ""
            known = account.there.get(remote_id) if len(attempts) > FEW else account.client.read(remote_id)
            attempt.read_again(known)
    except PlatformError as error:
        for attempt in attempts:
            attempt.say(f"{ended(error)} The size is read by the next run.")
