"""``audiences status`` and ``delivery verify``: what people are told of deliveries."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from audience_pipeline.commands.report import delivered
from audience_pipeline.commands.tables import delivery_tables
from audience_pipeline.defs import verifying
from audience_pipeline.defs.resources import NotConfiguredError, PlatformResource
from audience_pipeline.ledger.records import DeliveryState
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.settings import Settings
from audience_pipeline_tests.commands.conftest import Run
from audience_pipeline_tests.defs.delivered_shop import (
    DAY,
    NOW,
    Account,
    account_of,
    as_stored,
    deliver,
    shows,
    tables,
)

META, GOOGLE, TIKTOK = Platform.META, Platform.GOOGLE, Platform.TIKTOK
BEST = """\
name: best
description: The best.
include: {where: ltv_quintile <= 1 and country = 'DE'}
platforms: [meta, tiktok]
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    folder = tmp_path / "audiences"
    folder.mkdir()
    (folder / "best.yaml").write_text(BEST)
    monkeypatch.setenv("AUDIENCE_DEFINITIONS", str(folder))
    settings = Settings.from_environment(
        {"AUDIENCE_HOME": str(tmp_path / "w"), "AUDIENCE_DEFINITIONS": str(folder)}
    )
    settings.home.mkdir()
    tables(settings, phones=100)
    return settings


