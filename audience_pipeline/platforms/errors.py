"""How a platform says no. The one question asked of an error is what may be tried again."""

from __future__ import annotations

from collections.abc import Mapping

from audience_pipeline.platforms.capabilities import Platform


def ended(message: object) -> str:
    """A message as a sentence that another one may follow."""
    text = str(message).rstrip()
    return text if text.endswith((".", "!", "?")) or not text else f"{text}."


class PlatformError(Exception):
    """A platform refused or could not be reached. The message names thing and remedy, never a person."""

    stops = False
    """True when nothing else can be sent to this account in this run either: the client refuses at once."""

    def __init__(self, platform: Platform, message: str, *, code: str = "", trace_id: str = "") -> None:
        super().__init__(f"{platform.value}: {message}")
        self.platform = platform
        self.code = code
        self.trace_id = trace_id


class TransientPlatformError(PlatformError):
    """It may work later: throttled, overloaded, connection lost. ``retry_after`` in seconds, if known."""

    def __init__(
        self,
        platform: Platform,
        message: str,
        *,
        code: str = "",
        trace_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(platform, message, code=code, trace_id=trace_id)
        self.retry_after = retry_after


class QuotaError(TransientPlatformError):
    """A limit holds for longer than a run waits. The message says until when; the next run goes on."""

    stops = True


class TerminalPlatformError(PlatformError):
    """It will not work until somebody changes something."""


class MembersRefusedError(TerminalPlatformError):
    """A whole batch was refused because of people in it; nobody of it was processed.

    ``positions`` holds the position in the batch and the reason of those whom the platform names. Without
    any, the batch is to be halved until the bad rows stand alone.
    """

    def __init__(
        self,
        platform: Platform,
        message: str,
        *,
        positions: Mapping[int, str],
        code: str = "",
        trace_id: str = "",
    ) -> None:
        super().__init__(platform, message, code=code, trace_id=trace_id)
        self.positions = positions


class TooFewLeftError(TerminalPlatformError):
    """A removal would leave too few people in the audience: nobody was removed."""


class CredentialError(TerminalPlatformError):
    """The token is missing, wrong or revoked: nothing more is sent to this platform."""

    stops = True
