"""The demo on a file of one's own: messy as files are, without contacts, and too short for a model."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from pathlib import Path
from random import Random

import polars as pl
import pytest

from audience_pipeline_tests.end_to_end.runs import Demo, Place
from audience_pipeline_tests.end_to_end.traces import Needles, found

pytestmark = pytest.mark.xdist_group("own file")
FIRST, LAST = date(2025, 1, 3), date(2026, 3, 17)
ADDRESS = "Anneliese.Oberhuber@webbrief.example"
NUMBER = "+43 664 123 45 67"


def write(path: Path) -> None:
    """Timestamps, an extra column, no category, returns, a day loaded twice, rows that cannot be used."""
    draw = Random(3)
    names = [f"K{number:03}" for number in range(60)] + [ADDRESS, NUMBER]
    days = [FIRST + timedelta(days=draw.randrange((LAST - FIRST).days)) for _ in range(250)]
    rows = [
        (
            draw.choice(names),
            f"{day} {draw.randrange(24):02}:15:00",
            f"{draw.randrange(900) / 10:.2f}",
            "",
            "x;y",
        )
        for day in [FIRST, *days, LAST]
    ]
    rows += [(name, f"{LAST} 10:00:00", "12.50", "", 'said "yes",\nthen "no"') for name in names]
    twice = [("K001", "2025-06-05 09:00:00", f"{amount}.00", "", "") for amount in (10, 20, 20, 30)]
    rows = [row for row in rows if not row[1].startswith("2025-06-05")] + twice * 2
    rows += [("K002", f"{LAST} 11:00:00", "-12.50", "", "changed my mind")]
    rows += [("", "2025-05-05 10:00:00", "5.00", "", ""), ("K003", "2025-02-30 10:00:00", "5.00", "", "")]
    rows += [("K004", "2025-05-06 10:00:00", "NaN", "", "")]
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["customer_id", "transaction_date", "transaction_amount", "product_category", "remark"]
        )
        writer.writerows(rows)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    place = Place(tmp_path_factory.mktemp("own"))
    write(place.root / "Orders 2026.csv")
    return place.demo("--transactions", place.root / "Orders 2026.csv")


def test_it_runs_to_the_end_and_tells_the_truth_about_the_file(own: Demo) -> None:
    [landing] = [landing for landing in own.report["landings"] if landing["kind"] == "transactions"]

    assert landing["file"] == "Orders 2026.csv"
    assert (landing["repeated"], landing["quarantined"]) == (4, 3)
    assert {reason["field"] for reason in landing["quarantine"]} == {
        "customer_id",
        "transaction_date",
        "transaction_amount",
    }
    assert landing["customers"] == 62
    assert any("product_category" in notice for notice in landing["notices"])
    assert own.as_of == str(LAST)


def test_it_says_that_contacts_are_invented(own: Demo) -> None:
    assert "invented" in own.err
    files = {landing["file"] for landing in own.report["landings"]}
    assert files == {"Orders 2026.csv", "invented_crm.csv", "invented_consent.csv"}


def test_too_little_history_for_a_model_is_said_and_nothing_is_made_up(own: Demo) -> None:
    predictions = pl.read_parquet(own.place.table("ltv_predictions", own.as_of))

    assert "62 customers have bought and 500 are needed" in own.report["model"]["no_model"]
    assert predictions.height == 62
    values = ("predicted_ltv", "likely_ltv", "ltv_p10", "ltv_p90", "next_12m_value", "ltv_quintile")
    assert predictions.select(pl.col(values).is_null().all()).row(0) == (True,) * len(values)


def test_audiences_that_need_no_model_are_delivered_all_the_same(own: Demo) -> None:
    sizes = {row["audience"]: row["members"] for row in own.report["audiences"]}
    delivered = {(row["audience"], row["platform"]): row["sent"] for row in own.report["deliveries"]}

    assert sizes["recent_converters"] > 60
    assert sizes["high_predicted_ltv"] == 0
    assert all(
        0 < delivered["recent_converters", platform] <= 62 for platform in ("meta", "google", "tiktok")
    )


def test_customer_ids_that_are_addresses_or_numbers_are_nowhere(own: Demo) -> None:
    """Not in the lake, not in the invented contacts, not in a log: they were hashed when they landed."""
    local = ADDRESS.partition("@")[0]
    raw = Needles(frozenset([ADDRESS, local, NUMBER, "436641234567", "6641234567"]), frozenset())

    assert found(own.place.workspace, raw) == []
    assert local.lower() not in f"{own.out}{own.err}".lower()
    assert NUMBER not in f"{own.out}{own.err}"
    ids = pl.read_parquet(own.place.table("customer_features", own.as_of))["customer_id"]
    assert ids.str.starts_with("h_").sum() == 2
