"""What is owed to people who asked to be removed, and how receipts are settled by what really happened."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audience_pipeline.defs.erasure import due
from audience_pipeline.defs.privacy import request
from audience_pipeline.defs.receipts import evidence
from audience_pipeline.defs.removals import (
    GONE_ACCOUNT,
    NEVER_SENT,
    NOTHING_SET_UP,
    note_removals,
    note_verified,
)
from audience_pipeline.defs.sending import SyncConfig, deliver
from audience_pipeline.ledger import removals
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import AudienceKey
from audience_pipeline.ledger.removals import Removal, RemovalState, RequestKind
from audience_pipeline.platforms.contract import CAPABILITIES, Platform, TransientPlatformError
from audience_pipeline.sections import Account, Platforms
from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.landing import land
from audience_pipeline.sources.requests import one_person
from audience_pipeline_tests.defs.shop import Shop
from audience_pipeline_tests.delivery.conftest import FakePlatform


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Audience a of customers c0 to c5 and b of c4 to c8 are to be on Meta; no other platform is set up."""
    made = Shop.at(tmp_path, platforms=Platforms(meta=Account(account="123")))
    made.define("a")
    made.define("b")
    made.refreshed({"a": range(6), "b": range(4, 9)})
    yield made
    made.ledger.close()


def sync(shop: Shop, platform: FakePlatform, **config: Any) -> None:
    deliver(shop.settings, shop.ledger, [platform], SyncConfig(**config))


def ask(shop: Shop, customer: str, status: Any = "erase") -> str:
    return request(shop.settings, shop.ledger, one_person(customer), status).request_id


def receipt(shop: Shop, request_id: str, platform: Platform = Platform.META) -> Removal:
    with shop.ledger.reading() as connection:
        [found] = [one for one in removals.removals(connection, request_id) if one.platform is platform]
    return found


def impatient(shop: Shop) -> None:
    """Deliveries of the shop wait for no platform."""
    at_once = shop.settings.config.delivery.model_copy(update={"patience_seconds": 0})
    shop.settings = shop.settings.model_copy(
        update={"config": shop.settings.config.model_copy(update={"delivery": at_once})}
    )


def state(shop: Shop, folder: Path, *rows: str) -> str:
    """Land a file of statements: ``event_at,customer_id,status,purpose,platform``."""
    file = folder / "consent.csv"
    file.write_text("\n".join(["event_at,customer_id,status,purpose,platform", *rows, ""]))
    return land(Kind.CONSENT, file, lake=shop.settings.lake, ledger=shop.ledger).landing_id


def on_meta(shop: Shop) -> set[str]:
    store = MemberStore(shop.ledger, shop.settings.delivered)
    keys = [AudienceKey(Platform.META, "123", name) for name in ("a", "b")]
    return {name for key in keys for name in store.members(key)["customer_id"]}


def test_a_receipt_counts_its_own_people_and_audiences_not_those_of_the_whole_delivery(shop: Shop) -> None:
    platform = FakePlatform(CAPABILITIES[Platform.META], "123")
    sync(shop, platform)
    one, both = ask(shop, "c0"), ask(shop, "c4")

    sync(shop, platform, confirm=True)

    assert (receipt(shop, one).audiences, receipt(shop, both).audiences) == (1, 2)
    assert receipt(shop, one).how.startswith("1 person (1 row of identifiers, all that were ever sent)")
    assert "removed from 1 audience" in receipt(shop, one).how
    assert receipt(shop, both).how.startswith("1 person (1 row of identifiers")
    assert "removed from 2 audiences" in receipt(shop, both).how


def test_a_request_is_owed_where_people_were_delivered_and_nowhere_else(shop: Shop) -> None:
    sync(shop, FakePlatform())

    asked = ask(shop, "c4")

    meta = receipt(shop, asked)
    assert (meta.state, meta.account, meta.people, meta.kind) == (
        RemovalState.OWED,
        "123",
        1,
        RequestKind.ERASE,
    )
    google = receipt(shop, asked, Platform.GOOGLE)
    assert (google.state, google.how) == (RemovalState.NOT_CONFIGURED, NOTHING_SET_UP)
    assert not due(shop.settings, shop.ledger)


def test_an_account_that_nobody_was_ever_delivered_to_owes_nothing(shop: Shop) -> None:
    meta = receipt(shop, ask(shop, "c4"))

    assert (meta.state, meta.how, meta.people) == (RemovalState.CONFIRMED, NEVER_SENT, 1)
    assert due(shop.settings, shop.ledger)


@pytest.mark.parametrize("status", ["denied", "erase"])
def test_a_delivery_settles_the_receipt_with_its_evidence(shop: Shop, status: str) -> None:
    platform = FakePlatform()
    sync(shop, platform)
    asked = ask(shop, "c4", status)

    sync(shop, platform)

    meta = receipt(shop, asked)
    assert meta.state is RemovalState.CONFIRMED
    assert (meta.people, meta.audiences, meta.variants) == (1, 2, 1)
    assert meta.request_ids
    assert meta.sent_at is not None
    assert meta.confirmed_at is not None
    assert "removed from 2 audiences" in meta.how
    assert due(shop.settings, shop.ledger) == (status == "erase")


def test_a_removal_that_is_still_processed_is_sent_and_confirmed_by_a_later_delivery(shop: Shop) -> None:
    platform = FakePlatform()
    sync(shop, platform)
    asked = ask(shop, "c4")
    platform.polls = 5
    impatient(shop)

    sync(shop, platform)
    assert receipt(shop, asked).state is RemovalState.SENT
    assert not due(shop.settings, shop.ledger)

    for _ in range(10):
        sync(shop, platform)
    assert receipt(shop, asked).state is RemovalState.CONFIRMED


