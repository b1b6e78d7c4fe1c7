from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from audience_pipeline.audiences.profile import PROFILE_SCHEMA
from audience_pipeline.audiences.sizes import SIZES_SCHEMA
from audience_pipeline.customers.identity import IDENTIFIERS_SCHEMA
from audience_pipeline.defs.audience_history import (
    HISTORY,
    MOST_NAMED,
    audience_history_definitions,
    size_check,
    unusual,
)
from audience_pipeline.defs.audience_page import page_path
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.defs.storage import ParquetIOManager, table_path, write_table
from audience_pipeline.platforms.contract import CAPABILITIES, Platform
from audience_pipeline.settings import Settings
from audience_pipeline_tests.audiences.stored_frames import store, written

TODAY, YESTERDAY = date(2026, 3, 15), date(2026, 3, 14)


def changed(
    size: int, before: int | None = None, added: int = 0, removed: int = 0, name: str = "a"
) -> pl.DataFrame:
    known = before is not None
    row = (name, TODAY, size, 0, *((YESTERDAY, before, added, removed) if known else (None,) * 4))
    return pl.DataFrame([row], SIZES_SCHEMA, orient="row")


@pytest.mark.parametrize(
    ("size", "before", "added", "removed"),
    [
        (100, None, 0, 0),
        (100, 100, 0, 0),
        (1, 0, 1, 0),
        (5_000, 0, 5_000, 0),
        (198, 99, 99, 0),
        (3_000, 4_000, 0, 1_000),
        (4_000, 3_000, 1_000, 0),
        (8_999, 10_000, 1_999, 3_000),
    ],
    ids=str,
)
def test_what_a_delivery_would_do_unasked_is_as_usual(
    size: int, before: int | None, added: int, removed: int
) -> None:
    assert unusual(changed(size, before, added, removed)) == {}


@pytest.mark.parametrize(
    ("size", "before", "added", "removed", "what"),
    [
        (0, None, 0, 0, "nobody is in it"),
        (0, 0, 0, 0, "nobody is in it"),
        (0, 1, 0, 1, "nobody is left of 1 person"),
        (50, 50, 50, 50, "all 50 people have been replaced"),
        (200, 100, 100, 0, "it has at least doubled, from 100 to 200 people"),
        (1_999, 3_000, 0, 1_001, "1,001 people left, 33 % of the 3,000"),
        (4_001, 3_000, 1_001, 0, "1,001 people came, 33 % of the 3,000"),
    ],
    ids=str,
)
def test_what_a_delivery_would_ask_about_is_named_with_a_remedy(
    size: int, before: int | None, added: int, removed: int, what: str
) -> None:
    said = unusual(changed(size, before, added, removed))["a"]

    assert said.startswith(what)
    assert "audience-pipeline audiences preview a" in said


def test_the_check_warns_and_names_the_audiences_and_what_to_do(tmp_path: Path) -> None:
    both = pl.concat([changed(0, 40, 0, 40, "gone"), changed(100, 100, name="calm")])

    result = size_check(both, tmp_path / "page.html")

    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.WARN
    assert result.description is not None
    assert result.description.startswith("gone: nobody is left of 40 people")
    assert "calm" not in result.description
    assert result.metadata["empty_audiences"].value == 1


def test_the_check_passes_where_all_is_as_usual(tmp_path: Path) -> None:
    result = size_check(changed(100, 100), tmp_path / "page.html")

    assert result.passed
    assert result.metadata["unusual_audiences"].value == 0


def test_the_sentence_of_the_check_stays_short_and_the_table_has_all(tmp_path: Path) -> None:
    many = pl.concat(changed(0, name=f"a{number}") for number in range(MOST_NAMED + 5))

    result = size_check(many, tmp_path / "page.html")

    assert result.description is not None
    assert result.description.endswith("and 5 more")
    assert len(result.metadata["unusual"].records) == MOST_NAMED + 5


PEOPLE = 300


