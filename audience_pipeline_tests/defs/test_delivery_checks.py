"""The checks after each delivery: ledger and platform agree, and platforms hold the same people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from audience_pipeline.defs import verifying
from audience_pipeline.defs.comparing import platforms_differ
from audience_pipeline.defs.delivery_checks import AGREE, RECONCILED, delivery_checks
from audience_pipeline.defs.resources import LedgerResource, NotConfiguredError, PlatformResource
from audience_pipeline.defs.verifying import consent_lost, verify_platform
from audience_pipeline.ledger import removals, verifications
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import DeliveryState
from audience_pipeline.ledger.removals import Removal, RemovalState, RequestKind
from audience_pipeline.platforms.contract import Platform, TransientPlatformError
from audience_pipeline.settings import Settings
from audience_pipeline_tests.defs.delivered_shop import (
    PEOPLE,
    Account,
    account_of,
    as_stored,
    deliver,
    shows,
    tables,
)

META, GOOGLE, TIKTOK = Platform.META, Platform.GOOGLE, Platform.TIKTOK
Accounts = dict[Platform, list[Account]]


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> Accounts:
    """The ad accounts that are set up, instead of real ones."""
    found: Accounts = {}

    def clients(resource: PlatformResource) -> list[Account]:
        platform = Platform(resource.platform)
        if platform not in found:
            raise NotConfiguredError(f"{platform.value} is not configured")
        return found[platform]

    monkeypatch.setattr(PlatformResource, "clients", clients)
    monkeypatch.setattr(verifying, "stated", as_stored)
    return found


@pytest.fixture
def verified(settings: Settings, accounts: Accounts) -> Callable[[Platform], Any]:
    def asked(platform: Platform) -> Any:
        with Ledger.open(settings.ledger_url) as ledger:
            return verify_platform(settings, ledger, PlatformResource.of(platform, settings))

    return asked


def checked(settings: Settings, platform: Platform) -> dict[str, dg.AssetCheckEvaluation]:
    """Run the checks of a platform as a step of their own."""

    @dg.asset(key=[platform.value, "audience_sync"])
    def audience_sync() -> None:
        pass

    chosen = [one for one in delivery_checks(settings) if platform.value in one.node_def.name]
    definitions = dg.Definitions(
        assets=[audience_sync],
        asset_checks=chosen,
        resources={
            "ledger": LedgerResource.of(settings),
            **{f"{one.value}_account": PlatformResource.of(one, settings) for one in Platform},
        },
        jobs=[dg.define_asset_job("checks", dg.AssetSelection.all_asset_checks())],
    )
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def("checks").execute_in_process(instance=instance)
    return {check.check_name: check for check in result.get_asset_check_evaluations()}


def test_what_is_as_it_should_be_passes_and_is_written_down(settings: Settings, accounts: Accounts) -> None:
    tables(settings)
    deliver(settings, "best", range(1_500), META, TIKTOK)
    accounts[META] = [account_of(META, shows("best", 1_200))]

    checks = checked(settings, META)

    assert {name: check.passed for name, check in checks.items()} == {RECONCILED: True, AGREE: True}
    assert checks[RECONCILED].description == "1 audiences in 1 accounts are as they should be"
    with Ledger.open(settings.ledger_url) as ledger, ledger.reading() as connection:
        (written,) = verifications.newest(connection)
    assert (written.platform, written.account, written.audiences, list(written.gaps)) == (META, "1", 1, [])
    assert written.seen["best"][0] == 1_200


def test_a_gap_fails_with_a_sentence_that_says_what_to_do(settings: Settings, accounts: Accounts) -> None:
    tables(settings)
    deliver(settings, "best", range(1_500), META)
    accounts[META] = [account_of(META)]

    check = checked(settings, META)[RECONCILED]

    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert check.description is not None
    assert check.description.startswith("best: The platform does not have it any more: deliver it again")


def test_a_small_audience_only_warns(settings: Settings, accounts: Accounts) -> None:
    tables(settings)
    deliver(settings, "best", range(60), META)
    accounts[META] = [account_of(META, shows("best", 1_000, size_low=0, ready=False, status="Too small."))]

    check = checked(settings, META)[RECONCILED]

    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "meta needs 100 to deliver ads" in (check.description or "")


def test_what_people_are_owed_is_said_before_what_campaigns_miss(
    settings: Settings, accounts: Accounts
) -> None:
    tables(settings, opted_out=10)
    deliver(settings, "a_small_one", range(60), META)
    deliver(settings, "with_opted_out", range(500, 2_000), META)
    small = shows("a_small_one", 1_000, size_low=0, ready=False, status="Too small.")
    accounts[META] = [account_of(META, small, shows("with_opted_out", 1_200))]

    check = checked(settings, META)[RECONCILED]

    assert (check.description or "").startswith("with_opted_out: 10 people who may not be advertised to may")
    assert check.severity is dg.AssetCheckSeverity.ERROR


def test_a_shrinkage_is_seen_from_one_check_to_the_next(
    settings: Settings, accounts: Accounts, verified
) -> None:
    tables(settings)
    deliver(settings, "best", range(1_900), META)
    for number, kinds in ((1_800, []), (1_500, ["shrunk"]), (1_450, ["shrunk"]), (1_790, [])):
        accounts[META] = [account_of(META, shows("best", number))]
        (found,) = verified(META)
        assert [gap.kind for gap in found.gaps] == kinds


def test_a_platform_that_cannot_be_asked_is_a_gap_and_no_failure(
    settings: Settings, accounts: Accounts
) -> None:
    tables(settings)
    deliver(settings, "best", range(100), META)
    accounts[META] = [account_of(META)]
    accounts[META][0].error = TransientPlatformError(META, "no answer.")

    check = checked(settings, META)[RECONCILED]

    assert not check.passed
    assert "The account cannot be read (meta: no answer.)" in (check.description or "")


def test_an_account_that_is_not_set_up_any_more_is_a_gap(
    settings: Settings, accounts: Accounts, verified
) -> None:
    tables(settings)
    deliver(settings, "best", range(100), META)

    (found,) = verified(META)
    assert [gap.kind for gap in found.gaps] == ["unconfigured"]
    assert verified(TIKTOK) == []


def owed(settings: Settings, state: RemovalState, hours: int, **more: Any) -> None:
    asked = datetime.now(UTC) - timedelta(hours=hours)
    made = Removal("req", RequestKind.OPT_OUT, META, "1", state, asked, people=3, **more)
    with Ledger.open(settings.ledger_url) as ledger, ledger.begin() as connection:
        removals.put(connection, made)


def receipt(settings: Settings) -> Removal:
    with Ledger.open(settings.ledger_url) as ledger, ledger.reading() as connection:
        (found,) = removals.removals(connection)
    return found


@pytest.mark.parametrize(
    ("state", "hours", "kinds"),
    [
        (RemovalState.OWED, 25, ["owed"]),
        (RemovalState.REFUSED, 25, ["owed"]),
        (RemovalState.OWED, 23, []),
        (RemovalState.CONFIRMED, 25, []),
    ],
)
def test_removals_that_are_owed_for_too_long_are_a_gap(
    settings: Settings, accounts: Accounts, verified, state: RemovalState, hours: int, kinds: list[str]
) -> None:
    tables(settings)
    owed(settings, state, hours)
    accounts[META] = [account_of(META)]

    (found,) = verified(META)

    assert [gap.kind for gap in found.gaps] == kinds


def test_a_confirmed_removal_is_verified_when_the_account_was_read_again(
    settings: Settings, accounts: Accounts, verified
) -> None:
    tables(settings)
    deliver(settings, "best", range(1_500), META)
    owed(settings, RemovalState.CONFIRMED, 1, confirmed_at=datetime.now(UTC) - timedelta(minutes=5))

    accounts[META] = [account_of(META, shows("best", 1_900))]
    assert [gap.kind for gap in verified(META)[0].gaps] == ["larger"]
    assert receipt(settings).state is RemovalState.CONFIRMED

    accounts[META] = [account_of(META, shows("best", 1_400))]
    assert verified(META)[0].ok
    assert receipt(settings).state is RemovalState.VERIFIED
    assert receipt(settings).verified_at is not None


def test_whoever_opted_out_may_not_be_on_any_platform(settings: Settings, accounts: Accounts) -> None:
    with Ledger.open(settings.ledger_url) as ledger:
        assert consent_lost(settings, ledger, META) is None
    tables(settings, opted_out=2)

    with Ledger.open(settings.ledger_url) as ledger:
        found = consent_lost(settings, ledger, META)

    assert found is not None
    assert set(found) == set(PEOPLE[-2:])


def differing(settings: Settings, platform: Platform) -> tuple[int, list[str]]:
    with Ledger.open(settings.ledger_url) as ledger:
        store = MemberStore(ledger, settings.delivered)
        compared, found = platforms_differ(settings, store, platform)
    return compared, [one.sentence for one in found]


def test_a_platform_that_lacks_people_for_want_of_consent_says_so_and_warns(
    settings: Settings, accounts: Accounts
) -> None:
    tables(settings)
    deliver(settings, "best", range(2_000), META, TIKTOK)
    deliver(settings, "best", range(600, 2_000), GOOGLE)
    accounts[GOOGLE] = [account_of(GOOGLE, shows("best", 1_200))]

    check = checked(settings, GOOGLE)[AGREE]

    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (
        "best: google holds 1,400 people and meta 2,000 (30 % fewer): 600 people agreed to advertising but"
        in (check.description or "")
    )
    assert differing(settings, META) == (1, [])


def test_a_delivery_that_is_held_is_a_cause_that_somebody_has_to_see_to(
    settings: Settings, accounts: Accounts
) -> None:
    tables(settings)
    deliver(settings, "best", range(2_000), META)
    deliver(settings, "best", range(1_000), TIKTOK, state=DeliveryState.HELD)
    accounts[TIKTOK] = [account_of(TIKTOK, shows("best", 1_000))]

    check = checked(settings, TIKTOK)[AGREE]

    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "1,000 people waiting for a confirmation" in (check.description or "")
    assert "country DE is 100 % of tiktok and 50 % of meta" in (check.description or "")


def test_an_audience_on_one_platform_alone_is_compared_with_none(settings: Settings) -> None:
    assert differing(settings, META) == (0, [])
    tables(settings)
    deliver(settings, "best", range(100), META)

    assert differing(settings, META) == (0, [])
