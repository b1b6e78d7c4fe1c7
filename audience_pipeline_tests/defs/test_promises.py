"""What must hold between runs: nobody is sent by mistake, nothing stale looks fresh, no opt-out is lost."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.defs.resources import LedgerResource, NotConfiguredError, PlatformResource, is_loopback
from audience_pipeline.defs.storage import landing_sequence, table_path, write_table
from audience_pipeline.ledger import landings, refreshes
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.landings import Landing
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.settings import Account, Config, Platforms, Settings

DAY = "2026-03-01"


def test_a_demo_never_talks_to_a_real_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("META_ACCESS_TOKEN", "a real one")
    demo = Platforms(sandbox_only=True, meta=Account(account="1"))

    resource = PlatformResource.of(Platform.META, Settings.at(tmp_path, Config(platforms=demo), {}))

    with pytest.raises(NotConfiguredError, match="may only send to the sandbox"):
        resource.clients()


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8790", True),
        ("http://[::1]:8790", True),
        ("https://graph.facebook.com", False),
        ("http://127.0.0.1.example.com", False),
        ("", False),
    ],
)
def test_only_loopback_counts_as_this_machine(url: str, here: bool) -> None:
    assert is_loopback(url) is here


def test_the_password_of_the_ledger_is_no_configuration(tmp_path: Path) -> None:
    url = "postgresql+psycopg2://audience:s3cret@db/audience"

    resource = LedgerResource.of(Settings.at(tmp_path, Config(), {"AUDIENCE_LEDGER_URL": url}))

    # The resolved value is read when a run starts; what Dagster keeps is the name of the variable.
    assert "s3cret" not in str(resource._convert_to_config_dictionary())


def test_a_table_knows_only_what_all_its_inputs_have_seen(tmp_path: Path) -> None:
    frame = pl.DataFrame({"customer_id": ["a"]})
    for name, seen in {"customer_features": 7, "identifiers": 5}.items():
        write_table(table_path(tmp_path, name, DAY), frame, seen)
    write_table(table_path(tmp_path, "consent", DAY), frame)

    assert landing_sequence(tmp_path, DAY, "customer_features", "identifiers") == 5
    assert landing_sequence(tmp_path, DAY, "customer_features", "consent") == 0


def landed(kind: str, digest: str, day: date) -> Landing:
    return Landing(
        landing_id=digest[:16],
        kind=kind,
        file_name=f"{kind}.csv",
        file_sha256=digest,
        rows_read=1,
        rows_landed=1,
        first_date=day,
        last_date=day,
    )


def test_a_date_stays_stale_until_its_memberships_have_seen_the_late_rows(settings: Settings) -> None:
    ledger = Ledger.open(settings.ledger_url)
    first = landings.record(ledger, landed("transactions", "a" * 64, date(2026, 2, 1)))
    refreshes.record(ledger, date(2026, 3, 1), first.sequence)
    late = landings.record(ledger, landed("transactions", "b" * 64, date(2026, 2, 2)))

    assert refreshes.stale(ledger) == [date(2026, 3, 1)]
    refreshes.record(ledger, date(2026, 3, 1), first.sequence)
    assert refreshes.stale(ledger) == [date(2026, 3, 1)]
    refreshes.record(ledger, date(2026, 3, 1), late.sequence)
    assert refreshes.stale(ledger) == []
    ledger.close()
