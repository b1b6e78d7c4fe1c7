"""What a delivery shows in Dagster stays small, and says how to go on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from audience_pipeline.definitions import build_definitions
from audience_pipeline.defs.outcome import SHOWN_AUDIENCES, arrived, metadata, planned, refusal, unfinished
from audience_pipeline.defs.resources import PlatformResource
from audience_pipeline.defs.sending import Outcome
from audience_pipeline.delivery.report import DeliveryReport
from audience_pipeline.ledger.records import AudienceKey, DeliveryState
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.settings import Account, Platforms
from audience_pipeline_tests.defs.shop import AS_OF, Shop
from audience_pipeline_tests.delivery.conftest import FakePlatform

SYNC = dg.AssetKey(["meta", "audience_sync"])
HISTORY = dg.AssetKey(["meta", "audience"])


def report(name: str, state: DeliveryState = DeliveryState.UNCHANGED, **more: Any) -> DeliveryReport:
    return DeliveryReport(AudienceKey(Platform.META, "1", name), AS_OF, state, None, None, **more)


def outcome(*reports: DeliveryReport) -> Outcome:
    return Outcome(Platform.META, reports)


def rows(value: Any) -> list[dict[str, Any]]:
    return [record.data for record in value.records]


def test_audiences_that_stayed_as_they_were_are_counted_and_not_listed() -> None:
    said = metadata(
        outcome(report("a", DeliveryState.SETTLED, sent=3), report("b"), report("c", DeliveryState.HELD))
    )

    assert (said["audiences"], said["audiences_changed"], said["sent"]) == (3, 1, 3)
    assert [row["audience"] for row in rows(said["changed_or_with_a_problem"])] == ["c", "a"]


def test_a_thousand_audiences_take_no_more_room_than_some_dozens() -> None:
    many = outcome(*(report(f"a{n:04}", DeliveryState.FAILED, sentences=("No.",)) for n in range(1_000)))

    table = rows(metadata(many)["changed_or_with_a_problem"])
    sentence = arrived(many).description or ""

    assert len(table) == SHOWN_AUDIENCES + 1
    assert table[-1]["audience"] == "and 950 more"
    assert sentence.endswith("| and 990 more")
    assert len(sentence) < 500
    assert len(str(refusal(many).description)) < 500


def test_the_launch_that_confirms_what_is_held_can_be_copied() -> None:
    held = outcome(report("a", DeliveryState.HELD), report("b", DeliveryState.HELD), report("c"))

    said = str(metadata(held)["held"].value)  # type: ignore[union-attr]

    launch = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", said, re.DOTALL)[0])
    assert launch == {"ops": {"meta__audience_sync": {"config": {"audiences": ["a", "b"], "confirm": True}}}}
    assert "audience-pipeline audiences sync a b --platform meta --yes" in said


def test_what_stops_a_platform_is_said_once_and_not_tried_again() -> None:
    stopped = outcome(
        report("a", DeliveryState.FAILED, sentences=("The token is dead.",), platform_stopped=True),
        *(report(f"b{n}", DeliveryState.FAILED, sentences=("Not tried.",), tried=False) for n in range(9)),
    )

    said = refusal(stopped)

    assert said.description == "a: The token is dead."
    assert not said.allow_retries
    assert len(unfinished(stopped)) == 10


def test_who_could_not_be_brought_up_to_date_fails_the_check() -> None:
    unknown = Outcome(Platform.META, [report("a")], {"b": "its segment is gone"})

    check = arrived(unknown)

    assert not check.passed
    assert check.description == "b could not be brought up to date: its segment is gone"
    assert arrived(outcome(report("a"))).passed


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop whose Meta is a platform in memory."""
    monkeypatch.setenv("META_ACCESS_TOKEN", "t0ken")
    account = Account(account="123", base_url="http://127.0.0.1:9")
    made = Shop.at(tmp_path, platforms=Platforms(meta=account))
    made.define("a")
    made.define("b")
    made.refreshed({"a": range(6), "b": {1, 8}})
    platform = FakePlatform()
    monkeypatch.setattr(PlatformResource, "clients", lambda _self: [platform])
    yield made
    made.ledger.close()


def run(shop: Shop, instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    return (
        build_definitions(shop.settings)
        .resolve_job_def("delivery")
        .execute_in_process(
            instance=instance,
            asset_selection=[SYNC],
            run_config={"ops": {"meta__audience_sync": {"config": config}}},
            raise_on_error=False,
        )
    )


def test_each_audience_that_changed_has_an_event_of_its_own(shop: Shop) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        first = run(shop, instance)
        shop.refreshed({"a": range(6), "b": {1, 2, 8}})
        second = run(shop, instance)
        known = set(instance.get_dynamic_partitions("audiences"))

    def events(result: dg.ExecuteInProcessResult) -> dict[str | None, int]:
        return {
            event.materialization.partition: int(str(event.materialization.metadata["sent"].value))
            for event in result.get_asset_materialization_events()
            if event.asset_key == HISTORY
        }

    assert first.success
    assert second.success
    assert events(first) == {"a": 6, "b": 2}
    assert events(second) == {"b": 1}
    assert known == {"a", "b"}


def test_a_dry_run_draws_the_plan_and_makes_nothing(shop: Shop) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(shop, instance, dry_run=True)

    assert result.success
    assert result.get_asset_materialization_events() == []
    assert result.get_asset_check_evaluations() == []
    [seen] = result.get_asset_observation_events()
    plan = seen.asset_observation_data.asset_observation.metadata
    assert plan["to_add"].value == 8
    assert [(row["audience"], row["to add"]) for row in rows(plan["plan"])] == [("a", 6), ("b", 2)]


def test_a_failed_platform_leaves_its_counts_and_fails_the_step(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audience_pipeline.platforms.contract import TerminalPlatformError

    def fault(point: str) -> None:
        if point == "before add":
            raise TerminalPlatformError(Platform.META, "it does not take anybody today.")

    monkeypatch.setattr(PlatformResource, "clients", lambda _self: [FakePlatform(fault=fault)])

    with dg.DagsterInstance.ephemeral() as instance:
        result = run(shop, instance)

    assert not result.success
    [counts] = [one for one in result.get_asset_materialization_events() if one.asset_key == SYNC]
    assert counts.materialization.metadata["audiences"].value == 2
    [check] = [
        one for one in result.get_asset_check_evaluations() if one.check_name == "every_audience_arrived"
    ]
    assert not check.passed
    assert "does not take anybody today" in (check.description or "")


def test_what_nobody_has_set_up_is_said_in_a_plan_too() -> None:
    assert planned(Outcome(Platform.META, not_configured="set it up")) == {"not_configured": "set it up"}