def test_a_platform_that_is_down_stays_owing_and_nothing_is_deleted(shop: Shop) -> None:
    platform = FakePlatform()
    sync(shop, platform)
    asked = ask(shop, "c4")

    def down(_point: str) -> None:
        raise TransientPlatformError(Platform.META, "it is down")

    platform.fault = down
    sync(shop, platform)

    assert receipt(shop, asked).state in {RemovalState.OWED, RemovalState.REFUSED}
    assert not due(shop.settings, shop.ledger)


def test_somebody_who_was_in_no_audience_is_confirmed_once_a_delivery_has_heard_of_it(shop: Shop) -> None:
    platform = FakePlatform()
    sync(shop, platform)
    asked = ask(shop, "c9")
    note_removals(shop.settings, shop.ledger, ())
    assert receipt(shop, asked).state is RemovalState.OWED

    sync(shop, platform)

    assert receipt(shop, asked).state is RemovalState.CONFIRMED


def test_an_account_that_is_not_set_up_any_more_stays_owing_and_says_what_to_do(shop: Shop) -> None:
    sync(shop, FakePlatform())
    shop.settings = shop.settings.model_copy(
        update={"config": shop.settings.config.model_copy(update={"platforms": Platforms()})}
    )

    asked = ask(shop, "c4")
    note_removals(shop.settings, shop.ledger, ())

    meta = receipt(shop, asked)
    assert (meta.state, meta.how) == (RemovalState.OWED, GONE_ACCOUNT)


def test_a_command_that_knows_of_no_account_leaves_what_a_delivery_wrote(shop: Shop) -> None:
    platform = FakePlatform()
    sync(shop, platform)
    asked = ask(shop, "c4")
    platform.polls = 5
    impatient(shop)
    sync(shop, platform)
    before = receipt(shop, asked)

    shop.settings = shop.settings.model_copy(
        update={"config": shop.settings.config.model_copy(update={"platforms": Platforms()})}
    )
    evidence(shop.settings, shop.ledger, asked)

    assert before.state is RemovalState.SENT
    assert receipt(shop, asked) == before


def test_somebody_who_agrees_again_before_a_delivery_is_owed_no_removal(shop: Shop, tmp_path: Path) -> None:
    platform = FakePlatform()
    sync(shop, platform)
    denied = ("c4,denied,advertising,", "c5,denied,advertising,")
    asked = state(shop, tmp_path, *(f"2026-11-01 10:00:00,{one}" for one in denied))
    state(shop, tmp_path, "2026-11-01 11:00:00,c4,granted,advertising,")

    sync(shop, platform)

    assert on_meta(shop) >= {"c4"}
    assert on_meta(shop).isdisjoint({"c5"})
    assert receipt(shop, asked).state is RemovalState.CONFIRMED


def test_of_a_file_about_several_platforms_each_owes_the_removal_of_its_own(
    shop: Shop, tmp_path: Path
) -> None:
    sync(shop, FakePlatform())
    landed = state(
        shop,
        tmp_path,
        "2026-11-01 10:00:00,c4,denied,advertising,meta",
        "2026-11-01 10:00:00,c5,denied,advertising,google",
        "2026-11-01 10:00:00,c6,denied,personalisation,",
    )
    evidence(shop.settings, shop.ledger)

    meta, google = receipt(shop, landed), receipt(shop, landed, Platform.GOOGLE)
    sync(shop, FakePlatform())

    assert (meta.people, google.people) == (1, 2)
    assert receipt(shop, landed).state is RemovalState.CONFIRMED
    assert on_meta(shop) >= {"c5", "c6"}


def test_a_reconciliation_without_a_gap_verifies_what_was_confirmed_before(shop: Shop) -> None:
    platform = FakePlatform()
    sync(shop, platform)
    asked = ask(shop, "c4")
    sync(shop, platform)
    now = datetime.now(UTC)

    assert note_verified(shop.ledger, Platform.META, "123", now - timedelta(days=1), []) == 0
    assert note_verified(shop.ledger, Platform.META, "123", now, ["a holds fewer people"]) == 0
    assert note_verified(shop.ledger, Platform.META, "another", now, []) == 0
    assert note_verified(shop.ledger, Platform.META, "123", now, []) == 1

    assert receipt(shop, asked).state is RemovalState.VERIFIED
    assert receipt(shop, asked).verified_at == now


def test_the_evidence_is_complete_and_holds_nothing_of_the_person(shop: Shop) -> None:
    platform = FakePlatform()
    sync(shop, platform)
    asked = ask(shop, "c4")
    [before] = evidence(shop.settings, shop.ledger, asked)
    assert [one for one in before.owed if one.startswith("meta account 123: owed")]
    sync(shop, platform)

    [after] = evidence(shop.settings, shop.ledger, asked)

    assert after.owed == ["the deletion here is due"]
    said = str(after.as_dict()) + str(asdict(after)) + repr(after)
    assert not re.search(r"\bc4\b", said)
    assert {one["platform"] for one in after.as_dict()["platforms"]} == {one.value for one in Platform}
    assert all(one["what_it_can_confirm"] for one in after.as_dict()["platforms"])
    assert set(CAPABILITIES) == set(Platform)


def test_a_request_for_one_platform_is_owed_there_alone(shop: Shop) -> None:
    sync(shop, FakePlatform())

    asked = request(shop.settings, shop.ledger, one_person("c4"), "denied", "meta").request_id

    with shop.ledger.reading() as connection:
        assert [one.platform for one in removals.removals(connection, asked)] == [Platform.META]
