from __future__ import annotations

import json
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest

from audience_pipeline.ltv.expectations import expected_accuracy, headlines, promise_day, warnings
from audience_pipeline.ltv.held import HeldOut
from audience_pipeline.ltv.measured import measure, repeat_calibration
from audience_pipeline.ltv.report import Report, build_report
from audience_pipeline.ltv.report_tables import BASELINES, SCHEMAS, TABLES
from audience_pipeline_tests.ltv.held_frames import IMPORTANCES, make_held

SUMMARY = {"as_of": date(2025, 12, 31), "customers": 600, "training_customers": 600, "training_rows": 2400}


def built(held: HeldOut, later: HeldOut | None = None) -> Report:
    return build_report(held=held, later=later, importances=IMPORTANCES, summary=SUMMARY)


@pytest.fixture(scope="module")
def report() -> Report:
    return built(make_held(), make_held(200, seed=9))


def at(table: pl.DataFrame, **keys: Any) -> pl.DataFrame:
    for name, value in keys.items():
        table = table.filter(pl.col(name).eq_missing(pl.lit(value)))
    return table


def test_every_figure_stands_beside_the_naive_forecasts(report: Report) -> None:
    for age in (0, 30, 90, 180):
        assert at(report.metrics, target="ltv", age_days=age)["forecast"].to_list() == [
            "predicted_ltv",
            "likely_ltv",
            *BASELINES,
        ]
    assert at(report.metrics, target="next_12m")["forecast"].to_list() == ["next_12m_value", *BASELINES]
    assert at(report.differences, forecast="likely_ltv", age_days=30)["baseline"].to_list() == list(BASELINES)
    assert at(report.metrics, forecast="likely_ltv")["within_30_se"].min() > 0


def test_a_report_survives_json(report: Report) -> None:
    text = report.as_json()

    again = Report.from_dict(json.loads(text))

    assert again.as_json() == text
    assert again.later is not None
    for name in TABLES:
        assert getattr(again, name).equals(getattr(report, name))
        assert getattr(again, name).schema == SCHEMAS[name]
    assert "NaN" not in text
    assert "c00001" not in text
    assert len(text) < 250_000


def test_a_report_of_an_older_version_can_still_be_read(report: Report) -> None:
    older = json.loads(report.as_json())
    del older["gain"], older["later"]
    for row in older["metrics"]:
        del row["thousand_error"]
        row["forgotten"] = 1

    again = Report.from_dict(older)

    assert again.gain.is_empty()
    assert again.later is None
    assert again.metrics["thousand_error"].null_count() == again.metrics.height
    assert again.metrics["mae"].equals(report.metrics["mae"])


def test_the_report_does_not_depend_on_the_order_of_rows() -> None:
    held = make_held(200)
    mixed = HeldOut(held.ltv.sample(fraction=1, shuffle=True, seed=4), held.next_12m.reverse())

    assert built(mixed).as_json() == built(held).as_json()


def test_quintiles_show_predicted_and_actual_spend_side_by_side(report: Report) -> None:
    table = report.quintile_table(90)

    assert table["ltv_quintile"].to_list() == [1, 2, 3, 4, 5]
    assert table["customers"].to_list() == [120] * 5
    assert table["predicted_ltv"].is_sorted(descending=True)
    assert table["actual_ltv"].is_sorted(descending=True)
    held = make_held().ltv.filter(pl.col("age_days") == 90)
    assert table["actual_ltv"].mean() == pytest.approx(held["actual"].mean(), rel=1e-4)
    assert table["total_ratio"].to_list() == pytest.approx(
        (table["predicted_ltv"] / table["actual_ltv"]).to_list(), rel=1e-4
    )


def test_an_honest_forecast_is_found_honest() -> None:
    table = measure(make_held(4000)).probabilities

    assert table["calibration_error"].max() < 0.03
    assert table["above_p90"].to_list() == pytest.approx([0.1] * 4, abs=0.02)
    assert table["below_p10"].to_list() == pytest.approx([0.1] * 4, abs=0.02)
    assert table["within_30_realised"].to_list() == pytest.approx(
        table["within_30_stated"].to_list(), abs=0.02
    )
    high = table.filter(pl.col("age_days") == 180).row(0, named=True)
    assert high["high_share"] == 1
    assert high["high_within_30"] == high["within_30_realised"]


