"""What the demo should have sent, worked out anew from its input files: plain Python, none of our own code.

It knows only what the platforms say of identifiers: how an address is written for each platform, that
the last word on advertising counts, that silence means no in Europe.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cached_property
from hashlib import sha256
from pathlib import Path

PLATFORMS = ("meta", "google", "tiktok")
DIALLING = {
    "DE": "49",
    "AT": "43",
    "FR": "33",
    "US": "1",
    "NL": "31",
    "ES": "34",
    "GB": "44",
    "IT": "39",
    "CH": "41",
}
NO_TRUNK_ZERO = {"IT", "ES", "US"}
FREE_OF_CONSENT = {"US"}
"""Of the countries of the synthetic shop, the only one where silence means yes."""
PLACEHOLDERS = {"test@test.com", "noemail@noemail.com", "na@na.na", "1234567890", "see email"}


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def email_for(platform: str, typed: str) -> str | None:
    """An address as a platform hashes it; None when it is none."""
    text = typed.strip().lower()
    if text in PLACEHOLDERS or not re.fullmatch(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+", text):
        return None
    local, _, domain = text.partition("@")
    if platform == "tiktok" or (platform == "google" and domain in {"gmail.com", "googlemail.com"}):
        local = local.partition("+")[0]
    if platform == "google" and domain in {"gmail.com", "googlemail.com"}:
        local = local.replace(".", "")
    return f"{local}@{domain}"


def phone_digits(typed: str, country: str) -> str | None:
    """A number with its country code and no plus; None when it is none."""
    text = typed.strip()
    if text in PLACEHOLDERS or not re.search(r"\d", text):
        return None
    digits = re.sub(r"\D", "", text.replace("(0)", ""))
    if text.startswith("+"):
        return digits
    if digits.startswith("00"):
        return digits[2:]
    code = DIALLING[country]
    return code + (digits if country in NO_TRUNK_ZERO else digits.removeprefix("0"))


def rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


@dataclass
class Person:
    """What is known of one customer."""

    emails: list[str] = field(default_factory=list)
    """As typed, the latest last."""
    phones: list[str] = field(default_factory=list)
    country: str = ""
    first_name: str = ""
    last_name: str = ""
    postal_code: str = ""

    def email(self, platform: str) -> str | None:
        usable = [written for typed in self.emails if (written := email_for(platform, typed))]
        return usable[-1] if usable else None


@dataclass(frozen=True)
class Input:
    """The input files of a demo."""

    folder: Path
    as_of: date
    phones_in_service: frozenset[str]
    """Every number that exists, as digits: which typed numbers are none is for the files' maker to say."""

    @cached_property
    def people(self) -> dict[str, Person]:
        people: dict[str, Person] = defaultdict(Person)
        for row in sorted(rows(self.folder / "crm.csv"), key=lambda row: row["updated_at"]):
            # who opened a second account is the same person
            owner = row["customer_id"].removesuffix("-2") or self._reader(row)
            if owner is None:
                continue
            person = people[owner]
            country = row["country"].strip().upper()
            person.country = country or person.country
            for name in ("first_name", "last_name", "postal_code"):
                setattr(person, name, row[name].strip().lower() or getattr(person, name))
            person.emails.append(row["email"])
            number = phone_digits(row["phone"], country) if country else None
            if number in self.phones_in_service:
                person.phones.append(number)
        return people

    def _reader(self, row: dict[str, str]) -> str | None:
        """The customer that a reader of the newsletter, known by an address alone, has become."""
        return self._by_email.get(email_for("meta", row["email"]))

    @cached_property
    def _by_email(self) -> dict[str | None, str]:
        owners: dict[str | None, set[str]] = defaultdict(set)
        for row in rows(self.folder / "crm.csv"):
            if row["customer_id"] and (email := email_for("meta", row["email"])):
                owners[email].add(row["customer_id"].removesuffix("-2"))
        return {email: who.copy().pop() for email, who in owners.items() if len(who) == 1}

    @cached_property
    def orders(self) -> dict[str, list[tuple[date, Decimal]]]:
        """Per customer the days and amounts of all lines that are no nonsense."""
        orders: dict[str, list[tuple[date, Decimal]]] = defaultdict(list)
        for row in rows(self.folder / "transactions.csv"):
            try:
                day = datetime.strptime(row["transaction_date"], "%Y-%m-%d %H:%M:%S").date()
                amount = Decimal(row["transaction_amount"])
            except (ValueError, InvalidOperation):
                continue
            if row["customer_id"] and amount.is_finite():
                orders[row["customer_id"]].append((day, amount))
        return orders

    def bought_within(self, days: int) -> set[str]:
        since = self.as_of - timedelta(days=days)
        return {
            customer
            for customer, lines in self.orders.items()
            if any(day > since and amount > 0 for day, amount in lines)
        }

    def first_bought_within(self, days: int) -> set[str]:
        since = self.as_of - timedelta(days=days)
        firsts = {
            customer: min((day for day, amount in lines if amount > 0), default=None)
            for customer, lines in self.orders.items()
        }
        return {
            customer
            for customer, first in firsts.items()
            if first is not None
            and first > since
            and sum(amount for day, amount in self.orders[customer] if day >= first) > 0
        }

    @cached_property
    def last_words(self) -> dict[tuple[str, str], bool]:
        """(customer, platform) to whether the last word on advertising was a yes; absent after none."""
        return self._words_about("advertising")

    @cached_property
    def personal_words(self) -> dict[tuple[str, str], bool]:
        """The same of personalisation."""
        return self._words_about("personalisation")

    def _words_about(self, purpose: str) -> dict[tuple[str, str], bool]:
        words: dict[tuple[str, str], bool] = {}
        for row in sorted(rows(self.folder / "consent.csv"), key=lambda row: row["event_at"]):
            if row["purpose"] != purpose:
                continue
            for customer in self._meant(row):
                for platform in [row["platform"]] if row["platform"] else [*PLATFORMS, ""]:
                    words[customer, platform] = row["status"] == "granted"
        return words | {
            (customer, platform): False for customer in self.signals for platform in (*PLATFORMS, "")
        }

    @cached_property
    def signals(self) -> set[str]:
        """Whose browser asks not to be followed, where that counts; in the shop nobody agrees afterwards."""
        sending = {row["customer_id"] for row in rows(self.folder / "web_events.csv") if row["gpc"] == "true"}
        return {
            customer for customer in sending & set(self.people) if self.people[customer].country in {"US", ""}
        }

    def _meant(self, row: dict[str, str]) -> set[str]:
        """Whom a statement is about: an address speaks for everybody who ever had it."""
        if row["customer_id"]:
            return {row["customer_id"]}
        email, number = email_for("meta", row["email"]), row["phone"].lstrip("+")
        return {
            customer
            for customer, person in self.people.items()
            if (email and email in {email_for("meta", typed) for typed in person.emails})
            or (number and number in person.phones)
        }

    @cached_property
    def opted_out(self) -> set[str]:
        return {customer for (customer, platform), yes in self.last_words.items() if not yes and not platform}

    def denies(self, customer: str, platform: str) -> bool:
        """Whether somebody's own last word was a no to something that the platform is told they agreed to."""
        asked = [self.last_words, *([self.personal_words] if platform == "google" else [])]
        return not all(words.get((customer, platform), True) for words in asked)

    @cached_property
    def denied_addresses(self) -> dict[str, frozenset[str]]:
        """Per platform the hashes of the addresses and numbers of everybody who said no."""
        return {
            platform: frozenset(
                text
                for customer in self.people
                if self.denies(customer, platform)
                for text in self.addresses(customer, platform)
            )
            for platform in PLATFORMS
        }

    def may_be_sent(self, customer: str, platform: str) -> bool:
        """Who said yes, or nothing where that is a yes; unless somebody at the same address said no."""
        silent = self.people[customer].country in FREE_OF_CONSENT if customer in self.people else False
        agreed = self.last_words.get((customer, platform), silent)
        if platform == "google":
            agreed = agreed and self.personal_words.get((customer, platform), silent)
        return agreed and not self.addresses(customer, platform) & self.denied_addresses[platform]

    def addresses(self, customer: str, platform: str) -> frozenset[str]:
        """The hashes of address and number that a platform would know somebody by."""
        person = self.people.get(customer, Person())
        email = person.email(platform)
        number = person.phones[-1] if person.phones else None
        plus = "+" if platform == "google" else ""
        texts = [*([email] if email else []), *([f"{plus}{number}"] if number else [])]
        return frozenset(digest(text) for text in texts)

    def identifiers(self, customer: str, platform: str) -> frozenset[str]:
        """Those hashes, and for Google (where the place is known) those of the name, too."""
        person = self.people.get(customer, Person())
        place = (person.first_name, person.last_name, person.postal_code, person.country)
        names = (person.first_name, person.last_name.removesuffix(" jr."))
        if platform != "google" or not all(place):
            names = ()
        return self.addresses(customer, platform) | {digest(name) for name in names}
