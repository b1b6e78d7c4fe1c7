"""Memberships of a date as the asset makes them, and what a delivery does where it could not make one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from urllib.request import urlopen

import dagster as dg
import polars as pl
import pytest

from audience_pipeline.audiences.profile import PROFILE_SCHEMA
from audience_pipeline.customers.identities import IDENTITIES_SCHEMA
from audience_pipeline.customers.identity import IDENTIFIERS_SCHEMA
from audience_pipeline.defs.audiences import EMPTY, EVALUATED, audience_assets
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.numbers import FILE, customer_numbers
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.defs.sending import SyncConfig, deliver
from audience_pipeline.defs.storage import table_path, write_table
from audience_pipeline.delivery.report import DeliveryReport
from audience_pipeline.ledger import refreshes
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.platforms.meta import MetaClient
from audience_pipeline.sandbox.server import running
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import LANDED, Kind

YESTERDAY, TODAY = date(2026, 3, 14), date(2026, 3, 15)
PEOPLE = [f"c{number:03d}" for number in range(150)]
BUYERS = "name: buyers\ndescription: Some.\ninclude: {where: orders >= 1}\nplatforms: [meta]\n"
LOOKERS = (
    "name: lookers\ndescription: Some.\ninclude: {did: {event: product_view, within_days: 7}}\n"
    "platforms: [meta]\nholdout_percent: 20\n"
)


@pytest.fixture
def shop(settings: Settings, tmp_path: Path) -> Settings:
    """A workspace with two audiences and what they are made of."""
    folder = tmp_path / "definitions"
    folder.mkdir()
    (folder / "buyers.yaml").write_text(BUYERS, encoding="utf-8")
    (folder / "lookers.yaml").write_text(LOOKERS, encoding="utf-8")
    made = settings.model_copy(update={"audiences": folder})
    for day in (YESTERDAY, TODAY):
        tables_of(made, day)
    activity = pl.DataFrame(
        {
            "customer_id": ["anonymous:x", "email:0", *PEOPLE[10:40]],
            "activity_date": [TODAY - timedelta(days=3)] * 32,
            "activity": ["web:product_view"] * 32,
            **dict.fromkeys(("category", "device", "channel", "source", "medium", "campaign", "daypart")),
            "events": [1] * 32,
        },
        schema_overrides=dict.fromkeys(("category", "device", "campaign"), pl.String),
    ).with_columns(pl.col(pl.Null).cast(pl.String))
    write_table(table_path(made.lake, "customer_activity"), activity)
    return made


def tables_of(settings: Settings, day: date, *, without: str = "") -> None:
    """Profile, identifiers and identities of a date; ``email:0`` has become the first customer."""
    numbers = customer_numbers(settings.lake, pl.Series(PEOPLE))
    profile = pl.DataFrame({"customer_id": PEOPLE, "person_key": PEOPLE}).join(numbers, on="person_key")
    fields = {
        name: pl.lit(2 if name == "orders" else None, dtype=dtype).alias(name)
        for name, dtype in PROFILE_SCHEMA.items()
        if name not in {*profile.columns, without}
    }
    known = pl.DataFrame({"customer_id": PEOPLE, "meta_email": [hashed(person) for person in PEOPLE]})
    missing = {name: dtype for name, dtype in IDENTIFIERS_SCHEMA.items() if name not in known.columns}
    identities = pl.DataFrame(
        {"source_id": [*PEOPLE, "email:0"], "customer_id": [*PEOPLE, "c000"], "person_key": [*PEOPLE, "c000"]}
    ).with_columns(
        pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in IDENTITIES_SCHEMA.items()
        if name not in ("source_id", "customer_id", "person_key")
    )
    tables = {
        "customer_profile": profile.with_columns(**fields),
        "identifiers": known.with_columns(pl.lit(None, dtype=t).alias(n) for n, t in missing.items()),
        "identities": identities,
        "consent": pl.DataFrame({"customer_id": PEOPLE}).with_columns(
            pl.lit(value=name == "advertising").alias(f"{name}{place}")
            for name in ("advertising", "opted_out")
            for place in ("", "_meta", "_google", "_tiktok")
        ),
    }
    for name, table in tables.items():
        write_table(table_path(settings.lake, name, day.isoformat()), table, 1)


def delivered(
    settings: Settings, ledger: Ledger, client: MetaClient, config: SyncConfig
) -> tuple[Sequence[DeliveryReport], Mapping[str, str]]:
    outcome = deliver(settings, ledger, [client], config)
    return outcome.reports, outcome.unknown


def hashed(person: str) -> bytes:
    return sha256(f"{person}@example.com".encode()).digest()


def refresh(settings: Settings, day: date) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            audience_assets(settings, AsOfCalendar.of(settings)),
            partition_key=day.isoformat(),
            instance=instance,
            resources={"ledger": LedgerResource.of(settings)},
            raise_on_error=False,
        )


def checks(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str]]:
    return {
        check.check_name: (check.passed, check.description or "")
        for check in result.get_asset_check_evaluations()
    }


def sizes(settings: Settings, day: date) -> dict[str, int]:
    table = pl.read_parquet(table_path(settings.lake, "audience_memberships", day.isoformat()))
    return dict(table.select("audience", "size").iter_rows())


def test_memberships_hold_who_did_something_under_any_of_their_names(shop: Settings) -> None:
    result = refresh(shop, TODAY)

    assert result.success
    assert sizes(shop, TODAY) == {"buyers": 150, "lookers": 31}
    assert checks(result)[EMPTY] == (True, "all have members")
    assert checks(result)[EVALUATED] == (True, "every audience was evaluated")
    [event] = result.get_asset_materialization_events()
    metadata = {name: value.value for name, value in event.materialization.metadata.items()}
    assert (metadata["audiences"], metadata["members"], metadata["people"]) == (2, 181, 150)
    assert 0 < metadata["held_out"] < 31


def test_a_field_that_has_gone_takes_only_its_audience_out_and_yesterday_is_not_used(shop: Settings) -> None:
    assert refresh(shop, YESTERDAY).success
    tables_of(shop, TODAY, without="orders")

    result = refresh(shop, TODAY)

    assert result.success
    assert sizes(shop, YESTERDAY) == {"buyers": 150, "lookers": 31}
    assert sizes(shop, TODAY) == {"lookers": 31}
    passed, said = checks(result)[EVALUATED]
    assert not passed
    assert said.startswith("buyers: the profile has no field orders")
    with Ledger.open(shop.ledger_url) as ledger:
        newest = refreshes.completed(ledger)[-1]
    assert newest.details["audiences"] == ["lookers"]
    assert list(newest.details["not_evaluated"]) == ["buyers"]


def test_a_profile_with_numbers_of_another_numbering_is_refused(shop: Settings) -> None:
    (shop.lake / FILE).unlink()
    customer_numbers(shop.lake, pl.Series(["somebody", *PEOPLE[::-1], "an earlier one"]))

    result = refresh(shop, TODAY)

    [failure] = [event for event in result.all_node_events if event.is_step_failure]
    assert "materialise customer_profile of that date again" in str(failure.step_failure_data)
    assert not table_path(shop.lake, "audience_memberships", TODAY.isoformat()).is_file()


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[str]:
    pl.DataFrame(
        {
            "email": [f"{person}@example.com" for person in PEOPLE],
            **dict.fromkeys(("phone", "first_name", "last_name", "country", "postal_code")),
            **{f"on_{name}": [True] * len(PEOPLE) for name in ("meta", "google", "tiktok")},
        }
    ).with_columns(pl.col(pl.Null).cast(pl.String)).write_parquet(tmp_path / "population.parquet")
    with running(tmp_path / "state", tmp_path / "population.parquet", delay=0.0) as address:
        yield address


def state_consent(settings: Settings, name: str, status: str, people: list[str], at: datetime) -> None:
    stated = pl.DataFrame({"customer_id": people}).with_columns(
        event_at=pl.lit(at),
        event_date=pl.lit(at.date()),
        purpose=pl.lit("advertising"),
        status=pl.lit(status),
        landing_id=pl.lit(name),
    )
    schema = {**LANDED[Kind.CONSENT], "landing_id": pl.String()}
    table = stated.select(
        (pl.col(column) if column in stated.columns else pl.lit(None)).cast(dtype).alias(column)
        for column, dtype in schema.items()
    )
    write_table(settings.lake / Kind.CONSENT.dataset / f"{name}.parquet", table)


def held(sandbox: str) -> dict[str, set[str]]:
    """Per audience on the platform, whom it holds."""

    def ask(what: str) -> dict:
        with urlopen(f"{sandbox}/_sandbox/{what}", timeout=30) as answer:
            return json.load(answer)

    names = {hashed(person).hex(): person for person in PEOPLE}
    return {
        audience["name"].split()[-1]: {
            names[text]
            for row in ask(f"members?platform=meta&audience_id={audience['id']}")["members"]
            for text in row
            if text in names
        }
        for audience in ask("audiences?platform=meta")["audiences"]
    }


def test_an_audience_that_could_not_be_evaluated_keeps_its_people_but_for_opt_outs(
    shop: Settings, sandbox: str
) -> None:
    client = MetaClient(base_url=sandbox, access_token="sandbox-meta-token", account="1234567890")
    state_consent(shop, "a" * 16, "granted", PEOPLE, datetime(2026, 1, 1, 12))
    refresh(shop, YESTERDAY)
    with Ledger.open(shop.ledger_url) as ledger:
        reports, unknown = delivered(shop, ledger, client, SyncConfig())
        assert [report.ok for report in reports] == [True, True]
        assert unknown == {}
        assert held(sandbox)["buyers"] == set(PEOPLE)

        tables_of(shop, TODAY, without="orders")
        refresh(shop, TODAY)
        state_consent(shop, "b" * 16, "denied", PEOPLE[10:13], datetime(2026, 3, 15, 12))
        (shop.audiences / "later.yaml").write_text(BUYERS.replace("buyers", "later"), encoding="utf-8")
        reports, unknown = delivered(shop, ledger, client, SyncConfig())

    assert [report.ok for report in reports] == [True, True]
    assert list(unknown) == ["buyers", "later"]
    assert "no field orders" in unknown["buyers"]
    assert "defined after the newest refresh" in unknown["later"]
    assert held(sandbox)["buyers"] == set(PEOPLE) - set(PEOPLE[10:13])
    assert not held(sandbox)["lookers"] & set(PEOPLE[10:13])
    assert "later" not in held(sandbox)


def test_a_mistake_in_one_definition_stops_neither_the_others_nor_opt_outs(
    shop: Settings, sandbox: str
) -> None:
    client = MetaClient(base_url=sandbox, access_token="sandbox-meta-token", account="1234567890")
    state_consent(shop, "a" * 16, "granted", PEOPLE, datetime(2026, 1, 1, 12))
    refresh(shop, YESTERDAY)
    with Ledger.open(shop.ledger_url) as ledger:
        delivered(shop, ledger, client, SyncConfig())
        before = held(sandbox)
        broken = shop.audiences / "buyers.yaml"
        broken.write_text(BUYERS.replace("orders >=", "ordrs >="), encoding="utf-8")
        result = refresh(shop, TODAY)
        state_consent(shop, "b" * 16, "denied", PEOPLE[10:13], datetime(2026, 3, 15, 12))
        reports, unknown = delivered(shop, ledger, client, SyncConfig())

    assert result.success
    assert sizes(shop, TODAY) == {"lookers": 31}
    passed, said = checks(result)[EVALUATED]
    assert not passed
    assert said.startswith(f"buyers: {broken}:3: unknown field 'ordrs' (did you mean orders?)")
    assert [report.ok for report in reports] == [True, True]
    assert unknown == {"buyers": f"{broken}:3: unknown field 'ordrs' (did you mean orders?)"}
    assert held(sandbox)["buyers"] == before["buyers"] - set(PEOPLE[10:13])
    assert held(sandbox)["lookers"] == before["lookers"] - set(PEOPLE[10:13])


@pytest.mark.parametrize("wrong", ["_suppression.yaml", "unreadable.yaml"])
def test_files_that_may_mean_any_audience_stop_no_opt_out_and_retire_nobody(
    shop: Settings, sandbox: str, wrong: str
) -> None:
    client = MetaClient(base_url=sandbox, access_token="sandbox-meta-token", account="1234567890")
    state_consent(shop, "a" * 16, "granted", PEOPLE, datetime(2026, 1, 1, 12))
    refresh(shop, YESTERDAY)
    with Ledger.open(shop.ledger_url) as ledger:
        delivered(shop, ledger, client, SyncConfig())
        before = held(sandbox)
        (shop.audiences / "buyers.yaml").unlink()
        (shop.audiences / wrong).write_text("rules: [", encoding="utf-8")
        state_consent(shop, "b" * 16, "denied", PEOPLE[10:13], datetime(2026, 3, 15, 12))
        reports, unknown = delivered(shop, ledger, client, SyncConfig(confirm=True))

    assert [report.ok for report in reports] == [True, True]
    assert "buyers" in unknown
    assert held(sandbox) == {name: people - set(PEOPLE[10:13]) for name, people in before.items()}
    assert refresh(shop, TODAY).success is (wrong == "unreadable.yaml")


def test_members_stored_with_numbers_that_are_lost_stop_no_opt_out(shop: Settings, sandbox: str) -> None:
    client = MetaClient(base_url=sandbox, access_token="sandbox-meta-token", account="1234567890")
    state_consent(shop, "a" * 16, "granted", PEOPLE, datetime(2026, 1, 1, 12))
    refresh(shop, YESTERDAY)
    with Ledger.open(shop.ledger_url) as ledger:
        delivered(shop, ledger, client, SyncConfig())
        (shop.lake / FILE).unlink()
        state_consent(shop, "b" * 16, "denied", PEOPLE[10:13], datetime(2026, 3, 15, 12))
        _, unknown = delivered(shop, ledger, client, SyncConfig())

    assert sorted(unknown) == ["buyers", "lookers"]
    assert "customer numbers that do not exist any more" in unknown["buyers"]
    assert held(sandbox)["buyers"] == set(PEOPLE) - set(PEOPLE[10:13])
