"""What the demo says of itself agrees with its input and with itself."""

from __future__ import annotations

import csv
import json
from decimal import Decimal, InvalidOperation
from typing import Any

import polars as pl
import pytest

from audience_pipeline_tests.end_to_end.raw_files import FILES
from audience_pipeline_tests.end_to_end.recomputed import Input
from audience_pipeline_tests.end_to_end.runs import CUSTOMERS, Demo

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture(scope="module")
def landings(demo: Demo) -> dict[str, dict[str, Any]]:
    return {landing["kind"]: landing for landing in demo.report["landings"]}


@pytest.fixture(scope="module")
def shop(demo: Demo) -> dict[str, Any]:
    """What the maker of the shop knows of it."""
    truth = demo.place.workspace / "input" / "truth" / "shop.json"
    return json.loads(truth.read_text(encoding="utf-8"))


def test_standard_output_is_the_report_and_nothing_else(demo: Demo) -> None:
    assert json.loads(demo.out) == demo.report
    assert demo.report["changed"] is True


@pytest.mark.parametrize("kind", FILES)
def test_every_row_that_was_read_is_somewhere(landings: dict[str, Any], demo: Demo, kind: str) -> None:
    landing = landings[kind]
    with (demo.place.workspace / "input" / FILES[kind]).open(encoding="utf-8", newline="") as file:
        in_the_file = sum(1 for _ in csv.reader(file)) - 1
    folder = {"crm": "crm_contacts", "transactions": "transactions"}.get(kind, f"{kind}_events")

    assert landing["rows_read"] == in_the_file
    assert landing["rows_read"] == (
        landing["landed"]
        + landing["known"]
        + landing["repeated"]
        + landing["quarantined"]
        - landing["repeated_and_quarantined"]
    )
    in_the_lake = pl.scan_parquet(demo.place.lake / folder / "*.parquet").select(pl.len()).collect().item()
    assert in_the_lake == landing["landed"]


def test_what_was_wrong_with_the_shop_was_found_and_nothing_else(
    landings: dict[str, Any], shop: dict[str, Any]
) -> None:
    quarantined: dict[str, int] = {}
    for reason in landings["transactions"]["quarantine"]:
        quarantined[reason["field"]] = quarantined.get(reason["field"], 0) + reason["rows"]

    assert landings["transactions"]["repeated"] == shop["faults"]["repeated_lines"]
    assert [day["day"] for day in landings["transactions"]["repeated_days"]] == [shop["repeated_day"]]
    assert quarantined == {
        "customer_id": shop["faults"]["without_customer"],
        "transaction_date": shop["faults"]["bad_dates"],
        "transaction_amount": shop["faults"]["bad_amounts"],
    }
    assert [kind for kind in ("crm", "web", "engagement", "consent") if landings[kind]["quarantined"]] == []


def test_no_cent_is_lost(demo: Demo, landings: dict[str, Any], shop: dict[str, Any]) -> None:
    """Summed up from the file: every good line, the repeated day once."""
    total = twice = Decimal(0)
    with (demo.place.workspace / "input" / "transactions.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            try:
                amount = Decimal(row["transaction_amount"])
            except InvalidOperation:
                continue
            if not amount.is_finite() or not row["customer_id"] or "-02-3" in row["transaction_date"]:
                continue
            total += amount
            if row["transaction_date"].startswith(shop["repeated_day"]):
                twice += amount
    minor = int((total - twice / 2) * 100)

    assert landings["transactions"]["total_minor"] == minor
    orders = pl.read_parquet(demo.place.table("orders"))["amount_minor"].sum()
    features = pl.read_parquet(demo.place.table("customer_features", demo.as_of))["observed_minor"].sum()
    assert orders == features
    unseen = shop["faults"]["unseen_returns"]
    assert (orders >= minor) if unseen else (orders == minor)


def test_every_customer_is_described_predicted_segmented_and_profiled_once(demo: Demo, given: Input) -> None:
    buyers, everybody = set(given.lines), set(given.customer_of.values())
    tables = {
        **dict.fromkeys(("customer_features", "ltv_predictions", "customer_segments"), buyers),
        **dict.fromkeys(("customer_profile", "consent"), everybody),
    }

    assert 0.99 * CUSTOMERS < len(buyers) <= CUSTOMERS < len(everybody)
    for name, customers in tables.items():
        column = pl.read_parquet(demo.place.table(name, demo.as_of))["customer_id"]
        assert column.len() == len(customers), name
        assert set(column) == customers, name


def test_quintiles_are_fifths_and_the_upper_ones_are_worth_more(demo: Demo) -> None:
    model = demo.report["model"]
    ages = {row["age_days"] for row in model["quintiles"]}

    assert ages
    for age in ages:
        table = sorted(
            (row for row in model["quintiles"] if row["age_days"] == age), key=lambda row: row["ltv_quintile"]
        )
        sizes = [row["customers"] for row in table]
        predicted = [row["predicted_ltv"] for row in table]
        assert [row["ltv_quintile"] for row in table] == [1, 2, 3, 4, 5]
        assert max(sizes) - min(sizes) <= 2
        assert predicted == sorted(predicted, reverse=True)
        assert table[0]["actual_ltv"] > 2 * table[-1]["actual_ltv"]


def test_the_model_is_shown_beside_naive_forecasts_and_beats_them(demo: Demo) -> None:
    model = demo.report["model"]
    headline = model["summary"]["headline_age_days"]
    rows = {
        row["forecast"]: row
        for row in model["metrics"]
        if row["target"] == "ltv" and row["age_days"] == headline
    }
    ours = rows.pop("predicted_ltv")
    rows.pop("likely_ltv", None)

    assert len(rows) >= 2, "nothing to compare with"
    assert ours["gini"] >= max(row["gini"] for row in rows.values() if row["gini"] is not None) - 0.02
    assert 0.8 < ours["total_ratio"] < 1.25


def test_segments_have_every_buyer_once_and_names_of_their_own(demo: Demo, given: Input) -> None:
    segments = demo.report["segments"]

    assert len(segments) >= 2
    assert len({row["segment"] for row in segments}) == len(segments)
    assert sum(row["customers"] for row in segments) == len(given.lines)
    assert sum(row["share"] for row in segments) == pytest.approx(1)


def test_what_was_sent_is_what_was_wanted_and_no_more_than_the_members(demo: Demo) -> None:
    sizes = {row["audience"]: row for row in demo.report["audiences"]}
    deliveries = demo.report["deliveries"]

    assert {(row["audience"], row["platform"]) for row in deliveries} == {
        (audience, platform) for audience in sizes for platform in ("meta", "google", "tiktok")
    }
    for row in deliveries:
        size = sizes[row["audience"]]
        assert 0 < row["wanted"] <= size["members"] - size["holdout"]
        assert (row["sent"], row["accepted"], row["rejected"]) == (row["wanted"], row["wanted"], 0)
        assert row["state"] in {"settled", "unchanged"}
        assert row["as_of"] == demo.as_of
        if row["size_high"] is not None and row["platform"] != "meta":
            assert row["size_high"] <= row["sent"]
        assert row["match_rate_high"] is None or 0 < row["match_rate_high"] <= 1


def test_nothing_is_stale_after_a_whole_run(demo: Demo) -> None:
    assert demo.report["stale_as_of_dates"] == []
    assert demo.as_of == "2026-10-31"
