"""Who may be advertised to, worked out anew: the last word of each account, and of a customer's the no."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

PURPOSES = ("advertising", "personalisation")
ASKED = {"meta": PURPOSES[:1], "google": PURPOSES, "tiktok": PURPOSES[:1]}
"""What a platform is told that people have agreed to."""
SILENCE_IS_YES = {"US"}
"""Of the countries of the shop, the only one where silence means yes, and where a browser may object."""
EVERYWHERE = ""


@dataclass(frozen=True)
class Statement:
    """Somebody said something; a platform that is empty means all of them."""

    at: str
    speaker: str
    purpose: str
    platform: str
    status: str


@dataclass(frozen=True)
class Consent:
    """What all statements together mean."""

    statements: tuple[Statement, ...]
    customer_of: Mapping[str, str]
    countries: Mapping[str, frozenset[str]]
    """Of each customer where a country is known."""

    def agrees(self, customer: str, platform: str) -> bool:
        """Who said yes, or nothing where that is a yes."""
        silent = self.countries.get(customer, frozenset()) <= SILENCE_IS_YES and customer in self.countries
        return not self.denies(customer, platform) and all(
            silent or True in self._words(purpose, platform).get(customer, ()) for purpose in ASKED[platform]
        )

    def denies(self, customer: str, platform: str) -> bool:
        """Whether somebody said no to something that the platform is told they agreed to."""
        return any(self.said_no(customer, purpose, platform) for purpose in ASKED[platform])

    def said_no(self, customer: str, purpose: str, platform: str = EVERYWHERE) -> bool:
        """Whether the last word of one of somebody's accounts is a no, there or everywhere."""
        return customer in self.erased or any(
            False in self._words(purpose, place).get(customer, ()) for place in {EVERYWHERE, platform}
        )

    @cached_property
    def erased(self) -> frozenset[str]:
        return frozenset(
            self._customer(statement.speaker) for statement in self.statements if statement.status == "erase"
        )

    def _words(self, purpose: str, platform: str) -> Mapping[str, set[bool]]:
        """Customer to the last words of its accounts; a word for everywhere is one for each place."""
        if (purpose, platform) not in self._known:
            last: dict[str, bool] = {}
            # Of two statements at the same time the no is the last one.
            for said in sorted(self.statements, key=lambda said: (said.at, said.status != "granted")):
                if said.purpose == purpose and said.platform in {EVERYWHERE, platform}:
                    last[said.speaker] = said.status == "granted"
            words: dict[str, set[bool]] = defaultdict(set)
            for speaker, word in last.items():
                words[self._customer(speaker)].add(word)
            self._known[purpose, platform] = words
        return self._known[purpose, platform]

    @cached_property
    def _known(self) -> dict[tuple[str, str], Mapping[str, set[bool]]]:
        return {}

    def _customer(self, speaker: str) -> str:
        return self.customer_of.get(speaker, speaker)
