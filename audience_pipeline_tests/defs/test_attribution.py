"""What brought each order, in the graph: a workspace whose rows have landed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from pydantic import ValidationError

from audience_pipeline.customers.attribution import CouponCampaign
from audience_pipeline.customers.orders import orders
from audience_pipeline.defs.attribution import attribution_asset, attribution_rules
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.lake import dataset, ensure_dataset
from audience_pipeline.defs.storage import ParquetIOManager, landing_sequence, table_path, write_table
from audience_pipeline.defs.warehouse import _note_landings
from audience_pipeline.sections import Attribution, CouponCode
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import LANDED, Kind

AS_OF = date(2025, 3, 2)
SPRING = Attribution(coupons={"spring10": CouponCode(campaign="spring", platform="meta")}, lookback_days=5)
pytestmark = pytest.mark.filterwarnings("ignore")


def land(settings: Settings, kind: Kind, *rows: dict[str, Any]) -> None:
    """As a version landed them that knew nothing of coupons, cards and signals, where no row has any."""
    schema = pl.Schema({**LANDED[kind], "landing_id": pl.String()})
    frame = pl.DataFrame([{**dict.fromkeys(schema), **row} for row in rows], schema=schema)
    later = [name for name in ("coupon", "loyalty_id", "gpc", "device_id", "line") if name in schema]
    nothing = [name for name in later if frame[name].null_count() == frame.height]
    ensure_dataset(settings.lake, kind)
    write_table(settings.lake / kind.dataset / "rows.parquet", frame.drop(nothing))


def sold(customer: str, order: str, day: int, **more: Any) -> dict[str, Any]:
    at = datetime(2025, 3, day, 15)
    return {
        "customer_id": customer,
        "transaction_date": at.date(),
        "transaction_at": at,
        "amount_minor": 500,
        "order_id": order,
        **more,
    }


@pytest.fixture
def workspace(tmp_path: Path, workspace_at: Callable[..., Settings]) -> Settings:
    settings = workspace_at(tmp_path / "workspace")
    return settings.model_copy(update={"config": settings.config.model_copy(update={"attribution": SPRING})})


def materialised(settings: Settings, sequence: int = 7) -> tuple[pl.DataFrame, dict[str, Any]]:
    lake, key = settings.lake, AS_OF.isoformat()
    who = pl.DataFrame({"source_id": ["C1", "C9", "anonymous:b1"], "customer_id": ["C1", "C1", "C1"]})
    write_table(table_path(lake, "identities", key), who, sequence)
    write_table(table_path(lake, "orders"), orders(dataset(lake, Kind.TRANSACTIONS)).collect())
    (lake / ".work").mkdir(parents=True, exist_ok=True)
    _note_landings(lake, 9)
    resources = {"io_manager": ParquetIOManager(lake=str(lake))}
    asset = attribution_asset(settings, AsOfCalendar.of(settings))
    sources = [dg.AssetSpec(name) for name in ("transactions", "web_events")]
    day = AsOfCalendar.of(settings).daily
    upstream = [dg.AssetSpec("orders"), dg.AssetSpec("identities", partitions_def=day)]
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.materialize(
            [asset, *sources, *upstream],
            partition_key=key,
            resources=resources,
            instance=instance,
            selection=["order_attribution"],
        )
        [event] = run.get_asset_materialization_events()
    said = {name: value.value for name, value in event.materialization.metadata.items()}
    return pl.read_parquet(table_path(lake, "order_attribution", key)), said


def test_orders_of_merged_customers_up_to_the_day_have_what_brought_them(workspace: Settings) -> None:
    land(
        workspace,
        Kind.TRANSACTIONS,
        sold("C9", "A", 1),
        sold("C1", "B", 2, coupon="SPRING10"),
        sold("C1", "C", 3),
    )
    seen = datetime(2025, 2, 27, 12)
    visit = {"event": "page_view", "anonymous_id": "b1", "click_id": "gclid.1"}
    land(workspace, Kind.WEB, {"event_at": seen, "event_date": seen.date(), **visit})

    table, said = materialised(workspace)

    assert table.select("customer_id", "order_id", "platform", "campaign", "how").rows() == [
        ("C1", "A", "google", None, "click_id"),
        ("C1", "B", "meta", "spring", "coupon"),
    ]
    assert said["orders"] == said["orders_of_a_platform"] == 2
    assert (said["orders_by_coupon"], said["orders_by_click_id"], said["orders_by_none"]) == (1, 1, 0)


def test_it_says_up_to_which_landing_it_has_seen_the_data(workspace: Settings) -> None:
    land(workspace, Kind.TRANSACTIONS, sold("C1", "A", 1))
    land(workspace, Kind.WEB)

    table, _ = materialised(workspace, sequence=4)

    assert table["how"].to_list() == ["none"]
    assert landing_sequence(workspace.lake, AS_OF.isoformat(), "order_attribution") == 4


def test_rules_are_those_of_the_workspace(workspace: Settings) -> None:
    rules = attribution_rules(workspace)

    assert rules.coupons == {"SPRING10": CouponCampaign("spring", "meta")}
    assert rules.lookback_days == 5


def test_a_code_in_two_spellings_is_refused_by_name() -> None:
    codes = {"Spring": {"campaign": "a"}, "SPRING": {"campaign": "b"}}

    with pytest.raises(ValidationError, match="Spring stands there twice"):
        Attribution.model_validate({"coupons": codes})


@pytest.mark.parametrize(
    "wrong",
    [
        {"lookback_days": -1},
        {"coupons": {"A": {"platform": "meta"}}},
        {"coupons": {"A": {"campaign": "a", "platform": "x"}}},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Attribution.model_validate(wrong)
