from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.audiences.definition import load_definitions
from audience_pipeline.audiences.eligibility import eligibility
from audience_pipeline.audiences.membership import attempts, memberships
from audience_pipeline.audiences.rules import Did
from audience_pipeline.audiences.stored import People, stored
from audience_pipeline.audiences.widening import longer_windows
from audience_pipeline.commands.preview_sources import furthest
from audience_pipeline.defs.addresses import addresses_of_opted_out
from audience_pipeline.defs.recipients import Recipients, Stated
from audience_pipeline.defs.standing import STANDING, write_standing
from audience_pipeline.ledger import deliveries, refreshes
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.records import (
    AudienceKey,
    AudienceState,
    Delivery,
    DeliveryState,
    PlatformAudience,
)
from audience_pipeline.platforms.contract import CAPABILITIES, Platform
from audience_pipeline.settings import Settings
from audience_pipeline_tests.commands.conftest import Run

DAY = date.today() - timedelta(days=1)
CUSTOMERS = 4_000
N = pl.int_range(CUSTOMERS)
SECRET = b"\x5e" * 32
AUDIENCES = {
    "buyers": "include: {where: orders >= 2}\nholdout_percent: 10\n",
    "fans": "include: {all: [{in: buyers}, {where: orders >= 8 and country = 'DE'}]}\n",
    "diabetics": "include: {where: orders > 5}\n",
}
RULES = "rules: [{name: competitors, description: They watch us., include: {where: is_competitor}}]\n"


