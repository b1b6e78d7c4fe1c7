"""From the bytes of a request to landed lines of customers, or to what is wrong with it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from audience_pipeline.identifiers import looks_personal, pseudonym
from audience_pipeline.ltv.service.limits import Limits
from audience_pipeline.ltv.service.problems import Problem, RefusedError, refused
from audience_pipeline.sources.contract import CONTRACTS, Kind
from audience_pipeline.sources.faults import Fault, reason
from audience_pipeline.sources.options import ReadOptions, ShopFacts
from audience_pipeline.sources.values import free_text, identifier, minor_units, moment, quantity, trimmed

_CONTRACT = CONTRACTS[Kind.TRANSACTIONS]
FIELDS = tuple(name for name in _CONTRACT.names if name != "customer_id")
"""What a transaction may hold."""
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


@dataclass(slots=True)
class Customer:
    """One customer of a request."""

    customer_id: str
    """As a file would land it: one that looks personal is a pseudonym."""
    as_of: date
    lines: list[Line] = field(default_factory=list)
    problem: Problem | None = None
    """Why there is nothing to predict from."""


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
        return [customer for customer in customers if customer is not None]

    def _add(self, where: str, why: str, remedy: str) -> None:
        self._problems.append(Problem(where, why, remedy))
        if len(self._problems) >= _MOST_PROBLEMS:
            raise RefusedError(422, self._problems)

    def _entries(self, document: dict[str, Any]) -> tuple[list[Any], Any]:
        alone = "customers" not in document
        allowed = {"as_of", "observe_days"} | ({"customer_id", "transactions"} if alone else {"customers"})
        if not document.keys() <= allowed:
            self._add("", "a field is not known", f"the fields are {_listed(sorted(allowed))}")
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
        given = self._text(entry.get("customer_id"), f"{dot}customer_id")
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
        return self._dated(customer_id, [line for line in lines if line is not None], place)

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
        if not isinstance(line, dict):
            self._add(f"{parent}[{number}]", "not an object", "give transaction_date and transaction_amount")
            return None
        if not line.keys() <= _KNOWN:
            self._add(f"{parent}[{number}]", "a field is not known", f"the fields are {_listed(FIELDS)}")
        before = len(self._problems)
        day = self._value("transaction_date", line, parent, number)
        minor = self._value("transaction_amount", line, parent, number)
        texts = []
        for name in _TEXTS:
            text = line.get(name)
            if text is not None:
                text = self._text(text, f"{parent}[{number}].{name}")
                text = text and free_text(name, text)
            texts.append(text)
        category, order_id, channel = texts
        pieces = line.get("quantity")
        if pieces is not None:
            pieces = self._text(pieces, f"{parent}[{number}].quantity", number=True)
            pieces = pieces and quantity(pieces)
        currency = line.get("currency")
        if currency is not None:
            currency = self._currency(currency, f"{parent}[{number}].currency")
        discount = self._discount(line.get("discount"), f"{parent}[{number}].discount") if reduced else None
        if len(self._problems) > before or day is None or minor is None:
            return None
        return (*day, minor, category, order_id, pieces, currency, channel, discount)

    def _value(self, name: str, line: dict[str, Any], parent: str, number: int) -> Any:
        """A date or an amount; None where it is at fault."""
        given = line.get(name)
        amount = name == "transaction_amount"
        if type(given) is not str:
            given = self._text(given, f"{parent}[{number}].{name}", number=amount)
            if given is None and line.get(name) is not None:
                return None
        text = None if given is None else trimmed(given)
        if text is None:
            result: Any = Fault.EMPTY
        else:
            result = minor_units(text) if amount else moment(text, self._facts)
        if isinstance(result, Fault):
            why = reason(result, name, Kind.TRANSACTIONS, ReadOptions(), self._facts).partition(": give")[0]
            self._add(f"{parent}[{number}].{name}", why, _REMEDIES[name])
            return None
        return result

    def _discount(self, given: Any, where: str) -> int | None:
        """Minor units; None where it is no amount of 0 or more, which is no fault."""
        text = self._text(given, where, number=True)
        if text is None:
            return 0
        minor = minor_units(text)
        return None if isinstance(minor, Fault) or minor < 0 else minor

    def _currency(self, given: Any, where: str) -> str | None:
        text = self._text(given, where)
        if text is None:
            return None
        if len(text) != 3 or not text.isascii() or not text.isalpha():
            self._add(where, "not a currency code of three letters", _REMEDIES["currency"])
            return None
        self._currencies.add(text.upper())
        return text.upper()

    def _text(self, given: Any, where: str, *, number: bool = False) -> str | None:
        """Trimmed; numbers as a JSON file would land them. None where it is empty or at fault."""
        if type(given) is str:
            if not given.isascii() and _SURROGATE.search(given):
                self._add(where, "half of a character", "write it in UTF-8")
                return None
            return trimmed(given)
        if type(given) is int or (number and type(given) is float):
            return repr(given)
        if given is not None:
            self._add(where, "not a text" + (" or number" if number else ""), "write it in quotes")
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
