from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from audience_pipeline_tests.commands.conftest import Run

ORDERS = "Kunde;Datum;Betrag\nc1;31.01.2026;1.234,50\nc2;30.02.2026;5,00\nc3;01.02.2026;-2,00\n"
READ_AS = (
    *("--column", "customer_id=Kunde", "--column", "transaction_date=Datum"),
    *("--column", "transaction_amount=Betrag", "--date-format", "%d.%m.%Y"),
    *("--decimal", ",", "--thousands", ".", "--dir", "w"),
)


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_text(ORDERS)
    return path


def test_a_file_lands_as_it_is_described_and_only_once(run: Run, orders: Path) -> None:
    first = run("ingest", "transactions", orders, *READ_AS, "--json")
    second = run("ingest", "transactions", orders, *READ_AS, "--json")

    assert (first.code, second.code) == (0, 0)
    [landed], [known] = first.json["landed"], second.json["landed"]
    assert (landed["rows_read"], landed["landed"], landed["quarantined"]) == (3, 2, 1)
    assert landed["total_minor"] == 123_250
    assert known["landed_before"] is True
    assert orders.is_file()


def test_the_tables_for_people_say_the_same(run: Run, orders: Path) -> None:
    said = run("ingest", "transactions", orders, *READ_AS)

    assert said.code == 0
    for text in ("What came in", "orders.csv", "Quarantined, and why", "transaction_date", "Worth knowing"):
        assert text in said.out


def test_what_is_wrong_with_a_row_is_said_without_its_values(run: Run, tmp_path: Path) -> None:
    contacts = tmp_path / "contacts.csv"
    contacts.write_text("customer_id,email,birth_date\nc1,anna@example.com,1999-99-99\n,bert@example.com,\n")

    said = run("ingest", "crm", contacts, "--dir", "w")

    assert said.code == 0
    assert "customer_id" in said.out
    for value in ("anna", "bert", "1999-99-99"):
        assert value not in said.out + said.err


def test_columns_to_keep_and_hashes_are_options(run: Run, tmp_path: Path) -> None:
    contacts = tmp_path / "contacts.csv"
    contacts.write_text(f"customer_id,email,Tier\nc1,{'ab' * 32},gold\n")
    options = ("--keep", "Tier", "--hashed", "email=meta, google", "--dir", "w", "--json")

    said = run("ingest", "crm", contacts, *options)

    assert said.code == 0
    [landed] = said.json["landed"]
    rows = pl.read_parquet(next(Path("w").rglob(f"crm_contacts/{landed['landing_id']}.parquet")))
    assert rows.select("extra", "meta_email", "google_email", "tiktok_email").row(0) == (
        '{"tier":"gold"}',
        *[bytes.fromhex("ab" * 32)] * 2,
        None,
    )


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--hashed", "email"), "--hashed takes COLUMN=PLATFORMS, such as --hashed email=meta,google"),
        (("--hashed", "email=facebook"), "one or more of meta, google, tiktok"),
        (("--keep", "E-Mail"), "who somebody is or how to reach them"),
    ],
)
def test_options_that_cannot_be_meant_are_wrong_usage(
    run: Run, orders: Path, options: tuple[str, ...], why: str
) -> None:
    said = run("ingest", "crm", orders, *options)

    assert said.code == 2
    assert why in " ".join(said.err.split())


def test_commands_about_orders_do_not_offer_options_of_contacts(run: Run) -> None:
    assert "--keep" in run("ingest", "--help").out
    assert "--keep" not in run("ltv", "train", "--help").out