@pytest.fixture
def workspace(settings: Settings, tmp_path: Path) -> Settings:
    """Two dates of two audiences: one grows by a person, the other stays as it is."""
    folder = tmp_path / "audiences"
    written(folder, "grows", "stays", "later")
    for day, grown in ((YESTERDAY, 100), (TODAY, 101)):
        path = table_path(settings.lake, "audience_memberships", day.isoformat())
        store(path, {"grows": range(grown), "stays": {1, 2}}, PEOPLE)
    ids = pl.Series("customer_id", [f"c{number:04}" for number in range(PEOPLE)])
    known = {"customer_no": range(PEOPLE), "person_key": [f"p{number}" for number in range(PEOPLE)]}
    needed = {column for one in CAPABILITIES.values() for column in one.identifiers}
    tables = {
        "customer_profile": filled(PROFILE_SCHEMA, ids, **known),
        "identifiers": filled(
            dict.fromkeys(sorted(needed), pl.Binary) | IDENTIFIERS_SCHEMA, ids, meta_email=[b"x"] * PEOPLE
        ),
        "consent": filled(
            {"opted_out": pl.Boolean}
            | {
                f"{word}_{one.value}": pl.Boolean for one in Platform for word in ("advertising", "opted_out")
            },
            ids,
            advertising_meta=[True] * PEOPLE,
        ),
    }
    for name, frame in tables.items():
        for day in (YESTERDAY, TODAY):
            write_table(table_path(settings.lake, name, day.isoformat()), frame)
    return settings.model_copy(update={"audiences": folder})


def filled(schema: Any, ids: pl.Series, **columns: Any) -> pl.DataFrame:
    given = {"customer_id": ids} | columns
    rest = {name: [None] * len(ids) for name in schema if name not in given}
    types = {name: dtype for name, dtype in dict(schema).items() if name in given | rest}
    return pl.DataFrame(given | rest, schema_overrides=types)


def run(settings: Settings, instance: dg.DagsterInstance, day: date) -> dg.ExecuteInProcessResult:
    calendar = AsOfCalendar.of(settings)

    @dg.asset(partitions_def=calendar.daily)
    def audience_memberships() -> dg.MaterializeResult:
        return dg.MaterializeResult()

    definitions = dg.Definitions.merge(
        audience_history_definitions(settings, calendar),
        dg.Definitions(
            assets=[audience_memberships],
            jobs=[dg.define_asset_job("sizes", ["audience_memberships", "audience_sizes"])],
            resources={
                "io_manager": ParquetIOManager(lake=str(settings.lake)),
                "ledger": LedgerResource.of(settings),
            },
        ),
    )
    return definitions.resolve_job_def("sizes").execute_in_process(
        instance=instance, partition_key=day.isoformat()
    )


def changes(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    found = [event.materialization for event in result.get_asset_materialization_events()]
    return {
        str(one.partition): {name: value.value for name, value in one.metadata.items()}
        for one in found
        if one.asset_key == HISTORY
    }


@pytest.mark.filterwarnings("ignore")
def test_each_date_leaves_sizes_a_page_and_an_event_for_each_audience_that_changed(
    workspace: Settings,
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        first, second = (run(workspace, instance, day) for day in (YESTERDAY, TODAY))

        assert set(instance.get_dynamic_partitions("audiences")) == {"grows", "stays"}

    assert changes(first) == {
        "grows": {"as_of": "2026-03-14", "size": 100, "held_out": 0},
        "stays": {"as_of": "2026-03-14", "size": 2, "held_out": 0},
    }
    assert changes(second) == {
        "grows": {"as_of": "2026-03-15", "size": 101, "held_out": 0, "added": 1, "removed": 0}
    }
    assert [one.passed for one in second.get_asset_check_evaluations()] == [True]
    stored = pl.read_parquet(table_path(workspace.lake, "audience_sizes", TODAY.isoformat()))
    assert stored.select("audience", "size", "added").rows() == [("grows", 101, 1), ("stays", 2, 0)]


@pytest.mark.filterwarnings("ignore")
def test_the_page_lies_in_the_workspace_and_has_every_audience_that_is_defined(workspace: Settings) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(workspace, instance, YESTERDAY) and run(workspace, instance, TODAY)
    made = next(
        event.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey("audience_sizes")
    )
    path = page_path(workspace, TODAY)

    assert str(made.metadata["page"].value) == str(path)
    assert path.parent == workspace.home / "reports"
    text = path.read_text(encoding="utf-8")
    assert text.count("<article") == 3
    assert text.count("<polyline") == 4
    assert "could not be evaluated on this date, or was defined after it" in text
    assert 'aria-label="100 people on 2026-03-14, 101 on 2026-03-15"' in text
    assert set(path.parent.iterdir()) == {path, page_path(workspace, YESTERDAY)}
