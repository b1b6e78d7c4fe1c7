import os
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from audience_pipeline.definitions import build_definitions
from audience_pipeline.defs.lake import dataset, ensure_dataset
from audience_pipeline.defs.sources import Reading, read_options, shop_facts
from audience_pipeline.identifiers.marks import Named
from audience_pipeline.ledger import landings, refreshes
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.settings import Config, Settings, Shop
from audience_pipeline.settings import Reading as StoredReading
from audience_pipeline.sources.contract import LANDED, NOTHING_LANDED, Kind
from audience_pipeline.sources.tombstones import KEY_NAME, add, make_key

HEADER = "customer_id,transaction_date,transaction_amount,product_category\n"
Land = Callable[..., dg.ExecuteInProcessResult]


def orders(days: int = 5, amount: str = "10.00", start: date = date(2026, 3, 1)) -> str:
    rows = [
        f"c{customer},{start + timedelta(days=day)},{amount},toys"
        for day in range(days)
        for customer in range(3)
    ]
    return HEADER + "\n".join(rows) + "\n"


@pytest.fixture
def land(settings: Settings) -> Iterator[Land]:
    with dg.DagsterInstance.ephemeral() as instance:
        definitions = build_definitions(settings)

        def run(
            *selection: str,
            config: dict[str, Any] | None = None,
            files: dict[str, list[Path]] | None = None,
        ) -> dg.ExecuteInProcessResult:
            graph = build_definitions(settings, files) if files else definitions
            return graph.resolve_job_def("land_sources").execute_in_process(
                instance=instance,
                asset_selection=[dg.AssetKey(name) for name in selection or ("transactions",)],
                run_config={"ops": {name: {"config": value} for name, value in (config or {}).items()}},
                raise_on_error=False,
            )

        yield run


def drop(settings: Settings, name: str, text: str, kind: Kind = Kind.TRANSACTIONS) -> Path:
    path = settings.inbox / kind.value / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    # It has been lying there for a minute: nobody writes on.
    os.utime(path, (time.time() - 60,) * 2)
    return path


def metadata(result: dg.ExecuteInProcessResult, node: str = "transactions") -> dict[str, Any]:
    [event] = result.asset_materializations_for_node(node)
    return {key: value.value for key, value in event.metadata.items()}


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {check.check_name: check for check in result.get_asset_check_evaluations()}


def test_files_of_the_inbox_land_and_are_sealed_away(land: Land, settings: Settings) -> None:
    drop(settings, "march.csv", orders())

    result = land()

    assert result.success
    told = metadata(result)
    assert (told["rows_read"], told["rows_landed"], told["rows_quarantined"]) == (15, 15, 0)
    assert dataset(settings.lake, Kind.TRANSACTIONS).select(pl.len()).collect().item() == 15
    assert list((settings.inbox / "transactions").iterdir()) == []
    assert settings.archive.stat().st_mode & 0o077 == 0
    assert all(check.passed for check in checks(result).values())


def test_once_somebody_was_erased_no_original_is_kept_that_may_name_them(
    land: Land, settings: Settings
) -> None:
    drop(settings, "march.csv", orders())
    land()
    [kept] = settings.archive.iterdir()
    add(settings.lake, make_key(settings.home / KEY_NAME), {Named.ID: ["c1"]}, {})

    drop(settings, "march_again.csv", orders())
    drop(settings, "april.csv", orders(start=date(2026, 4, 1)))
    others = "c8,2026-05-01,10.00,toys\nc9,2026-05-01,10.00,toys\n"
    drop(settings, "may.csv", HEADER + others)
    land()

    assert list((settings.inbox / "transactions").iterdir()) == []
    [of_others] = set(settings.archive.iterdir()) - {kept}
    assert of_others.read_text() == HEADER + others


def test_a_refused_file_waits_with_a_sentence_and_stops_no_other(land: Land, settings: Settings) -> None:
    drop(settings, "a_broken.csv", "name,colour\nx,y\n")
    drop(settings, "b_march.csv", orders())

    result = land()

    assert result.success
    assert [path.name for path in (settings.inbox / "transactions").iterdir()] == ["a_broken.csv"]
    check = checks(result)["every_file_was_read"]
    assert not check.passed
    assert check.description is not None
    assert check.description.startswith("a_broken.csv")
    assert metadata(result)["rows_landed"] == 15


def test_landing_again_adds_nothing(land: Land, settings: Settings) -> None:
    drop(settings, "march.csv", orders())
    land()
    drop(settings, "again.csv", orders())

    result = land()

    assert metadata(result)["rows_landed"] == 0
    assert dataset(settings.lake, Kind.TRANSACTIONS).select(pl.len()).collect().item() == 15


def test_quarantined_rows_are_counted_by_field_and_reason(land: Land, settings: Settings) -> None:
    drop(settings, "march.csv", orders() + "c9,2026-02-31,1.00,toys\n,2026-03-01,1.00,toys\n")

    [event] = land().asset_materializations_for_node("transactions")

    assert event.metadata["rows_quarantined"].value == 2
    rows = [record.data for record in event.metadata["quarantine"].records]
    assert {row["field"] for row in rows} == {"transaction_date", "customer_id"}
    assert all(row["rows"] == 1 for row in rows)


def test_unsound_transactions_stop_everything_that_follows(land: Land, settings: Settings) -> None:
    schema = {**LANDED[Kind.TRANSACTIONS], "landing_id": pl.String}
    dateless = pl.DataFrame(
        {name: ["c1" if name == "customer_id" else None] for name in schema}, schema=schema
    )
    folder = settings.lake / Kind.TRANSACTIONS.dataset
    folder.mkdir(parents=True)
    dateless.write_parquet(folder / "damaged.parquet")

    result = land("transactions", "stg_transactions", "orders")

    assert not result.success
    assert not checks(result)["transactions_are_sound"].passed
    assert result.asset_materializations_for_node("warehouse") == []
    assert not (settings.lake / "orders.parquet").exists()


