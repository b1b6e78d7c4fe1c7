"""From a file's text to staged columns, as one SQL statement per kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from audience_pipeline.identifiers import WORDS, ContactPatterns
from audience_pipeline.sources import amounts, cells
from audience_pipeline.sources.contract import CONTRACTS, FREE_TEXT, KEPT, Kind
from audience_pipeline.sources.dates import moment
from audience_pipeline.sources.faults import Fault
from audience_pipeline.sources.kept import safe_name
from audience_pipeline.sources.options import ReadOptions, ShopFacts
from audience_pipeline.sources.table import TextTable

RECORD = "record"
"""The field of a fault that concerns the whole record."""
_YEAR = r"^(\d{4})([-/.]?\d{2}[-/.]?\d{2}([T ].*)?)?$|^\d{1,2}[-/. ]\d{1,2}[-/. ](\d{4})$"
_IS_CODE = "regexp_full_match(currency, '[A-Za-z]{3}')"
CONTACT = "contact_"
"""Begins the names of columns that say where free text was an address or number and was left out."""
RAW_CONTACT = ("email", "phone", "first_name", "last_name", "country", "gender")
"""Columns of the statement that are turned into hashes or codes before anything is written."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement whose rows come in the order of the file, and what its columns mean."""

    sql: str
    faults: tuple[str, ...]
    """Fields that can be at fault; the column ``fault_<field>`` holds the code, 0 where it is good."""
    flags: tuple[str, ...] = ()
    """Columns ``flag_<name>``: true where something was changed or left out that a notice counts."""

    @property
    def bad(self) -> str:
        """SQL: the row goes to quarantine."""
        return "(" + " OR ".join(f"fault_{field} > 0" for field in self.faults) + ")"


def plan(kind: Kind, table: TextTable, options: ReadOptions, facts: ShopFacts) -> Plan:
    """The statement that stages a table.

    Staged columns: those of ``LANDED[kind]`` save ``line`` (for contacts, the raw ones that become them), the
    faults and flags, ``contact_<name>``, ``blank`` and, for transactions, ``whole_line``.
    """
    build: dict[Kind, Callable[[], _Parts]] = {
        Kind.TRANSACTIONS: lambda: _transactions(options, facts, discounts="discount" in table.columns),
        Kind.CRM: lambda: _crm(options, facts, kept),
        Kind.WEB: lambda: _web(options, facts),
        Kind.ENGAGEMENT: lambda: _engagement(options, facts),
        Kind.CONSENT: lambda: _consent(options, facts),
    }
    kept = {name: safe_name(theirs) for name, theirs in table.columns.items() if name.startswith(KEPT)}
    free = {**FREE_TEXT[kind], **dict.fromkeys(kept, WORDS)}
    parts = build[kind]()
    text = ", ".join(
        f"{cells.trimmed(name, odd_blanks=table.odd_blanks)} AS {name}"
        if name in table.columns
        else f"CAST(NULL AS VARCHAR) AS {name}"
        for name in (*CONTRACTS[kind].names, *kept)
    )
    parsed = "".join(f", {sql} AS {name}" for name, sql in parts.parsed.items())
    somebody = {"customer_id": _nobody(kind, table)}
    faults = {RECORD: f"CASE WHEN malformed THEN {Fault.NOT_AN_OBJECT} ELSE 0 END"} | {
        field: f"CASE WHEN malformed THEN 0 ELSE {sql} END"
        for field, sql in (somebody | parts.faults).items()
    }
    selected = [f"{sql} AS {name}" for name, sql in parts.columns.items()]
    selected += [f"CAST({sql} AS UTINYINT) AS fault_{field}" for field, sql in faults.items()]
    selected += [
        f"{CONTACT}{name} AS {CONTACT}{kept.get(name, name)}" for name in free if name in table.columns
    ]
    selected += [f"coalesce({sql}, false) AS flag_{name}" for name, sql in parts.flags.items()]
    if kind is Kind.TRANSACTIONS:
        selected.append("whole_line")
    sql = f"SELECT {', '.join(selected)}, blank FROM ({_layers(text, free, parts, parsed, table.relation)})"
    return Plan(sql, tuple(faults), tuple(parts.flags))


