"""What keeps secrets and people out of messages, and credentials on connections that nobody can read."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from audience_pipeline.platforms.contract import Platform, TerminalPlatformError

_PERSONAL = re.compile(r"[0-9a-fA-F]{32,}|[^\s@\"']+@[^\s@\"']+|\+[0-9][0-9 ().-]{6,}")


def safe_text(text: object, secrets: tuple[str, ...] = ()) -> str:
    """At most 300 characters of a text, without secrets, hashes, e-mail addresses and phone numbers."""
    plain = " ".join(str(text).split())
    for secret in secrets:
        plain = plain.replace(secret, "***") if secret else plain
    return _PERSONAL.sub("***", plain)[:300]


def checked_url(platform: Platform, base_url: str) -> str:
    """A base URL that credentials may be sent to, without a slash at its end.

    Raises:
        TerminalPlatformError: it is not TLS and not loopback, or holds credentials or a query.
    """
    parts = urlsplit(base_url)
    if parts.username or parts.password or parts.query:
        raise TerminalPlatformError(platform, "the base URL must hold no credentials and no query")
    if parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(base_url))):
        return base_url.rstrip("/")
    raise TerminalPlatformError(
        platform,
        f"base URL {base_url!r} is not TLS: use https, or http to a loopback address for the sandbox",
    )


def is_loopback(url: str) -> bool:
    """Whether a URL stays on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
