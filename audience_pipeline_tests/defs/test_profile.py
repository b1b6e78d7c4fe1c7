"""The profile of a small workspace, made by its asset from tables as they lie in the lake."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import dagster as dg
import polars as pl
import pytest

from audience_pipeline.audiences.fields import fields_with
from audience_pipeline.audiences.profile import profile_schema
from audience_pipeline.customers.attribution import ORDER_ATTRIBUTION
from audience_pipeline.customers.identity import IDENTIFIERS_SCHEMA
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.profile import PROFILE_INPUTS, profile_asset
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.defs.storage import LANDING_SEQUENCE, ParquetIOManager, table_path, write_table
from audience_pipeline.features.catalogue import FEATURES_SCHEMA
from audience_pipeline.settings import Reading, Settings
from audience_pipeline.sources.contract import LANDED, Kind
from audience_pipeline_tests.audiences.test_profile import (
    ACTIVITY,
    BUYER,
    CONSENT,
    IDENTITIES,
    PREDICTIONS,
    SEGMENTS,
    table,
)

DAY = date(2026, 3, 15)
CARD = "loyalty:77"


@pytest.fixture
def workspace(settings: Settings) -> Settings:
    """A buyer, merged with a loyalty card, and the reader of a newsletter."""
    merged = {"customer_id": "a", "person_key": CARD}
    tables: dict[str, pl.LazyFrame] = {
        "identities": table(
            IDENTITIES,
            {"source_id": "a", **merged},
            {"source_id": CARD, **merged},
            {"source_id": "email:1", "customer_id": "email:1", "person_key": "email:1"},
        ),
        "customer_features": table(FEATURES_SCHEMA, BUYER),
        "ltv_predictions": table(PREDICTIONS),
        "customer_segments": table(SEGMENTS),
        "identifiers": table(IDENTIFIERS_SCHEMA, {"customer_id": "a", "country": "DE"}),
        "consent": table(CONSENT, {"customer_id": "a", "advertising": True}),
        "order_attribution": table(ORDER_ATTRIBUTION),
    }
    for place, (name, frame) in enumerate(tables.items(), start=3):
        write_table(table_path(settings.lake, name, DAY.isoformat()), frame.collect(), place)
    visit = {"activity": "web:page_view", "activity_date": DAY, "events": 1}
    seen = [{"customer_id": who, **visit} for who in (CARD, "anonymous:x", "email:1")]
    write_table(table_path(settings.lake, "customer_activity"), table(ACTIVITY, *seen).collect())
    said = {
        "customer_id": CARD,
        "updated_at": datetime(2026, 1, 1),
        "landing_id": "l",
        "extra": '{"tier": "gold"}',
    }
    contacts = table({**LANDED[Kind.CRM], "landing_id": pl.String}, said).collect()
    write_table(settings.lake / Kind.CRM.dataset / "l.parquet", contacts)
    kept = settings.config.model_copy(update={"sources": {"crm": Reading(keep=("tier",))}})
    return settings.model_copy(update={"config": kept})


def made(settings: Settings) -> tuple[pl.DataFrame, dict[str, Any]]:
    calendar = AsOfCalendar.of(settings)
    given = [
        *(dg.AssetSpec(name, partitions_def=calendar.daily) for name in PROFILE_INPUTS),
        dg.AssetSpec("customer_activity"),
    ]
    result = dg.materialize(
        [profile_asset(settings, calendar), *given],
        partition_key=DAY.isoformat(),
        resources={
            "io_manager": ParquetIOManager(lake=str(settings.lake)),
            "ledger": LedgerResource.of(settings),
        },
    )
    [event] = result.asset_materializations_for_node("customer_profile")
    path = table_path(settings.lake, "customer_profile", DAY.isoformat())
    return pl.read_parquet(path), {name: value.value for name, value in event.metadata.items()}


def test_the_tables_of_the_lake_become_one_row_for_each_customer(workspace: Settings) -> None:
    frame, said = made(workspace)

    assert frame.schema == profile_schema(fields_with(["tier"]))
    buyer, reader = frame.to_dicts()
    assert (buyer["customer_id"], reader["customer_id"]) == ("a", "email:1")
    assert (buyer["person_key"], buyer["country"], buyer["orders"]) == (CARD, "DE", 2)
    assert (said["customers"], said["crm_columns"]) == (2, 1)
    assert len(PROFILE_INPUTS) == 7
    assert said[LANDING_SEQUENCE] == 3


def test_what_the_card_did_and_the_crm_says_of_it_belong_to_the_customer(workspace: Settings) -> None:
    buyer, reader = made(workspace)[0].to_dicts()

    assert (buyer["visits_7d"], buyer["crm_tier"], buyer["loyalty_member"]) == (1, "gold", True)
    assert (reader["visits_7d"], reader["crm_tier"], reader["loyalty_member"]) == (1, None, False)


def test_numbers_stay_when_the_date_is_made_again(workspace: Settings) -> None:
    first, again = made(workspace)[0], made(workspace)[0]

    assert sorted(first["customer_no"]) == [0, 1]
    assert again.equals(first)