@dataclass(frozen=True, slots=True)
class _Parts:
    columns: dict[str, str]
    faults: dict[str, str]
    parsed: dict[str, str]
    """Expressions over the text that several columns use."""
    prepared: dict[str, str]
    """Expressions that ``parsed`` uses."""
    flags: dict[str, str]


def _layers(text: str, free: Mapping[str, ContactPatterns], parts: _Parts, parsed: str, relation: str) -> str:
    prepared = "".join(f", {sql} AS {name}" for name, sql in parts.prepared.items())
    found = "".join(
        f", {cells.is_contact(name, patterns)} AS {CONTACT}{name}" for name, patterns in free.items()
    )
    kept = ", ".join(f"CASE WHEN NOT {CONTACT}{name} THEN {name} END AS {name}" for name in free)
    inner = f"SELECT {text}, whole_line, malformed, blank FROM ({relation})"
    inner = f"SELECT * REPLACE ({kept}) FROM (SELECT *{found} FROM ({inner}))"
    return f"SELECT *{parsed} FROM (SELECT *{prepared} FROM ({inner}))"


def _nobody(kind: Kind, table: TextTable) -> str:
    """The fault of a row that names no person; whether an address or number can be used is seen later."""
    person = [name for name in CONTRACTS[kind].person if name in table.columns]
    empty = " AND ".join(f"{name} IS NULL" for name in person)
    fault = Fault.EMPTY if person == ["customer_id"] else Fault.NOBODY
    contact = f"WHEN {CONTACT}anonymous_id THEN {Fault.CONTACT} " if kind is Kind.WEB else ""
    return f"CASE WHEN NOT ({empty}) THEN 0 {contact}ELSE {fault} END"


def _transactions(options: ReadOptions, facts: ShopFacts, *, discounts: bool) -> _Parts:
    when = moment("transaction_date", "at_", options, facts, required=True)
    value = amounts.amount("transaction_amount", "plain_", "minor_", options)
    reduced = amounts.amount("discount", "plain_discount_", "discount_", options)
    credible = f"discount_ BETWEEN 0 AND {amounts.LIMIT_MINOR}"
    none = "WHEN discount IS NULL THEN 0 " if discounts else ""
    return _Parts(
        columns={
            "customer_id": cells.identifier("customer_id"),
            "transaction_date": "CASE WHEN date_fault_ = 0 THEN CAST(at_ AS DATE) END",
            "transaction_at": f"CASE WHEN date_fault_ = 0 AND {when.has_time} THEN at_ END",
            "amount_minor": f"CASE WHEN abs(minor_) <= {amounts.LIMIT_MINOR} THEN minor_ END",
            "product_category": "product_category",
            "order_id": "order_id",
            "quantity": "quantity_",
            "currency": f"CASE WHEN {_IS_CODE} THEN upper(currency) END",
            "channel": "channel",
            "discount_minor": f"CASE {none}WHEN {credible} THEN discount_ END",
            "coupon": "upper(coupon)",
            "loyalty_id": cells.identifier("loyalty_id"),
        },
        faults={
            "transaction_date": "date_fault_",
            "transaction_amount": value.fault,
            "currency": f"CASE WHEN currency IS NULL OR {_IS_CODE} THEN 0 ELSE {Fault.NOT_A_CURRENCY} END",
        },
        prepared={
            "plain_": amounts.plain("transaction_amount", options),
            "plain_discount_": amounts.plain("discount", options),
            "at_": when.at,
        },
        parsed={
            "date_fault_": when.fault,
            "minor_": value.minor,
            "discount_": reduced.minor,
            "quantity_": f"try_cast({amounts.plain('quantity', options)} AS DECIMAL(18, 3))",
        },
        flags={
            "rounded": value.rounded,
            "quantity": "quantity IS NOT NULL AND quantity_ IS NULL",
            "discount": f"discount IS NOT NULL AND NOT coalesce({credible}, false)",
        },
    )


