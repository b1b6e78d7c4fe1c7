"""What has landed reaches the log and the decision, whatever was killed in between."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from audience_pipeline.customers.consent import CONSENT_NEEDED, ConsentPolicy
from audience_pipeline.definitions import build_definitions
from audience_pipeline.defs import sensors
from audience_pipeline.defs.consent import consent_policy, decided
from audience_pipeline.defs.consent_kept import changed
from audience_pipeline.defs.consent_log import log_folder, log_statements, newest_statement, unlogged
from audience_pipeline.defs.lake import newest_landing, note_consent_sent
from audience_pipeline.defs.privacy import request
from audience_pipeline.ledger import Ledger, consent_log, refreshes
from audience_pipeline.ledger.consent_verify import verify
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.sections import Config, Consent
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.landing import land
from audience_pipeline.sources.requests import one_person


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    with Ledger.open(settings.ledger_url) as opened:
        yield opened


def landed(settings: Settings, ledger: Ledger, kind: Kind, text: str) -> None:
    path = settings.home / f"{kind.value}.csv"
    path.write_text(text)
    land(kind, path, lake=settings.lake, ledger=ledger)


STATEMENTS = "event_at,status,customer_id\n2026-01-01,granted,a\n2026-01-02,denied,b\n"
VISITS = "event_at,event,customer_id,gpc\n2026-01-05T10:00:00Z,page_view,c,true\n"
QUIET = "event_at,event,customer_id,gpc\n2026-01-06T10:00:00Z,page_view,c,true\n"


def test_the_settings_of_a_workspace_make_its_policy(settings: Settings) -> None:
    assert consent_policy(settings) == ConsentPolicy()
    said = Consent(needed_in=("BR",), signals_count_in=("US", "CA"), advertising_covers_personalisation=True)
    other = settings.model_copy(update={"config": Config(consent=said)})

    policy = consent_policy(other)

    assert (policy.consent_needed, policy.signal_countries) == ({"BR"}, {"US", "CA"})
    assert policy.advertising_covers_personalisation
    assert {"DE", "GB", "CH"} <= CONSENT_NEEDED


def test_what_landed_without_being_logged_is_caught_up_with_in_order(
    settings: Settings, ledger: Ledger
) -> None:
    landed(settings, ledger, Kind.WEB, VISITS)
    landed(settings, ledger, Kind.CONSENT, STATEMENTS)
    assert [landing.kind for landing in unlogged(ledger)] == ["web", "consent"]

    assert log_statements(settings, ledger) == 3
    assert log_statements(settings, ledger) == 0

    assert unlogged(ledger) == []
    assert [head.origin for head in consent_log.heads(ledger)] == ["signals", "statements"]
    assert verify(consent_log.heads(ledger), log_folder(settings)).intact


def test_statements_whose_file_is_gone_are_told_and_come_back_from_the_log(
    settings: Settings, ledger: Ledger
) -> None:
    landed(settings, ledger, Kind.CONSENT, STATEMENTS)
    log_statements(settings, ledger)
    (file,) = (
        path
        for path in (settings.lake / "consent_events").glob("*.parquet")
        if not path.stem.startswith("0-")
    )
    before = pl.read_parquet(file)
    file.unlink()
    told = [problem.what for problem in changed(settings, ledger)]

    log_statements(settings, ledger)

    assert told == ["2 of its statements are gone from the lake; a delivery brings them back"]
    assert_frame_equal(pl.read_parquet(file), before, check_row_order=False)
    assert list(changed(settings, ledger)) == []


def test_statements_that_were_changed_or_put_there_are_told(settings: Settings, ledger: Ledger) -> None:
    landed(settings, ledger, Kind.CONSENT, STATEMENTS)
    log_statements(settings, ledger)
    folder = settings.lake / "consent_events"
    (file,) = (path for path in folder.glob("*.parquet") if not path.stem.startswith("0-"))
    rows = pl.read_parquet(file)
    assert list(changed(settings, ledger)) == []

    rows.with_columns(status=pl.lit("granted")).write_parquet(file)
    rows.write_parquet(folder / "0123456789abcdef.parquet")

    assert [problem.what for problem in changed(settings, ledger)] == [
        "the statements in the lake, which decide who is sent, are not those that were logged",
        "there are statements in the lake that have never landed",
    ]


def test_a_segment_that_a_killed_process_left_does_not_hide_its_signals(
    settings: Settings, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed(settings, ledger, Kind.WEB, VISITS)

    def killed(_table: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(consent_log, "insert", killed)
        with pytest.raises(KeyboardInterrupt):
            log_statements(settings, ledger)
    assert len(list(log_folder(settings).glob("*.parquet"))) == 1

    assert log_statements(settings, ledger) == 1


def test_a_signal_that_is_sent_again_is_no_news_for_the_platforms(settings: Settings, ledger: Ledger) -> None:
    assert newest_statement(ledger) == 0
    landed(settings, ledger, Kind.WEB, VISITS)
    log_statements(settings, ledger)
    landed(settings, ledger, Kind.WEB, QUIET)
    log_statements(settings, ledger)

    assert newest_statement(ledger) == 1

    landed(settings, ledger, Kind.CONSENT, STATEMENTS)
    assert newest_statement(ledger) == 3


def test_a_delivery_sees_what_has_landed_though_it_is_dated_tomorrow(
    settings: Settings, ledger: Ledger
) -> None:
    tomorrow = (pl.Series([date.today()]).dt.offset_by("1d"))[0]
    landed(settings, ledger, Kind.CRM, "customer_id,country\na,US\n")
    landed(settings, ledger, Kind.CONSENT, f"event_at,status,customer_id\n{tomorrow},denied,a\n")
    people = pl.LazyFrame({"customer_id": ["a"]})

    now, today = (
        decided(settings, ledger, day, people).collect()["opted_out"].item()
        for day in (date.max, date.today())
    )

    assert (now, today) == (True, False)


def test_an_opt_out_holds_against_a_grant_whose_clock_was_ahead_when_it_landed(
    settings: Settings, ledger: Ledger
) -> None:
    tomorrow = (pl.Series([date.today()]).dt.offset_by("1d"))[0]
    grants = f"event_at,status,customer_id\n{tomorrow}T09:00:00Z,granted,a\n{tomorrow}T09:00:00Z,granted,b\n"
    landed(settings, ledger, Kind.CONSENT, grants)
    request(settings, ledger, one_person("a"), "denied")

    people = decided(settings, ledger, date.max, pl.LazyFrame({"customer_id": ["a", "b"]})).collect()

    assert people.select("customer_id", "advertising").rows() == [("a", False), ("b", True)]


def test_a_merge_is_seen_by_the_decision(settings: Settings, ledger: Ledger) -> None:
    landed(settings, ledger, Kind.CRM, "customer_id,country\na,US\nb,US\n")
    landed(settings, ledger, Kind.CONSENT, STATEMENTS)
    same = pl.LazyFrame({"source_id": ["a", "b"], "customer_id": ["a", "a"]})

    [row] = decided(settings, ledger, date.max, same.select("customer_id"), same).collect().to_dicts()

    assert (row["customer_id"], row["opted_out"]) == ("a", True)


def test_the_sensor_asks_for_a_run_for_whatever_way_a_statement_came(
    settings: Settings, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensors, "can_be_told", lambda *_: True)
    graph = build_definitions(settings)
    landed(settings, ledger, Kind.CRM, "customer_id,country\na,US\n")
    refreshes.record(ledger, date(2026, 1, 31), 1)
    with dg.DagsterInstance.ephemeral():
        sensor = graph.get_repository_def().get_sensor_def("consent_inbox")

    def asked() -> list[str | None]:
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_sensor_context(instance=instance)
            return [request.run_key for request in sensor.evaluate_tick(context).run_requests or []]

    def follow() -> None:
        for platform in Platform:
            note_consent_sent(settings.lake, platform.value, newest_landing(ledger))

    follow()
    assert asked() == []

    request(settings, ledger, one_person("a"), "erase")
    [by_command] = asked()
    assert by_command is not None
    assert by_command.startswith("consent:2:")
    follow()
    assert asked() == []

    landed(settings, ledger, Kind.WEB, VISITS)
    log_statements(settings, ledger)
    assert len(asked()) == 1
