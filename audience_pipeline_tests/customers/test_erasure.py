"""Who is meant by a request for erasure: everything of the person, and nothing of anybody else."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

import polars as pl
import pytest

from audience_pipeline.customers.erasure import Concerned, concerned, held, reached
from audience_pipeline.identifiers.marks import Named


def mail(name: str) -> bytes:
    return sha256(f"{name}@example.com".encode()).digest()


HOME = sha256(b"12125550123").digest()
CONTACTS = pl.LazyFrame(
    {
        "customer_id": ["C1", "C1", "C2", "C3", f"email:{mail('old').hex()[:32]}"],
        "meta_email": [mail("ann"), mail("old"), mail("bob"), None, mail("old")],
        "google_email": [mail("ann.google"), None, None, None, None],
        "meta_phone": [HOME, None, HOME, None, None],
        "device_id": ["d1", None, None, "d3", None],
    },
    schema_overrides=dict.fromkeys(("meta_email", "google_email", "meta_phone"), pl.Binary),
)
IDENTITIES = pl.DataFrame(
    {"source_id": ["C1", "anonymous:b1", "C2", "C3"], "customer_id": ["C1", "C1", "C2", "C3"]}
)


def asked(*, customer: str | None = None, email: bytes | None = None, status: str = "erase") -> pl.LazyFrame:
    return pl.LazyFrame(
        {
            "event_at": [datetime(2026, 1, 1)],
            "customer_id": [customer],
            "meta_email": [email],
            "meta_phone": [None],
            "purpose": [None],
            "platform": [None],
            "status": [status],
        },
        schema_overrides={
            "event_at": pl.Datetime("us"),
            **dict.fromkeys(("customer_id", "purpose", "platform"), pl.String),
            **dict.fromkeys(("meta_email", "meta_phone"), pl.Binary),
        },
    )


def found(events: pl.LazyFrame, named: pl.DataFrame | None = None) -> Concerned:
    had = CONTACTS.filter(pl.col("meta_email").is_not_null()).select(
        pl.col("customer_id").alias("source_id"),
        (pl.lit("email:") + pl.col("meta_email").bin.encode("hex").str.slice(0, 32)).alias("name"),
    )
    nothing = pl.DataFrame(schema={"named": pl.String, "hash": pl.Binary})
    return concerned(reached(events, had), nothing if named is None else named, IDENTITIES, held(CONTACTS))


def test_an_id_leads_to_all_ids_and_all_addresses_of_the_customer_former_ones_and_every_hash_included() -> (
    None
):
    who = found(asked(customer="C1"))

    assert {"C1", "anonymous:b1", f"email:{mail('old').hex()[:32]}"} <= set(who.ids)
    assert who.customers == 1
    assert set(who.own(Named.EMAIL)) == {mail("ann"), mail("old"), mail("ann.google")}
    assert who.own(Named.DEVICE) == [b"d1"]


def test_an_address_that_somebody_else_has_as_well_is_shared_and_leads_to_nobody() -> None:
    who = found(asked(customer="C1"))

    assert (who.own(Named.PHONE), who.shared(Named.PHONE)) == ([], [HOME])
    assert not {"C2", "C3"} & set(who.ids)


def test_a_former_address_leads_to_the_customer() -> None:
    assert "C1" in set(found(asked(email=mail("old"))).ids)


def test_somebody_unknown_is_known_by_what_was_given() -> None:
    named = pl.DataFrame({"named": ["email"], "hash": [mail("eve")]})

    who = found(asked(email=mail("eve")), named)

    assert who.customers == 0
    assert who.own(Named.EMAIL) == [mail("eve")]
    assert f"email:{mail('eve').hex()[:32]}" in set(who.ids)


@pytest.mark.parametrize("status", ["denied", "granted"])
def test_no_other_statement_erases_anybody(status: str) -> None:
    assert found(asked(customer="C1", status=status)).ids.is_empty()


def test_nothing_of_them_is_in_a_repr() -> None:
    who = found(asked(customer="C1"))

    assert "C1" not in repr(who)
    assert str(mail("ann")) not in repr(who)
