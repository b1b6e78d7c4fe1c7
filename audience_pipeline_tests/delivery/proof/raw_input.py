"""Invented people, what they typed, what they said, and which audiences want them: the raw input, by seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from random import Random
from typing import Any

from audience_pipeline_tests.delivery.proof.spelled import CALLING, PLATFORMS, Contact

FIRST = ("Ann", "Zoë", "Bo-Lee", "Jürgen", "Maël", "O'Neil", "Li", "Søren", "Ida", "Noah")
LAST = ("Smith", "Müller", "Van Dyk", "D'Arc", "Núñez", "Brown", "Weiß", "Le Roy", "Park", "Høy")
COUNTRIES = ("US", "DE", "GB", "FR")
NAMES = {"US": "United States", "DE": "Germany", "GB": "United Kingdom", "FR": "France"}
POSTAL = {"US": "94045", "DE": "10115", "GB": "SW1A 1AA", "FR": "75001"}
UNUSABLE_EMAILS = ("test@test.com", "na@na.na", "none", "ann.example.com", "")
UNUSABLE_PHONES = ("0000000000", "n/a", "", "1234567890")
DOMAINS = ("gmail.com", "example.com", "outlook.com", "googlemail.com", "mail.example.org")


@dataclass(frozen=True)
class Person:
    """Who somebody is, before it is typed. The same for every seed: one population serves all."""

    number: int

    @property
    def customer_id(self) -> str:
        """The shop's id."""
        return f"C{self.number:05}"

    @property
    def country(self) -> str:
        """ISO2."""
        return COUNTRIES[self.number // 2 % 4]

    def email(self, variant: int = 0) -> str:
        """The address; another variant is another address."""
        moved = f"-moved{variant}" if variant else ""
        return f"person.{self.number}{moved}@{DOMAINS[self.number % len(DOMAINS)]}"

    def national(self, home: int, variant: int = 0) -> str:
        """The number without country code and trunk zero; people of one ``home`` share it."""
        line = f"{(home * 7919 + variant * 104_729) % 1_000_000:06}"
        return {
            "US": f"212{2 + home % 8}{line}",
            "DE": f"1512{1 + home % 9}{line}",
            "GB": f"7400{line}",
            "FR": f"612{line}",
        }[COUNTRIES[home // 2 % 4]]

    @property
    def name(self) -> tuple[str, str]:
        """First and last name, unique together with the number spelled in letters."""
        spelled = "".join("abcdefghij"[int(digit)] for digit in str(self.number))
        return f"{FIRST[self.number % 10]}{spelled}", LAST[self.number // 10 % 10]


@dataclass
class RawInput:
    """Everything that is known, as raw as it came. Product and proof both read ``as_dict``."""

    audiences: tuple[str, ...]
    contacts: dict[str, Contact] = field(default_factory=dict)
    former: list[tuple[str, Contact]] = field(default_factory=list)
    """What people had typed before they typed something else."""
    statements: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Customer, ``granted`` or ``denied``, and the platform that it is about, or None for all."""
    members: dict[str, set[str]] = field(default_factory=dict)
    holdouts: dict[str, set[str]] = field(default_factory=dict)
    retired: set[str] = field(default_factory=set)
    """Audiences that no definition asks for any more."""

    def as_dict(self) -> dict[str, Any]:
        """In plain values, sorted."""
        return {
            "contacts": [{"customer_id": who, **asdict(one)} for who, one in sorted(self.contacts.items())],
            "former": [{"customer_id": who, **asdict(one)} for who, one in self.former],
            "statements": [list(one) for one in self.statements],
            "audiences": [
                {
                    "name": name,
                    "retired": name in self.retired,
                    "members": sorted(self.members[name]),
                    "holdout": sorted(self.holdouts[name]),
                }
                for name in self.audiences
            ],
        }


class Invention:
    """Makes a raw input and lets days pass in it; all of it follows from ``chance``."""

    def __init__(self, chance: Random, people: int, audiences: int, sizes: tuple[int, int]) -> None:
        self.chance = chance
        self.sizes = sizes
        self.known = RawInput(tuple(f"audience_{number}" for number in range(audiences)))
        self.persons = [Person(number) for number in range(people)]
        self._moves: dict[int, int] = {}
        self._homes = {
            one.number: one.number - one.number % 2 if chance.random() < 0.3 else one.number
            for one in self.persons
        }
        self._mailboxes = {
            number: home if chance.random() < 0.3 else number for number, home in self._homes.items()
        }
        self._styles = {one.number: chance.random() for one in self.persons}
        for person in self.persons:
            self.known.contacts[person.customer_id] = self._typed(person)
            if chance.random() < 0.93:
                self.known.statements.append((person.customer_id, "granted", None))
        for name in self.known.audiences:
            self.known.members[name] = set()
            self.known.holdouts[name] = {one.customer_id for one in self.persons if chance.random() < 0.05}
            self._resize(name)

    def day(self) -> None:
        """A day passes: audiences grow and shrink, people move, opt out, come back."""
        chance = self.chance
        for name in self.known.audiences:
            if chance.random() < 0.8:
                self._resize(name)
        self._move(max(1, len(self.persons) // 40))
        self.opt_out(chance.randint(0, 3))
        if chance.random() < 0.2 and self.denied():
            self.known.statements.append((chance.choice(self.denied()), "granted", None))
        if chance.random() < 0.1:
            name = chance.choice(self.known.audiences)
            self.known.retired ^= {name}

    def ordinary_day(self) -> None:
        """A day on which one in a hundred comes and one goes, one in five hundred moves, and two opt out."""
        chance = self.chance
        for there in self.known.members.values():
            few = max(1, len(there) // 100)
            outside = sorted({one.customer_id for one in self.persons} - there)
            there.difference_update(chance.sample(sorted(there), few))
            there.update(chance.sample(outside, min(few, len(outside))))
        self._move(max(1, len(self.persons) // 500))
        self.opt_out(2)

    def opt_out(self, people: int) -> None:
        """Some people opt out, mostly members, and one in four from one platform alone."""
        everybody = sorted(set().union(*self.known.members.values()))
        for who in self.chance.sample(everybody, min(people, len(everybody))):
            where = self.chance.choice(PLATFORMS) if self.chance.random() < 0.25 else None
            self.known.statements.append((who, "denied", where))

    def denied(self) -> list[str]:
        """Those whose last word was no."""
        last = {who: word for who, word, _ in self.known.statements}
        return sorted(who for who, word in last.items() if word == "denied")

    def _move(self, people: int) -> None:
        """Some people type other contacts than before."""
        for person in self.chance.sample(self.persons, people):
            self._moves[person.number] = self._moves.get(person.number, 0) + 1
            self.known.former.append((person.customer_id, self.known.contacts[person.customer_id]))
            self.known.contacts[person.customer_id] = self._typed(person)

    def _resize(self, name: str) -> None:
        low, high = self.sizes
        there, chance = self.known.members[name], self.chance
        wanted = chance.randint(low, high)
        leaving = chance.sample(sorted(there), min(len(there), max(len(there) - wanted, len(there) // 20)))
        there.difference_update(leaving)
        outside = sorted({one.customer_id for one in self.persons} - there)
        there.update(chance.sample(outside, min(len(outside), max(wanted - len(there), 0))))

    def _typed(self, person: Person) -> Contact:
        """What the person types into a form today."""
        chance, style = self.chance, self._styles[person.number]
        moves = self._moves.get(person.number, 0)
        first, last = person.name
        home = Person(self._homes[person.number])
        contact = Contact(
            email=messy_email(chance, Person(self._mailboxes[person.number]).email(moves)),
            phone=messy_phone(chance, home.country, home.national(home.number)),
            first_name=chance.choice((first, first.upper(), f" {first}")),
            last_name=chance.choice((last, last.lower(), f"{last}\t")),
            country=chance.choice((person.country, person.country.lower(), NAMES[person.country])),
            postal_code=chance.choice((POSTAL[person.country], f" {POSTAL[person.country]}")),
        )
        if style < 0.05:
            return replace(contact, email=chance.choice(UNUSABLE_EMAILS), phone=None)
        if style < 0.15:
            return replace(contact, email=None)
        if style < 0.35:
            return replace(contact, phone=chance.choice((None, *UNUSABLE_PHONES)))
        if style < 0.45:
            return replace(contact, country=None, postal_code=None)
        if style < 0.48:
            return replace(contact, first_name=None)
        return contact


def messy_email(chance: Random, email: str) -> str:
    """An address as people type it."""
    local, _, domain = email.partition("@")
    ways: Sequence[str] = (
        email,
        email.upper(),
        f"  {email} ",
        f"{email}\n",
        f"\u00a0{email.title()}\u200b",
        f"{local}+news@{domain}",
        f"{local.replace('.', '')}@{domain}" if "gmail" in domain or "googlemail" in domain else email,
    )
    return chance.choice(ways)


def messy_phone(chance: Random, country: str, national: str) -> str:
    """A telephone number as people type it; the last two ways need the country of the form."""
    code = CALLING[country]
    spaced = f"{national[:3]} {national[3:6]}-{national[6:]}"
    trunk = "" if country == "US" else "0"
    ways: Sequence[str] = (
        f"+{code}{national}",
        f"+{code} {spaced}",
        f"00{code}{national}",
        f"+{code} (0) {national}" if trunk else f"+1 ({national[:3]}) {national[3:]}",
        f"{trunk}{national}",
        f"{trunk}{spaced}",
    )
    return chance.choice(ways)