def test_probabilities_that_boast_are_found_out() -> None:
    held = make_held(1500, (30,))
    boasting = held.ltv.with_columns(pl.lit(0.99).alias("within_30_probability"), p90=pl.col("predicted"))

    found = warnings(measure(HeldOut(boasting, held.next_12m)))

    assert any(
        "Stated probabilities are off" in sentence and "on day 30 by" in sentence for sentence in found
    )
    assert any("80 % range is too narrow" in sentence for sentence in found)


def test_forecasts_that_are_wrong_in_sum_are_found_out() -> None:
    held = make_held(1500, (30,))

    found = warnings(measure(HeldOut(held.ltv.with_columns(pl.col("predicted") * 1.5), held.next_12m)))

    assert any("Predicted totals are off: on day 30 +" in sentence for sentence in found)


def test_a_shorter_window_and_few_customers_are_said_loudly() -> None:
    tables = measure(make_held(200, days=183))

    found = warnings(tables)

    assert "measured on their first 183 days" in found[0]
    assert "what they spend in their first 183 days" in headlines(tables)[0]
    assert "Only 200 customers could be checked" in found[1]


def test_a_model_that_is_the_rule_is_called_as_good_as_the_rule() -> None:
    held = make_held(1500, (30,))
    rule = held.ltv.with_columns(likely=1.29 * pl.col("observed_value"))

    found = warnings(measure(HeldOut(rule, held.next_12m)))

    assert any("1.29 x spend so far is as good as the model on day 30" in sentence for sentence in found)
    assert not any("rule of thumb" in sentence for sentence in warnings(measure(held)))


def test_a_rule_that_beats_the_model_is_called_better() -> None:
    held = make_held(1500, (30,))
    useless = held.ltv.with_columns(likely=pl.lit(1e9), observed_value=pl.col("actual") / 1.29)

    found = warnings(measure(HeldOut(useless, held.next_12m)))

    assert any("1.29 x spend so far is better than the model" in sentence for sentence in found)


@pytest.mark.parametrize(
    ("shares", "day"),
    [
        ([0.8, 0.9, 0.95], 0),
        ([0.6, 0.8, 0.9], 15),
        ([0.6, 0.69, 0.74], 42),
        ([0.75, 0.6, 0.8], 60),
        ([0.5, 0.6, 0.69], None),
        ([], None),
    ],
)
def test_the_day_from_which_the_promise_holds(shares: list[float], day: int | None) -> None:
    assert promise_day([0, 30, 90], shares) == day


def test_what_may_be_expected_is_said_in_plain_words(report: Report) -> None:
    said = headlines(report)

    expected = expected_accuracy(report).row(by_predicate=pl.col("age_days") == 30, named=True)
    assert said[0].startswith("Of 100 customers seen for 30 days, the likely value is within 30 %")
    assert f"for {100 * expected['within_30']:.0f} (give or take" in said[0]
    assert f"1.29 x spend so far: {100 * expected['rule']:.0f})" in said[0]
    assert said[1].startswith("From day ")
    assert report.summary["headlines"] == said
    assert 30 < report.summary["promise_from_day"] < 180


@pytest.mark.parametrize(
    ("customers", "end"),
    [(1000, " of 1,000."), (999, " of 1,000, drawn with repetition from 999 checked customers.")],
)
def test_groups_greater_than_the_customers_who_were_checked_are_said_to_be(customers: int, end: str) -> None:
    [said] = [one for one in headlines(measure(make_held(customers, (30,)))) if "random groups" in one]

    assert said.endswith(f" of 100 random groups{end}")


def test_less_data_makes_expectations_visibly_less_sure() -> None:
    few, many = (expected_accuracy(measure(make_held(size))) for size in (200, 3200))

    assert few["standard_error"][1] == pytest.approx(4 * many["standard_error"][1], rel=0.4)


