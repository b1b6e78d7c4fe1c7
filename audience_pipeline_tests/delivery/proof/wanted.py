"""Who should be where, from the raw input alone: the product's code is not used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from audience_pipeline_tests.delivery.proof.spelled import PLATFORMS, Contact, of_record, spell

Rows = frozenset[tuple[str, ...]]


@dataclass(frozen=True)
class Audience:
    """What one audience should be on one platform."""

    sent: Mapping[str, tuple[str, ...]] = field(repr=False)
    """Customer to the hashes that are sent."""

    @property
    def customers(self) -> frozenset[str]:
        """Everybody who should be there."""
        return frozenset(self.sent)

    @property
    def rows(self) -> Rows:
        """Everybody's hashes: two people of whom the same is known are one row."""
        return frozenset(self.sent.values())


@dataclass(frozen=True)
class Wanted:
    """What everything should be."""

    audiences: Mapping[tuple[str, str], Audience]
    """By platform and name."""
    forbidden: Mapping[str, Mapping[str, frozenset[str]]] = field(repr=False)
    """Platform to customer who opted out there, to every hash that ever named them."""


def wanted(raw: Mapping[str, Any]) -> Wanted:
    """Work it out from a raw input as ``RawInput.as_dict`` makes it."""
    now = {one["customer_id"]: of_record(one) for one in raw["contacts"]}
    ever: dict[str, list[Contact]] = {who: [contact] for who, contact in now.items()}
    for one in raw["former"]:
        ever[one["customer_id"]].append(of_record(one))
    audiences, forbidden = {}, {}
    for platform in PLATFORMS:
        agreed, denied = _said(raw["statements"], platform)
        known = {who: spell(contact, platform) for who, contact in now.items()}
        names = {
            who: frozenset(hashed for contact in ever[who] for hashed in spell(contact, platform).naming)
            for who in denied
        }
        taboo = frozenset().union(*names.values()) | _meta_names(ever, denied)
        free = {
            who
            for who in agreed - denied
            if known[who].reachable
            and taboo.isdisjoint(known[who].naming)
            and taboo.isdisjoint(spell(now[who], "meta").naming)
        }
        forbidden[platform] = names
        for audience in raw["audiences"]:
            members = set(audience["members"]) - set(audience["holdout"])
            there = set() if audience["retired"] else members & free
            audiences[platform, audience["name"]] = Audience({who: known[who].row for who in sorted(there)})
    return Wanted(audiences, forbidden)


def _meta_names(ever: Mapping[str, list[Contact]], people: set[str]) -> frozenset[str]:
    """An address is the same person's everywhere, however a platform spells it."""
    return frozenset(
        hashed for who in people for contact in ever[who] for hashed in spell(contact, "meta").naming
    )


def _said(statements: list[list[str | None]], platform: str) -> tuple[set[str], set[str]]:
    """Who agreed to be on a platform, and who said no to it; the last word counts."""
    agreed: set[str] = set()
    denied: set[str] = set()
    for who, word, where in statements:
        if who is None or where not in {None, platform}:
            continue
        if word == "granted":
            agreed.add(who)
            denied.discard(who)
        else:
            denied.add(who)
    return agreed, denied
