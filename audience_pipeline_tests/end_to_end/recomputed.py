"""What the demo should have sent, worked out anew from its input files in plain Python, without our code."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path

from audience_pipeline_tests.end_to_end.one_customer import Said, Tie, customers, is_browser
from audience_pipeline_tests.end_to_end.raw_files import (
    FILES,
    PLATFORMS,
    digest,
    email_for,
    phone_digits,
    rows,
)
from audience_pipeline_tests.end_to_end.recomputed_consent import (
    PURPOSES,
    SILENCE_IS_YES,
    Consent,
    Statement,
)


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
class Record:
    """A row of a file, and the account, address or browser that it names."""

    kind: str
    row: Mapping[str, str]
    source: str
    said: Said
    email: str | None
    """As Meta writes it."""
    phone: str | None


@dataclass(frozen=True)
class Input:
    """The input files of a demo."""

    folder: Path
    as_of: date
    phones_in_service: frozenset[str]
    """Every number that exists, as digits: which typed numbers are none is for the files' maker to say."""
    competitors: frozenset[str]
    """Domains of e-mail addresses of people who get nothing."""

    @cached_property
    def records(self) -> tuple[Record, ...]:
        return tuple(self._read())

    def _read(self) -> Iterator[Record]:
        for place, (kind, name) in enumerate(FILES.items()):
            for line, row in enumerate(rows(self.folder / name), start=2):
                email = email_for("meta", row.get("email") or "")
                country = row.get("country", "").strip().upper()
                typed = row.get("phone") or ""
                number = phone_digits(typed, country) if country or typed.startswith("+") else None
                number = number if number in self.phones_in_service else None
                source = (
                    row["customer_id"]
                    or (f"loyalty:{row['loyalty_id']}" if row.get("loyalty_id") and kind != "web" else "")
                    or (f"email:{digest(email)[:32]}" if email and kind != "consent" else "")
                    or (f"anonymous:{row['anonymous_id']}" if kind == "web" else "")
                )
                day = next(
                    row[name] for name in ("updated_at", "event_at", "transaction_date") if name in row
                )
                yield Record(kind, row, source, (place, day[:10], line), email, number)

    def of(self, kind: str) -> Iterable[Record]:
        return (record for record in self.records if record.kind == kind)

    @cached_property
    def first_names(self) -> dict[str, str]:
        """The name that was said last of each account."""
        return {
            record.source: name
            for record in sorted(self.of("crm"), key=lambda record: record.row["updated_at"])
            if (name := record.row["first_name"].strip().lower())
        }

    @cached_property
    def customer_of(self) -> dict[str, str]:
        first: dict[str, Said] = {}
        for record in self._usable():
            first[record.source] = min(first.get(record.source, record.said), record.said)
        return customers(first, self._ties(), self.first_names)

    def _usable(self) -> Iterator[Record]:
        for record in self.records:
            if record.source and (record.kind != "transactions" or bought(record.row)):
                yield record

    def _ties(self) -> Iterator[Tie]:
        names = {"loyalty_id": "loyalty", "anonymous_id": "anonymous", "click_id": "click"}
        for record in self._usable():
            hashed = {"email": record.email, "phone": record.phone}
            values = {kind: digest(text)[:32] for kind, text in hashed.items() if text}
            values |= {kind: text for name, kind in names.items() if (text := record.row.get(name))}
            for kind, value in values.items():
                yield Tie(record.source, kind, value, record.said)

    @cached_property
    def people(self) -> dict[str, Person]:
        people: dict[str, Person] = defaultdict(Person)
        for record in sorted(self.of("crm"), key=lambda record: record.row["updated_at"]):
            row, person = record.row, people[self.customer_of[record.source]]
            person.country = row["country"].strip().upper() or person.country
            for name in ("first_name", "last_name", "postal_code"):
                setattr(person, name, row[name].strip().lower() or getattr(person, name))
            person.emails.append(row["email"])
            if record.phone:
                person.phones.append(record.phone)
        return people

    @cached_property
    def lines(self) -> dict[str, list[tuple[date, Decimal]]]:
        """Per customer the days and amounts of all lines that are no nonsense."""
        lines: dict[str, list[tuple[date, Decimal]]] = defaultdict(list)
        for record in self.of("transactions"):
            if record.source and (line := bought(record.row)):
                lines[self.customer_of[record.source]].append(line)
        return lines

    def ordered(self, days: int) -> set[str]:
        """Who bought something on one of the last days, today included."""
        since = self.as_of - timedelta(days=days)
        return {
            customer
            for customer, lines in self.lines.items()
            if any(day > since and amount > 0 for day, amount in lines)
        }

    def first_ordered(self, days: int) -> set[str]:
        """Who did so for the first time, and has not returned everything."""
        since = self.as_of - timedelta(days=days)
        firsts = {
            customer: min((day for day, amount in lines if amount > 0), default=None)
            for customer, lines in self.lines.items()
        }
        return {
            customer
            for customer, first in firsts.items()
            if first is not None
            and first > since
            and sum(amount for day, amount in self.lines[customer] if day >= first) > 0
        }

    def did(self, event: str, days: int, at_least: int = 1) -> set[str]:
        """Who did something in the last days, in whichever browser, under whichever address."""
        since = (self.as_of - timedelta(days=days)).isoformat()
        counts = Counter(
            self.customer_of.get(record.source)
            for record in self.records
            if record.row.get("event") == event and record.row["event_at"][:10] > since
        )
        return {customer for customer, times in counts.items() if customer and times >= at_least}

    @cached_property
    def members(self) -> dict[str, set[str]]:
        """Of the audiences whose rules can be followed without a model."""
        rivals = {
            customer
            for customer, person in self.people.items()
            if (person.email("meta") or "").rpartition("@")[2] in self.competitors
        }
        carts = self.did("add_to_cart", 7) - self.did("purchase", 7) - self.ordered(7)
        readers = self.did("email_open", 30, at_least=2) | self.did("email_click", 30)
        return {
            "recent_converters": self.ordered(30),
            "new_customers": self.first_ordered(60) - rivals,
            "cart_abandoners": carts - rivals,
            "engaged_newsletter_readers": readers - self.ordered(60) - self.did("unsubscribe", 30) - rivals,
        }

    @cached_property
    def signals(self) -> set[str]:
        """Whose browser asks not to be followed, where that counts."""
        sending = {
            self.customer_of.get(record.source) for record in self.of("web") if record.row["gpc"] == "true"
        }
        return {one for one in sending if one and self.countries.get(one, SILENCE_IS_YES) & SILENCE_IS_YES}

    @cached_property
    def countries(self) -> dict[str, frozenset[str]]:
        """Where the accounts of each customer are, as they said last."""
        last = {
            record.source: country
            for record in sorted(self.of("crm"), key=lambda record: record.row["updated_at"])
            if (country := record.row["country"].strip().upper())
        }
        found: dict[str, set[str]] = defaultdict(set)
        for source, country in last.items():
            found[self.customer_of[source]].add(country)
        return {customer: frozenset(there) for customer, there in found.items()}

    @cached_property
    def consent(self) -> Consent:
        return Consent(tuple(self._statements()), self.customer_of, self.countries)

    def _statements(self) -> Iterator[Statement]:
        had: dict[str, set[str]] = defaultdict(set)
        for record in self.records:
            for text in (record.email, record.phone):
                if text and record.source:
                    had[text].add(record.source)
        for record in self.of("consent"):
            # An address speaks for everybody who ever had it.
            by_address = {source for text in (record.email, record.phone) if text for source in had[text]}
            for speaker in {record.source} if record.source else by_address:
                row = record.row
                yield Statement(row["event_at"], speaker, row["purpose"], row["platform"], row["status"])
        for record in self.of("web"):
            customer = self.customer_of.get(record.source)
            if record.row["gpc"] == "true" and customer in self.signals:
                speaker = customer if is_browser(record.source) else record.source
                for purpose in PURPOSES:
                    yield Statement(record.row["event_at"], speaker, purpose, "", "denied")

    @cached_property
    def opted_out(self) -> set[str]:
        return {one for one in self.customer_of.values() if self.consent.said_no(one, "advertising")}

    @cached_property
    def denied_addresses(self) -> dict[str, frozenset[str]]:
        """Per platform the hashes of all addresses and numbers, of any time, of everybody who said no."""
        return {
            platform: frozenset(
                digest(text)
                for record in self.records
                if record.kind in {"crm", "engagement"} and record.source
                if self.consent.denies(self.customer_of[record.source], platform)
                for text in self._written(record, platform)
            )
            for platform in PLATFORMS
        }

    def _written(self, record: Record, platform: str) -> Iterator[str]:
        """The address and the number of a row, as a platform hashes them."""
        if email := email_for(platform, record.row.get("email") or ""):
            yield email
        if record.phone:
            yield f"{'+' if platform == 'google' else ''}{record.phone}"

    def may_be_sent(self, customer: str, platform: str) -> bool:
        """Who agrees; unless somebody at the same address said no."""
        return (
            self.consent.agrees(customer, platform)
            and not self.addresses(customer, platform) & self.denied_addresses[platform]
        )

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


def bought(row: Mapping[str, str]) -> tuple[date, Decimal] | None:
    """Day and amount of a line; None where it is nonsense."""
    try:
        day = datetime.strptime(row["transaction_date"], "%Y-%m-%d %H:%M:%S").date()
        amount = Decimal(row["transaction_amount"])
    except (ValueError, InvalidOperation):
        return None
    return (day, amount) if amount.is_finite() else None