def _crm(options: ReadOptions, facts: ShopFacts, kept: Mapping[str, str]) -> _Parts:
    when = moment("updated_at", "at_", options, facts, required=False)
    year_first, year_last = (
        f"nullif(regexp_extract(birth_date, '{_YEAR}', {group}), '')" for group in (1, 4)
    )
    is_year = f"coalesce(year_ BETWEEN 1900 AND {facts.today.year}, false)"
    return _Parts(
        columns={
            "customer_id": cells.identifier("customer_id"),
            "updated_at": "CASE WHEN date_fault_ = 0 THEN at_ END",
            **{name: name for name in RAW_CONTACT},
            "postal_code": "postal_code",
            "region": "state",
            "birth_year": f"CASE WHEN {is_year} THEN year_ END",
            "loyalty_id": cells.identifier("loyalty_id"),
            "device_id": "device_id",
            "anonymous_id": "anonymous_id",
            "extra": cells.json_object(kept),
        },
        faults={"updated_at": "date_fault_"},
        prepared={"at_": when.at, "year_": f"try_cast(coalesce({year_first}, {year_last}) AS INTEGER)"},
        parsed={"date_fault_": when.fault},
        flags={"birth_date": f"birth_date IS NOT NULL AND NOT {is_year}"},
    )


def _events(
    options: ReadOptions,
    facts: ShopFacts,
    columns: dict[str, str],
    faults: dict[str, str],
    parsed: dict[str, str],
    flags: dict[str, str] | None = None,
) -> _Parts:
    when = moment("event_at", "at_", options, facts, required=True)
    return _Parts(
        columns={
            "event_at": "CASE WHEN date_fault_ = 0 THEN at_ END",
            "event_date": "CASE WHEN date_fault_ = 0 THEN CAST(at_ AS DATE) END",
            **columns,
        },
        faults={"event_at": "date_fault_", **faults},
        prepared={"at_": when.at},
        parsed={"date_fault_": when.fault, **parsed},
        flags=flags or {},
    )


def _web(options: ReadOptions, facts: ShopFacts) -> _Parts:
    names = [name for name in CONTRACTS[Kind.WEB].names if name != "event_at"]
    columns = {name: name for name in names} | {
        "customer_id": cells.identifier("customer_id"),
        "event": cells.choice(Kind.WEB, "event"),
        "gpc": "gpc_",
        "coupon": "upper(coupon)",
        "loyalty_id": cells.identifier("loyalty_id"),
    }
    return _events(
        options,
        facts,
        columns,
        {"event": cells.allowed(Kind.WEB, "event", required=True)},
        {"event_": "lower(event)", "gpc_": cells.truth("gpc")},
        {"gpc": "gpc IS NOT NULL AND gpc_ IS NULL"},
    )


def _engagement(options: ReadOptions, facts: ShopFacts) -> _Parts:
    return _events(
        options,
        facts,
        {
            "customer_id": cells.identifier("customer_id"),
            "event": cells.choice(Kind.ENGAGEMENT, "event"),
            "campaign": "campaign",
            "channel": "lower(channel)",
            "email": "email",
        },
        {"event": cells.allowed(Kind.ENGAGEMENT, "event", required=True)},
        {"event_": "lower(event)"},
    )


def _consent(options: ReadOptions, facts: ShopFacts) -> _Parts:
    return _events(
        options,
        facts,
        {
            "customer_id": cells.identifier("customer_id"),
            "email": "email",
            "phone": "phone",
            "purpose": cells.choice(Kind.CONSENT, "purpose"),
            "platform": cells.choice(Kind.CONSENT, "platform"),
            "status": cells.choice(Kind.CONSENT, "status"),
            "source": "source",
            "legal_basis": "legal_basis",
            "signal": cells.choice(Kind.CONSENT, "signal"),
        },
        {
            "status": cells.allowed(Kind.CONSENT, "status", required=True),
            "purpose": cells.allowed(Kind.CONSENT, "purpose", required=False),
            "platform": cells.allowed(Kind.CONSENT, "platform", required=False),
            "signal": cells.allowed(Kind.CONSENT, "signal", required=False),
        },
        {
            "status_": "lower(status)",
            "purpose_": "lower(coalesce(purpose, 'advertising'))",
            "platform_": "lower(platform)",
            "signal_": "lower(signal)",
        },
    )
