"""Who is who, in the graph: a workspace whose rows have landed, refreshed on two days."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from audience_pipeline.customers.identities_limits import IdentityLimits
from audience_pipeline.customers.orders import orders
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.customers import customer_assets
from audience_pipeline.defs.identities import (
    USUAL,
    histories,
    identities_asset,
    identity_limits,
    resolved_as_of,
)
from audience_pipeline.defs.lake import dataset, ensure_dataset
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.defs.storage import ParquetIOManager, landing_sequence, table_path, write_table
from audience_pipeline.ledger import landings
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.landings import Landing
from audience_pipeline.settings import Calendar, Settings
from audience_pipeline.sources.contract import LANDED, Kind
from audience_pipeline_tests.customers.identity_tables import h, table

FIRST, SECOND = date(2025, 3, 1), date(2025, 3, 2)
ACTIVITY = {
    "customer_id": ["anonymous:b-1", "anonymous:b-2"],
    "activity_date": [date(2025, 2, 20)] * 2,
    "activity": ["web:product_view"] * 2,
    "events": [3, 5],
}
pytestmark = pytest.mark.filterwarnings("ignore")


class Shop:
    """A workspace with rows put where landing would have put them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.calendar = AsOfCalendar.of(settings)
        self.instance = dg.DagsterInstance.ephemeral()

    def land(self, kind: Kind, name: str, rows: list[dict[str, Any]]) -> None:
        frame = table(kind, [{"landing_id": name, **row} for row in rows]).collect()
        write_table(
            self.settings.lake / kind.dataset / f"{name}.parquet",
            frame.select([*LANDED[kind], "landing_id"]),
        )
        ledger = Ledger.open(self.settings.ledger_url)
        landings.record(ledger, Landing(name, kind.value, f"{name}.csv", name * 4, len(rows), len(rows)))
        ledger.close()

    def marts(self) -> None:
        for kind in Kind:
            ensure_dataset(self.settings.lake, kind)
        lake = self.settings.lake
        write_table(table_path(lake, "orders"), orders(dataset(lake, Kind.TRANSACTIONS)).collect())
        write_table(table_path(lake, "customer_activity"), pl.DataFrame(ACTIVITY))

    def refresh(self, day: date) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [
                *(dg.AssetSpec(name) for name in ("orders", "customer_activity")),
                identities_asset(self.settings, self.calendar),
                *customer_assets(self.settings, self.calendar),
            ],
            instance=self.instance,
            partition_key=day.isoformat(),
            resources={
                "io_manager": ParquetIOManager(lake=str(self.settings.lake)),
                "ledger": LedgerResource.of(self.settings),
            },
            selection=["identities", "identifiers", "customer_features"],
        )

    def read(self, name: str, day: date) -> pl.DataFrame:
        return pl.read_parquet(table_path(self.settings.lake, name, day.isoformat()))

    def check(self, result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
        return next(one for one in result.get_asset_check_evaluations() if one.check_name == USUAL)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, workspace_at: Callable[..., Settings]) -> Shop:
    calendar = Calendar(first_day=date(2025, 1, 1), last_day=SECOND)
    made = Shop(workspace_at(tmp_path_factory.mktemp("identities"), calendar))
    sold = {"amount_minor": 1000, "day": date(2025, 1, 5)}
    made.land(
        Kind.TRANSACTIONS,
        "sales",
        [
            {"customer_id": "C1", "order_id": "A", **sold},
            {"customer_id": "C2", "order_id": "B", **sold},
            {"customer_id": "C3", "order_id": "C", **sold},
            {"customer_id": "C2", "order_id": "D", **sold, "amount_minor": 50, "day": date(2025, 2, 5)},
        ],
    )
    made.land(
        Kind.CRM,
        "contacts",
        [
            {"customer_id": "C1", "email": "old", "phone": "1", "day": date(2025, 1, 6), "line": 2},
            {"customer_id": "C2", "email": "new", "phone": "1", "day": SECOND, "line": 17},
            {"customer_id": "C3", "email": "c", "day": date(2025, 1, 6)},
        ],
    )
    made.land(
        Kind.WEB,
        "visits",
        [
            {"customer_id": "C3", "anonymous_id": "b-1", "day": date(2025, 2, 1)},
            {"anonymous_id": "b-1", "day": date(2025, 2, 2)},
            {"anonymous_id": "b-2", "day": date(2025, 2, 2)},
        ],
    )
    made.marts()
    return made


