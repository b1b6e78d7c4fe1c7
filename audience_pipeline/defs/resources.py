"""What assets reach the outside world through: the ledger and the platforms."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import dagster as dg

from audience_pipeline.ledger.database import Ledger
from audience_pipeline.platforms.contract import AudienceClient, Platform
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
    """A platform has no account or token; the message names the variables to set."""


class PlatformResource(dg.ConfigurableResource[None]):
    """One ad account. The token is read from the environment when a run needs it and is held nowhere."""

    platform: str
    base_url: str
    account: str
    login_account: str = ""
    sandbox_only: bool = False

    @classmethod
    def of(cls, platform: Platform, settings: Settings) -> "PlatformResource":
        """The resource of one platform's section of the settings."""
        account: Account = getattr(settings.config.platforms, platform.value)
        return cls(
            sandbox_only=settings.config.platforms.sandbox_only,
            platform=platform.value,
            base_url=account.base_url,
            account=account.account,
            login_account=account.login_account,
        )

    def client(self) -> AudienceClient:
        """A client with its credentials.

        Raises:
            NotConfiguredError: no account or no token.
        """
        platform = Platform(self.platform)
        if self.sandbox_only and not is_loopback(self.base_url):
            raise NotConfiguredError(
                f"{self.platform}: this workspace is a demo and may only send to the sandbox; "
                "audience-pipeline ui and audience-pipeline audiences sync start it"
            )
        variable = TOKENS[platform]
        token = dg.EnvVar(variable).get_value() or ""
        refresh = dg.EnvVar("GOOGLE_REFRESH_TOKEN").get_value() if platform is Platform.GOOGLE else None
        if not self.account or not (token or refresh):
            raise NotConfiguredError(
                f"{self.platform} is not configured: set platforms.{self.platform}.account in audience.yaml "
                f"and {variable} in the environment"
            )
        if platform is Platform.META:
            from audience_pipeline.platforms.meta import MetaClient

            return MetaClient(
                base_url=self.base_url,
                access_token=token,
                account=self.account,
                app_secret=dg.EnvVar("META_APP_SECRET").get_value(),
            )
        if platform is Platform.GOOGLE:
            from audience_pipeline.platforms.google import GoogleClient

            return GoogleClient(
                base_url=self.base_url,
                access_token=token or None,
                account=self.account,
                login_account=self.login_account or None,
                client_id=dg.EnvVar("GOOGLE_CLIENT_ID").get_value(),
                client_secret=dg.EnvVar("GOOGLE_CLIENT_SECRET").get_value(),
                refresh_token=refresh,
            )
        from audience_pipeline.platforms.tiktok import TikTokClient

        return TikTokClient(base_url=self.base_url, access_token=token, account=self.account)

    def __repr__(self) -> str:
        return f"PlatformResource({self.platform})"
