"""The ad accounts of one platform: where each audience lives, and which can be delivered to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from audience_pipeline.delivery.brake import HOW_TO_CONFIRM
from audience_pipeline.delivery.gather import Account
from audience_pipeline.ledger import deliveries
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import AudienceState, DeliveryState, PlatformAudience
from audience_pipeline.platforms.contract import (
    AudienceClient,
    CredentialError,
    Platform,
    PlatformError,
    TransientPlatformError,
)


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of a run, in the order in which new audiences fill them."""

    all: tuple[Account, ...]
    homes: Mapping[str, str]
    """Audience to the account that it lives in, configured or not."""
    left: tuple[PlatformAudience, ...] = ()
    """Audiences in accounts that are not configured any more, and that are given up there."""

    @classmethod
    def of(
        cls, store: MemberStore, clients: Sequence[AudienceClient], given_up: Collection[str] = ()
    ) -> Accounts:
        """What the ledger knows of the accounts; no platform is asked.

        Args:
            store: the memory of everything that was sent.
            clients: the accounts.
            given_up: audiences that live elsewhere from now on, should their account not be configured.
        """
        platform = clients[0].capabilities.platform
        here = {client.account for client in clients}
        with store.ledger.reading() as connection:
            homes = deliveries.accounts_of(connection, platform)
            elsewhere = [
                one for one in deliveries.audiences(connection, platform) if one.key.account not in here
            ]
            gone = [one for one in elsewhere if not one.remote_id and one.state is AudienceState.ACTIVE]
            left = [one for one in elsewhere if one.key.audience in given_up and one not in gone]
            for one in (*gone, *left):
                if homes.get(one.key.audience) == one.key.account:
                    del homes[one.key.audience]
            known = {
                client.account: deliveries.audiences(connection, platform, client.account)
                for client in clients
            }
        return cls(
            tuple(
                Account(client, {one.key.audience: one for one in known[client.account]})
                for client in clients
            ),
            homes,
            tuple(left),
        )

    @property
    def platform(self) -> Platform:
        """The platform of all of them."""
        return self.all[0].client.capabilities.platform

    def gather(self) -> None:
        """List what is there; an account that cannot be listed keeps its error.

        Raises:
            CredentialError: nothing can be asked of the platform.
        """
        for account in self.all:
            try:
                account.gather()
            except CredentialError:
                raise
            except PlatformError:
                continue

    def home(self, audience: str) -> Account:
        """Where an audience lives; a new one, in the first account that has room."""
        where = self.homes.get(audience)
        known = [account for account in self.all if account.name == where]
        roomy = [account for account in self.all if account.has_room]
        return (known or roomy or list(self.all))[0]

    def error(self, audience: str) -> tuple[DeliveryState, str] | None:
        """Why nothing can be delivered to an audience, or None: how its delivery ends, and the reason."""
        where, account = self.homes.get(audience), self.home(audience)
        if where is not None and account.name != where:
            return DeliveryState.FAILED, (
                f"the audience lives in the ad account {where}, which is not configured any more. Configure "
                "it again; or delete the audience there and then confirm, and it is made anew "
                f"({HOW_TO_CONFIRM})."
            )
        if account.error is None:
            return None
        transient = isinstance(account.error, TransientPlatformError)
        return DeliveryState.INCOMPLETE if transient else DeliveryState.FAILED, str(account.error)

    def fail(self, client: AudienceClient, error: PlatformError) -> None:
        """Nothing more can be done in the account of a client."""
        for account in self.all:
            if account.client is client:
                account.error = error
