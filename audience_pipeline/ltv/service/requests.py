"""From the bytes of a request to landed lines of customers, or to what is wrong with it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from audience_pipeline.identifiers import looks_personal, pseudonym, source_ids
from audience_pipeline.ltv.service.limits import Limits
from audience_pipeline.ltv.service.problems import Problem, RefusedError, refused
from audience_pipeline.sources.contract import CONTRACTS, Kind
from audience_pipeline.sources.faults import Fault, reason
from audience_pipeline.sources.options import ReadOptions, ShopFacts
from audience_pipeline.sources.values import free_text, identifier, minor_units, moment, quantity, trimmed

_CONTRACT = CONTRACTS[Kind.TRANSACTIONS]
FIELDS = tuple(name for name in _CONTRACT.names if name not in {"customer_id", "coupon", "loyalty_id"})
"""What a transaction may hold: all that values are predicted from."""
_KNOWN = frozenset(FIELDS)
_TEXTS = ("product_category", "order_id", "channel")
_MOST_PROBLEMS = 20
_MOST_DAYS = 36_500
_SURROGATE = re.compile("[\ud800-\udfff]")
_REMEDIES = {
    "transaction_date": "write it as YYYY-MM-DD, with a time as in 2026-03-31T10:15:00Z if it has one",
    "transaction_amount": "write it with a decimal point, such as 129.90; negative is a return",
    "currency": "write it like EUR, or leave it out",
}

Line = tuple[
    date, datetime | None, int, str | None, str | None, Decimal | None, str | None, str | None, int | None
]
"""A transaction as ``LANDED`` has it after ``customer_id``."""


Place = tuple[str | int, ...]
"""Names and numbers that lead to a value."""


@dataclass(slots=True)
class Customer:
    """One customer of a request."""

    customer_id: str
    """As a file would land it: one that looks personal is a pseudonym."""
    as_of: date
    lines: list[Line] = field(default_factory=list)
    problem: Problem | None = None
    """Why there is nothing to predict from."""
    reasons: bool = False
    """Whether it is asked why as well."""


def parse(body: bytes, limits: Limits, today: date) -> list[Customer]:
    """The customers of a request, in its order.

    Args:
        body: JSON, see the package.
        limits: How many customers and transactions are answered.
        today: In UTC: what ``as_of`` is unless it is given.

    Raises:
        RefusedError: The request cannot be meant; every place is named, no value is told.
    """
    return _Reader(limits, today).read(body)


class _Reader:
    def __init__(self, limits: Limits, today: date) -> None:
        self._limits, self._facts = limits, ShopFacts(today=today)
        self._problems: list[Problem] = []
        self._as_of: date | None = today
        self._observe_days = 0
        self._lines = 0
        self._currencies: set[str] = set()
        self._looked_through: dict[str, dict[str, str | None]] = {name: {} for name in _TEXTS}

    def read(self, body: bytes) -> list[Customer]:
        document = _document(body)
        entries, place = self._entries(document)
        self._dates(document)
        customers = [self._customer(entry, place(number)) for number, entry in enumerate(entries)]
        self._refuse_repeats(customers, place)
        if len(self._currencies) > 1:
            self._add("currency", "the request holds several currencies", "ask for each currency on its own")
        if self._problems:
            raise RefusedError(422, self._problems)
        found = [customer for customer in customers if customer is not None]
        if document.get("reasons"):
            for customer in found:
                customer.reasons = True
        return found

    def _add(self, where: str, why: str, remedy: str) -> None:
        self._problems.append(Problem(where, why, remedy))
        if len(self._problems) >= _MOST_PROBLEMS:
            raise RefusedError(422, self._problems)

    def _entries(self, document: dict[str, Any]) -> tuple[list[Any], Any]:
        alone = "customers" not in document
        allowed = {"as_of", "observe_days", "reasons"} | (
            {"customer_id", "transactions"} if alone else {"customers"}
        )
        if not document.keys() <= allowed:
            self._add("", "a field is not known", f"the fields are {_listed(sorted(allowed))}")
        if not isinstance(document.get("reasons", False), bool):
            self._add("reasons", "neither true nor false", "write true, or leave it out")
        if alone:
            kept = {
                name: value for name, value in document.items() if name in ("customer_id", "transactions")
            }
            return [kept], lambda _number: ""
        entries = document["customers"]
        if not isinstance(entries, list) or not entries:
            raise refused(422, "customers", "not a list with customers in it", "give at least one customer")
        if len(entries) > self._limits.customers:
            raise refused(
                422,
                "customers",
                f"more than {self._limits.customers:,} customers",
                f"send at most {self._limits.customers:,} at once",
            )
        return entries, lambda number: f"customers[{number}]"

    def _dates(self, document: dict[str, Any]) -> None:
        given, days = document.get("as_of"), document.get("observe_days")
        if given is not None and days is not None:
            self._add("observe_days", "as_of is given too", "give one of the two")
        if given is not None:
            day = moment(given, ShopFacts(today=date(2999, 12, 31))) if isinstance(given, str) else None
            if not isinstance(day, tuple) or len(given) != len("2026-09-30"):
                self._add("as_of", "not a day of the calendar", "write it as YYYY-MM-DD, or leave it out")
            else:
                self._as_of = day[0]
        if days is not None:
            if isinstance(days, bool) or not isinstance(days, int) or not 0 <= days <= _MOST_DAYS:
                self._add(
                    "observe_days", f"not a whole number from 0 to {_MOST_DAYS:,}", "give one, such as 30"
                )
            else:
                self._as_of, self._observe_days = None, days

    def _customer(self, entry: Any, place: str) -> Customer | None:
        dot = place and place + "."
        if not isinstance(entry, dict):
            self._add(place, "not an object", "give customer_id and transactions")
            return None
        if not entry.keys() <= {"customer_id", "transactions"}:
            self._add(place, "a field is not known", "the fields are customer_id and transactions")
        given = self._text(entry.get("customer_id"), (f"{dot}customer_id",))
        if given is None:
            self._add(f"{dot}customer_id", "empty", "give the shop's id of the customer")
        transactions = entry.get("transactions")
        if not isinstance(transactions, list):
            self._add(f"{dot}transactions", "not a list", "give a list of transactions")
            return None
        most = self._limits.transactions_each
        self._lines += len(transactions)
        if len(transactions) > most:
            self._add(f"{dot}transactions", f"more than {most:,} transactions", f"send at most {most:,}")
            return None
        if self._lines > self._limits.transactions:
            raise refused(
                422,
                "customers",
                f"more than {self._limits.transactions:,} transactions in one request",
                "send fewer customers at once",
            )
        # As in a file that has the column: where a value is empty, nothing was taken off.
        reduced = any(isinstance(line, dict) and "discount" in line for line in transactions)
        lines = [
            self._line(line, f"{dot}transactions", number, reduced=reduced)
            for number, line in enumerate(transactions)
        ]
        if given is None or None in lines:
            return None
        customer_id = identifier(given)
        if looks_personal(customer_id):
            customer_id = pseudonym(customer_id)
        return self._dated(source_ids.own(customer_id), [line for line in lines if line is not None], place)

    def _dated(self, customer_id: str, lines: list[Line], place: str) -> Customer:
        days = [line[0] for line in lines if line[2] > 0 and (self._as_of is None or line[0] <= self._as_of)]
        if days:
            as_of = self._as_of or min(days) + timedelta(days=self._observe_days)
            return Customer(customer_id, as_of, lines)
        until = "" if self._as_of is None else f" on or before {self._as_of.isoformat()}"
        problem = Problem(
            f"{place}.transactions".lstrip("."),
            f"no order{until}: no amount above 0",
            "give at least one purchase; returns and zero amounts alone are nothing to predict from",
        )
        return Customer(customer_id, self._as_of or self._facts.today, problem=problem)

    def _line(self, line: Any, parent: str, number: int, *, reduced: bool) -> Line | None:
        place = (parent, number)
        if not isinstance(line, dict):
            self._add(_at(place), "not an object", "give transaction_date and transaction_amount")
            return None
        if not line.keys() <= _KNOWN:
            self._add(_at(place), "a field is not known", f"the fields are {_listed(FIELDS)}")
        before = len(self._problems)
        get = line.get
        # Nearly all are plain texts without blanks around them; the others are looked at closely.
        given = get("transaction_date")
        day = moment(given, self._facts) if type(given) is str else None
        if type(day) is not tuple:
            day = self._day(given, place)
        given = get("transaction_amount")
        minor = minor_units(given) if type(given) is str else None
        if type(minor) is not int:
            minor = self._minor(given, place)
        texts: list[str | None] = []
        for name, looked_through in self._looked_through.items():
            given = get(name)
            if given is None:
                texts.append(None)
            elif type(given) is str and given in looked_through:
                texts.append(looked_through[given])
            else:
                texts.append(self._free(name, given, place))
        pieces = self._pieces(line["quantity"], place) if "quantity" in line else None
        currency = self._currency(line["currency"], place) if "currency" in line else None
        discount = self._discount(get("discount"), place) if reduced else None
        if len(self._problems) > before or day is None or minor is None:
            return None
        category, order_id, channel = texts
        return (day[0], day[1], minor, category, order_id, pieces, currency, channel, discount)

    def _day(self, given: Any, place: Place) -> tuple[date, datetime | None] | None:
        text = self._text(given, (*place, "transaction_date"))
        if text is None and given is not None and type(given) is not str:
            return None
        day = Fault.EMPTY if text is None else moment(text, self._facts)
        if isinstance(day, Fault):
            self._fault(day, (*place, "transaction_date"))
            return None
        return day

    def _minor(self, given: Any, place: Place) -> int | None:
        text = self._text(given, (*place, "transaction_amount"), number=True)
        if text is None and given is not None and type(given) is not str:
            return None
        minor = Fault.EMPTY if text is None else minor_units(text)
        if isinstance(minor, Fault):
            self._fault(minor, (*place, "transaction_amount"))
            return None
        return minor

    def _fault(self, fault: Fault, place: Place) -> None:
        name = str(place[-1])
        why = reason(fault, name, Kind.TRANSACTIONS, ReadOptions(), self._facts).partition(": give")[0]
        self._add(_at(place), why, _REMEDIES[name])

    def _free(self, name: str, given: Any, place: Place) -> str | None:
        """A text that is kept as it is; the same one is looked through once."""
        text = self._text(given, (*place, name))
        if text is None:
            return None
        found = free_text(name, text)
        if type(given) is str:
            self._looked_through[name][given] = found
        return found

    def _pieces(self, given: Any, place: Place) -> Decimal | None:
        text = self._text(given, (*place, "quantity"), number=True)
        return None if text is None else quantity(text)

    def _discount(self, given: Any, place: Place) -> int | None:
        """Minor units; None where it is no amount of 0 or more, which is no fault."""
        text = self._text(given, (*place, "discount"), number=True)
        if text is None:
            return 0
        minor = minor_units(text)
        return None if isinstance(minor, Fault) or minor < 0 else minor

    def _currency(self, given: Any, place: Place) -> str | None:
        text = self._text(given, (*place, "currency"))
        if text is None:
            return None
        if len(text) != 3 or not text.isascii() or not text.isalpha():
            self._add(
                _at((*place, "currency")), "not a currency code of three letters", _REMEDIES["currency"]
            )
            return None
        self._currencies.add(text.upper())
        return text.upper()

    def _text(self, given: Any, place: Place, *, number: bool = False) -> str | None:
        """Trimmed; numbers as a JSON file would land them. None where it is empty or at fault."""
        if type(given) is str:
            if not given.isascii() and _SURROGATE.search(given):
                self._add(_at(place), "half of a character", "write it in UTF-8")
                return None
            return trimmed(given)
        if type(given) is int or (number and type(given) is float):
            return repr(given)
        if given is not None:
            self._add(_at(place), "not a text" + (" or number" if number else ""), "write it in quotes")
        return None

    def _refuse_repeats(self, customers: list[Customer | None], place: Any) -> None:
        seen: set[str] = set()
        for number, customer in enumerate(customers):
            if customer is not None and customer.customer_id in seen:
                self._add(
                    f"{place(number)}.customer_id",
                    "the same customer as before",
                    "give all transactions of a customer in one entry",
                )
            elif customer is not None:
                seen.add(customer.customer_id)


def _at(place: Place) -> str:
    """The path of a place: only made where something is wrong there."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return "".join(steps).lstrip(".")


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise refused(400, "", "not JSON in UTF-8", "send an object with customers") from None
    if not isinstance(document, dict):
        raise refused(422, "", "not an object", "send an object with customers")
    return document


def _listed(names: Any) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}"
