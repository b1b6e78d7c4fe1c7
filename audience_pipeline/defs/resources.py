"""What assets reach the outside world through: the ledger and the platforms."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg

from audience_pipeline.ledger.database import Ledger
from audience_pipeline.platforms.contract import CAPABILITIES, AudienceClient, Platform
from audience_pipeline.platforms.pace import Pace
from audience_pipeline.settings import Account, Settings


class LedgerResource(dg.ConfigurableResource[None]):
    """The database of what must not be lost or done twice."""

    url: str
    """As configuration: the UI shows it, so it names the variable where the URL may hold a password."""

    @classmethod
    def of(cls, settings: Settings) -> "LedgerResource":
        """The ledger of a workspace."""
        embedded = settings.ledger_url.startswith("sqlite:")
        return cls(url=settings.ledger_url if embedded else dg.EnvVar("AUDIENCE_LEDGER_URL"))

    @contextmanager
    def open(self) -> Iterator[Ledger]:
        """An open ledger, migrated to the newest schema."""
        ledger = Ledger.open(self.url)
        try:
            yield ledger
        finally:
            ledger.close()

    def __repr__(self) -> str:
        return "LedgerResource()"


TOKENS = {
    Platform.META: "META_ACCESS_TOKEN",
    Platform.GOOGLE: "GOOGLE_ACCESS_TOKEN",
    Platform.TIKTOK: "TIKTOK_ACCESS_TOKEN",
}


def is_loopback(url: str) -> bool:
    """Whether a URL stays on this machine."""
    return (urlsplit(url).hostname or "") in {"127.0.0.1", "::1", "localhost"}


class NotConfiguredError(Exception):
    """A platform has no account or token; the message names what to set, and where."""


class PlatformResource(dg.ConfigurableResource[None]):
    """The ad accounts of one platform. Credentials are read when a run needs them and are held nowhere."""

    platform: str
    base_url: str
    ads_base_url: str = ""
    accounts: list[str]
    login_account: str = ""
    requests_per_second: float | None = None
    sandbox_only: bool = False
    secrets: str = ""
    """Path of the file of credentials; what it holds is never configuration."""

    @classmethod
    def of(cls, platform: Platform, settings: Settings) -> "PlatformResource":
        """The resource of one platform's section of the settings."""
        account: Account = getattr(settings.config.platforms, platform.value)
        return cls(
            sandbox_only=settings.config.platforms.sandbox_only,
            platform=platform.value,
            base_url=account.base_url,
            ads_base_url=account.ads_base_url,
            accounts=list(account.ids),
            login_account=account.login_account,
            requests_per_second=account.requests_per_second,
            secrets=str(settings.secrets),
        )

    def missing(self) -> str | None:
        """What is to be set before anything can be sent; None where nothing is missing.

        Raises:
            NotConfiguredError: the file of credentials cannot be used.
        """
        if self.sandbox_only and not is_loopback(self.base_url):
            return (
                f"{self.platform}: this workspace is a demo and may only send to the sandbox; "
                "audience-pipeline ui and audience-pipeline audiences sync start it"
            )
        platform = Platform(self.platform)
        known, variable = self._credentials(), TOKENS[platform]
        token = known.get(variable) or (platform is Platform.GOOGLE and known.get("GOOGLE_REFRESH_TOKEN"))
        if self.accounts and token:
            return None
        return (
            f"{self.platform} is not configured: set platforms.{self.platform}.account in audience.yaml, and "
            f"{variable} in the environment or in {Path(self.secrets).name} "
            "(a file that nobody else may read)"
        )

    def clients(self) -> list[AudienceClient]:
        """A client with its credentials for each ad account, in the order of the settings.

        Raises:
            NotConfiguredError: no account, no token, or a file of credentials that cannot be used.
        """
        if sentence := self.missing():
            raise NotConfiguredError(sentence)
        known, together = self._credentials(), self._pace()
        return [self._client(account, known, together) for account in self.accounts]

    def _pace(self) -> Pace:
        """What all accounts together keep to where a platform counts the requests of a project or an app."""
        rates = CAPABILITIES[Platform(self.platform)].rates
        if self.requests_per_second is not None:
            rates = tuple(replace(rate, requests=self.requests_per_second, seconds=1) for rate in rates)
        return Pace(rates)

    def _client(self, account: str, known: Mapping[str, str], together: Pace) -> AudienceClient:
        platform = Platform(self.platform)
        if platform is Platform.META:
            from audience_pipeline.platforms.meta import MetaClient

            return MetaClient(
                base_url=self.base_url,
                access_token=known["META_ACCESS_TOKEN"],
                account=account,
                app_secret=known.get("META_APP_SECRET"),
                # Meta counts those of each account.
                pace=self._pace(),
            )
        if platform is Platform.GOOGLE:
            from audience_pipeline.platforms.google import GoogleClient

            return GoogleClient(
                base_url=self.base_url,
                access_token=known.get("GOOGLE_ACCESS_TOKEN"),
                account=account,
                login_account=self.login_account or None,
                client_id=known.get("GOOGLE_CLIENT_ID"),
                client_secret=known.get("GOOGLE_CLIENT_SECRET"),
                refresh_token=known.get("GOOGLE_REFRESH_TOKEN"),
                ads_base_url=self.ads_base_url or None,
                pace=together,
            )
        from audience_pipeline.platforms.tiktok import TikTokClient

        return TikTokClient(
            base_url=self.base_url,
            access_token=known["TIKTOK_ACCESS_TOKEN"],
            account=account,
            pace=together,
        )

    def _credentials(self) -> Mapping[str, str]:
        """Every credential that is set, by the name of its variable; the environment wins over the file."""
        from audience_pipeline.platforms.secrets import SecretsError, read_secrets

        try:
            return read_secrets(Path(self.secrets), os.environ)
        except SecretsError as error:
            raise NotConfiguredError(str(error)) from None

    def __repr__(self) -> str:
        return f"PlatformResource({self.platform})"


def can_be_told(platform: Platform, settings: Settings) -> bool:
    """Whether a platform has an account and credentials that can be read."""
    try:
        return PlatformResource.of(platform, settings).missing() is None
    except NotConfiguredError:
        return False
