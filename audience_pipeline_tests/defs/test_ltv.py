"""Two months of a shop's models in process: a challenger that loses, a rollback, a date predicted again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from audience_pipeline.definitions import build_definitions
from audience_pipeline.defs.ltv import drift_note, model_note
from audience_pipeline.defs.storage import table_path, write_table
from audience_pipeline.ltv import promotion, registry
from audience_pipeline.settings import Calendar, Settings
from audience_pipeline_tests.ltv.conftest import make_orders

pytestmark = [pytest.mark.xdist_group("ltv lifecycle"), pytest.mark.filterwarnings("ignore")]
DAY = date(2025, 3, 31)
NO_ACTIVITY = pl.DataFrame(
    schema={"customer_id": pl.String, "activity_date": pl.Date, "activity": pl.String, "events": pl.Int64}
)
DAILY = ("identities", "customer_features", "ltv_predictions", "ltv_reasons", "ltv_quintiles", "ltv_cohorts")


class Shop:
    """A workspace whose orders have landed, and its graph."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.definitions = build_definitions(settings)
        self.instance = dg.DagsterInstance.ephemeral()
        write_table(table_path(settings.lake, "customer_activity"), NO_ACTIVITY)

    def land(self, orders: pl.DataFrame) -> None:
        write_table(table_path(self.settings.lake, "orders"), orders)

    def run(
        self, job: str, partition: str, *assets: str, config: dict[str, Any] | None = None
    ) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=partition,
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            run_config={"ops": {name: {"config": value} for name, value in (config or {}).items()}},
        )

    def train(self, month: str, as_of: str = "") -> dict[str, Any]:
        config = {"ltv_model": {"as_of": as_of}} if as_of else None
        result = self.run("monthly_retraining", month, "ltv_model", config=config)
        [made] = result.asset_materializations_for_node("ltv_model")
        return {name: getattr(value, "value", value) for name, value in made.metadata.items()}

    def refresh(self, day: date = DAY) -> dg.ExecuteInProcessResult:
        return self.run("daily_refresh", day.isoformat(), *DAILY)

    @property
    def predicted_by(self) -> str:
        return str(json.loads(model_note(self.settings, DAY).read_text())["model_version"])

    def asked_by_new_champion(self) -> list[dg.RunRequest]:
        repository = self.definitions.get_repository_def()
        context = dg.build_sensor_context(instance=self.instance, repository_def=repository)
        return repository.get_sensor_def("new_champion").evaluate_tick(context).run_requests or []


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, workspace_at: Any) -> Iterator[Shop]:
    """January was trained and predicted, then February was trained."""
    calendar = Calendar(first_day=date(2023, 1, 1), last_day=DAY)
    made = Shop(workspace_at(tmp_path_factory.mktemp("lifecycle"), calendar))
    made.land(make_orders(1500))
    yield made
    made.instance.dispose()


@pytest.fixture(scope="module")
def months(shop: Shop) -> list[dict[str, Any]]:
    return [shop.train("2025-02-01"), shop.train("2025-03-01")]


def test_the_first_model_is_champion_at_once(months: list[dict[str, Any]]) -> None:
    first, _ = months

    assert (first["model_version"], first["champion"], first["became_champion"]) == ("1", "1", True)
    assert first["verdict"].startswith("The first model")
    assert Path(first["report"]).read_text().lstrip().lower().startswith("<!doctype html")


def test_a_month_later_an_equally_good_model_stays_challenger(
    shop: Shop, months: list[dict[str, Any]]
) -> None:
    _, second = months

    assert (second["model_version"], second["champion"], second["became_champion"]) == ("2", "1", False)
    assert second["verdict"].startswith(("Not better than version 1", "Worse than version 1"))
    assert len(second["champion_and_challenger"].records) == 5
    [challenger, champion] = registry.versions(shop.settings.mlflow_uri)
    assert (challenger.aliases, champion.aliases) == (("challenger",), ("champion",))
    assert (challenger.as_of, champion.as_of) == (DAY, date(2025, 2, 28))


def test_the_same_month_again_trains_nothing_and_decides_nothing(
    shop: Shop, months: list[dict[str, Any]]
) -> None:
    again = shop.train("2025-03-01")

    assert (again["model_version"], again["trained_anew"]) == ("2", False)
    assert again["verdict"] == months[1]["verdict"]