def audience(name: str, rest: str) -> str:
    return f"name: {name}\ndescription: Some people.\nplatforms: [meta, google, tiktok]\n{rest}"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A workspace as a refresh leaves it."""
    folder = tmp_path / "audiences"
    folder.mkdir()
    for name, rest in AUDIENCES.items():
        (folder / f"{name}.yaml").write_text(audience(name, rest))
    (folder / "_suppression.yaml").write_text(RULES)
    monkeypatch.setenv("AUDIENCE_DEFINITIONS", str(folder))
    made = Settings.from_environment(
        {"AUDIENCE_HOME": str(tmp_path / "w"), "AUDIENCE_DEFINITIONS": str(folder)}
    )
    ids = pl.select(customer_id=pl.format("c{}", N))["customer_id"]
    profile = pl.DataFrame({"customer_id": ids, "person_key": ids}).with_columns(
        customer_no=N.cast(pl.UInt32),
        orders=N % 11,
        is_competitor=N % 50 == 3,
        country=pl.when(N % 3 == 0).then(pl.lit("DE")).otherwise(pl.lit("AT")),
        ltv_quintile=1 + N % 5,
    )
    known = {
        column: pl.when(N % 7 < 5).then(pl.lit(SECRET + column.encode()) + ids.cast(pl.Binary))
        for one in CAPABILITIES.values()
        for column in one.identifiers
        if column not in ("country", "postal_code")
    }
    identifiers = pl.DataFrame({"customer_id": ids}).with_columns(
        **known, country=pl.lit("DE"), postal_code=pl.lit("10115")
    )
    consent = pl.DataFrame({"customer_id": ids}).with_columns(
        opted_out=N % 13 == 0,
        **{f"opted_out_{p}": N % 13 == 0 for p in Platform},
        **{f"advertising_{p}": (N % 13 != 0) & (N % 9 != 0) for p in Platform},
    )
    tables = {"customer_profile": profile, "identifiers": identifiers, "consent": consent}
    tables["audience_memberships"], _ = stored(
        attempts(profile, load_definitions(folder)), People.of(profile), ""
    )
    for name, table in tables.items():
        (made.lake / name).mkdir(parents=True)
        table.write_parquet(made.lake / name / f"{DAY}.parquet")
    with Ledger.open(made.ledger_url) as ledger:
        refreshes.record(ledger, DAY, 1)
    return made


def test_the_numbers_are_those_that_a_delivery_would_send(run: Run, settings: Settings):
    seen = run("audiences", "preview", "buyers", "--dir", settings.home, "--json").json

    profile, identifiers, consent = (
        pl.read_parquet(settings.lake / name / f"{DAY}.parquet")
        for name in ("customer_profile", "identifiers", "consent")
    )
    members = memberships(profile, load_definitions(settings.audiences)).filter(
        pl.col("audience") == "buyers"
    )
    assert seen["as_of"] == DAY.isoformat()
    assert seen["members"] == members.height
    assert seen["members"] == seen["included"] - seen["excluded"] - sum(seen["suppressed"].values())
    for one in seen["platforms"]:
        decided = eligibility(members, identifiers, consent, CAPABILITIES[Platform(one["platform"])])
        assert one["eligible"] == decided["eligible"].sum() > 0
        assert one["eligible"] + sum(one["left_out"].values()) == seen["members"]
        rate, matches = one["match_rate"], one["expected_matches"]
        assert rate["low"] <= rate["expected"] <= rate["high"]
        assert matches["expected"] == pytest.approx(rate["expected"] * one["eligible"], abs=1)


def test_the_stored_standing_says_the_same_as_the_computed_one_and_an_old_one_is_not_used(
    run: Run, settings: Settings
):
    computed = run("audiences", "preview", "buyers", "--dir", settings.home, "--json").json
    write_standing(settings, DAY.isoformat())
    assert run("audiences", "preview", "buyers", "--dir", settings.home, "--json").json == computed

    path = settings.lake / "consent" / f"{DAY}.parquet"
    everybody_out = pl.read_parquet(path).with_columns(opted_out=pl.lit(value=True))
    everybody_out.write_parquet(path)
    later = run("audiences", "preview", "buyers", "--dir", settings.home, "--json").json

    assert (settings.lake / STANDING / f"{DAY}.parquet").is_file()
    assert all(one["eligible"] == 0 for one in later["platforms"])


def test_who_has_an_earlier_address_of_somebody_who_opted_out_is_left_out_by_preview_and_delivery(
    run: Run, settings: Settings
):
    denied, neighbour = "c0", "c2"
    profile, identifiers, consent = (
        pl.read_parquet(settings.lake / name / f"{DAY}.parquet")
        for name in ("customer_profile", "identifiers", "consent")
    )
    theirs = identifiers.row(by_predicate=pl.col("customer_id") == neighbour, named=True)["meta_email"]
    (settings.lake / "crm_contacts").mkdir()
    pl.DataFrame({"customer_id": ["old"], "updated_at": [None], "meta_email": [theirs]}).with_columns(
        pl.col("updated_at").cast(pl.Datetime("us"))
    ).write_parquet(settings.lake / "crm_contacts" / "1.parquet")
    before = run("audiences", "preview", "buyers", "--dir", settings.home, "--json").json

    # Only now is the earlier account known to be theirs.
    (settings.lake / "identities").mkdir()
    identities = pl.DataFrame({"source_id": ["old", denied], "customer_id": [denied, denied]})
    identities.write_parquet(settings.lake / "identities" / f"{DAY}.parquet")
    computed = run("audiences", "preview", "buyers", "--dir", settings.home, "--json").json
    write_standing(settings, DAY.isoformat())
    stored = run("audiences", "preview", "buyers", "--dir", settings.home, "--json").json

    assert computed == stored
    numbers = profile.select("customer_id", "customer_no")
    addresses = addresses_of_opted_out(settings, date.max, consent, identities)
    for was, now in zip(before["platforms"], stored["platforms"], strict=True):
        platform = Platform(now["platform"])
        people = Recipients(settings, DAY, platform, Stated(numbers, identities, consent, addresses))
        assert now["left_out"]["opted_out"] == was["left_out"]["opted_out"] + 1
        assert neighbour in people.consent_lost


def test_a_small_audience_comes_with_warnings_and_suggestions_that_were_tried(run: Run, settings: Settings):
    seen = run("audiences", "preview", "fans", "--dir", settings.home, "--json").json
    said = run("audiences", "preview", "fans", "--dir", settings.home)

    assert all("below 1,000 an audience hardly pays" in one["warning"] for one in seen["platforms"][:2])
    assert "tiktok needs 1,000 to deliver ads" in seen["platforms"][2]["warning"]
    assert any(one["change"].startswith("take out country = 'DE'") for one in seen["suggestions"])
    assert all(one["members"] > 0 for one in seen["suggestions"])
    assert "What would reach more people" in said.out
    assert "take out country = 'DE'" in said.out
    assert said.code == 0


def test_overlaps_are_those_with_the_stored_audiences(run: Run, settings: Settings):
    seen = run("audiences", "preview", "fans", "--dir", settings.home, "--json").json

    assert seen["overlaps_as_of"] == DAY.isoformat()
    assert {one["audience"]: one["share"] for one in seen["overlaps"]} == {"buyers": 1.0, "diabetics": 1.0}
    assert all(one["members_in_both"] == seen["members"] for one in seen["overlaps"])


def test_a_name_that_a_platform_would_flag_is_told_by_preview_and_by_validate(run: Run, settings: Settings):
    seen = run("audiences", "preview", "diabetics", "--dir", settings.home, "--json").json
    checked = run("audiences", "validate", "--dir", settings.home)

    assert [(flag["where"], flag["topic"]) for flag in seen["policy_flags"]] == [("name", "health")]
    assert checked.code == 0
    assert "diabetics.yaml:1: the name says 'diabetics', which hints at health" in checked.err


def test_a_file_is_previewed_before_it_is_saved(run: Run, settings: Settings, tmp_path: Path):
    draft = tmp_path / "draft.yaml"
    draft.write_text(audience("draft", "include: {all: [{in: buyers}, {where: orders < 5}]}\n"))

    seen = run("audiences", "preview", draft, "--dir", settings.home, "--json").json

    assert seen["audience"] == "draft"
    assert 0 < seen["members"] < CUSTOMERS
    assert "buyers" in {one["audience"] for one in seen["overlaps"]}
    assert not (settings.audiences / "draft.yaml").exists()


def test_mistakes_of_a_file_are_shown_as_validate_shows_them(run: Run, settings: Settings, tmp_path: Path):
    draft = tmp_path / "draft.yaml"
    draft.write_text(audience("draft", "include: {where: ordres < 5}\n"))

    said = run("audiences", "preview", draft, "--dir", settings.home)
    plain = run("audiences", "preview", draft, "--dir", settings.home, "--json")

    assert (said.code, plain.code) == (2, 2)
    assert "draft.yaml:4" in said.err
    assert "did you mean orders?" in said.err
    assert plain.json["valid"] is False


def test_a_mistake_of_another_file_is_said_and_keeps_no_audience_from_being_previewed(
    run: Run, settings: Settings
):
    before = run("audiences", "preview", "buyers", "--dir", settings.home, "--json").json
    (settings.audiences / "diabetics.yaml").write_text(
        audience("diabetics", "include: {where: ordres > 5}\n")
    )
    (settings.audiences / "heirs.yaml").write_text(audience("heirs", "include: {in: diabetics}\n"))
    (settings.audiences / "broken.yaml").write_text("name: [\n")

    seen = run("audiences", "preview", "buyers", "--dir", settings.home, "--json")

    assert seen.code == 0
    told = ("notes", "warnings")
    assert {**seen.json, **dict.fromkeys(told)} == {**before, **dict.fromkeys(told)}
    [said] = set(seen.json["notes"]) - set(before["notes"])
    assert "broken.yaml, diabetics.yaml, heirs.yaml" in said
    for name in ("diabetics", "heirs"):
        refused = run("audiences", "preview", name, "--dir", settings.home)
        assert refused.code == 2
        assert "diabetics.yaml:4" in refused.err


def test_a_mistake_of_a_suppression_rule_stops_every_preview(run: Run, settings: Settings):
    (settings.audiences / "_suppression.yaml").write_text(RULES.replace("is_competitor", "is_competitr"))

    refused = run("audiences", "preview", "buyers", "--dir", settings.home)

    assert refused.code == 2
    assert "did you mean is_competitor?" in refused.err


def test_a_preview_reads_as_far_back_as_it_may_suggest_to_look():
    day, week, ever = (Did("order", within_days=days) for days in (1, 7, None))

    assert furthest([day]) == max(longer_windows(1)) == 7
    assert furthest([day, week]) == max(longer_windows(7)) == 30
    assert furthest([day, ever]) is None


def test_an_old_date_is_said_to_be_old(run: Run, settings: Settings):
    with Ledger.open(settings.ledger_url) as ledger, ledger.begin() as connection:
        connection.exec_driver_sql("delete from refreshes")
    old = DAY - timedelta(days=5)
    with Ledger.open(settings.ledger_url) as ledger:
        refreshes.record(ledger, old, 1)
    for name in ("customer_profile", "identifiers", "consent"):
        (settings.lake / name / f"{DAY}.parquet").rename(settings.lake / name / f"{old}.parquet")

    seen = run("audiences", "preview", "buyers", "--dir", settings.home, "--json").json

    assert "is 6 days old: run audience-pipeline refresh" in " ".join(seen["notes"])


def test_a_date_without_tables_is_an_error_that_says_what_to_do(run: Run, settings: Settings):
    said = run("audiences", "preview", "buyers", "--dir", settings.home, "--as-of", "2020-01-01")

    assert said.code == 1
    assert "2020-01-01 is not there; run audience-pipeline refresh --as-of 2020-01-01" in said.err
    assert f"the newest date is {DAY}" in said.err


def test_deliveries_correct_what_is_expected(run: Run, settings: Settings):
    before = run("audiences", "preview", "buyers", "--dir", settings.home, "--json").json["platforms"][0]
    key = AudienceKey(Platform.META, "act_1", "fans")
    now = datetime.now(UTC)
    delivery = Delivery("d", key, DAY, now, state=DeliveryState.RUNNING, wanted=30_000)
    with Ledger.open(settings.ledger_url) as ledger, ledger.begin() as connection:
        deliveries.start(connection, delivery)
        deliveries.finish(connection, replace(delivery, state=DeliveryState.SETTLED, finished_at=now))
        known = PlatformAudience(key, "fans", AudienceState.ACTIVE, now, "1")
        deliveries.put_audience(
            connection, replace(known, match_rate_low=0.1, match_rate_high=0.2, match_rate_how="stated")
        )

    after = run("audiences", "preview", "buyers", "--dir", settings.home, "--json").json["platforms"][0]

    assert after["match_rate"]["expected"] < 0.3 < before["match_rate"]["expected"]
    assert "what another audience came to with 30,000 people" in after["how"]
    assert {one["identifier"] for one in after["missing_identifiers"]} == {"e-mail address", "phone number"}
    said = run("audiences", "preview", "buyers", "--dir", settings.home)
    assert "people have no phone number: with one, about" in " ".join(said.out.split())


def test_nothing_of_a_person_is_shown(run: Run, settings: Settings):
    for arguments in (("--json",), ()):
        said = run("audiences", "preview", "fans", "--dir", settings.home, *arguments)
        shown = said.out + said.err
        assert SECRET.hex() not in shown
        assert "c39" not in shown
    assert "c39" in json.dumps(
        pl.read_parquet(settings.lake / "consent" / f"{DAY}.parquet")["customer_id"].to_list()
    )


@pytest.mark.parametrize("told", [True, False])
def test_people_who_agreed_to_advertising_alone_are_explained_where_they_are_most(
    run: Run, settings: Settings, told: bool
):
    path = settings.lake / "consent" / f"{DAY}.parquet"
    agreed = pl.col("advertising_meta")
    pl.read_parquet(path).with_columns(
        advertising=agreed if told else pl.lit(value=False),
        personalisation_google=N % 3 == 0,
        advertising_google=agreed & (N % 3 == 0),
    ).write_parquet(path)

    said = " ".join(run("audiences", "preview", "buyers", "--dir", settings.home).out.split())
    seen = run("audiences", "preview", "buyers", "--dir", settings.home, "--json").json

    [google] = [one for one in seen["platforms"] if one["platform"] == "google"]
    lacking, left_out = google["no_consent_lacking"]["personalisation"], google["left_out"]["no_consent"]
    sentence = f"google: {lacking:,} of the {left_out:,} without consent agreed to advertising, but not"
    assert (sentence in said) is ("agreed to advertising" in said) is (lacking > 0) is told
