import logging
import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from audience_pipeline.settings import Settings

Tick = Callable[..., SensorExecutionData]
Drop = Callable[..., Path]


def asked_by_schedule(graph: dg.Definitions, name: str, moment: datetime) -> list[dict[str, str | None]]:
    repository = graph.get_repository_def()
    with dg.instance_for_test() as instance:
        context = dg.build_schedule_context(
            instance=instance, scheduled_execution_time=moment, repository_def=repository
        )
        tick = repository.get_schedule_def(name).evaluate_tick(context)
    return [dict(request.tags) | {"partition": request.partition_key} for request in tick.run_requests or []]


def test_the_daily_schedule_asks_for_yesterday(berlin: dg.Definitions) -> None:
    moment = datetime(2026, 3, 10, 5, 0, tzinfo=ZoneInfo("Europe/Berlin"))

    [request] = asked_by_schedule(berlin, "daily_refresh", moment)

    assert request["partition"] == "2026-03-09"
    assert "dagster/backfill" not in request


def test_the_monthly_schedule_asks_for_the_month_that_has_ended(berlin: dg.Definitions) -> None:
    moment = datetime(2026, 3, 1, 3, 0, tzinfo=ZoneInfo("Europe/Berlin"))

    [request] = asked_by_schedule(berlin, "monthly_retraining", moment)

    assert request["partition"] == "2026-02-01"


def test_schedules_run_on_the_clock_of_the_shop(berlin: dg.Definitions) -> None:
    schedules = berlin.get_repository_def().schedule_defs

    assert {schedule.execution_timezone for schedule in schedules} == {"Europe/Berlin"}


def test_the_month_is_trained_before_its_last_day_is_refreshed(berlin: dg.Definitions) -> None:
    """Else the first predictions of a month would be those of the old model."""
    daily, monthly = (
        berlin.get_repository_def().get_schedule_def(name).cron_schedule
        for name in ("daily_refresh", "monthly_retraining")
    )

    assert (daily, monthly) == ("0 5 * * *", "0 3 1 * *")


@pytest.fixture
def tick(graph: dg.Definitions) -> Tick:
    repository = graph.get_repository_def()

    def evaluate(name: str, cursor: str | None = None) -> SensorExecutionData:
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=repository)
            return repository.get_sensor_def(name).evaluate_tick(context)

    return evaluate


@pytest.fixture
def drop(graph_settings: Settings) -> Iterator[Drop]:
    dropped: list[Path] = []

    def into(kind: str, name: str, text: str = "x") -> Path:
        path = graph_settings.inbox / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (time.time() - 60,) * 2)
        dropped.append(path)
        return path

    yield into
    for path in dropped:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("name", ["inbox", "consent_inbox"])
def test_an_empty_inbox_is_skipped_with_a_reason(tick: Tick, name: str) -> None:
    data = tick(name)

    assert data.run_requests == []
    assert "no new files" in data.skip_message


def test_a_new_file_is_landed_once(tick: Tick, drop: Drop) -> None:
    drop("transactions", "march.csv")

    first = tick("inbox")
    second = tick("inbox", first.cursor)

    assert len(first.run_requests) == 1
    assert second.run_requests == []


def test_a_file_that_was_refused_is_tried_again_only_when_it_has_changed(tick: Tick, drop: Drop) -> None:
    drop("crm", "contacts.csv", "broken")
    first = tick("inbox")

    still = tick("inbox", first.cursor)
    assert still.run_requests == []
    assert "1 files could not be landed and still wait in the inbox" in still.skip_message

    drop("crm", "contacts.csv", "mended, and longer")
    again = tick("inbox", still.cursor or first.cursor)
    assert len(again.run_requests) == 1


def test_a_file_that_went_and_came_back_as_it_was_is_landed_again(tick: Tick, drop: Drop) -> None:
    """Taken out, the settings mended, moved in again. Dagster drops a request whose run key it has seen."""
    path = drop("crm", "contacts.csv", "as it was")
    first = tick("inbox")
    path.rename(path.with_name(".elsewhere"))
    away = tick("inbox", first.cursor)
    path.with_name(".elsewhere").rename(path)

    [again] = tick("inbox", away.cursor).run_requests

    assert again.run_key is None or again.run_key != first.run_requests[0].run_key


def test_another_file_is_landed_although_a_refused_one_waits(tick: Tick, drop: Drop) -> None:
    drop("crm", "contacts.csv", "broken")
    first = tick("inbox")
    drop("web", "events.csv")

    assert len(tick("inbox", first.cursor).run_requests) == 1


def test_consent_has_a_way_of_its_own_to_the_platforms(tick: Tick, drop: Drop) -> None:
    drop("consent", "opt_outs.csv")

    assert tick("inbox").run_requests == []
    assert len(tick("consent_inbox").run_requests) == 1


