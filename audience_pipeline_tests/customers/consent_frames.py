"""Statements, contacts and answers of consent, as short as a test wants them."""

from __future__ import annotations

from datetime import date, datetime
from hashlib import sha256
from typing import Any

import polars as pl

from audience_pipeline.customers.consent import consent

AS_OF = date(2026, 6, 30)
NOON = datetime(2026, 6, 1, 12)
EVENTS: dict[str, Any] = {
    "event_at": pl.Datetime("us"),
    "customer_id": pl.String,
    "meta_email": pl.Binary,
    "meta_phone": pl.Binary,
    "purpose": pl.String,
    "platform": pl.String,
    "status": pl.String,
    "source": pl.String,
    "legal_basis": pl.String,
    "signal": pl.String,
}
CONTACTS: dict[str, Any] = {
    "customer_id": pl.String,
    "updated_at": pl.Datetime("us"),
    "country": pl.String,
    "meta_email": pl.Binary,
    "meta_phone": pl.Binary,
    "landing_id": pl.String,
}
WEB: dict[str, Any] = {
    "event_at": pl.Datetime("us"),
    "customer_id": pl.String,
    "anonymous_id": pl.String,
    "gpc": pl.Boolean,
}
Row = dict[str, Any]


def digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def email_id(text: str) -> str:
    return f"email:{digest(text).hex()[:32]}"


def said(status: str, at: datetime = NOON, customer: str | None = "a", **more: Any) -> Row:
    return {**dict.fromkeys(EVENTS), "customer_id": customer, "event_at": at, "status": status, **more}


def contact(customer: str, country: str | None = None, **more: Any) -> Row:
    return {**dict.fromkeys(CONTACTS), "customer_id": customer, "country": country, **more}


def visit(at: datetime = NOON, *, gpc: bool | None = True, **who: str) -> Row:
    return {**dict.fromkeys(WEB), "event_at": at, "gpc": gpc, **who}


def identities(**customer_of: str) -> pl.LazyFrame:
    """``source id=customer id``; ids with a colon are given as a dictionary."""
    return pl.LazyFrame({"source_id": list(customer_of), "customer_id": list(customer_of.values())})


def decide(
    *events: Row,
    contacts: list[Row] | None = None,
    web: list[Row] | None = None,
    as_of: date = AS_OF,
    customers: tuple[str, ...] = ("a",),
    **options: Any,
) -> dict[str, Row]:
    """The row of each customer."""
    frame = consent(
        pl.LazyFrame(list(events), schema=EVENTS),
        pl.LazyFrame(contacts or [], schema=CONTACTS),
        as_of,
        customers=pl.LazyFrame({"customer_id": list(customers)}, schema={"customer_id": pl.String}),
        web=None if web is None else pl.LazyFrame(web, schema=WEB),
        **options,
    ).collect()
    assert frame["customer_id"].is_unique().all()
    assert frame["customer_id"].is_sorted()
    assert not frame.drop("statement_at", "source", "legal_basis").null_count().sum_horizontal().item()
    return {row.pop("customer_id"): row for row in frame.to_dicts()}
