"""When the newest date is predicted again, and when a training is asked for before the month is over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from audience_pipeline.defs import model_sensors
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.cohorts import calibration_note
from audience_pipeline.defs.lake import write_json
from audience_pipeline.defs.ltv import drift_note, model_note
from audience_pipeline.defs.model_sensors import build_model_sensors
from audience_pipeline.settings import Calendar, Settings

NEWEST = date(2026, 3, 15)
Tick = Callable[..., SensorExecutionData]


class FakeRegistry:
    """What the sensors ask of the registry."""

    champion: str | None = "1"
    seen: date | None = date(2026, 2, 28)

    def version_on(self, _uri: str, _as_of: date) -> str | None:
        return self.champion

    def newest_as_of(self, _uri: str) -> date | None:
        return self.seen


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRegistry:
    made = FakeRegistry()
    monkeypatch.setattr(model_sensors, "registry", made)
    monkeypatch.setattr(model_sensors, "exists", lambda _uri: True)
    return made


@pytest.fixture
def tick(settings: Settings, graph: dg.Definitions) -> Tick:
    repository = graph.get_repository_def()

    def evaluate(name: str, cursor: str | None = None, at: Settings = settings) -> SensorExecutionData:
        [sensor] = [one for one in build_model_sensors(at, AsOfCalendar.of(at)) if one.name == name]
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=repository)
            return sensor.evaluate_tick(context)

    return evaluate


def predicted_by(settings: Settings, version: str | None) -> None:
    write_json(model_note(settings, NEWEST), {"model_version": version})


def test_nothing_is_asked_of_a_workspace_without_a_registry(tick: Tick, settings: Settings) -> None:
    assert "there is no model yet" in tick("new_champion").skip_message
    assert "there is no model yet" in tick("drift").skip_message
    assert not settings.home.exists(), "a sensor makes nothing"


def test_the_newest_date_is_predicted_again_by_a_new_champion_once(
    tick: Tick, settings: Settings, fake: FakeRegistry
) -> None:
    predicted_by(settings, "1")
    assert tick("new_champion").run_requests == []
    fake.champion = "2"

    first = tick("new_champion", "")
    second = tick("new_champion", first.cursor)

    [request] = first.run_requests
    assert request.partition_key == "2026-03-15"
    assert second.run_requests == []
    predicted_by(settings, "2")
    assert tick("new_champion", first.cursor).cursor == ""


def test_a_rollback_on_the_same_day_is_followed_too(
    tick: Tick, settings: Settings, fake: FakeRegistry
) -> None:
    predicted_by(settings, "1")
    fake.champion = "2"
    there = tick("new_champion")
    predicted_by(settings, "2")
    fake.champion = "1"
    back = tick("new_champion", there.cursor)
    predicted_by(settings, "1")
    done = tick("new_champion", back.cursor)
    fake.champion = "2"
    forth = tick("new_champion", done.cursor)

    assert [len(one.run_requests) for one in (there, back, done, forth)] == [1, 1, 0, 1]
    assert {request.run_key for one in (there, back, forth) for request in one.run_requests} == {None}


def test_a_rollback_while_the_new_champion_still_predicts_is_followed_afterwards(
    tick: Tick, settings: Settings, fake: FakeRegistry
) -> None:
    predicted_by(settings, "1")
    fake.champion = "2"
    asked = tick("new_champion")
    fake.champion = "1"
    meanwhile = tick("new_champion", asked.cursor)
    predicted_by(settings, "2")

    assert meanwhile.run_requests == []
    assert len(tick("new_champion", meanwhile.cursor).run_requests) == 1


def test_a_date_that_was_predicted_without_a_model_is_predicted_by_the_first(
    tick: Tick, settings: Settings, fake: FakeRegistry
) -> None:
    predicted_by(settings, None)

    assert len(tick("new_champion").run_requests) == 1


def test_a_date_that_was_never_predicted_waits_for_its_own_refresh(tick: Tick, fake: FakeRegistry) -> None:
    assert "has not been predicted yet" in tick("new_champion").skip_message


def noted(
    settings: Settings, *, drift: bool = False, spending: bool = False, trained: str = "2025-12-15"
) -> None:
    write_json(drift_note(settings, NEWEST), {"act": drift, "model_as_of": trained})
    write_json(calibration_note(settings, NEWEST), {"act": spending})


@pytest.mark.parametrize("what", ["drift", "spending"])
def test_drift_asks_for_a_training_on_the_days_since_once_a_month(
    tick: Tick, settings: Settings, fake: FakeRegistry, what: str
) -> None:
    noted(settings, **{what: True})

    [request] = tick("drift").run_requests

    assert request.run_key == "drift:2026-03"
    assert request.partition_key == "2026-03-01", "in data that have ended the last month is complete"
    assert request.run_config == {"ops": {"ltv_model": {"config": {"as_of": "2026-03-15"}}}}
    assert request.asset_selection == [dg.AssetKey("ltv_model")]


def test_without_drift_nothing_is_asked_for(tick: Tick, settings: Settings, fake: FakeRegistry) -> None:
    assert "no drift is known" in tick("drift").skip_message
    noted(settings)
    assert "no drift is known" in tick("drift").skip_message


def test_customers_whom_the_champion_has_learned_from_since_ask_for_nothing(
    tick: Tick, settings: Settings, fake: FakeRegistry
) -> None:
    noted(settings, spending=True, trained="2025-12-16")

    assert tick("drift").run_requests == []


def test_drift_on_data_that_a_model_has_seen_already_asks_for_nothing(
    tick: Tick, settings: Settings, fake: FakeRegistry
) -> None:
    noted(settings, drift=True)
    fake.seen = date(2026, 3, 2)

    assert "the newest model has seen data up to 2026-03-02" in tick("drift").skip_message


def test_the_request_runs_as_the_job_that_it_names(graph: dg.Definitions) -> None:
    """Configuration and selection that the job would refuse are found only when it is started."""
    request = model_sensors.early_training(NEWEST, date(2026, 2, 1))
    whole: Any = graph.resolve_job_def("monthly_retraining")
    job = whole.get_subset(asset_selection=set(request.asset_selection or ()))

    assert [key.to_user_string() for key in job.asset_layer.selected_asset_keys] == ["ltv_model"]
    assert dg.validate_run_config(job, dict(request.run_config))["ops"]["ltv_model"]["config"] == {
        "as_of": "2026-03-15"
    }


def test_in_a_shop_that_goes_on_the_newest_complete_month_is_the_one_before(
    workspace_at: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory
) -> None:
    live = workspace_at(tmp_path_factory.mktemp("live"), Calendar(first_day=date(2025, 1, 10)))
    calendar = AsOfCalendar.of(live)
    newest, month = calendar.newest_day(), calendar.newest_month()

    assert newest is not None
    assert month is not None
    assert calendar.month_end(month.isoformat()) <= newest
