"""Landed tables made of a few words, for the tests of identity."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any

import polars as pl

from audience_pipeline.customers.identities import Resolved, resolve
from audience_pipeline.customers.identities_limits import IdentityLimits
from audience_pipeline.customers.identities_links import Landed
from audience_pipeline.sources.contract import LANDED, Kind

AS_OF = date(2026, 6, 30)
LANDINGS = {"one": 1, "two": 2, "three": 3}
_NEW = {
    "landing_id": pl.String,
    "line": pl.Int64,
    "loyalty_id": pl.String,
    "device_id": pl.String,
    "anonymous_id": pl.String,
    "meta_email": pl.Binary,
}
_HASHED = {"email": "meta_email", "phone": "meta_phone", "first_name": "meta_first_name"}


def h(text: str) -> bytes:
    return sha256(text.encode()).digest()


def email_id(text: str) -> str:
    return f"email:{h(text).hex()[:32]}"


def day(number: int) -> date:
    return date(2026, 1, 1) + timedelta(days=number)


def table(kind: Kind, rows: list[dict[str, Any]]) -> pl.LazyFrame:
    """Rows of a kind; ``email``, ``phone`` and ``first_name`` are hashed, ``day`` dates the row."""
    schema = {**_NEW, **LANDED[kind]}
    landed = []
    for row in rows:
        when = row.get("day", date(2026, 1, 1))
        moment = None if when is None else datetime(when.year, when.month, when.day)
        landed.append(
            {
                **dict.fromkeys(schema),
                "landing_id": "one",
                **{_HASHED.get(name, name): h(v) if name in _HASHED else v for name, v in row.items()
                   if name != "day"},
                **({"updated_at": moment} if kind is Kind.CRM else {}),
                **({"transaction_date": when} if kind is Kind.TRANSACTIONS else {}),
                **({"event_date": when} if kind not in {Kind.CRM, Kind.TRANSACTIONS} else {}),
            }
        )  # fmt: skip
    return pl.LazyFrame(landed, schema=schema)


def landed(**rows: list[dict[str, Any]]) -> Landed:
    return Landed(**{name: table(Kind(name), some) for name, some in rows.items()})


def resolved(limits: IdentityLimits | None = None, **rows: list[dict[str, Any]]) -> Resolved:
    return resolve(landed(**rows), AS_OF, LANDINGS, limits)


def people(found: Resolved) -> set[frozenset[str]]:
    """Source ids that are one person."""
    together = found.identities.group_by("customer_id").agg("source_id")
    return {frozenset(ids) for ids in together["source_id"]}


def customers(found: Resolved) -> dict[str, str]:
    return dict(found.identities.select("source_id", "customer_id").iter_rows())


def refusals(found: Resolved) -> dict[tuple[str, str], str]:
    """Why a source id was refused by what kind of identifier."""
    refused = found.decisions.filter(pl.col("decision") == "refused")
    return {(row["source_id"], row["kind"]): row["reason"] for row in refused.to_dicts()}
