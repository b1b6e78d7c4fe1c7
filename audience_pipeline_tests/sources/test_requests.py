"""Requests of people: messy files in, statements without a raw value out."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.ledger import Ledger
from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.landing import land
from audience_pipeline.sources.requests import FILE_NAME, READ_AS, People, one_person, people_of, write

ANN, BOB = (sha256(f"{name}@example.com".encode()).digest() for name in ("ann", "bob"))
PHONE = sha256(b"12125550123").digest()


def read(tmp_path: Path, text: str | bytes, region: str | None = None, **columns: str) -> People:
    path = tmp_path / "people.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return people_of(path, region, columns)


def named(people: People) -> set[tuple[str | None, bytes | None, bytes | None]]:
    """Without the pseudonyms that addresses have as ids."""
    return {
        (None if customer and customer.startswith("h_") else customer, email, phone)
        for customer, email, phone in people.named.iter_rows()
    }


def test_ids_addresses_and_numbers_are_told_apart_one_a_line(tmp_path: Path) -> None:
    people = read(tmp_path, "C1042\n ANN@example.com \n+1 (212) 555-0123\n17\n")

    assert named(people) == {
        ("C1042", None, None), (None, ANN, None), (None, None, PHONE), ("17", None, None),
    }  # fmt: skip
    assert people.unread == ()


def test_columns_are_read_by_their_names_and_the_others_are_not(tmp_path: Path) -> None:
    people = read(
        tmp_path, "Name;E-Mail;Kundennummer;Telefon\nAnn 1;ann@example.com;17;\nB;;;0212 5550123\n", "US"
    )

    assert (None, ANN, None) in named(people)
    assert ("17", None, None) in named(people)
    assert not any("Ann" in str(row) for row in people.named.rows())


def test_a_column_can_be_named(tmp_path: Path) -> None:
    people = read(tmp_path, "who,note\nann@example.com,x1\n", email="who")

    assert named(people) == {(None, ANN, None)}


def test_addresses_amid_other_text_and_several_in_one_place_are_found(tmp_path: Path) -> None:
    people = read(tmp_path, "Ann Example <ann@example.com>\n[bob@example.com]\n")

    assert named(people) == {(None, ANN, None), (None, BOB, None)}


def test_ten_digits_stand_for_an_id_and_for_a_number(tmp_path: Path) -> None:
    assert named(read(tmp_path, "2125550123\n", "US")) == {("2125550123", None, PHONE)}
    assert named(read(tmp_path, "2125550123\n")) == {("2125550123", None, None)}


def test_hashes_are_taken_where_the_column_says_so_and_nowhere_else(tmp_path: Path) -> None:
    said = read(tmp_path, f"email_sha256\n{ANN.hex().upper()}\n")
    unsaid = read(tmp_path, f"{ANN.hex()}\n17\n")

    assert named(said) == {(None, ANN, None)}
    assert named(unsaid) == {("17", None, None)}
    assert unsaid.unread == (1,)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffcustomer_id\nC1\n", "customer_id\r\nC1\r\n", "customer_id\n\n\nC1\n,\n",
        '"customer_id"\n"C1"\n', "\u200bC1\n", "C1\nC1\n C1 \n",
    ],
)  # fmt: skip
def test_marks_blanks_quotes_and_repetition_do_not_matter(tmp_path: Path, text: str) -> None:
    assert named(read(tmp_path, text)) == {("C1", None, None)}


def test_a_file_from_a_spreadsheet_in_two_byte_letters_is_read(tmp_path: Path) -> None:
    assert named(read(tmp_path, "email\nann@example.com\n".encode("utf-16"))) == {(None, ANN, None)}


def test_a_word_without_a_digit_may_be_a_name_and_is_kept_apart(tmp_path: Path) -> None:
    people = read(tmp_path, "C1\nSmith\nAnn Smith\n")

    assert named(people) == {("C1", None, None)}
    assert people.doubtful.rows() == [("Smith", 2)]
    assert people.unread == (2, 3)


@pytest.mark.parametrize("value", ["test@test.com", "2026-01-31", "ann@", "+1 2", "?? 9"])
def test_what_stands_for_nobody_is_told_by_its_line(tmp_path: Path, value: str) -> None:
    people = read(tmp_path, f"C1\n{value}\n")

    assert named(people) == {("C1", None, None)}
    assert people.unread == (2,)


def test_a_broken_address_in_a_column_of_addresses_is_told(tmp_path: Path) -> None:
    people = read(tmp_path, "email\nann@example.com\nbroken\n")

    assert (named(people), people.unread) == ({(None, ANN, None)}, (3,))


def test_a_device_is_nobody_that_a_statement_could_be_about(tmp_path: Path) -> None:
    people = read(tmp_path, "device_id,customer_id\n38400000-8cf0-11bd-b23e-10b96e40000d,\n,C1\n")

    assert (named(people), people.unread) == ({("C1", None, None)}, (2,))


def test_a_loyalty_card_is_named_as_sources_name_it(tmp_path: Path) -> None:
    assert named(read(tmp_path, "loyalty_id\n4711\n")) == {("loyalty:4711", None, None)}


def test_a_spreadsheet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="save it as CSV"):
        read(tmp_path, b"PK\x03\x04rest")


def test_one_person_is_whatever_the_id_could_be() -> None:
    assert named(one_person("ann@example.com")) == {(None, ANN, None)}
    assert named(one_person("Smith")) == {("Smith", None, None)}
    assert ("2125550123", None, PHONE) in named(one_person("2125550123", "US"))


@pytest.mark.parametrize(("status", "platform"), [("denied", "meta"), ("erase", None)])
def test_a_request_lands_as_statements_without_a_raw_value(
    tmp_path: Path, status: str, platform: str | None
) -> None:
    people = read(tmp_path, "C1\nann@example.com\n+1 212 555 0123\nid:x9\n")
    now = datetime(2026, 11, 20, 6, 30, 0, 123456, tzinfo=UTC)

    path = write(tmp_path, people.named, status, platform=platform, now=now)  # type: ignore[arg-type]
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        report = land(Kind.CONSENT, path, lake=tmp_path / "lake", ledger=ledger, options=READ_AS)

    assert not any(raw in path.read_text() for raw in ("example", "5550123"))
    assert (report.file, report.landed, report.quarantined) == (FILE_NAME, 4, 0)
    landed = pl.read_parquet(tmp_path / "lake" / "consent_events" / f"{report.landing_id}.parquet")
    assert set(landed["meta_email"].drop_nulls()) == {ANN}
    assert set(landed["meta_phone"].drop_nulls()) == {PHONE}
    assert set(landed["status"]) == {status}
    assert set(landed["platform"]) == {platform}
    assert set(landed["source"]) == {"command line"}
    assert landed["event_at"].unique().to_list() == [now.replace(tzinfo=None)]
