"""Opt-outs and erasures on the command line, and the proof of what was stated."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.defs.consent import decided
from audience_pipeline.ledger import Ledger
from audience_pipeline.settings import Config, Settings
from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.landing import land
from audience_pipeline_tests.commands.conftest import Run

CONTACTS = (
    "customer_id,email,phone,country\n"
    "C1,ann@example.com,,US\nC2,bob@example.com,+1 212 555 0123,US\nC3,carl@example.com,,US\nSmith,,,US\n"
)
EVERYBODY = pl.LazyFrame({"customer_id": ["C1", "C2", "C3", "Smith"]})


@pytest.fixture
def shop(run: Run, tmp_path: Path) -> Run:
    contacts = tmp_path / "contacts.csv"
    contacts.write_text(CONTACTS)
    settings = Settings.at(tmp_path / "w", Config(), {})
    with Ledger.open(settings.ledger_url) as ledger:
        land(Kind.CRM, contacts, lake=settings.lake, ledger=ledger)

    def command(*arguments: str | Path) -> object:
        return run(*arguments, "--dir", "w")

    return command


def sendable(tmp_path: Path, platform: str = "meta") -> set[str]:
    settings = Settings.at(tmp_path / "w", Config(), {})
    with Ledger.open(settings.ledger_url) as ledger:
        rows = decided(settings, ledger, date.max, EVERYBODY).collect()
    return set(rows.filter(f"advertising_{platform}")["customer_id"])


def listed(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(text)
    return path


def test_an_opt_out_by_id_is_binding_at_once_and_has_a_receipt(shop: Run, tmp_path: Path) -> None:
    said = shop("privacy", "opt-out", "--customer-id", "C1", "--json")

    assert said.code == 0
    assert sendable(tmp_path) == {"C2", "C3", "Smith"}
    receipt = said.json
    assert (receipt["given"], receipt["known"], receipt["unknown_but_kept"]) == (1, 1, 0)
    assert (receipt["request"], receipt["platform"], len(receipt["request_id"])) == ("opt-out", None, 16)
    assert "audience-pipeline audiences sync" in " ".join(receipt["next"])
    assert shop("privacy", "verify", "--head", receipt["log"]["head"]).code == 0


def test_a_mixed_file_finds_people_by_everything_they_have(shop: Run, tmp_path: Path) -> None:
    people = listed(tmp_path, "C1\n BOB@example.com\n+1 212 555 0123\nSmith\nnobody@example.org\n")

    said = shop("privacy", "opt-out", "--file", people, "--json")

    assert said.code == 0, said.err
    assert sendable(tmp_path) == {"C3"}
    assert (said.json["given"], said.json["known"], said.json["unknown_but_kept"]) == (5, 4, 1)


def test_an_opt_out_from_one_platform_leaves_the_others(shop: Run, tmp_path: Path) -> None:
    assert shop("privacy", "opt-out", "--customer-id", "C1", "--platform", "meta").code == 0

    assert "C1" not in sendable(tmp_path, "meta")
    assert "C1" in sendable(tmp_path, "tiktok")


def test_who_is_unknown_is_kept_out_when_a_later_file_brings_them(shop: Run, tmp_path: Path) -> None:
    assert shop("privacy", "erase", "--file", listed(tmp_path, "dora@example.com\nC9\n")).code == 0
    later = tmp_path / "later.csv"
    later.write_text("customer_id,email,country\nC8,dora@example.com,US\nC9,,US\nC10,,US\n")
    assert shop("ingest", "crm", later).code == 0

    assert sendable(tmp_path) >= {"C10", "C1"}
    assert not sendable(tmp_path) & {"C8", "C9"}


def test_a_loyalty_card_and_an_address_of_the_newsletter_stand_for_their_customer(
    shop: Run, tmp_path: Path
) -> None:
    sold, opened = tmp_path / "sold.csv", tmp_path / "opened.csv"
    sold.write_text(
        "customer_id,transaction_date,transaction_amount,product_category,order_id,loyalty_id\n"
        "C1,2026-01-05,10.00,shoes,O1,L77\n"
    )
    opened.write_text("event_at,event,customer_id,email\n2026-01-05,email_open,C2,bob@work.example\n")
    assert shop("ingest", "transactions", sold).code == 0
    assert shop("ingest", "engagement", opened).code == 0
    people = listed(tmp_path, "loyalty_id,email\nL77,\n,bob@work.example\n")

    said = shop("privacy", "opt-out", "--file", people, "--json")

    assert (said.json["known"], said.json["unknown_but_kept"]) == (2, 0)
    assert sendable(tmp_path) == {"C3", "Smith"}


def test_an_erased_person_never_comes_back(shop: Run, tmp_path: Path) -> None:
    said = shop("privacy", "erase", "--customer-id", "ann@example.com")
    grants = tmp_path / "grants.csv"
    grants.write_text("event_at,status,customer_id\n2030-01-01,granted,C1\n2026-11-20,granted,C1\n")
    shop("ingest", "consent", grants)

    assert "C1" not in sendable(tmp_path)
    sentences = " ".join(said.out.split())
    assert "deleted as soon as every platform has confirmed that they are gone" in sentences
    assert "audience-pipeline privacy receipts --request" in sentences
    assert "An erasure is not lifted" in sentences


def test_an_erasure_is_for_every_platform(shop: Run) -> None:
    assert shop("privacy", "erase", "--customer-id", "C1", "--platform", "meta").code == 2


def test_whoever_cannot_be_made_out_is_told_by_line_and_the_others_are_out(shop: Run, tmp_path: Path) -> None:
    said = shop("privacy", "opt-out", "--file", listed(tmp_path, "C1\nJane Doe\nC2\n"), "--json")

    assert said.code == 1
    assert said.json["lines_not_read"] == [2]
    assert "line 2: whoever is meant there is NOT covered" in said.err
    assert "Jane" not in said.out + said.err
    assert sendable(tmp_path) == {"C3", "Smith"}


def test_a_request_that_names_nobody_fails_and_changes_nothing(shop: Run, tmp_path: Path) -> None:
    said = shop("privacy", "opt-out", "--file", listed(tmp_path, "Jane Doe\n?\n"))

    assert said.code == 1
    assert "nothing in it is an e-mail address, a phone number or an id" in said.err
    assert len(sendable(tmp_path)) == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "either --customer-id ID or --file FILE"),
        (("--customer-id", "C1", "--file", "people.csv"), "either --customer-id ID or --file FILE"),
        (("--customer-id", "  "), "--customer-id is empty"),
        (("--file", "missing.csv"), "there is no such file"),
        (("--customer-id", "C1", "--column", "email=Mail"), "--column is about the columns of --file"),
    ],
)
def test_wrong_usage_ends_with_2(shop: Run, arguments: tuple[str, ...], said: str) -> None:
    answer = shop("privacy", "opt-out", *arguments)

    assert answer.code == 2
    assert said in answer.err


def test_a_request_never_makes_a_workspace(run: Run, tmp_path: Path) -> None:
    said = run("privacy", "opt-out", "--customer-id", "C1", "--dir", tmp_path / "elsewhere")

    assert (said.code, (tmp_path / "elsewhere").exists()) == (2, False)


def test_no_raw_value_of_a_request_is_written_anywhere(shop: Run, tmp_path: Path) -> None:
    people = listed(
        tmp_path, "eve.secret@example.com\n+1 212 555 0199\nEve Secret <eve2.secret@example.com>\n"
    )
    said = shop("privacy", "opt-out", "--file", people)
    people.unlink()

    assert said.code == 0, said.err
    traces = [
        str(path)
        for path in (tmp_path / "w").rglob("*")
        if path.is_file()
        and any(value in path.read_bytes().lower() for value in (b"secret", b"5550199", b"555 0199"))
    ]
    assert traces == []
    assert "secret" not in (said.out + said.err).lower()


def test_everything_that_is_stated_is_in_the_log_and_an_edit_is_found(shop: Run, tmp_path: Path) -> None:
    consent, web = tmp_path / "consent.csv", tmp_path / "web.csv"
    consent.write_text("event_at,status,customer_id\n2026-01-01,granted,C1\n2026-01-02,denied,C2\n")
    web.write_text(
        "event_at,event,customer_id,anonymous_id,gpc\n"
        "2026-01-01T10:00:00Z,page_view,C3,,true\n2026-01-01T11:00:00Z,page_view,C3,,true\n"
        "2026-01-01T10:00:00Z,page_view,,b1,true\n2026-01-01T10:00:00Z,page_view,,b2,false\n"
    )
    assert shop("ingest", "consent", consent).code == 0
    assert shop("ingest", "web", web).code == 0
    assert shop("privacy", "erase", "--customer-id", "C2").code == 0

    whole = shop("privacy", "verify", "--json")
    assert whole.code == 0
    assert (whole.json["intact"], whole.json["entries"], whole.json["landings_not_logged_yet"]) == (
        True,
        5,
        0,
    )
    segments = sorted((tmp_path / "w" / "lake" / "consent_log").glob("*.parquet"))
    assert [path.name.split("-")[1] for path in segments] == ["statements", "signals", "request"]
    assert set(pl.read_parquet(segments[1])["customer_id"]) == {"C3", "anonymous:b1"}
    assert sendable(tmp_path) == {"C1", "Smith"}

    rows = pl.read_parquet(segments[0])
    rows.with_columns(status=pl.lit("granted")).write_parquet(segments[0])
    broken = shop("privacy", "verify")

    assert broken.code == 1
    assert "BROKEN" in broken.out
    assert "the entry was changed" in broken.out
    assert shop("privacy", "verify", "--json").json["problems"][0]["entry"] == 2


def test_an_opt_out_that_was_taken_from_the_lake_is_found(shop: Run, tmp_path: Path) -> None:
    request = shop("privacy", "opt-out", "--customer-id", "C1", "--json").json["request_id"]
    assert shop("privacy", "verify").code == 0

    (tmp_path / "w" / "lake" / "consent_events" / f"{request}.parquet").unlink()

    found = shop("privacy", "verify", "--json")
    assert (found.code, found.json["intact"], len(found.json["problems"])) == (1, False, 1)


def test_landing_the_same_file_again_logs_nothing_again(shop: Run, tmp_path: Path) -> None:
    consent = tmp_path / "consent.csv"
    consent.write_text("event_at,status,customer_id\n2026-01-01,granted,C1\n")
    for _ in range(2):
        assert shop("ingest", "consent", consent).code == 0

    assert shop("privacy", "verify", "--json").json["entries"] == 1
