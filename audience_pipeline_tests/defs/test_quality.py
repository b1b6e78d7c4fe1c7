from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from audience_pipeline.defs import expectations
from audience_pipeline.defs.quality import validate
from audience_pipeline.defs.source_checks import SUITES, check_results
from audience_pipeline.sources.contract import Kind

SECRETS = ("secret-a", "secret-b", "secret-b")


def shown(result: dg.AssetCheckResult) -> str:
    """Everything that a check puts into the event log."""
    rows = result.metadata["expectations"].records
    return f"{result.description} {[record.data for record in rows]}"


def days(sales: list[int], customers: int = 3) -> pl.DataFrame:
    """One line a day, through the very aggregation that is checked after landing."""
    start = date(2026, 1, 1)
    lines = pl.DataFrame(
        {
            "transaction_date": [
                start + timedelta(days=day) for day in range(len(sales)) for _ in range(customers)
            ],
            "customer_id": [f"c{number}" for _ in sales for number in range(customers)],
            "amount_minor": [amount for amount in sales for _ in range(customers)],
        }
    )
    return SUITES[Kind.TRANSACTIONS].table(lines.lazy()).collect()


def test_a_sound_table_passes_and_says_for_how_many_rows() -> None:
    frame = pl.DataFrame(
        {"customer_id": ["a", "b"], "age_days": [0, 700], "orders": [1, 9], "observed_minor": [5, -5]}
    )

    result = validate(frame, expectations.CUSTOMER_FEATURES)

    assert result.passed
    assert result.description == f"{len(expectations.CUSTOMER_FEATURES)} expectations hold for 2 rows"
    assert result.metadata["failed_expectations"].value == 0
    assert len(result.metadata["expectations"].records) == len(expectations.CUSTOMER_FEATURES)


def test_what_does_not_hold_is_named_with_its_column_and_share_and_never_a_value() -> None:
    frame = pl.DataFrame(
        {
            "customer_id": SECRETS,
            "age_days": [0, -7654321, 3],
            "orders": [1, 1, 0],
            "observed_minor": [1, 2, 3],
        }
    )

    result = validate(frame, expectations.CUSTOMER_FEATURES)

    assert not result.passed
    assert result.metadata["failed_expectations"].value == 3
    failed = {
        (record.data["column"], record.data["unexpected_percent"])
        for record in result.metadata["expectations"].records
        if not record.data["passed"]
    }
    assert failed == {("customer_id", 66.667), ("age_days", 33.333), ("orders", 33.333)}
    for column in ("customer_id", "age_days", "orders"):
        assert f"{column}: column values" in str(result.description)
    for value in (*SECRETS, "7654321"):
        assert value not in shown(result)


def test_an_empty_table_does_not_pass_where_rows_are_expected() -> None:
    frame = pl.DataFrame(
        schema={
            "customer_id": pl.String,
            "age_days": pl.Int64,
            "orders": pl.Int64,
            "observed_minor": pl.Int64,
        }
    )

    result = validate(frame, expectations.CUSTOMER_FEATURES)

    assert not result.passed
    assert "table row count" in str(result.description)


def test_days_of_ordinary_sales_are_sound_and_usual() -> None:
    suites = SUITES[Kind.TRANSACTIONS]
    ordinary = days([900, 1_100, 1_000] * 20)

    assert validate(ordinary, suites.sound).passed
    assert validate(ordinary, suites.usual).passed


def test_a_few_days_are_too_few_to_say_what_is_usual(tmp_path: Path) -> None:
    folder = tmp_path / "transactions"
    folder.mkdir()
    days_of = [date(2026, 1, 1), date(2026, 1, 2)]
    pl.DataFrame(
        {"transaction_date": days_of, "customer_id": ["a", "b"], "amount_minor": [100, -900]}
    ).write_parquet(folder / "a.parquet")

    sound, usual = check_results(tmp_path, Kind.TRANSACTIONS)

    assert (sound.check_name, sound.passed) == ("transactions_are_sound", True)
    assert (usual.check_name, usual.passed) == ("transactions_look_usual", True)
    assert "2 rows are too few" in str(usual.description)


@pytest.mark.parametrize(
    ("sales", "column"),
    [
        # amounts a hundred times too large on a tenth of the days: wrong decimals
        ([1_000] * 18 + [100_000] * 2, "times_median_sales"),
        # more returned than sold on a third of the days: a wrong sign
        ([1_000, 1_000, -1_000] * 10, "net_minor"),
    ],
)
def test_wrong_decimals_and_wrong_signs_do_not_look_usual(sales: list[int], column: str) -> None:
    result = validate(days(sales), SUITES[Kind.TRANSACTIONS].usual)

    assert not result.passed
    assert column in str(result.description)


def contacts(emails: list[bytes | None], countries: list[str | None]) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "customer_id": [f"c{number}" for number in range(len(emails))],
            "meta_email": emails,
            "meta_phone": [None] * len(emails),
            "country": countries,
        },
        schema_overrides={"meta_email": pl.Binary, "meta_phone": pl.Binary},
    )
    return SUITES[Kind.CRM].table(frame.lazy()).collect()


def test_contacts_whose_e_mail_column_was_mapped_wrongly_do_not_look_usual() -> None:
    suite = SUITES[Kind.CRM].usual
    mostly, hardly = [b"h" * 32] * 6 + [None] * 4, [b"h" * 32] * 2 + [None] * 8

    assert validate(contacts(mostly, ["DE"] * 10), suite).passed
    result = validate(contacts(hardly, ["DE"] * 10), suite)
    assert not result.passed
    assert "has_identifier" in str(result.description)


def test_predictions_with_a_range_upside_down_do_not_pass() -> None:
    frame = pl.DataFrame(
        {
            "customer_id": ["a", "b"],
            "ltv_quintile": [1, 5],
            "within_30_probability": [0.2, 1.0],
            "ltv_p10": [1.0, 9.0],
            "ltv_p90": [2.0, 8.0],
        }
    )

    assert validate(frame.head(1), expectations.PREDICTIONS).passed
    assert not validate(frame, expectations.PREDICTIONS).passed


def test_customers_without_a_prediction_do_not_stop_the_others() -> None:
    unknown = ("ltv_quintile", "within_30_probability", "ltv_p10", "ltv_p90")
    frame = pl.DataFrame({"customer_id": ["a", "b"]}).with_columns(
        pl.lit(None, pl.Float64).alias(column) for column in unknown
    )

    assert validate(frame, expectations.PREDICTIONS).passed


def test_the_check_has_the_name_that_the_graph_knows() -> None:
    suite = SUITES[Kind.CRM].sound

    result = validate(contacts([b"h" * 32], ["DE"]), suite, check_name="crm_contacts_are_sound")

    assert result.check_name == "crm_contacts_are_sound"
