"""The asset that publishes entities for plain SQL."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from pyroaring import BitMap

from audience_pipeline.audiences.stored import STORED_SCHEMA
from audience_pipeline.defs.entities import entities_asset
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.defs.storage import table_path, write_table
from audience_pipeline.ltv import registry
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.segments.behaviours import Scale
from audience_pipeline.segments.model import Segment, SegmentModel, save
from audience_pipeline.settings import Settings
from audience_pipeline_tests.defs.delivered_shop import DAY, deliver, tables

BEST = "name: best\ndescription: The best.\ninclude: {where: ltv_quintile = 1}\nplatforms: [meta]\n"


@pytest.fixture
def shop(settings: Settings, tmp_path: Path) -> Settings:
    folder = tmp_path / "definitions"
    folder.mkdir()
    (folder / "best.yaml").write_text(BEST, encoding="utf-8")
    return settings.model_copy(update={"audiences": folder})


def published(settings: Settings) -> dict[str, int]:
    result = dg.materialize([entities_asset(settings)], resources={"ledger": LedgerResource.of(settings)})
    (event,) = result.get_asset_materialization_events()
    table: Any = event.materialization.metadata["rows_by_table"]
    return {record.data["table"]: record.data["rows"] for record in table.records}


def ask(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(settings.ledger_url.removeprefix("sqlite:///"))) as ledger:
        return ledger.execute(query).fetchall()


def test_an_empty_workspace_publishes_its_definitions_alone(shop: Settings) -> None:
    assert published(shop) == {
        "UnifiedAudience": 1,
        "AudienceSegment": 0,
        "AISegmentDiscovery": 0,
        "LTVModel": 0,
        "LTVAudience": 1,
    }
    assert ask(shop, 'SELECT name, members FROM "UnifiedAudience"') == [("best", None)]


def test_what_was_refreshed_and_delivered_can_be_asked_in_plain_sql(shop: Settings) -> None:
    tables(shop)
    deliver(shop, "best", range(400), Platform.META, size_low=240, size_high=250)
    row = {"audience": "best", "size": 400, "held_out": 0, "members": BitMap(range(400)).serialize()}
    stored = {**dict.fromkeys(STORED_SCHEMA), **row, "holdout": BitMap().serialize()}
    write_table(
        table_path(shop.lake, "audience_memberships", DAY.isoformat()),
        pl.DataFrame([stored], schema=STORED_SCHEMA),
    )
    card = {"segment_id": "s1", "segment": "Loyal", "predicted_ltv": 80.0}
    write_table(table_path(shop.lake, "segment_scorecards", DAY.isoformat()), pl.DataFrame([card]))
    folder = shop.lake / "segment_model"
    folder.mkdir(parents=True)
    model = SegmentModel(
        (Scale("orders", 0, 9, 1, 1),), (Segment("s1", "Loyal", (0.5,), 1.0),), 2_000, 7, {1: 0.9}
    )
    save(model, folder / "2026-02-01.json")

    published(shop)
    published(shop)

    assert ask(shop, 'SELECT name, members, as_of FROM "UnifiedAudience"') == [("best", 400, DAY.isoformat())]
    assert ask(shop, 'SELECT name, segment_type, size FROM "AudienceSegment" ORDER BY name') == [
        ("Loyal", "ai_discovered", 2_000),
        ("best", "manual", 400),
    ]
    assert ask(shop, 'SELECT month, segment, confidence_score FROM "AISegmentDiscovery"') == [
        ("2026-02-01", "Loyal", 0.9)
    ]
    assert ask(shop, 'SELECT segment, platform, audience_id, size_low, size_high FROM "LTVAudience"') == [
        ("best", "meta", "r-best", 240, 250)
    ]
    assert ask(
        shop,
        'SELECT u.name, a.size_high FROM "UnifiedAudience" u JOIN platform_audiences a ON audience = u.name',
    ) == [("best", 250)]


def test_versions_of_the_value_model_are_published_with_what_they_go_by(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = registry.Version("3", "run", date(2026, 2, 28), ("champion",), False, None, {"customers": 9.0})
    unread = registry.Version("2", "run", date.max, (), True, None, {})

    def read(_uri: str, _cache: Path, number: str) -> Any:
        if number == "2":
            raise registry.UnusableModelError("another form")
        report = {"importances": [{"model": "expected value", "feature": "orders", "gain": 0.75}]}
        return registry.Known(None, number, report, None, None, Path())  # type: ignore[arg-type]

    monkeypatch.setattr("audience_pipeline.ltv.store.exists", lambda uri: True)
    monkeypatch.setattr(registry, "versions", lambda uri: [version, unread])
    monkeypatch.setattr(registry, "read", read)

    published(shop)

    columns = "version, training_date, state, feature_importance, accuracy_metrics, model_artifact_path"
    new, old = ask(shop, f'SELECT {columns} FROM "LTVModel" ORDER BY version DESC')
    assert new[:3] == ("3", "2026-02-28", "champion")
    assert json.loads(new[3]) == {"expected value": {"orders": 0.75}}
    assert json.loads(new[4]) == {"customers": 9.0}
    assert new[5] == "models:/ltv/3"
    assert (old[1], old[2], old[3]) == (None, "withdrawn", None)


def test_definitions_with_mistakes_keep_nothing_else_from_being_published(shop: Settings) -> None:
    (shop.audiences / "_rules.yaml").write_text("rules: [", encoding="utf-8")

    assert published(shop)["UnifiedAudience"] == 0
