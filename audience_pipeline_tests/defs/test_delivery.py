import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest
import responses

from audience_pipeline.definitions import build_definitions
from audience_pipeline.defs import side_by_side
from audience_pipeline.defs.lake import consent_sent
from audience_pipeline.defs.resources import PlatformResource
from audience_pipeline.defs.sending import Outcome
from audience_pipeline.ledger import deliveries, refreshes
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.records import AudienceKey, AudienceState, PlatformAudience
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.settings import Account, Config, Platforms, Settings

SYNCS = [f"{platform.value}/audience_sync" for platform in Platform]


@pytest.fixture
def account(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A workspace with an account and a token on every platform, and no as-of date yet."""
    for platform in ("META", "GOOGLE", "TIKTOK"):
        monkeypatch.setenv(f"{platform}_ACCESS_TOKEN", "t0ken")
    accounts = Account(account="1234567890", base_url="http://127.0.0.1:9")
    platforms = Platforms(meta=accounts, google=accounts, tiktok=accounts)
    return settings.model_copy(update={"config": Config(platforms=platforms)})


def deliver(settings: Settings, job: str = "delivery", **options: object) -> dg.ExecuteInProcessResult:
    """Run a delivery of which nothing may reach a platform."""
    with (
        dg.DagsterInstance.ephemeral() as instance,
        responses.RequestsMock() as nobody_answers,
    ):
        result = (
            build_definitions(settings)
            .resolve_job_def(job)
            .execute_in_process(instance=instance, raise_on_error=False, **options)
        )
        assert len(nobody_answers.calls) == 0
    return result


def reasons(result: dg.ExecuteInProcessResult) -> list[str]:
    return [
        event.step_failure_data.error.message for event in result.all_node_events if event.is_step_failure
    ]


def test_a_platform_that_is_not_configured_gets_nothing_and_the_check_says_so(settings: Settings) -> None:
    result = deliver(settings)

    assert result.success
    checks = [
        check
        for check in result.get_asset_check_evaluations()
        if check.check_name == "every_audience_arrived"
    ]
    assert {check.asset_key.to_user_string() for check in checks} == set(SYNCS)
    for check in checks:
        assert not check.passed
        assert check.severity is dg.AssetCheckSeverity.WARN
        assert "is not configured: set platforms." in (check.description or "")
    for event in result.get_asset_materialization_events():
        assert event.materialization.metadata["audiences"].value == 0
        assert "_ACCESS_TOKEN" in str(event.materialization.metadata["not_configured"].value)


def test_a_backfill_never_talks_to_a_platform(account: Settings) -> None:
    with Ledger.open(account.ledger_url) as ledger:
        refreshes.record(ledger, date(2026, 3, 15), 1, {})

    result = deliver(account, tags={"dagster/backfill": "b1"})

    assert not result.success
    assert len(reasons(result)) == len(SYNCS)
    assert all("a backfill never talks to a platform" in reason for reason in reasons(result))


def test_before_the_first_refresh_there_is_nothing_to_deliver(account: Settings) -> None:
    result = deliver(account)

    assert not result.success
    assert all(
        "no as-of date is complete yet: run daily_refresh first" in reason for reason in reasons(result)
    )


def test_opt_outs_have_landed_before_any_platform_is_told(graph: dg.Definitions) -> None:
    """Asked for together they would run side by side, and the new statements would wait for a day."""
    assets = graph.resolve_asset_graph()

    for sync in SYNCS:
        parents = assets.get(dg.AssetKey.from_user_string(sync)).parent_keys
        assert dg.AssetKey("consent_events") in parents


def test_on_the_command_line_a_delivery_is_tried_once_and_in_the_daemon_again(
    tmp_path: Path, workspace_at: Callable[..., Settings]
) -> None:
    """Where somebody waits, the sentence is worth more than two more tries."""
    by_hand = workspace_at(tmp_path)
    unattended = by_hand.model_copy(update={"in_process": False})

    policies = {
        settings.in_process: {
            build_definitions(settings).resolve_job_def("delivery").node_def_named(name).retry_policy
            for name in ("meta__audience_sync", "google__audience_sync", "tiktok__audience_sync")
        }
        for settings in (by_hand, unattended)
    }

    assert policies[True] == {None}
    assert all(policy.max_retries == 2 and policy.delay >= 30 for policy in policies[False])


def test_each_platform_takes_one_delivery_at_a_time(graph: dg.Definitions) -> None:
    assets = graph.resolve_asset_graph()

    pools = [assets.get(dg.AssetKey.from_user_string(sync)).pools for sync in SYNCS]

    assert pools == [{f"{platform.value}_api"} for platform in Platform]


def test_a_command_that_was_killed_holds_no_place_in_a_pool(settings: Settings) -> None:
    """Dagster's daemon gives places back; without one, the next command would wait for ever."""
    assets = build_definitions(settings).resolve_asset_graph()

    assert {pool for key in assets.get_all_asset_keys() for pool in assets.get(key).pools or ()} == set()


@pytest.mark.parametrize("chosen", [SYNCS, SYNCS[:2]])
def test_opt_outs_reach_all_platforms_at_once_in_one_process(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, chosen: list[str]
) -> None:
    """One after the other, a platform that is down would keep people on the two others."""
    together = threading.Barrier(len(chosen), timeout=30)
    told: list[str] = []

    def delivered(_settings: object, _ledger: object, resource: PlatformResource, *_more: object) -> Outcome:
        together.wait()
        told.append(resource.platform)
        return Outcome(Platform(resource.platform), not_configured="in a test")

    monkeypatch.setattr(side_by_side, "deliver_where_configured", delivered)
    keys = [dg.AssetKey.from_user_string(sync) for sync in chosen]

    result = deliver(settings, "opt_outs", asset_selection=[*keys, dg.AssetKey("consent_events")])

    assert {event.step_key for event in result.get_step_success_events()} >= {
        sync.replace("/", "__") for sync in chosen
    }
    assert sorted(told) == sorted(sync.partition("/")[0] for sync in chosen)


def test_a_platform_without_credentials_that_holds_people_is_owed_what_they_asked_for(
    settings: Settings,
) -> None:
    known = PlatformAudience(
        AudienceKey(Platform.META, "1", "a"), "shop a", AudienceState.ACTIVE, datetime.now(UTC), "42"
    )
    with Ledger.open(settings.ledger_url) as ledger, ledger.begin() as connection:
        deliveries.put_audience(connection, known)

    assert deliver(settings).success

    assert consent_sent(settings.lake) == {"google": 0, "tiktok": 0}
