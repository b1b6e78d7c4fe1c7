"""What a sync says on the command line: tables and JSON of whatever became of three platforms."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from audience_pipeline.defs import side_by_side
from audience_pipeline.defs.resources import PlatformResource
from audience_pipeline.defs.sending import Outcome, SyncConfig
from audience_pipeline.defs.tasks import DEFINED_LATER
from audience_pipeline.delivery.report import DeliveryReport
from audience_pipeline.ledger.records import AudienceKey, Delivery, DeliveryState
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.settings import Config, Settings
from audience_pipeline_tests.commands.conftest import Run

META, GOOGLE, TIKTOK = Platform
Told = Callable[..., list[tuple[str, SyncConfig]]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Makes deliveries end as is said, and the others well; what they were asked for is the answer."""

    def ending(
        *outcomes: Outcome, failing: Mapping[Platform, str] | None = None
    ) -> list[tuple[str, SyncConfig]]:
        asked: list[tuple[str, SyncConfig]] = []
        said = {outcome.platform: outcome for outcome in outcomes}

        def delivered(
            _settings: object, _ledger: object, resource: PlatformResource, config: SyncConfig, *_more: object
        ) -> Outcome:
            platform = Platform(resource.platform)
            asked.append((platform.value, config))
            if platform in (failing or {}):
                raise RuntimeError((failing or {})[platform])
            return said.get(platform, Outcome(platform))

        monkeypatch.setattr(side_by_side, "deliver_where_configured", delivered)
        return asked

    return ending


def test_a_sync_names_the_audiences_that_were_not_evaluated(run: Run, told: Told) -> None:
    told(
        Outcome(META, unknown={"b": "its segment is gone"}),
        Outcome(TIKTOK, unknown={"a": DEFINED_LATER}),
    )

    said = run("audiences", "sync", "--dir", "w", "--json").json
    plain = run("audiences", "sync", "--dir", "w")

    assert said["not_evaluated"] == {"a": DEFINED_LATER, "b": "its segment is gone"}
    assert "b: its segment is gone" in plain.out
    assert "a: defined after the newest refresh; run audience-pipeline refresh first" in plain.out


def test_names_platforms_and_confirmation_reach_the_delivery(run: Run, told: Told) -> None:
    asked = told()

    run(
        "audiences",
        "sync",
        "new_customers",
        "--platform",
        "meta",
        "--platform",
        "meta",
        "--yes",
        "--dir",
        "w",
    )
    assert asked == [("meta", SyncConfig(audiences=["new_customers"], confirm=True))]

    asked.clear()
    run("audiences", "sync", "--dry-run", "--dir", "w")
    assert sorted(asked, key=lambda one: one[0]) == [
        (platform, SyncConfig(dry_run=True)) for platform in ("google", "meta", "tiktok")
    ]


def test_the_platforms_are_told_side_by_side(run: Run, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    told()
    one_by_one = side_by_side.deliver_where_configured
    together = threading.Barrier(3, timeout=30)

    def waiting(*told_what: object) -> Outcome:
        together.wait()
        return one_by_one(*told_what)  # type: ignore[arg-type]

    monkeypatch.setattr(side_by_side, "deliver_where_configured", waiting)

    assert run("audiences", "sync", "--dir", "w").code == 0


def test_a_platform_that_fails_hides_nothing_of_the_others(run: Run, told: Told) -> None:
    told(
        Outcome(META, not_configured="meta is not configured: set it up"),
        failing={GOOGLE: "the disk is full"},
    )

    said = run("audiences", "sync", "--dir", "w", "--json")

    assert said.code == 1
    assert said.json == {
        "deliveries": [],
        "not_configured": ["meta is not configured: set it up"],
        "not_evaluated": {},
    }
    assert "google: the disk is full" in said.err


def test_what_stops_a_platform_is_said_once_and_nobody_is_said_to_be_gone(run: Run, told: Told) -> None:
    def turn(name: str) -> Delivery:
        return Delivery(
            name, AudienceKey(META, "1", name), date(2026, 11, 1), datetime(2026, 11, 1, tzinfo=UTC)
        )

    dead = "meta: the access token is dead. Nothing more is sent to meta in this run."
    first = DeliveryReport.of(
        turn("first"), DeliveryState.FAILED, plan=None, audience=None, delivered=0, sentences=(dead,)
    )
    others = [
        DeliveryReport.not_tried(turn(name), DeliveryState.FAILED, dead) for name in ("second", "third")
    ]
    told(Outcome(META, [first, *others]))

    said = run("audiences", "sync", "--dir", "w")

    assert said.code == 1
    [row] = [line for line in said.out.splitlines() if "first" in line]
    assert [cell.strip() for cell in row.split("│")][3:7] == ["-"] * 4
    assert f"meta, 2 other audiences: Not tried: {dead}" in " ".join(said.out.split())
    assert "second" not in said.out


def test_what_is_wrong_with_the_secrets_of_all_platforms_is_said_once(run: Run, told: Told) -> None:
    told(*(Outcome(platform, not_configured="secrets.yaml: others can read it") for platform in Platform))

    assert run("audiences", "sync", "--dir", "w").out.count("others can read it") == 1


def test_what_keeps_every_platform_is_said_once(run: Run, told: Told) -> None:
    told(failing=dict.fromkeys(Platform, "no as-of date is complete yet"))

    said = run("audiences", "sync", "--dir", "w")

    assert said.code == 1
    assert said.err.count("no as-of date is complete yet") == 1
    assert "meta, google, tiktok: no as-of date" in said.err


def test_a_platform_that_is_not_configured_makes_the_command_fail(run: Run, told: Told) -> None:
    told(Outcome(META, not_configured="meta is not configured"))

    assert run("audiences", "sync", "--dir", "w").code == 1
    told()
    assert run("audiences", "sync", "--dir", "w").code == 0


def test_a_delivery_that_is_stopped_ends_at_once_and_keeps_nobody_waiting(
    told: Told, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ctrl-C while a platform lets us wait."""
    told()
    began = threading.Event()

    def patient(*what: Any) -> Outcome:
        began.set()
        what[-1](3_600.0)
        return Outcome(META)

    monkeypatch.setattr(side_by_side, "deliver_where_configured", patient)
    settings = Settings.at(tmp_path, Config(), {})
    with side_by_side.SideBySide(settings, [META]) as together, ThreadPoolExecutor(1) as somebody:
        step = somebody.submit(together.take, PlatformResource.of(META, settings), SyncConfig())
        assert began.wait(30)
        together.close()

    assert isinstance(step.exception(), side_by_side.StoppedError)
    assert "the next run goes on from there" in str(step.exception())
    assert together.errors.keys() == {META}