@pytest.fixture(scope="module")
def refreshed(shop: Shop) -> list[dg.ExecuteInProcessResult]:
    return [shop.refresh(FIRST), shop.refresh(SECOND)]


def test_a_link_counts_from_its_day_on(shop: Shop, refreshed: list[dg.ExecuteInProcessResult]) -> None:
    columns = ("source_id", "customer_id")

    assert shop.read("identities", FIRST).select(columns).rows() == [
        ("C1", "C1"), ("C2", "C2"), ("C3", "C3"), ("anonymous:b-1", "C3"),
    ]  # fmt: skip
    assert shop.read("identities", SECOND).select(columns).rows() == [
        ("C1", "C1"), ("C2", "C1"), ("C3", "C3"), ("anonymous:b-1", "C3"),
    ]  # fmt: skip


def test_who_is_merged_has_one_history(shop: Shop, refreshed: list[dg.ExecuteInProcessResult]) -> None:
    columns = ("customer_id", "orders", "observed_minor", "web_events_30d")
    apart, merged = (
        shop.read("customer_features", day).sort("customer_id").select(columns).rows()
        for day in (FIRST, SECOND)
    )

    assert apart == [("C1", 1, 1000, 0), ("C2", 2, 1050, 0), ("C3", 1, 1000, 3)]
    assert merged == [("C1", 3, 2050, 0), ("C3", 1, 1000, 3)]


def test_the_newest_address_of_any_id_is_the_customers(
    shop: Shop, refreshed: list[dg.ExecuteInProcessResult]
) -> None:
    known = dict(shop.read("identifiers", SECOND).select("customer_id", "meta_email").iter_rows())

    assert known == {"C1": h("new"), "C3": h("c")}


def test_the_reasons_lie_beside_the_identities(
    shop: Shop, refreshed: list[dg.ExecuteInProcessResult]
) -> None:
    merged = shop.read("identity_decisions", SECOND).filter(pl.col("kind") == "phone")

    assert merged.rows() == [("C1", "C2", "C1", "phone", "merged", "same phone hash", SECOND, "contacts", 17)]
    assert landing_sequence(shop.settings.lake, SECOND.isoformat(), "identity_decisions") == 3
    assert landing_sequence(shop.settings.lake, SECOND.isoformat(), "identities") == 3


def test_the_asset_says_how_many_became_one_and_why_others_did_not(
    refreshed: list[dg.ExecuteInProcessResult],
) -> None:
    [made] = refreshed[1].asset_materializations_for_node("identities")
    said = {name: getattr(value, "value", value) for name, value in made.metadata.items()}

    assert (said["source_ids"], said["customers"], said["merged_people"]) == (4, 2, 1)
    assert said["refused_links"] == 0


def test_many_merges_at_once_are_a_warning(shop: Shop, refreshed: list[dg.ExecuteInProcessResult]) -> None:
    first, second = map(shop.check, refreshed)

    assert first.passed
    assert first.description == "There is no earlier date to compare with."
    assert not second.passed
    assert second.severity == dg.AssetCheckSeverity.WARN
    assert second.description is not None
    assert second.description.startswith("1 of 3 customers of 2025-03-01 have become one with another (33.3%")


def test_training_reads_one_history_and_leaves_nothing_behind(shop: Shop) -> None:
    ledger = Ledger.open(shop.settings.ledger_url)
    known = resolved_as_of(shop.settings, ledger, SECOND).identities
    apart = resolved_as_of(shop.settings, ledger, FIRST).identities
    ledger.close()
    bought = pl.scan_parquet(table_path(shop.settings.lake, "orders"))
    done = pl.scan_parquet(table_path(shop.settings.lake, "customer_activity"))

    with histories(shop.settings, known, bought, done) as (merged, activity):
        assert sorted(merged.collect()["customer_id"]) == ["C1", "C1", "C1", "C3"]
        assert activity.collect()["customer_id"].to_list() == ["C3"]
    assert list(Path(shop.settings.lake / ".work").glob("histories-*")) == []
    with histories(shop.settings, apart.filter(pl.col("source_id") == "C1"), bought, done) as (merged, _):
        assert merged is bought


def test_the_limits_of_the_settings_are_those_of_the_resolution(settings: Settings) -> None:
    assert identity_limits(settings) == IdentityLimits()
    names = set(type(settings.config.identities).model_fields) - {"brake_percent"}
    assert names == set(asdict(IdentityLimits()))
