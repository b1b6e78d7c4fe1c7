"""Who of a profile is on an uploaded list: as it was stored, and as it is matched where it was not."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.defs import list_files
from audience_pipeline.defs.list_files import FOLDER, list_members_as_of, store_list_members
from audience_pipeline.settings import Config, Settings
from audience_pipeline.sources.contract import LANDED, Kind

YESTERDAY, TODAY = date(2026, 3, 14), date(2026, 3, 15)


@pytest.fixture
def workspace(tmp_path: Path) -> Settings:
    """Three customers on two dates, and two lists."""
    made = Settings.at(tmp_path, Config(), {})
    for day in (YESTERDAY, TODAY):
        for name, columns in (
            ("customer_profile", {"customer_id": ["c1", "c2", "c3"]}),
            ("identities", {"source_id": ["c1", "old"], "customer_id": ["c1", "c1"]}),
            ("identifiers", {"customer_id": ["c1", "c2", "c3"], "meta_email": [b"1", b"2", b"3"]}),
        ):
            write(made.lake / name / f"{day}.parquet", pl.DataFrame(columns))
    listed(made, "readers", b"2")
    listed(made, "fans", b"3")
    return made


def write(path: Path, table: pl.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(path)


def listed(settings: Settings, name: str, *emails: bytes) -> None:
    table = pl.DataFrame({"kind": ["email"] * len(emails), "value": list(emails)})
    write(settings.lake / "lists" / f"{name}.parquet", table)


def who(settings: Settings, *names: str, day: date = TODAY) -> dict[str, list[bool]]:
    return {name: found.to_list() for name, found in list_members_as_of(settings, day, names).items()}


def test_a_stored_list_is_read_and_one_that_was_uploaded_later_is_matched(
    workspace: Settings, monkeypatch: pytest.MonkeyPatch
):
    store_list_members(workspace, TODAY, ["readers"])
    matched: list[str] = []
    match = list_files.list_members
    monkeypatch.setattr(
        list_files, "list_members", lambda s, names, **more: matched.extend(names) or match(s, names, **more)
    )

    expected = {"readers": [False, True, False], "fans": [False, False, True]}
    assert who(workspace, "readers", "fans") == expected
    assert matched == ["fans"]


def test_after_files_have_landed_the_list_is_matched_again(
    workspace: Settings, monkeypatch: pytest.MonkeyPatch
):
    store_list_members(workspace, TODAY, ["readers"])
    contacts = pl.DataFrame(schema=LANDED[Kind.CRM])
    write(workspace.lake / Kind.CRM.dataset / "landed.parquet", contacts)
    none = {"readers": pl.Series("customer_id", [], dtype=pl.String)}
    monkeypatch.setattr(list_files, "list_members", lambda *_, **__: none)

    assert who(workspace, "readers") == {"readers": [False] * 3}


@pytest.mark.parametrize("changed", ["list", "identifiers", "profile"])
def test_after_a_table_has_changed_the_list_is_matched_again(workspace: Settings, changed: str):
    store_list_members(workspace, TODAY, ["readers"])
    if changed == "list":
        listed(workspace, "readers", b"1", b"3")
    elif changed == "identifiers":
        people = pl.DataFrame({"customer_id": ["c1"], "meta_email": [b"2"]})
        write(workspace.lake / "identifiers" / f"{TODAY}.parquet", people)
    else:
        path = workspace.lake / "customer_profile" / f"{TODAY}.parquet"
        write(path, pl.DataFrame({"customer_id": ["c0", "c1", "c2", "c3"]}))

    expected = {"list": [True, False, True], "identifiers": [True, False, False]}
    assert who(workspace, "readers")["readers"] == expected.get(changed, [False, False, True, False])


def test_only_the_newest_date_is_kept_and_an_older_one_is_answered_all_the_same(workspace: Settings):
    for day in (YESTERDAY, TODAY, YESTERDAY):
        found = store_list_members(workspace, day, ["readers"])
        assert found["readers"].to_list() == [False, True, False]

    assert [path.name for path in (workspace.lake / FOLDER).iterdir()] == [f"{TODAY}.parquet"]
    assert who(workspace, "readers", day=YESTERDAY) == {"readers": [False, True, False]}
