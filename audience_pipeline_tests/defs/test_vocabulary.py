from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.audiences.definition import DefinitionErrors, load_definitions
from audience_pipeline.defs.vocabulary import list_members, segment_names, vocabulary
from audience_pipeline.identifiers.text import digest
from audience_pipeline.settings import Config, Reading, Settings
from audience_pipeline.sources.lists import upload

TEXT = """name: some
description: Somebody.
platforms: [meta]
include: {all: [{in: {segment: Loyal}}, {in: vip}, {where: crm_tier = 'gold'}]}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings.at(tmp_path, Config(sources={"crm": Reading(keep=["Tier"])}), {})
    (tmp_path / "audiences").mkdir()
    (tmp_path / "audiences" / "some.yaml").write_text(TEXT)
    return made


def with_segments(settings: Settings, day: str, *names: str) -> None:
    folder = settings.lake / "customer_segments"
    folder.mkdir(parents=True, exist_ok=True)
    pl.DataFrame({"customer_id": list(names), "segment": list(names)}).write_parquet(
        folder / f"{day}.parquet"
    )


def test_a_definition_may_name_what_the_workspace_has(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "vip.csv").write_text("C1\n")
    upload(settings.lake, "vip", tmp_path / "vip.csv")
    with_segments(settings, "2026-01-01", "Loyal", "New")

    found = load_definitions(tmp_path / "audiences", **vocabulary(settings))["some"]

    assert (found.lists, found.segments, found.fields) == ({"vip"}, {"Loyal"}, {"crm_tier"})


def test_what_the_workspace_does_not_have_is_told_at_once(settings: Settings, tmp_path: Path) -> None:
    with_segments(settings, "2026-01-01", "Loyal")
    with_segments(settings, "2026-01-02", "Royal")

    with pytest.raises(DefinitionErrors) as caught:
        load_definitions(tmp_path / "audiences", **vocabulary(settings))

    assert "there is no segment 'Loyal' (did you mean Royal?)" in str(caught.value)
    assert "there is no audience or uploaded list vip" in str(caught.value)


def test_segments_are_open_before_the_first_and_in_a_refresh(settings: Settings) -> None:
    assert segment_names(settings) is None
    with_segments(settings, "2026-01-01", "Loyal")
    assert vocabulary(settings)["segments"] == ("Loyal",)
    assert vocabulary(settings, with_segments=False)["segments"] is None


def test_lists_are_turned_into_customers_by_name(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "vip.csv").write_text("C1\nold\nC3\n".replace("old", "old9"))
    upload(settings.lake, "vip", tmp_path / "vip.csv")
    identities = pl.DataFrame({"source_id": ["old9"], "customer_id": ["C2"]})
    identifiers = pl.DataFrame({"customer_id": ["C1"]})

    found = list_members(
        settings,
        {"vip"},
        as_of=date(2026, 1, 1),
        identifiers=identifiers,
        identities=identities,
        customers=pl.Series(["C1", "C3"]),
    )

    assert {name: ids.to_list() for name, ids in found.items()} == {"vip": ["C1", "C2", "C3"]}


def test_a_list_means_whoever_has_landed_with_its_address_up_to_the_date(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "employees.csv").write_text("ann@shop.example\n+1 212 555 0123\nnews@shop.example\n")
    upload(settings.lake, "employees", tmp_path / "employees.csv")
    ann, phone, news = (digest(text) for text in ("ann@shop.example", "12125550123", "news@shop.example"))
    contacts = {
        "customer_id": ["C1", "C1", "old9", "C4", "C5"],
        "updated_at": [datetime(2026, 1, 1, 9), datetime(2026, 1, 2), None, datetime(2026, 1, 3), None],
        "meta_email": [ann, digest("ann@elsewhere.example"), None, ann, None],
        "meta_phone": [None, None, phone, None, None],
    }
    read = {
        "customer_id": ["C3", "C5"],
        "event_date": [date(2026, 1, 2), date(2026, 1, 3)],
        "meta_email": [news, news],
    }
    for name, columns in (("crm_contacts", contacts), ("engagement_events", read)):
        (settings.lake / name).mkdir(parents=True)
        pl.DataFrame(columns).with_columns(pl.col("^updated_at$").cast(pl.Datetime("us"))).write_parquet(
            settings.lake / name / "1.parquet"
        )

    found = list_members(
        settings,
        {"employees"},
        as_of=date(2026, 1, 2),
        identifiers=pl.DataFrame({"customer_id": ["C1"], "meta_email": [digest("ann@elsewhere.example")]}),
        identities=pl.DataFrame({"source_id": ["old9"], "customer_id": ["C2"]}),
        customers=pl.Series(["C1", "C3", "C4", "C5"]),
    )

    assert found["employees"].to_list() == ["C1", "C2", "C3"]
