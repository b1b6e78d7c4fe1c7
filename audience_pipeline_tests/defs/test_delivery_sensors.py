"""When opt-outs are delivered, and when a delivery is followed up."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from audience_pipeline.definitions import build_definitions
from audience_pipeline.defs.follow_up import unfinished
from audience_pipeline.defs.lake import note_consent_sent
from audience_pipeline.defs.privacy import request
from audience_pipeline.ledger import deliveries, refreshes
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.records import AudienceKey, Batch, BatchState, Delivery, DeliveryState
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.settings import Account, Config, Platforms, Settings
from audience_pipeline.sources.requests import one_person

NOW = datetime.now(UTC)
Tick = Callable[..., SensorExecutionData]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A workspace with an account and a token on every platform."""
    for platform in ("META", "GOOGLE", "TIKTOK"):
        monkeypatch.setenv(f"{platform}_ACCESS_TOKEN", "t0ken")
    account = Account(account="1234567890", base_url="http://127.0.0.1:9")
    config = Config(platforms=Platforms(meta=account, google=account, tiktok=account))
    return Settings.at(tmp_path, config, {"AUDIENCE_IN_PROCESS": "1"})


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


@pytest.fixture
def tick(settings: Settings, instance: dg.DagsterInstance) -> Tick:
    repository = build_definitions(settings).get_repository_def()

    def evaluate(name: str, cursor: str | None = None) -> SensorExecutionData:
        context = dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=repository)
        return repository.get_sensor_def(name).evaluate_tick(context)

    return evaluate


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger.open(settings.ledger_url)


def delivered(
    ledger: Ledger,
    state: DeliveryState,
    platform: Platform = Platform.META,
    *,
    started: datetime = NOW,
    audience: str = "a",
    batch: BatchState | None = None,
) -> None:
    key = AudienceKey(platform, "1234567890", audience)
    name = f"{platform}{audience}{started.timestamp()}"
    delivery = Delivery(name, key, date(2026, 3, 1), started, state=state)
    with ledger.begin() as connection:
        deliveries.put_delivery(connection, delivery)
    if batch is not None:
        from sqlalchemy import insert

        from audience_pipeline.ledger import schema
        from audience_pipeline.ledger.rows import batch_values

        with ledger.begin() as connection:
            values = batch_values(Batch(name, name, 1, "add", 1, batch, started))
            connection.execute(insert(schema.batches), [values])


def opted_out(settings: Settings, ledger: Ledger) -> int:
    """Somebody opts out on the command line; the sequence of that landing."""
    from audience_pipeline.defs.consent_log import newest_statement

    refreshes.record(ledger, date(2026, 3, 1), 1, {})
    request(settings, ledger, one_person("C1042", None), "denied")
    return newest_statement(ledger)


def asked(data: SensorExecutionData) -> list[dg.RunRequest]:
    return list(data.run_requests or [])


def test_a_request_of_a_person_asks_for_removal_until_every_platform_follows(
    settings: Settings, ledger: Ledger, tick: Tick
) -> None:
    newest = opted_out(settings, ledger)

    [first] = asked(tick("consent_inbox"))
    note_consent_sent(settings.lake, "meta", newest)
    note_consent_sent(settings.lake, "google", newest)
    [second] = asked(tick("consent_inbox"))
    note_consent_sent(settings.lake, "tiktok", newest)

    assert first.run_key == second.run_key, "not again within ten minutes"
    assert asked(tick("consent_inbox")) == []


def test_nothing_is_asked_for_while_people_are_being_removed(
    settings: Settings, ledger: Ledger, tick: Tick, instance: dg.DagsterInstance
) -> None:
    opted_out(settings, ledger)
    instance.add_run(run("opt_outs", dg.DagsterRunStatus.STARTED))

    data = tick("consent_inbox")

    assert asked(data) == []
    assert data.skip_message == "people are being removed"


def test_a_new_file_of_statements_waits_for_no_platform_that_is_down(
    settings: Settings, ledger: Ledger, tick: Tick, instance: dg.DagsterInstance
) -> None:
    opted_out(settings, ledger)
    instance.add_run(run("opt_outs", dg.DagsterRunStatus.STARTED))
    path = settings.inbox / "consent" / "more.csv"
    path.parent.mkdir(parents=True)
    path.write_text("x")
    os.utime(path, (time.time() - 60,) * 2)

    [request_] = asked(tick("consent_inbox"))

    assert request_.run_key is None


def test_a_platform_that_is_not_configured_is_not_waited_for(
    settings: Settings, ledger: Ledger, tick: Tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = opted_out(settings, ledger)
    note_consent_sent(settings.lake, "meta", newest)
    note_consent_sent(settings.lake, "google", newest)
    monkeypatch.delenv("TIKTOK_ACCESS_TOKEN")

    assert asked(tick("consent_inbox")) == []


@pytest.mark.parametrize(
    "state", [DeliveryState.PROCESSING, DeliveryState.INCOMPLETE, DeliveryState.INTERRUPTED]
)
def test_what_a_delivery_has_left_is_followed_up_on_its_platform(
    ledger: Ledger, tick: Tick, state: DeliveryState
) -> None:
    delivered(ledger, DeliveryState.SETTLED, Platform.META)
    delivered(ledger, state, Platform.GOOGLE)

    [request_] = asked(tick("delivery_follow_up"))

    assert request_.asset_selection == [dg.AssetKey(["google", "audience_sync"])]


def test_a_follow_up_comes_every_quarter_of_an_hour_at_most(ledger: Ledger, tick: Tick) -> None:
    delivered(ledger, DeliveryState.PROCESSING)

    first = tick("delivery_follow_up")
    soon = tick("delivery_follow_up", first.cursor)
    later = tick("delivery_follow_up", str(float(first.cursor or 0) - 901))

    assert (len(asked(first)), len(asked(soon)), len(asked(later))) == (1, 0, 1)
    assert soon.skip_message == "meta had a follow-up less than 15 minutes ago"


def test_nothing_is_followed_up_while_a_delivery_is_under_way(
    ledger: Ledger, tick: Tick, instance: dg.DagsterInstance
) -> None:
    delivered(ledger, DeliveryState.RUNNING)
    instance.add_run(run("delivery", dg.DagsterRunStatus.STARTED))

    assert asked(tick("delivery_follow_up")) == []


def test_a_batch_that_is_still_processed_is_followed_although_its_delivery_is_done(ledger: Ledger) -> None:
    delivered(ledger, DeliveryState.SETTLED, batch=BatchState.SENT)

    assert unfinished(ledger, NOW - timedelta(days=1)) == ["meta"]


@pytest.mark.parametrize("state", [DeliveryState.HELD, DeliveryState.FAILED, DeliveryState.UNCHANGED])
def test_what_waits_for_somebody_or_is_done_is_not_followed(ledger: Ledger, state: DeliveryState) -> None:
    delivered(ledger, DeliveryState.INCOMPLETE, started=NOW - timedelta(hours=1))
    delivered(ledger, state)
    delivered(ledger, DeliveryState.PROCESSING, audience="of long ago", started=NOW - timedelta(days=9))

    assert unfinished(ledger, NOW - timedelta(days=2)) == []


def run(job: str, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    return dg.DagsterRun(job_name=job, status=status)
