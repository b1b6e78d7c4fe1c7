"""Whom a delivery sends, keeps and lets go."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from audience_pipeline.audiences import eligibility
from audience_pipeline.defs import recipients as recipients_module
from audience_pipeline.defs import watch
from audience_pipeline.defs.consent_log import newest_statement
from audience_pipeline.defs.lake import consent_sent, newest_landing
from audience_pipeline.defs.recipients import Recipients, Stated, stated
from audience_pipeline.defs.sending import Outcome, SyncConfig, deliver
from audience_pipeline.defs.tasks import DEFINED_LATER, UnknownAudienceError
from audience_pipeline.ledger.records import DeliveryState
from audience_pipeline.platforms.contract import CAPABILITIES, META, Platform
from audience_pipeline.sections import Delivery
from audience_pipeline_tests.defs.shop import AS_OF, Shop, email
from audience_pipeline_tests.delivery.conftest import FakePlatform


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop.at(tmp_path)
    yield made
    made.ledger.close()


def sync(shop: Shop, *platforms: FakePlatform, **config: Any) -> Outcome:
    return deliver(shop.settings, shop.ledger, platforms, SyncConfig(**config))


def held(platform: FakePlatform, name: str) -> set[str]:
    """Which of the customers c0 to c9 are in an audience."""
    by_hash = {email(f"c{number}").hex(): f"c{number}" for number in range(10)}
    return {by_hash[dict(payload)["meta_email"]] for payload in platform.members(f"shop {name}")}


def customers(*numbers: int) -> set[str]:
    return {f"c{number}" for number in numbers}


def test_each_audience_holds_its_members_without_those_who_are_held_out(shop: Shop) -> None:
    shop.define("a")
    shop.define("b")
    shop.refreshed({"a": range(6), "b": {1, 8}}, holdout={"a": {0, 3}})
    platform = FakePlatform()

    outcome = sync(shop, platform)

    assert held(platform, "a") == customers(1, 2, 4, 5)
    assert held(platform, "b") == customers(1, 8)
    assert {report.key.audience: report.delivered for report in outcome.reports} == {"a": 4, "b": 2}
    assert consent_sent(shop.settings.lake) == {"meta": newest_landing(shop.ledger)}


def test_who_has_opted_out_since_the_refresh_leaves_and_is_not_sent_again(shop: Shop) -> None:
    shop.define("a")
    shop.refreshed({"a": range(6)})
    platform = FakePlatform()
    sync(shop, platform)

    shop.opts_out("c2")
    outcome = sync(shop, platform)

    assert held(platform, "a") == customers(0, 1, 3, 4, 5)
    assert outcome.reports[0].removed_without_consent == 1
    assert consent_sent(shop.settings.lake) == {"meta": newest_statement(shop.ledger)}


def test_who_opts_out_while_a_delivery_goes_on_is_sent_no_more_and_leaves_before_it_ends(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.0)
    for name in ("a", "b", "c"):
        shop.define(name)
    shop.refreshed(dict.fromkeys(("a", "b", "c"), range(6)))
    platform = FakePlatform()
    sent: list[set[str]] = []

    def fault(point: str) -> None:
        if point == "after add":
            sent.append(held(platform, ("a", "b", "c")[len(sent)]))
            if len(sent) == 1:
                shop.opts_out("c2")

    platform.fault = fault

    outcome = sync(shop, platform)

    assert sent == [customers(*range(6)), customers(0, 1, 3, 4, 5), customers(0, 1, 3, 4, 5)]
    assert [held(platform, name) for name in ("a", "b", "c")] == [customers(0, 1, 3, 4, 5)] * 3
    assert {report.key.audience: (report.sent, report.removed) for report in outcome.reports} == {
        "a": (6, 1),
        "b": (5, 0),
        "c": (5, 0),
    }
    assert consent_sent(shop.settings.lake) == {"meta": newest_statement(shop.ledger)}


def test_nobody_waits_for_a_platform_while_somebody_waits_to_be_removed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.0)
    shop.refreshed({"a": range(6)})
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            shop.opts_out("c2")

    waiting = watch.Watch(shop.settings, shop.ledger, AS_OF, Platform.META, sleep)
    waiting.begin()
    assert not waiting.overtaken()

    waiting.sleep(1_000.0)

    assert len(waited) == 2
    assert waiting.overtaken()


def test_somebody_who_opts_out_leaves_before_the_other_audiences_had_their_turn(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(watch, "TURN_SECONDS", 0.0)
    for name in ("a", "b", "c"):
        shop.define(name)
    shop.refreshed(dict.fromkeys(("a", "b", "c"), range(6)))
    platform = FakePlatform()

    def fault(point: str) -> None:
        if point == "after add" and platform.calls.count("add") == 1:
            shop.opts_out("c2")

    platform.fault = fault

    outcome = sync(shop, platform)

    assert [call for call in platform.calls if call in ("add", "remove")] == ["add", "remove", "add", "add"]
    assert [held(platform, name) for name in ("a", "b", "c")] == [customers(0, 1, 3, 4, 5)] * 3
    assert all(report.tried for report in outcome.reports)
    assert consent_sent(shop.settings.lake) == {"meta": newest_statement(shop.ledger)}


def test_the_address_of_somebody_who_opted_out_is_sent_of_nobody(shop: Shop) -> None:
    shop.define("a")
    shop.know(shop.customers, addresses={"c5": "c4"})
    shop.refreshed({"a": {3, 4, 5}})
    platform = FakePlatform()
    shop.opts_out("c4")

    sync(shop, platform)

    assert held(platform, "a") == customers(3)


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("the newest refresh did not evaluate it", "its segment is gone"),
        ("it was defined later", DEFINED_LATER),
        ("its definition has a mistake", "no such field"),
        ("what was stored cannot be read", "refresh 2026-03-01"),
    ],
)
def test_an_audience_whose_members_nobody_knows_keeps_whom_it_may(shop: Shop, why: str, said: str) -> None:
    shop.define("a")
    shop.define("new")
    shop.refreshed({"a": range(6)})
    platform = FakePlatform()
    sync(shop, platform, audiences=["a"])
    shop.opts_out("c2")

    match why:
        case "the newest refresh did not evaluate it":
            shop.refreshed({}, not_evaluated={"a": said, "new": said})
        case "it was defined later":
            shop.refreshed({})
        case "its definition has a mistake":
            for name in ("a", "new"):
                shop.define(
                    name, f"name: {name}\ninclude: {{where: nothing_like_it > 0}}\nplatforms: [meta]\n"
                )
        case _:
            shop.refreshed({"a": {8}, "new": {8}}, numbering="of another workspace")
    outcome = sync(shop, platform)

    assert held(platform, "a") == customers(0, 1, 3, 4, 5)
    assert set(outcome.unknown) == {"a", "new"}
    assert said == "no such field" or all(said in reason for reason in outcome.unknown.values())
    assert [report.key.audience for report in outcome.reports] == ["a"], "the other is left alone"
    assert consent_sent(shop.settings.lake) == {"meta": newest_statement(shop.ledger)}


def test_who_was_delivered_before_a_merge_stays_or_leaves_with_the_customer(shop: Shop) -> None:
    shop.define("a")
    shop.refreshed({"a": {1, 2, 3}})
    platform = FakePlatform()
    sync(shop, platform)
    shop.know({"c1", "c3"}, c2="c1")
    shop.refreshed({}, not_evaluated={"a": "its segment is gone"})

    sync(shop, platform)
    assert held(platform, "a") == customers(1, 2, 3)

    shop.opts_out("c1")
    sync(shop, platform)
    assert held(platform, "a") == customers(3)


def test_an_audience_without_a_definition_is_held_and_let_go_when_confirmed_by_name(shop: Shop) -> None:
    shop.define("a")
    shop.define("b")
    shop.refreshed({"a": range(6), "b": {1}})
    platform = FakePlatform()
    sync(shop, platform)
    (shop.settings.audiences / "a.yaml").unlink()
    shop.opts_out("c2")

    outcome = sync(shop, platform)

    assert held(platform, "a") == customers(0, 1, 3, 4, 5)
    states = {report.key.audience: report.state for report in outcome.reports}
    assert states["a"] is DeliveryState.HELD
    assert consent_sent(shop.settings.lake) == {"meta": newest_statement(shop.ledger)}, "consent is followed"

    sync(shop, platform, audiences=["a"], confirm=True)
    assert held(platform, "a") == set()
    assert held(platform, "b") == customers(1)


def test_a_dry_run_changes_nothing_and_notes_nothing(shop: Shop) -> None:
    shop.define("a")
    shop.refreshed({"a": range(6)})
    platform = FakePlatform()

    outcome = sync(shop, platform, dry_run=True)

    assert platform.sent() == []
    assert consent_sent(shop.settings.lake) == {}
    assert outcome.reports[0].as_dict()["plan"]["to_add"] == 6


def test_an_audience_that_nobody_knows_is_refused_with_the_names_there_are(shop: Shop) -> None:
    shop.define("a")
    shop.refreshed({"a": {1}})

    with pytest.raises(UnknownAudienceError, match="no audience is called 'b'; there are a"):
        sync(shop, FakePlatform(), audiences=["b"])


def test_one_audience_by_name_says_nothing_of_the_consent_of_all(shop: Shop) -> None:
    shop.define("a")
    shop.refreshed({"a": {1}})

    sync(shop, FakePlatform(), audiences=["a"])

    assert consent_sent(shop.settings.lake) == {}


def test_a_full_ad_account_leaves_the_next_audience_to_the_second(shop: Shop) -> None:
    for name in ("a", "b", "c"):
        shop.define(name)
    shop.refreshed({"a": {1}, "b": {2}, "c": {3}})
    small = replace(META, audiences_per_account=2)
    first, second = FakePlatform(small, account="1"), FakePlatform(small, account="2")

    sync(shop, first, second)
    again = sync(shop, first, second)

    assert (held(first, "a"), held(first, "b"), held(second, "c")) == (
        customers(1),
        customers(2),
        customers(3),
    )
    assert {report.state for report in again.reports} == {DeliveryState.UNCHANGED}


def test_the_brake_of_the_settings_holds(tmp_path: Path) -> None:
    with_brake = Shop.at(tmp_path, delivery=Delivery(brake_percent=10, brake_people=1))
    with_brake.define("a")
    with_brake.refreshed({"a": range(9)})
    platform = FakePlatform()
    sync(with_brake, platform)
    with_brake.refreshed({"a": range(6)})

    outcome = sync(with_brake, platform)

    assert outcome.reports[0].state is DeliveryState.HELD
    assert held(platform, "a") == customers(*range(9))


def test_each_report_is_told_as_it_is_done(shop: Shop) -> None:
    shop.define("a")
    shop.define("b")
    shop.refreshed({"a": {1}, "b": {2}})
    told: list[str] = []

    deliver(
        shop.settings,
        shop.ledger,
        [FakePlatform()],
        SyncConfig(),
        lambda report: told.append(report.key.audience),
    )

    assert set(told) == {"a", "b"}


@pytest.mark.parametrize("seed", range(3))
def test_whom_an_audience_holds_is_decided_by_eligibility_and_nowhere_else(shop: Shop, seed: int) -> None:
    draw = np.random.default_rng(seed)
    flags = ["opted_out", *(f"opted_out_{one.value}" for one in Platform)]
    grants = [f"advertising_{one.value}" for one in Platform]
    consent = pl.DataFrame(
        {
            "customer_id": shop.customers,
            **{name: draw.random(10) < 0.2 for name in flags},
            **{name: draw.random(10) < 0.7 for name in grants},
        }
    )
    holdout = {1, 5}
    shop.refreshed({"a": range(9)}, holdout={"a": holdout})
    lake = shop.settings.lake
    profile = pl.read_parquet(lake / "customer_profile" / f"{AS_OF}.parquet")
    identifiers = pl.read_parquet(lake / "identifiers" / f"{AS_OF}.parquet")
    nothing = pl.DataFrame(
        schema={"customer_id": pl.String, "meta_email": pl.Binary, "meta_phone": pl.Binary}
    )
    members = pl.DataFrame(
        {"customer_id": shop.customers[:9], "holdout": [number in holdout for number in range(9)]}
    )

    for platform in Platform:
        people = Recipients(shop.settings, AS_OF, platform, Stated(profile, None, consent, nothing))
        decided = eligibility.eligibility(members, identifiers, consent, CAPABILITIES[platform])
        assert people.wanted("a")["customer_id"].to_list() == sorted(
            decided.filter("eligible")["customer_id"]
        )
        refused = decided.filter(pl.col("reason").is_in(["opted_out", "no_consent"]))["customer_id"]
        assert people.consent_lost.issuperset(refused)


def test_platforms_that_are_told_side_by_side_share_what_people_have_said(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    decided = recipients_module.decided
    monkeypatch.setattr(
        recipients_module, "decided", lambda *tables: calls.append(tables) or decided(*tables)
    )

    first = stated(shop.settings, shop.ledger, AS_OF, 1)
    second = stated(shop.settings, shop.ledger, AS_OF, 1)
    assert first is second

    del first, second
    stated(shop.settings, shop.ledger, AS_OF, 1)
    assert len(calls) == 2, "and nothing is kept when nobody delivers"


def ids(series: pl.Series) -> Collection[str]:
    return set(series.to_list())


def test_the_ids_of_a_customer_are_those_that_were_merged_into_it_too() -> None:
    same = pl.DataFrame({"source_id": ["a", "b", "c"], "customer_id": ["a", "a", "c"]})
    nothing = pl.DataFrame()
    chosen = pl.DataFrame({"customer_id": ["a"]})

    assert ids(Stated(nothing, same, nothing, nothing).any_id_of(chosen)) == {"a", "b"}
    assert ids(Stated(nothing, None, nothing, nothing).any_id_of(chosen)) == {"a"}
