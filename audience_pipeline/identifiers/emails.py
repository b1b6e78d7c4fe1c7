"""E-mail addresses: one parse, three spellings (Meta keeps, Google reduces Gmail, TikTok cuts the tag)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Literal

from audience_pipeline.identifiers.text import BLANK, lowered

DomainKind = Literal["free", "business", "disposable"]

_FORBIDDEN = re.compile(r"[\"(),:;<>\[\]\\\x00-\x1f\x7f]")
_DOMAIN = re.compile(r"[^\W_](?:[\w-]*[^\W_])?(?:\.[^\W_](?:[\w-]*[^\W_])?)+")
GMAIL = frozenset({"gmail.com", "googlemail.com"})
PLACEHOLDER_WORDS = frozenset({
    "a", "abc", "asdf", "dummy", "email", "fake", "n", "na", "nil", "no", "nobody", "noemail", "nomail",
    "none", "noone", "null", "qwerty", "test", "tester", "undefined", "unknown", "x", "xx", "xxx", "xyz",
})  # fmt: skip
PLACEHOLDER_LOCALS = frozenset({"noemail", "no-email", "no_email", "no.email", "nomail", "no-mail"})


@dataclass(frozen=True, slots=True)
class Email:
    """An address that may be used, lower-cased. Its parts never show in a message."""

    local: str = field(repr=False)
    domain: str = field(repr=False)

    @property
    def meta(self) -> str:
        """Dots and tag kept, everywhere."""
        return f"{self.local}@{self.domain}"

    @property
    def google(self) -> str | None:
        """Only Gmail addresses lose their tag and dots; the domain stays as written."""
        if self.domain not in GMAIL:
            return self.meta
        local = self.local.partition("+")[0].replace(".", "")
        return f"{local}@{self.domain}" if local else None

    @property
    def tiktok(self) -> str | None:
        """The tag is cut for every domain; dots stay."""
        local = self.local.partition("+")[0]
        return f"{local}@{self.domain}" if local else None

    @property
    def domain_kind(self) -> DomainKind:
        """Who runs the mailbox: a provider for everybody, a throw-away service, or else a business."""
        return known_domains().get(self.domain, "business")


def parse(value: str) -> Email | None:
    """The address in a raw value, or None when it is none or a placeholder such as ``na@na.na``."""
    local, separator, domain = lowered(value).partition("@")
    if not separator or not local.strip(".") or "@" in domain or _DOMAIN.fullmatch(domain) is None:
        return None
    if BLANK.search(local) or _FORBIDDEN.search(local) or _is_placeholder(local, domain):
        return None
    return Email(local, domain)


def _is_placeholder(local: str, domain: str) -> bool:
    base = local.partition("+")[0]
    return base in PLACEHOLDER_LOCALS or (base in PLACEHOLDER_WORDS and domain.partition(".")[0] == base)


@lru_cache(maxsize=1)
def known_domains() -> dict[str, DomainKind]:
    """Domains that are no business, and what they are."""
    table = resources.files("audience_pipeline.identifiers").joinpath("email_domains.csv").read_text("utf-8")
    rows = (line.split(",") for line in table.splitlines()[1:])
    return {domain: "free" if kind == "free" else "disposable" for domain, kind in rows}
