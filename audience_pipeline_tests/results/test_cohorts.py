from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from audience_pipeline.results.charts import cohort_chart
from audience_pipeline.results.cohorts import COHORTS_SCHEMA, cohorts, earliest, recent_calibration

AS_OF = date(2026, 2, 28)
Row = tuple[str, date, str, int]
ORDERS: list[Row] = [
    ("a", date(2025, 1, 10), "order", 10_000),
    ("a", date(2025, 3, 1), "order", 5_000),
    ("a", date(2025, 3, 9), "return", -1_000),
    ("a", date(2026, 1, 10), "order", 77_700),  # day 365: the second year
    ("b", date(2025, 1, 31), "order", 2_000),
    ("c", date(2025, 6, 5), "order", 4_000),
]
Prediction = tuple[str, date, float | None, float | None]
PREDICTIONS: list[Prediction] = [
    ("a", date(2025, 1, 12), 100.0, 110.0),
    ("a", date(2025, 2, 20), 150.0, 150.0),
    ("a", date(2025, 4, 20), 160.0, 141.0),
    ("b", date(2025, 3, 2), 40.0, 40.0),
    ("c", date(2026, 2, 28), 60.0, 50.0),
]


def orders_of(rows: list[Row]) -> pl.LazyFrame:
    columns = ["customer_id", "order_date", "kind", "amount_minor"]
    return pl.LazyFrame(rows, schema=columns, orient="row")


def predictions_of(rows: list[Prediction]) -> pl.LazyFrame:
    schema = {"customer_id": pl.String, "prediction_date": pl.Date,
              "predicted_ltv": pl.Float64, "likely_ltv": pl.Float64}  # fmt: skip
    return pl.LazyFrame(rows, schema=schema, orient="row")


def found(
    predictions: list[Prediction] = PREDICTIONS, orders: list[Row] = ORDERS, as_of: date = AS_OF
) -> pl.DataFrame:
    return cohorts(earliest(predictions_of(predictions), orders_of(orders), as_of))


def test_there_is_a_row_for_each_month_of_first_orders() -> None:
    table = found()

    assert table.schema == COHORTS_SCHEMA
    assert table["cohort"].to_list() == [date(2025, 1, 1), date(2025, 6, 1)]
    assert table["customers"].to_list() == [2, 1]


def test_the_earliest_prediction_of_a_customer_counts_and_each_age_on_its_own() -> None:
    row = found().row(0, named=True)

    assert row["predicted"] == pytest.approx((100 + 40) / 2)
    assert row["age_when_predicted"] == pytest.approx((2 + 30) / 2)
    assert row["predicted_0d"] == pytest.approx(100)
    assert row["predicted_30d"] == pytest.approx((150 + 40) / 2)
    assert row["predicted_90d"] == pytest.approx(160)


def test_actual_is_what_was_spent_in_the_first_year_net_of_returns_and_no_day_longer() -> None:
    row = found().row(0, named=True)

    assert row["complete_customers"] == 2
    assert row["actual"] == pytest.approx((140 + 20) / 2)
    assert row["ratio"] == pytest.approx(160 / 140)
    assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
    assert row["within_30"] == pytest.approx(0.5), "110 for 140 is within 30 %, 40 for 20 is not"


def test_of_a_year_that_is_not_over_only_what_was_spent_so_far_is_said() -> None:
    row = found().row(1, named=True)

    assert row["actual_so_far"] == pytest.approx(40)
    assert row["predicted"] == pytest.approx(60)
    assert (row["complete_customers"], row["actual"], row["ratio"]) == (0, None, None)


def test_a_fact_is_no_prediction() -> None:
    told = [("a", date(2025, 1, 10) + timedelta(days=364), 140.0, 140.0)]

    assert found(told)["predicted_customers"].to_list() == [0, 0]


def test_future_rows_change_nothing() -> None:
    later = AS_OF + timedelta(days=1)
    planted_orders: list[Row] = [
        ("c", later, "order", 999_900),
        ("a", later, "return", -999),
        ("z", later, "order", 1),
    ]
    planted: list[Prediction] = [("c", later, 9999.0, 9999.0), ("b", later, 9999.0, 9999.0)]

    assert found(PREDICTIONS + planted, ORDERS + planted_orders).equals(found())


def test_customers_without_any_prediction_are_counted_all_the_same() -> None:
    table = found([])

    assert table["customers"].to_list() == [2, 1]
    assert table["predicted_customers"].sum() == 0
    assert table["actual_so_far"].to_list() == pytest.approx([80, 40])


def test_a_prediction_of_a_day_before_the_first_order_is_ignored() -> None:
    """Orders that landed late have moved the first order."""
    assert found([("c", date(2025, 6, 4), 5.0, 5.0)])["predicted_customers"].sum() == 0


def many(level: float) -> tuple[list[Prediction], list[Row]]:
    rng = np.random.default_rng(4)
    orders: list[Row] = []
    predictions: list[Prediction] = []
    for number in range(600):
        first = date(2024, 9, 1) + timedelta(days=number % 170)
        value = float(rng.gamma(2, 50))
        orders.append((f"c{number}", first, "order", round(value * level * 100)))
        predictions.append((f"c{number}", first, value, value))
    return predictions, orders


@pytest.mark.parametrize(("level", "off"), [(1.0, False), (0.7, True), (1.4, True)])
def test_recent_years_that_brought_another_amount_than_predicted_are_told(level: float, off: bool) -> None:
    predictions, orders = many(level)

    recent = recent_calibration(earliest(predictions_of(predictions), orders_of(orders), AS_OF), AS_OF)

    assert recent.off is off
    assert recent.ratio == pytest.approx(level, abs=1e-3)
    assert recent.customers == 3 * 78, "three on each day, those whose year ended from 2025-12-01 on"


def test_the_picture_is_drawn_from_one_cohort_or_many() -> None:
    predictions, orders = many(1.0)

    for table in (found(), found([]), found(predictions, orders)):
        assert cohort_chart(table).startswith(b"\x89PNG")
        assert cohort_chart(table) == cohort_chart(table)
