"""The evidence of requests on the command line, and the command that completes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from audience_pipeline.ledger import Ledger
from audience_pipeline.settings import Config, Settings
from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.landing import land
from audience_pipeline_tests.commands.conftest import Run

CONTACTS = "customer_id,email,country\nANN-0001,ann@example.com,US\nBOB-0002,bob@example.com,US\n"


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


def test_nobody_has_asked_yet(shop: Run) -> None:
    said = shop("privacy", "receipts")

    assert said.code == 0
    assert "Nobody has opted out or asked to be erased yet." in said.out
    assert shop("privacy", "complete").out.strip() == "Nothing is owed."


def test_an_opt_out_has_a_receipt_that_holds_nothing_of_the_person(shop: Run) -> None:
    asked = shop("privacy", "opt-out", "--customer-id", "ANN-0001", "--json").json["request_id"]

    listed, full = shop("privacy", "receipts"), shop("privacy", "receipts", "--request", asked)
    [one] = shop("privacy", "receipts", "--json").json["requests"]

    assert (listed.code, full.code) == (0, 0)
    assert "All 1 are complete." in listed.out
    assert (one["request_id"], one["request"], one["origin"], one["people"]) == (
        asked,
        "opt-out",
        "request",
        1,
    )
    assert (one["complete"], one["here"]) == (True, None)
    assert {each["state"] for each in one["platforms"]} == {"not_configured"}
    assert "what the platform can confirm" in full.out
    assert "ANN" not in listed.out + full.out + str(one)


def test_an_erasure_is_owed_until_it_is_completed_and_then_says_what_was_deleted(shop: Run) -> None:
    asked = shop("privacy", "erase", "--customer-id", "ANN-0001", "--json").json["request_id"]

    before = shop("privacy", "receipts")
    assert "1 of 1 still owed" in before.out
    assert "Still owed: the deletion here is due." in shop("privacy", "receipts", "--request", asked).out
    done = shop("privacy", "complete")
    after = shop("privacy", "receipts", "--request", asked, "--json").json["requests"][0]

    assert done.code == 0
    assert f"Request {asked} (erasure): complete. 2 rows are deleted here." in done.out
    assert after["complete"]
    assert after["here"]["rows_by_table"] == {"consent_events": 1, "crm_contacts": 1}
    assert after["here"]["log_entries_without_names"] == 1
    assert after["here"]["log"]["head"]
    full = " ".join(shop("privacy", "receipts", "--request", asked).out.split())
    assert "What stays: the log of consent" in full
    assert "Not deleted, because it is not held here" in full
    verified = shop("privacy", "verify")
    assert verified.code == 0
    assert "1 entry without names: keyed marks stand where ids" in verified.out
    assert shop("privacy", "complete").out.strip() == "Nothing is owed."


def test_asking_again_for_somebody_who_was_erased_says_so(shop: Run) -> None:
    shop("privacy", "erase", "--customer-id", "ANN-0001")
    shop("privacy", "complete")

    said = shop("privacy", "erase", "--customer-id", "ANN-0001", "--json")

    assert (said.code, said.json["erased_before"]) == (0, 1)
    assert "erased before: nothing is held of them" in " ".join(said.json["next"])
    assert shop("privacy", "receipts").code == 0


def test_an_unknown_request_is_no_receipt(shop: Run) -> None:
    said = shop("privacy", "receipts", "--request", "0123456789abcdef")

    assert said.code == 1
    assert "there is no request with that id" in said.err


@pytest.mark.parametrize("command", ["receipts", "complete"])
def test_neither_command_makes_a_workspace(run: Run, tmp_path: Path, command: str) -> None:
    said = run("privacy", command, "--dir", tmp_path / "elsewhere")

    assert (said.code, (tmp_path / "elsewhere").exists()) == (2, False)


def test_a_lost_key_stops_landing_and_deletion_with_what_to_do(shop: Run, tmp_path: Path) -> None:
    shop("privacy", "erase", "--customer-id", "ANN-0001")
    shop("privacy", "complete")
    (tmp_path / "w" / "tombstones.key").unlink()

    more = tmp_path / "more.csv"
    more.write_text(CONTACTS + "CEC-0003,cec@example.com,US\n")

    said = [shop("ingest", "crm", more)]
    shop("privacy", "erase", "--customer-id", "BOB-0002")
    said.append(shop("privacy", "complete"))

    assert [one.code for one in said] == [1, 1]
    for one in said:
        assert "erased people could come back unnoticed. Restore the key from a backup" in one.err


def test_a_stray_file_among_the_statements_is_said_in_words_that_help(shop: Run, tmp_path: Path) -> None:
    folder = tmp_path / "w" / "lake" / "consent_events"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "copy.parquet").write_bytes(b"nothing")

    said = shop("privacy", "opt-out", "--customer-id", "ANN-0001")

    assert said.code == 1
    assert "nothing was requested" in said.err
    assert (
        "1 file that this workspace never landed, such as copy.parquet. Move it out of the folder" in said.err
    )
