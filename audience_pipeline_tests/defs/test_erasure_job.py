"""The daemon deletes erased people by itself, and not while a run reads and writes what is to be deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from dagster._core.test_utils import create_run_for_test

from audience_pipeline.defs.erasure_job import BUSY, erasure_definitions
from audience_pipeline.defs.jobs import JOBS
from audience_pipeline.defs.privacy import request
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.ledger import erasures
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.erasures import ErasureState
from audience_pipeline.settings import Config, Settings
from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.landing import land
from audience_pipeline.sources.requests import one_person


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings.at(tmp_path / "w", Config(), {})
    contacts = tmp_path / "contacts.csv"
    contacts.write_text("customer_id,email\nANN-0001,ann@example.com\nBOB-0002,bob@example.com\n")
    with Ledger.open(made.ledger_url) as ledger:
        land(Kind.CRM, contacts, lake=made.lake, ledger=ledger)
    return made


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def asked(settings: Settings) -> None:
    with Ledger.open(settings.ledger_url) as ledger:
        request(settings, ledger, one_person("ANN-0001"), "erase")


def looks(settings: Settings, instance: dg.DagsterInstance) -> object:
    [sensor] = list(erasure_definitions(settings).sensors or [])
    assert isinstance(sensor, dg.SensorDefinition)
    return sensor(dg.build_sensor_context(instance))


def test_nobody_is_to_be_deleted(settings: Settings, instance: dg.DagsterInstance) -> None:
    assert isinstance(looks(settings, instance), dg.SkipReason)


def test_a_deletion_that_is_due_is_started(settings: Settings, instance: dg.DagsterInstance) -> None:
    asked(settings)

    assert isinstance(looks(settings, instance), dg.RunRequest)


@pytest.mark.parametrize("job", [*BUSY, "erasures"])
def test_it_waits_for_runs_that_read_and_write_tables(
    settings: Settings, instance: dg.DagsterInstance, job: str
) -> None:
    asked(settings)
    create_run_for_test(instance, job_name=job, status=dg.DagsterRunStatus.STARTED)

    said = looks(settings, instance)

    assert isinstance(said, dg.SkipReason)
    assert f"waits for {job}" in str(said.skip_message)
    assert job in {*(one.name for one in JOBS), "erasures"}


def test_the_job_deletes_and_says_how_many(settings: Settings, instance: dg.DagsterInstance) -> None:
    asked(settings)
    made = erasure_definitions(settings)
    definitions = dg.Definitions.merge(
        made, dg.Definitions(resources={"ledger": LedgerResource.of(settings)})
    )

    result = definitions.resolve_job_def("erasures").execute_in_process(instance=instance)

    assert result.success
    files = (settings.lake / "crm_contacts").glob("*.parquet")
    assert pl.concat([pl.read_parquet(path) for path in files])["customer_id"].to_list() == ["BOB-0002"]
    with Ledger.open(settings.ledger_url) as ledger, ledger.reading() as connection:
        assert [one.state for one in erasures.erasures(connection)] == [ErasureState.DELETED]
