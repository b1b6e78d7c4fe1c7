from __future__ import annotations

from collections.abc import Callable
from datetime import date
from hashlib import sha256
from pathlib import Path

import pytest

from audience_pipeline.defs.identities import DECISIONS, resolved_as_of
from audience_pipeline.defs.storage import table_path, write_table
from audience_pipeline.ledger import landings
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.landings import Landing
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import LANDED, Kind
from audience_pipeline_tests.commands.conftest import Run
from audience_pipeline_tests.customers.identity_tables import table

DAY = date(2026, 3, 2)
ADDRESS = "ann@shop-of-ann.example"


@pytest.fixture
def workspace(tmp_path: Path, workspace_at: Callable[..., Settings]) -> Path:
    settings = workspace_at(tmp_path / "workspace")
    crm = [
        {"customer_id": "C1", "email": ADDRESS, "line": 2, "landing_id": "contacts"},
        {"customer_id": "C2", "email": ADDRESS, "line": 17, "landing_id": "contacts", "loyalty_id": "K7"},
        {"customer_id": "C3", "line": 18, "landing_id": "contacts"},
        {"customer_id": "loyalty:K7", "line": 19, "landing_id": "contacts"},
    ]
    frame = table(Kind.CRM, crm).collect().select([*LANDED[Kind.CRM], "landing_id"])
    write_table(settings.lake / Kind.CRM.dataset / "contacts.parquet", frame)
    ledger = Ledger.open(settings.ledger_url)
    landings.record(ledger, Landing("contacts", "crm", "crm.csv", "c" * 64, 4, 4))
    found = resolved_as_of(settings, ledger, DAY)
    ledger.close()
    write_table(table_path(settings.lake, "identities", DAY.isoformat()), found.identities)
    write_table(table_path(settings.lake, DECISIONS, DAY.isoformat()), found.decisions)
    return settings.home


@pytest.mark.parametrize("known_as", ["C1", "C2", "loyalty:K7", "K7", ADDRESS, f" {ADDRESS.upper()}"])
def test_a_customer_is_explained_by_any_of_its_ids(run: Run, workspace: Path, known_as: str) -> None:
    said = run("customers", "explain", known_as, "--dir", workspace)

    assert said.code == 0, said.err
    assert "Customer C1 as of 2026-03-02" in said.out
    assert "C2 is the same person as C1: same e-mail hash, 2026-01-01, crm.csv line 17" in said.out
    assert "loyalty:K7 is the same person as C2: same loyalty card, 2026-01-01, crm.csv line 19" in said.out


def test_a_raw_address_is_never_shown(run: Run, workspace: Path) -> None:
    said = [
        run("customers", "explain", address, "--dir", workspace, *more)
        for address in (ADDRESS, "nobody@shop-of-ann.example")
        for more in ((), ("--json",))
    ]

    assert [one.code for one in said] == [0, 0, 1, 1]
    assert not any("shop-of-ann" in one.out + one.err for one in said)
    assert not any(sha256(ADDRESS.encode()).hexdigest()[:16] in one.out + one.err for one in said)
    assert "nobody is known by that e-mail address" in said[2].err


def test_the_explanation_can_be_read_by_programs(run: Run, workspace: Path) -> None:
    [told] = run("customers", "explain", "C2", "--dir", workspace, "--as-of", "2026-03-02", "--json").json[
        "customers"
    ]

    assert told["customer_id"] == "C1"
    assert [alias["source_id"] for alias in told["aliases"]] == ["C1", "C2", "loyalty:K7"]
    assert told["aliases"][0]["file"] == "crm.csv"
    assert {row["line"] for row in told["merges"]} == {17, 19}


def test_merges_are_counted(run: Run, workspace: Path) -> None:
    said = run("customers", "merges", "--dir", workspace)
    told = run("customers", "merges", "--dir", workspace, "--json").json

    assert "2 customers under 4 ids" in said.out
    assert (told["as_of"], told["customers"], told["merged_people"]) == ("2026-03-02", 2, 1)
    assert sum(row["links"] for row in told["links"]) == 2


def test_somebody_unknown_is_said_to_be(run: Run, workspace: Path) -> None:
    said = run("customers", "explain", "C9", "--dir", workspace)

    assert said.code == 1
    assert "nobody is known by that id as of 2026-03-02" in said.err
    assert "capital letters" in said.err


def test_a_phone_number_without_a_country_code_is_told_what_it_lacks(run: Run, workspace: Path) -> None:
    said = run("customers", "explain", "0151 10617291", "--dir", workspace)

    assert said.code == 1
    assert "needs its country code" in said.err
    assert "10617291" not in said.err


def test_a_date_that_nobody_resolved_says_how_to_make_it(run: Run, workspace: Path) -> None:
    said = run("customers", "merges", "--dir", workspace, "--as-of", "2026-02-01")

    assert said.code == 1
    assert "refresh --as-of 2026-02-01 makes it" in said.err


def test_an_empty_workspace_says_what_to_do_first(run: Run, tmp_path: Path) -> None:
    said = run("customers", "explain", "C1", "--dir", tmp_path)

    assert said.code == 1
    assert "run audience-pipeline refresh first" in said.err