def test_other_files_do_not_reach_the_platforms(tick: Tick, drop: Drop) -> None:
    drop("transactions", "march.csv")

    assert tick("consent_inbox").run_requests == []


@pytest.mark.parametrize("name", [".hidden.csv", "half.csv.partial", "half.csv.crdownload"])
def test_files_that_are_still_being_written_are_left_alone(tick: Tick, drop: Drop, name: str) -> None:
    drop("transactions", name)

    assert tick("inbox").run_requests == []


def test_neither_cursor_nor_run_tells_what_a_file_holds(tick: Tick, drop: Drop) -> None:
    drop("crm", "contacts.csv", "someone@example.com")

    data = tick("inbox")

    assert "someone" not in f"{data.cursor} {data.run_requests} {data.log_key}"


@dg.op
def nothing() -> None:
    """Succeeds, so that a sensor sees a run."""


@dg.op
def broken() -> None:
    raise RuntimeError("the reason")


def run_of(instance: dg.DagsterInstance, job: str, tags: dict[str, str], op: dg.OpDefinition = nothing):
    """A finished run that looks like one of ``job``, and its last event."""
    made = dg.GraphDefinition(name=job, node_defs=[op]).to_job()
    result = made.execute_in_process(instance=instance, tags=tags, raise_on_error=False)
    kind = dg.DagsterEventType.RUN_SUCCESS if result.success else dg.DagsterEventType.RUN_FAILURE
    [event] = [event for event in result.all_events if event.event_type is kind]
    return event, result.dagster_run


def after(graph: dg.Definitions, sensor: str, job: str, **tags: str) -> list[dg.RunRequest]:
    """What a sensor asks for when a run of ``job`` with these tags has succeeded."""
    definition = graph.get_repository_def().get_sensor_def(sensor)
    with dg.DagsterInstance.ephemeral() as instance:
        event, run = run_of(instance, job, {f"dagster/{key}": value for key, value in tags.items()})
        context = dg.build_run_status_sensor_context(sensor, event, instance, run)
        answer = definition(context)
    if isinstance(answer, dg.RunRequest):
        return [answer]
    return [] if isinstance(answer, dg.SkipReason) else list(answer or [])


def test_the_newest_refresh_is_delivered(graph: dg.Definitions) -> None:
    [request] = after(graph, "delivery_after_refresh", "daily_refresh", partition="2026-03-15")

    assert request.run_key
    assert request.run_key.startswith("delivery:")


def test_an_earlier_refresh_is_not_delivered(graph: dg.Definitions) -> None:
    assert after(graph, "delivery_after_refresh", "daily_refresh", partition="2026-03-14") == []


def test_a_backfill_is_not_delivered_even_of_the_newest_date(graph: dg.Definitions) -> None:
    tags = {"partition": "2026-03-15", "backfill": "b1"}

    assert after(graph, "delivery_after_refresh", "daily_refresh", **tags) == []


def test_a_refresh_that_was_told_to_stay_at_home_is_not_delivered(graph: dg.Definitions) -> None:
    sensor = graph.get_repository_def().get_sensor_def("delivery_after_refresh")
    tags = {"dagster/partition": "2026-03-15", "audience_pipeline/sends": "no"}
    with dg.DagsterInstance.ephemeral() as instance:
        event, run = run_of(instance, "daily_refresh", tags)
        context = dg.build_run_status_sensor_context("delivery_after_refresh", event, instance, run)

        assert isinstance(sensor(context), dg.SkipReason)


def test_a_failed_run_is_reported_with_where_to_look(
    graph: dg.Definitions, caplog: pytest.LogCaptureFixture
) -> None:
    sensor = graph.get_repository_def().get_sensor_def("failed_run_alert")
    with dg.DagsterInstance.ephemeral() as instance, caplog.at_level(logging.ERROR):
        event, run = run_of(instance, "daily_refresh", {"dagster/partition": "2026-03-15"}, broken)
        context = dg.build_run_status_sensor_context(
            "failed_run_alert", event, instance, run
        ).for_run_failure()
        sensor(context)

    said = [record.getMessage() for record in caplog.records if record.name.startswith("audience_pipeline")]
    assert len(said) == 1
    assert said[0].startswith(f"daily_refresh failed (run {run.run_id}, partition 2026-03-15): open the run")


def test_the_monitored_runs_are_those_of_our_own_jobs(graph: dg.Definitions) -> None:
    repository = graph.get_repository_def()
    jobs = {
        name: {target.job_name for target in repository.get_sensor_def(name).targets}
        for name in ("delivery_after_refresh", "new_champion", "drift", "inbox", "consent_inbox")
    }

    assert jobs == {
        "delivery_after_refresh": {"delivery"},
        "new_champion": {"daily_refresh"},
        "drift": {"monthly_retraining"},
        "inbox": {"land_sources"},
        "consent_inbox": {"opt_outs"},
    }