def test_a_value_of_a_row_is_in_no_event(land: Land, settings: Settings) -> None:
    """Not of rows that landed, not of rows in quarantine, not of files that were refused."""
    drop(settings, "contacts.csv", "customer_id,email\nc1,some.one@example.com\n", Kind.CRM)
    drop(settings, "march.csv", orders() + "c9,tomorrowish,1.00,toys\nc9,2026-03-01,manymany,toys\n")
    drop(settings, "broken.csv", 'customer_id,transaction_date\nsome.one@example.com,"2026-\n')

    with dg.DagsterInstance.ephemeral() as instance:
        result = (
            build_definitions(settings)
            .resolve_job_def("land_sources")
            .execute_in_process(
                instance=instance,
                asset_selection=[dg.AssetKey("transactions"), dg.AssetKey("crm_contacts")],
                raise_on_error=False,
            )
        )
        events = "".join(str(entry) for entry in instance.all_logs(result.run_id))

    assert "rows_quarantined" in events
    for value in ("some.one", "tomorrowish", "manymany"):
        assert value not in events


def test_late_rows_name_the_dates_that_they_make_stale(land: Land, settings: Settings) -> None:
    drop(settings, "march.csv", orders())
    land()
    with Ledger.open(settings.ledger_url) as ledger:
        seen = max(landing.sequence for landing in landings.committed(ledger))
        for day in (date(2026, 2, 10), date(2026, 2, 28), date(2026, 3, 5)):
            refreshes.record(ledger, day, seen, {})
    drop(settings, "late.csv", orders(1, "7.00", date(2026, 2, 20)))

    told = metadata(land())

    assert told["stale_as_of_dates"] == ["2026-02-28", "2026-03-05"]


def test_one_run_may_read_a_file_in_its_own_way(land: Land, settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "export.csv"
    file.write_text("Kunde;Datum;Betrag\nc1;03.02.2026;1.234,50\n")
    reading = {
        "columns": {"customer_id": "Kunde", "transaction_date": "Datum", "transaction_amount": "Betrag"},
        "date_format": "%d.%m.%Y",
        "decimal": ",",
        "thousands": ".",
    }

    result = land(config={"transactions": {"reading": reading}}, files={"transactions": [file]})

    row = dataset(settings.lake, Kind.TRANSACTIONS).filter(pl.col("customer_id") == "c1").collect()
    assert metadata(result)["refused"] == []
    assert (row["transaction_date"].item(), row["amount_minor"].item()) == (date(2026, 2, 3), 123_450)
    assert file.is_file(), "only files of the inbox are moved"


def test_what_a_run_says_wins_over_the_workspace_and_only_there(settings: Settings) -> None:
    stored = StoredReading(columns={"customer_id": "Kunde"}, decimal=",", thousands=".", encoding="latin-1")
    workspace = settings.model_copy(update={"config": Config(sources={"crm": stored})})

    options = read_options(workspace, Kind.CRM, Reading(encoding="utf-16"))

    assert (options.encoding, options.decimal, options.thousands) == ("utf-16", ",", ".")
    assert read_options(workspace, Kind.CRM).encoding == "latin-1"
    assert read_options(workspace, Kind.TRANSACTIONS) == read_options(settings, Kind.TRANSACTIONS)


def test_the_rates_file_is_looked_for_in_the_workspace(settings: Settings) -> None:
    shop = Shop(rates=Path("rates.csv"), currency="EUR", default_region="DE")
    facts = shop_facts(settings.model_copy(update={"config": Config(shop=shop)}))

    assert facts.rates == settings.home / "rates.csv"
    assert (facts.currency, facts.default_region) == ("EUR", "DE")


@pytest.mark.parametrize("kind", Kind)
def test_a_dataset_can_be_read_before_anything_has_landed(settings: Settings, kind: Kind) -> None:
    ensure_dataset(settings.lake, kind)

    frame = dataset(settings.lake, kind).collect()

    assert frame.height == 0
    assert set(LANDED[kind]) <= set(frame.columns)


@pytest.mark.parametrize("kind", Kind)
def test_a_lake_of_an_older_version_is_read_with_the_columns_that_it_lacks(
    settings: Settings, kind: Kind
) -> None:
    new = {"line", "coupon", "loyalty_id", "device_id", "extra", "gpc", "meta_email", "signal"} - {
        "meta_email" if kind in (Kind.CRM, Kind.CONSENT) else ""
    }
    schema = {**LANDED[kind], "landing_id": pl.String()}
    older = pl.DataFrame({"landing_id": ["old"]}, schema={"landing_id": pl.String}).select(
        pl.lit(None, dtype).alias(name) if name != "landing_id" else pl.col(name)
        for name, dtype in schema.items()
        if name not in new
    )
    folder = settings.lake / kind.dataset
    folder.mkdir(parents=True)
    older.write_parquet(folder / "old.parquet")
    older.clear().write_parquet(folder / NOTHING_LANDED)

    before = dataset(settings.lake, kind).collect()
    ensure_dataset(settings.lake, kind)
    pl.DataFrame({"landing_id": ["new"]}).select(
        pl.lit(None, dtype).alias(name) if name != "landing_id" else pl.col(name)
        for name, dtype in schema.items()
    ).write_parquet(folder / "zz-new.parquet")
    after = dataset(settings.lake, kind).collect()

    assert before.schema == after.schema == schema
    assert (before["landing_id"].to_list(), after["landing_id"].to_list()) == (["old"], ["old", "new"])
    assert pl.read_parquet_schema(folder / NOTHING_LANDED) == schema