@pytest.mark.parametrize("width", [80, 100, 132, 160, 200])
def test_in_every_terminal_the_columns_that_are_shown_are_shown_whole(
    shop: Settings, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    name = "women_who_bought_shoes_in_autumn"
    deliver(shop, name, range(1, 60), META)
    [row] = delivered(shop)[1]
    row |= {"matched_text": "at most 1,000", "rate_text": "69 to 71 %", "read_at": "2026-11-20 18:06"}
    terminal = Console(width=width, record=True, file=StringIO())
    monkeypatch.setattr("audience_pipeline.commands.tables.out", terminal)

    sizes = [{"audience": name, "members": 12_345, "holdout": 1_234}]
    for part in delivery_tables(sizes, [row]):
        terminal.print(part)

    said = terminal.export_text().splitlines()
    [heading] = [line for line in said if "members" in line and "┃" in line]
    [first] = [line for line in said if "12,345" in line]
    whole = ["audience", "members", "platform", "sent", "matched", "rate", "state"]
    assert [one for one in whole if one not in heading] == []
    assert all(value in first for value in ("meta", "59", "at most 1,000", "69 to 71 %", "settled"))
    assert max(map(len, said)) <= width


def test_all_audiences_stand_in_one_table_problems_first(run: Run, shop: Settings) -> None:
    deliver(shop, "calm", range(50), META)
    deliver(shop, "best", range(60), TIKTOK, state=DeliveryState.FAILED)

    rows = run("audiences", "status", "--dir", shop.home, "--json").json
    said = run("audiences", "status", "--dir", shop.home)

    assert [(row["audience"], row["platform"], row["state"], row["sent"]) for row in rows] == [
        ("best", "tiktok", "failed", 60),
        ("calm", "meta", "settled", 50),
    ]
    assert said.out.index("best") < said.out.index("calm")


def test_every_figure_has_bounds_and_a_date(run: Run, shop: Settings) -> None:
    deliver(
        shop,
        "best",
        range(1_000),
        META,
        size_low=600,
        size_high=700,
        match_rate_low=0.6,
        match_rate_high=0.7,
        match_rate_how="size on the platform over people sent",
    )

    (row,) = run("audiences", "status", "--dir", shop.home, "--json").json
    said = " ".join(run("audiences", "status", "--dir", shop.home).out.split())

    assert (row["matched_text"], row["rate_text"]) == ("600 to 700", "60 to 70 %")
    assert row["read_at"] == NOW.isoformat()
    assert "600 to 700" in said
    assert "60 to 70 %" in said
    assert f"{NOW:%Y-%m-%d}" in said


def test_a_held_delivery_says_how_it_goes_on(run: Run, shop: Settings) -> None:
    deliver(shop, "best", range(60), TIKTOK, state=DeliveryState.HELD)

    said = " ".join(run("audiences", "status", "best", "--dir", shop.home).out.split())
    found = run("audiences", "status", "best", "--dir", shop.home, "--json").json

    release = "audience-pipeline audiences sync best --platform tiktok --yes"
    assert release in said
    assert found["platforms"][0]["release"] == release


def test_one_audience_is_shown_platform_beside_platform_with_its_people(run: Run, shop: Settings) -> None:
    deliver(shop, "best", range(1_000), META)
    deliver(shop, "best", range(500), TIKTOK)

    found = run("audiences", "status", "best", "--dir", shop.home, "--json").json
    said = " ".join(run("audiences", "status", "best", "--dir", shop.home).out.split())

    assert found["described_as_of"] == DAY.isoformat()
    quintiles = {one["value"]: one for one in found["composition"] if one["field"] == "ltv_quintile"}
    assert quintiles["1"]["people"] == {"meta": 200, "tiktok": 100}
    assert quintiles["1"]["shares"] == {"meta": 0.2, "tiktok": 0.2}
    assert "20 % (200)" in said
    assert "20 % (100)" in said
    assert [one["platform"] for one in found["differences"]] == ["tiktok"]
    assert (
        "best: tiktok holds 500 people and meta 1,000 (50 % fewer): 500 people not sent to tiktok yet" in said
    )


def test_a_low_match_rate_comes_with_what_was_counted(run: Run, shop: Settings) -> None:
    low = {"match_rate_low": 0.1, "match_rate_high": 0.2, "match_rate_how": "stated by the platform"}
    deliver(shop, "best", range(1_000), META, **low)

    found = run("audiences", "status", "best", "--dir", shop.home, "--json").json
    (platform,) = found["platforms"]

    assert platform["advice"][0].startswith("100 to 200 are matched (10 to 20 % of the 1,000 people sent)")
    assert platform["advice"][1] == (
        "10 to 20 % of 1,000 people are matched: 90 % have e-mail address only, 10 % have e-mail address and "
        "phone number."
    )
    assert platform["advice"][2].startswith("900 people have no phone number")
    assert platform["advice"][3] == "All are hashed by the rules in use (version 1): that is not the cause."


def test_a_small_audience_comes_with_suggestions_or_why_there_are_none(run: Run, shop: Settings) -> None:
    deliver(shop, "best", range(400), TIKTOK, size_low=240, size_high=240)

    found = run("audiences", "status", "best", "--dir", shop.home, "--json").json
    said = " ".join(run("audiences", "status", "best", "--dir", shop.home).out.split())

    assert found["platforms"][0]["advice"] == ["240 are matched; tiktok needs 1,000 to deliver ads"]
    assert found["suggestions"], found["no_suggestions_because"]
    assert found["suggestions"][0]["change"] in said
    assert all(one["members"] > 0 for one in found["suggestions"])


def test_an_audience_that_is_large_enough_gets_no_suggestions(run: Run, shop: Settings) -> None:
    deliver(shop, "best", range(2_000), META, size_low=1_200, size_high=1_300)

    found = run("audiences", "status", "best", "--dir", shop.home, "--json").json

    assert found["suggestions"] == []
    assert found["platforms"][0]["advice"] == []


def test_an_audience_that_was_never_delivered_is_told_so(run: Run, shop: Settings) -> None:
    said = run("audiences", "status", "nothing", "--dir", shop.home)

    assert said.code == 1
    assert "nothing' has never been delivered" in said.err


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> dict[Platform, list[Account]]:
    found: dict[Platform, list[Account]] = {}

    def clients(resource: PlatformResource) -> list[Account]:
        if Platform(resource.platform) not in found:
            raise NotConfiguredError("not configured")
        return found[Platform(resource.platform)]

    monkeypatch.setattr(PlatformResource, "clients", clients)
    monkeypatch.setattr(verifying, "stated", as_stored)
    return found


def test_verify_says_that_all_is_well(run: Run, shop: Settings, accounts) -> None:
    deliver(shop, "best", range(1_000), META, TIKTOK)
    accounts[META] = [account_of(META, shows("best", 700))]
    accounts[TIKTOK] = [account_of(TIKTOK, shows("best", 700))]

    said = run("delivery", "verify", "--dir", shop.home)

    assert said.code == 0
    assert "Gaps" not in said.out
    found = run("delivery", "verify", "--dir", shop.home, "--json").json
    assert [(one["platform"], one["ok"], one["audiences"]) for one in found] == [
        ("meta", True, 1),
        ("tiktok", True, 1),
    ]


def test_verify_names_each_gap_with_what_to_do(run: Run, shop: Settings, accounts) -> None:
    deliver(shop, "best", range(1_000), META, TIKTOK)
    accounts[META] = [account_of(META)]
    accounts[TIKTOK] = [account_of(TIKTOK, shows("best", 700))]

    said = run("delivery", "verify", "--dir", shop.home)

    assert said.code == 1
    assert "deliver it again and it is made anew" in " ".join(said.out.split())
    assert run("delivery", "verify", "--platform", "tiktok", "--dir", shop.home).code == 0


def test_verify_tells_remarks_apart_from_gaps_and_ends_with_1_for_gaps_only(
    run: Run, shop: Settings, accounts
) -> None:
    deliver(shop, "best", range(60), META)
    accounts[META] = [account_of(META, replace(shows("best", 0), size_high=1_000, ready=False))]

    said = run("delivery", "verify", "--platform", "meta", "--dir", shop.home)
    [found] = run("delivery", "verify", "--platform", "meta", "--dir", shop.home, "--json").json

    assert said.code == 0
    assert "Remarks" in said.out
    assert "Gaps" not in said.out
    assert "too small to be used" in " ".join(said.out.split())
    assert (found["ok"], found["gaps"], [one["kind"] for one in found["remarks"]]) == (True, [], ["small"])


def test_verify_fails_where_the_file_of_credentials_that_is_named_is_missing(
    run: Run, shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIENCE_SECRETS", str(shop.home / "nowhere.yaml"))

    said = run("delivery", "verify", "--dir", shop.home)

    assert said.code == 1
    assert "nowhere.yaml: there is no such file; AUDIENCE_SECRETS names it" in said.err


def test_verify_without_accounts_and_deliveries_has_nothing_to_compare(
    run: Run, shop: Settings, accounts
) -> None:
    said = run("delivery", "verify", "--dir", shop.home)

    assert said.code == 0
    assert "there is nothing to compare" in said.out
