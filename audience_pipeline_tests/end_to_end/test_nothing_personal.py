"""No raw e-mail address, phone number or name in anything that a run wrote, its input files aside."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from audience_pipeline_tests.end_to_end.runs import Demo
from audience_pipeline_tests.end_to_end.traces import Needles, found, needles, search

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture(scope="module")
def personal(demo: Demo) -> Needles:
    files = demo.place.workspace / "input"
    return needles(files / "crm.csv", files / "consent.csv", files / "engagement_events.csv")


def test_there_is_much_to_look_for_and_it_would_be_found(demo: Demo, personal: Needles) -> None:
    """Without this, a search that finds nothing would prove nothing."""
    folder = demo.place.workspace / "input"

    assert len(personal.anywhere) > 5_000
    files = {Path(hit.partition(": ")[0]).name for hit in found(folder, personal)}

    assert {
        "crm.csv",
        "consent.csv",
        "engagement_events.csv",
        "customers.parquet",
        "population.parquet",
    } <= files


def test_neither_the_workspace_nor_the_machine_keeps_anything_personal(
    again: Demo, personal: Needles
) -> None:
    """Every file of both runs: lake, ledger, the databases of Dagster and MLflow, logs, pages, HOME."""
    place = again.place
    assert list((place.workspace / "reports").glob("audiences-*.html"))
    assert list((place.lake / "consent_log").glob("*.parquet"))
    assert list((place.lake / "identity_decisions").glob("*.parquet"))

    hits = found(place.root, personal, leave_out=[place.workspace / "input"])

    assert hits == []


def test_neither_does_what_the_runs_said(demo: Demo, again: Demo, personal: Needles) -> None:
    said = [demo.out, demo.err, again.out, again.err]

    assert all(said[:2])
    assert search([text.encode().decode("latin-1") for text in said], sorted(personal.anywhere)) == []


def test_the_lake_keeps_hashes_of_32_bytes_where_there_was_something_to_hash(demo: Demo) -> None:
    identifiers = pl.read_parquet(demo.place.table("identifiers", demo.as_of))
    hashes = [name for name, dtype in identifiers.schema.items() if dtype == pl.Binary]

    assert len(hashes) == 9
    for name in hashes:
        assert set(identifiers[name].drop_nulls().bin.size()) == {32}


def test_temporary_files_are_gone_and_the_current_folder_is_as_it_was(again: Demo) -> None:
    assert list(again.place.temporary.rglob("*")) == []
    assert list(again.place.current.rglob("*")) == []
