"""From a file's text to staged columns, as one SQL statement per kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from audience_pipeline.identifiers import ContactPatterns
from audience_pipeline.sources import amounts
from audience_pipeline.sources.contract import CONTRACTS, FREE_TEXT, Kind
from audience_pipeline.sources.dates import moment
from audience_pipeline.sources.faults import Fault
from audience_pipeline.sources.options import ReadOptions, ShopFacts
from audience_pipeline.sources.table import TextTable, quoted

RECORD = "record"
"""The field of a fault that concerns the whole record."""
_BLANKS = r"E' \t\r\n' || chr(160) || chr(65279)"
"""Trimming these costs six times as much as trimming blanks alone, or as looking at both ends first."""
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

    Staged columns: those of ``LANDED[kind]`` (for contacts, the raw ones that become them), the faults and
    flags, ``contact_<name>``, ``blank`` and, for transactions, ``whole_line``.
    """
    build: dict[Kind, Callable[[], _Parts]] = {
        Kind.TRANSACTIONS: lambda: _transactions(options, facts, discounts="discount" in table.columns),
        Kind.CRM: lambda: _crm(options, facts),
        Kind.WEB: lambda: _web(options, facts),
        Kind.ENGAGEMENT: lambda: _engagement(options, facts),
        Kind.CONSENT: lambda: _consent(options, facts),
    }
    parts = build[kind]()
    text = ", ".join(
        f"{_trimmed(name, odd_blanks=table.odd_blanks)} AS {name}"
        if name in table.columns
        else f"CAST(NULL AS VARCHAR) AS {name}"
        for name in CONTRACTS[kind].names
    )
    parsed = "".join(f", {sql} AS {name}" for name, sql in parts.parsed.items())
    faults = {RECORD: f"CASE WHEN malformed THEN {Fault.NOT_AN_OBJECT} ELSE 0 END"} | {
        field: f"CASE WHEN malformed THEN 0 ELSE {sql} END" for field, sql in parts.faults.items()
    }
    selected = [f"{sql} AS {name}" for name, sql in parts.columns.items()]
    selected += [f"CAST({sql} AS UTINYINT) AS fault_{field}" for field, sql in faults.items()]
    selected += [f"{CONTACT}{name}" for name in FREE_TEXT[kind] if name in table.columns]
    selected += [f"coalesce({sql}, false) AS flag_{name}" for name, sql in parts.flags.items()]
    if kind is Kind.TRANSACTIONS:
        selected.append("whole_line")
    sql = f"SELECT {', '.join(selected)}, blank FROM ({_layers(text, kind, parts, parsed, table.relation)})"
    return Plan(sql, tuple(faults), tuple(parts.flags))


def _trimmed(name: str, *, odd_blanks: bool) -> str:
    if not odd_blanks:
        return f"nullif(trim({name}), '')"
    visible = " AND ".join(f"{name}[{place}] BETWEEN '!' AND '~'" for place in (1, -1))
    return f"CASE WHEN {visible} THEN {name} ELSE nullif(trim({name}, {_BLANKS}), '') END"


@dataclass(frozen=True, slots=True)
class _Parts:
    columns: dict[str, str]
    faults: dict[str, str]
    parsed: dict[str, str]
    """Expressions over the text that several columns use."""
    prepared: dict[str, str]
    """Expressions that ``parsed`` uses."""
    flags: dict[str, str]


def _layers(text: str, kind: Kind, parts: _Parts, parsed: str, relation: str) -> str:
    prepared = "".join(f", {sql} AS {name}" for name, sql in parts.prepared.items())
    found = "".join(
        f", {_is_contact(name, patterns)} AS {CONTACT}{name}" for name, patterns in FREE_TEXT[kind].items()
    )
    kept = ", ".join(f"CASE WHEN NOT {CONTACT}{name} THEN {name} END AS {name}" for name in FREE_TEXT[kind])
    inner = f"SELECT {text}, whole_line, malformed, blank FROM ({relation})"
    inner = f"SELECT * REPLACE ({kept}) FROM (SELECT *{found} FROM ({inner}))"
    return f"SELECT *{parsed} FROM (SELECT *{prepared} FROM ({inner}))"


def _is_contact(name: str, patterns: ContactPatterns) -> str:
    whole = " AND ".join(f"regexp_full_match({name}, {quoted(pattern)})" for pattern in patterns.whole)
    return (
        f"CASE WHEN {name} IS NULL OR regexp_full_match({name}, {quoted(patterns.harmless)}) THEN false "
        f"WHEN regexp_matches({name}, {quoted(patterns.anywhere)}) THEN true "
        f"ELSE {whole} AND NOT regexp_full_match({name}, {quoted(patterns.but)}) END"
    )