def test_promotion_and_rollback_are_each_followed_by_the_predictions(
    shop: Shop, months: list[dict[str, Any]]
) -> None:
    shop.refresh()
    assert shop.predicted_by == "1"
    assert shop.asked_by_new_champion() == []

    promotion.promote(shop.settings.mlflow_uri, "2")
    [asked] = shop.asked_by_new_champion()
    shop.run("daily_refresh", str(asked.partition_key), *DAILY)
    assert shop.predicted_by == "2"
    assert shop.asked_by_new_champion() == []

    promotion.roll_back(shop.settings.mlflow_uri)
    [asked] = shop.asked_by_new_champion()
    shop.run("daily_refresh", str(asked.partition_key), *DAILY)
    assert shop.predicted_by == "1"
    assert shop.train("2025-03-01")["champion"] == "1", "the next run of the same recipe changes nothing"


def test_predictions_on_the_day_of_the_training_show_no_drift(
    shop: Shop, months: list[dict[str, Any]]
) -> None:
    result = shop.refresh()

    assert checks(result)["customers_look_like_those_of_the_training"]
    assert json.loads(drift_note(shop.settings, DAY).read_text())["act"] is False


def test_each_day_tells_the_reasons_of_the_model_that_predicted(
    shop: Shop, months: list[dict[str, Any]]
) -> None:
    result = shop.refresh()

    predictions, reasons = (
        pl.read_parquet(table_path(shop.settings.lake, name, DAY.isoformat()))
        for name in ("ltv_predictions", "ltv_reasons")
    )
    [made] = result.asset_materializations_for_node("ltv_reasons")
    assert reasons.select("customer_id", "rank").is_unique().all()
    assert set(reasons["customer_id"]) <= set(predictions["customer_id"])
    told: dict[str, Any] = {name: getattr(value, "value", value) for name, value in made.metadata.items()}
    assert told["model_version"] == shop.predicted_by
    assert told["customers_with_a_reason"] == reasons["customer_id"].n_unique() > 1300
    shown: list[Any] = [record.data for record in told["most_frequent_by_quintile"].records]
    assert [row["ltv_quintile"] for row in shown] == [quintile for quintile in range(1, 6) for _ in range(3)]
    assert all(0 < row["share"] <= 1 and row["direction"] in {"more", "less"} for row in shown)


def test_prices_that_tripled_since_the_training_are_told_without_stopping_anything(
    shop: Shop, months: list[dict[str, Any]]
) -> None:
    orders = make_orders(1500)
    try:
        shop.land(orders.with_columns(pl.col("amount_minor") * 3))
        result = shop.refresh()
    finally:
        shop.land(orders)

    assert result.success
    assert not checks(result)["customers_look_like_those_of_the_training"]
    [told] = [
        one
        for one in result.get_asset_check_evaluations()
        if one.check_name == "customers_look_like_those_of_the_training"
    ]
    assert told.severity is dg.AssetCheckSeverity.WARN
    assert "train a new model" in str(told.description)
    assert json.loads(drift_note(shop.settings, DAY).read_text())["act"] is True


def test_cohorts_hold_what_was_predicted_against_what_was_spent(
    shop: Shop, months: list[dict[str, Any]]
) -> None:
    result = shop.refresh()

    table = pl.read_parquet(table_path(shop.settings.lake, "ltv_cohorts", DAY.isoformat()))
    assert table["cohort"].min() == date(2023, 1, 1)
    assert table["customers"].sum() == 1500
    newest = table.filter(pl.col("cohort") >= date(2024, 6, 1))
    assert newest["predicted"].null_count() == 0
    assert "customers_spend_as_predicted" in checks(result)


def test_early_training_after_prices_had_tripled_learns_from_the_days_after_the_month_and_takes_over(
    shop: Shop, months: list[dict[str, Any]]
) -> None:
    orders = make_orders(1500)
    try:
        shop.land(orders.with_columns(pl.col("amount_minor") * 3))
        early = shop.train("2025-02-01", as_of=DAY.isoformat())
    finally:
        shop.land(orders)

    assert early["as_of"] == "2025-03-31", "and not the last of February"
    assert early["became_champion"], "not worse is enough once customers have moved away"
    assert early["champion"] == early["model_version"]
    assert promotion.roll_back(shop.settings.mlflow_uri) == (early["model_version"], "1")


def test_a_month_before_the_champion_is_trained_for_the_dates_before_it(
    shop: Shop, months: list[dict[str, Any]]
) -> None:
    past = shop.train("2025-01-01")

    assert past["verdict"].startswith("A backfill")
    assert past["champion"] == "1"