def test_repeat_purchases_are_calibrated_too(report: Report) -> None:
    found = repeat_calibration(make_held())

    assert found["repeat_share"] == pytest.approx(0.5, abs=0.07)
    assert found["repeat_calibration_error"] < 0.06
    assert report.summary["repeat_calibration_error"] == pytest.approx(found["repeat_calibration_error"])
    assert at(report.reliability, probability="repeat_probability")["customers"].sum() == 600


def test_the_surest_customers_are_compared_with_an_ordering_by_orders() -> None:
    held = make_held(3000, (30,))
    sure = np.arange(3000) % 2 == 0
    ltv = held.ltv.with_columns(
        likely=pl.Series(np.where(sure, held.ltv["actual"], 0.0)),
        within_30_probability=pl.Series(np.where(sure, 0.9, 0.1)),
    )

    tables = measure(HeldOut(ltv, held.next_12m))

    half = tables.coverage.filter(pl.col("share") == 0.5).row(0, named=True)
    assert half["most_confident_first"] == pytest.approx(1)
    assert half["by_number_of_orders"] == pytest.approx(0.5, abs=0.06)
    row = tables.probabilities.row(0, named=True)
    assert row["coverage"] > row["coverage_by_orders"] + 0.2


def test_the_value_that_the_best_customers_bring_is_a_curve(report: Report) -> None:
    curve = at(report.gain, target="ltv", age_days=30)

    assert curve["share"][0] == 0
    assert curve["model"][0] == 0
    assert curve["model"][-1] == pytest.approx(1)
    assert (curve["model"] <= curve["perfect"] + 1e-6).all()


def test_months_are_those_of_the_first_order(report: Report) -> None:
    assert report.months["month"][0] == "2024-01"
    assert report.months["customers"].sum() == 600
    assert report.months["age_days"].unique().to_list() == [30]


def test_the_later_cohort_is_told_apart(report: Report) -> None:
    assert report.later is not None
    assert report.later.probabilities["customers"].to_list() == [200] * 4
    assert report.summary["later_cohort"]["customers"] == 200
    assert report.summary["evaluated_customers"] == 600


def test_what_goes_wrong_with_a_later_cohort_is_said_at_the_top() -> None:
    later = make_held(1500, (30,), seed=9)
    drifted = HeldOut(later.ltv.with_columns(pl.col("predicted") * 3), later.next_12m)

    found = built(make_held(300, (30,)), drifted).summary["warnings"]

    assert any(
        sentence.startswith("Later cohort: Predicted totals are off: on day 30 +") for sentence in found
    )


def test_a_handful_of_high_confidence_is_counted_and_not_rated() -> None:
    held = make_held(200, (30,))
    few = held.ltv.with_columns(
        within_30_probability=pl.when(pl.int_range(pl.len()) < 3).then(0.8).otherwise(0.5)
    )

    said = headlines(measure(HeldOut(few, held.next_12m)))

    assert "3 of 200 customers seen for 30 days are marked as high confidence." in said


def test_without_the_headlines_age_the_nearest_one_stands_for_it() -> None:
    found = built(make_held(100, (10, 45)))

    assert found.summary["headline_age_days"] == 45
    assert found.quintile_table().height == 5


def test_baselines_that_are_not_known_are_left_out() -> None:
    held = make_held(100)
    unknown = held.ltv.with_columns(pl.lit(None, pl.Float64).alias("purchase_model"))

    found = measure(HeldOut(unknown, held.next_12m))

    assert "BG/NBD + Gamma-Gamma" not in at(found.metrics, target="ltv")["forecast"].to_list()
    assert (
        at(found.gain, target="ltv")["bg_nbd_gamma_gamma"].null_count()
        == found.gain.filter(pl.col("target") == "ltv").height
    )


def test_nobody_to_measure_makes_an_empty_report_and_says_so() -> None:
    held = make_held(10)

    found = built(HeldOut(held.ltv.clear(), held.next_12m.clear()))

    assert found.summary["evaluated_customers"] == 0
    assert found.summary["warnings"] == ["No customer has been observed long enough to measure anything."]
    assert Report.from_dict(json.loads(found.as_json())).metrics.is_empty()


def test_importances_come_greatest_first(report: Report) -> None:
    first = report.importances.filter(pl.col("model") == "predicted_ltv")

    assert first["gain"].to_list() == [0.7, 0.3]