def _transactions(options: ReadOptions, facts: ShopFacts, *, discounts: bool) -> _Parts:
    when = moment("transaction_date", "at_", options, facts, required=True)
    value = amounts.amount("transaction_amount", "plain_", "minor_", options)
    reduced = amounts.amount("discount", "plain_discount_", "discount_", options)
    credible = f"discount_ BETWEEN 0 AND {amounts.LIMIT_MINOR}"
    none = "WHEN discount IS NULL THEN 0 " if discounts else ""
    return _Parts(
        columns={
            "customer_id": _identifier("customer_id"),
            "transaction_date": "CASE WHEN date_fault_ = 0 THEN CAST(at_ AS DATE) END",
            "transaction_at": f"CASE WHEN date_fault_ = 0 AND {when.has_time} THEN at_ END",
            "amount_minor": f"CASE WHEN abs(minor_) <= {amounts.LIMIT_MINOR} THEN minor_ END",
            "product_category": "product_category",
            "order_id": "order_id",
            "quantity": "quantity_",
            "currency": f"CASE WHEN {_IS_CODE} THEN upper(currency) END",
            "channel": "channel",
            "discount_minor": f"CASE {none}WHEN {credible} THEN discount_ END",
        },
        faults={
            "customer_id": _given("customer_id"),
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


def _crm(options: ReadOptions, facts: ShopFacts) -> _Parts:
    when = moment("updated_at", "at_", options, facts, required=False)
    year_first, year_last = (
        f"nullif(regexp_extract(birth_date, '{_YEAR}', {group}), '')" for group in (1, 4)
    )
    is_year = f"coalesce(year_ BETWEEN 1900 AND {facts.today.year}, false)"
    return _Parts(
        columns={
            "customer_id": _identifier("customer_id"),
            "updated_at": "CASE WHEN date_fault_ = 0 THEN at_ END",
            **{name: name for name in RAW_CONTACT},
            "postal_code": "postal_code",
            "region": "state",
            "birth_year": f"CASE WHEN {is_year} THEN year_ END",
        },
        faults={"customer_id": _given("customer_id"), "updated_at": "date_fault_"},
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
        flags={},
    )


def _web(options: ReadOptions, facts: ShopFacts) -> _Parts:
    names = [name for name in CONTRACTS[Kind.WEB].names if name != "event_at"]
    columns = {name: name for name in names} | {
        "customer_id": _identifier("customer_id"),
        "event": _choice(Kind.WEB, "event"),
    }
    nobody = (
        "CASE WHEN customer_id IS NOT NULL OR anonymous_id IS NOT NULL THEN 0 "
        f"WHEN {CONTACT}anonymous_id THEN {Fault.CONTACT} ELSE {Fault.NOBODY} END"
    )
    return _events(
        options,
        facts,
        columns,
        {"event": _allowed(Kind.WEB, "event", required=True), "customer_id": nobody},
        {"event_": "lower(event)"},
    )


def _engagement(options: ReadOptions, facts: ShopFacts) -> _Parts:
    return _events(
        options,
        facts,
        {
            "customer_id": _identifier("customer_id"),
            "event": _choice(Kind.ENGAGEMENT, "event"),
            "campaign": "campaign",
            "channel": "lower(channel)",
        },
        {
            "customer_id": _given("customer_id"),
            "event": _allowed(Kind.ENGAGEMENT, "event", required=True),
        },
        {"event_": "lower(event)"},
    )


def _consent(options: ReadOptions, facts: ShopFacts) -> _Parts:
    nobody = (
        f"CASE WHEN customer_id IS NULL AND email IS NULL AND phone IS NULL THEN {Fault.NOBODY} ELSE 0 END"
    )
    return _events(
        options,
        facts,
        {
            "customer_id": _identifier("customer_id"),
            "email": "email",
            "phone": "phone",
            "purpose": _choice(Kind.CONSENT, "purpose"),
            "platform": _choice(Kind.CONSENT, "platform"),
            "status": _choice(Kind.CONSENT, "status"),
            "source": "source",
            "legal_basis": "legal_basis",
        },
        {
            "status": _allowed(Kind.CONSENT, "status", required=True),
            "purpose": _allowed(Kind.CONSENT, "purpose", required=False),
            "platform": _allowed(Kind.CONSENT, "platform", required=False),
            "customer_id": nobody,
        },
        {
            "status_": "lower(status)",
            "purpose_": "lower(coalesce(purpose, 'advertising'))",
            "platform_": "lower(platform)",
        },
    )


def _given(name: str) -> str:
    return f"CASE WHEN {name} IS NULL THEN {Fault.EMPTY} ELSE 0 END"


def _choices(kind: Kind, name: str) -> str:
    return ", ".join(f"'{choice}'" for choice in CONTRACTS[kind].column(name).choices)


def _choice(kind: Kind, name: str) -> str:
    """The value where it is allowed: what else is there is written nowhere."""
    return f"CASE WHEN {name}_ IN ({_choices(kind, name)}) THEN {name}_ END"


def _allowed(kind: Kind, name: str, *, required: bool) -> str:
    empty = Fault.EMPTY if required else Fault.NONE
    known = f"WHEN {name}_ IN ({_choices(kind, name)}) THEN 0 ELSE {Fault.NOT_ALLOWED}"
    return f"CASE WHEN {name} IS NULL THEN {empty} {known} END"


def _identifier(name: str) -> str:
    """Ids that a spreadsheet or data frame has turned into decimals (``12346.0``) become what they were."""
    return (
        f"CASE WHEN ends_with({name}, '.0') AND regexp_full_match({name}, '\\d+\\.0') "
        f"THEN left({name}, length({name}) - 2) ELSE {name} END"
    )
