from __future__ import annotations

import time
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from audience_pipeline.ltv import challenge
from audience_pipeline.ltv.challenge import Cohort, is_due, judge, newest_cohort
from audience_pipeline.ltv.held import HELD_SCHEMA
from audience_pipeline.ltv.model import LtvModel
from audience_pipeline.ltv.paired import compare, tweedie_deviance
from audience_pipeline.ltv.verdict import Verdict, backfilled, first_of_all

CHAMPION_AS_OF = date(2025, 2, 28)
AS_OF = date(2025, 3, 31)


def held(customers: int = 600, *, noise: float = 0.3, seed: int = 3) -> pl.DataFrame:
    """Two ages of customers whose true value is known but for what chance adds."""
    rng = np.random.default_rng(seed)
    truth = rng.gamma(2.0, 60.0, customers)
    said = truth * np.exp(rng.normal(0, noise, customers) - noise**2 / 2)
    actual = truth * rng.gamma(4.0, 0.25, customers)
    first = [AS_OF - timedelta(days=364 + day % 60) for day in range(customers)]
    one = pl.DataFrame(
        {
            "customer_id": [f"c{number:05d}" for number in range(customers)],
            "first_order": first,
            "predicted": said,
            "likely": said * 0.9,
            "within_30_probability": np.full(customers, 0.4),
            "actual": actual,
        }
    )
    ages = [one.with_columns(pl.lit(age, dtype=pl.Int64).alias("age_days")) for age in (0, 90)]
    table = pl.concat(ages).with_columns(
        (pl.col("first_order") + pl.duration(days="age_days")).alias("as_of"),
        pl.lit(365, dtype=pl.Int64).alias("days"),
    )
    missing = [pl.lit(None, dtype=HELD_SCHEMA[name]).alias(name) for name in HELD_SCHEMA.names()
               if name not in table.columns]  # fmt: skip
    return table.with_columns(missing).select(HELD_SCHEMA.names())


class Oracle:
    """A champion that says what it is told to, of whichever rows it is shown."""

    as_of = CHAMPION_AS_OF

    def __init__(self, forecasts: pl.DataFrame) -> None:
        self.forecasts = forecasts

    def predict(self, features: pl.DataFrame) -> pl.DataFrame:
        keys = ["customer_id", "as_of"]
        return features.select(keys).join(self.forecasts, on=keys, how="left", maintain_order="left")


def champion_saying(rows: pl.DataFrame, factor: np.ndarray[Any, Any] | float) -> Any:
    said = rows["predicted"].to_numpy() * factor
    probability = rows["within_30_probability"]
    return Oracle(
        rows.select("customer_id", "as_of").with_columns(
            pl.Series("predicted_ltv", said),
            pl.Series("likely_ltv", said * 0.9),
            probability.alias("within_30_probability"),
        )
    )


def decided(factor: np.ndarray[Any, Any] | float, *, due: str = "", customers: int = 600) -> Verdict:
    rows = held(customers)
    features = rows.select("customer_id", "as_of").reverse()
    return judge(
        champion_saying(rows, factor), "1", Cohort(rows, unseen=True), features, as_of=AS_OF, due=due
    )


def noise(seed: int, size: float, rows: int = 1200) -> np.ndarray[Any, Any]:
    return np.exp(np.random.default_rng(seed).normal(0, size, rows))


def test_a_better_challenger_replaces_the_champion() -> None:
    verdict = decided(noise(1, 0.6))

    assert verdict.promoted
    assert verdict.reason.startswith("Better than version 1 beyond noise: the Tweedie deviance")
    assert "on 600 customers whose first year ended after 2025-02-28" in verdict.reason
    [ruling] = [figure for figure in verdict.figures if figure.rules]
    assert ruling.high < 0


def test_a_worse_challenger_stays_one_even_when_the_champion_is_due() -> None:
    rows = held()
    worse = rows.with_columns(pl.col("predicted") * pl.Series(noise(1, 0.6)))
    champion = champion_saying(rows, 1.0)

    verdict = judge(champion, "1", Cohort(worse, unseen=True), rows.select("customer_id", "as_of"),
                    as_of=AS_OF, due="it is old")  # fmt: skip

    assert not verdict.promoted
    assert verdict.reason.startswith("Worse than version 1 beyond noise")


def test_an_equally_good_challenger_replaces_a_champion_that_is_due_and_no_other() -> None:
    same = noise(2, 0.01)

    young, due = decided(same), decided(same, due="it is old")

    assert not young.promoted
    assert young.reason.startswith("Not better than version 1 beyond noise")
    assert due.promoted
    assert due.reason.startswith("Not worse than version 1 beyond noise, which is enough because it is old: ")


def test_a_forecast_gains_nothing_by_being_low() -> None:
    """The absolute error of skewed values is least at their median, far below the mean."""
    rows = held(4000)
    verdict = judge(champion_saying(rows, 0.8), "1", Cohort(rows, unseen=True),
                    rows.select("customer_id", "as_of"), as_of=AS_OF)  # fmt: skip

    assert verdict.promoted
    by_name = {figure.name: figure for figure in verdict.figures}
    assert by_name["normalised Gini of predicted_ltv"].outcome == "alike"


@pytest.mark.parametrize("customer", ["c00003", "c00004", "c00005", "c00006"])
def test_one_giant_order_decides_nothing_whoever_had_expected_more(customer: str) -> None:
    giant = held().with_columns(
        pl.when(pl.col("customer_id") == customer).then(1e6).otherwise(pl.col("actual")).alias("actual")
    )
    verdict = judge(champion_saying(giant, noise(3, 0.05)), "1", Cohort(giant, unseen=True),
                    giant.select("customer_id", "as_of"), as_of=AS_OF)  # fmt: skip

    [ruling] = [figure for figure in verdict.figures if figure.rules]
    assert ruling.outcome == "alike"
    assert not verdict.promoted


def test_the_same_models_give_the_same_verdict_whatever_the_order_of_the_rows() -> None:
    rows = held()
    champion = champion_saying(rows, noise(1, 0.3))
    features = rows.select("customer_id", "as_of")

    first = judge(champion, "1", Cohort(rows, unseen=True), features, as_of=AS_OF)
    mixed = newest_cohort(rows.sample(fraction=1, shuffle=True, seed=1), CHAMPION_AS_OF - timedelta(days=99))
    again = judge(champion, "1", mixed, features, as_of=AS_OF)

    for one, other in zip(first.figures, again.figures, strict=True):
        assert one.difference == pytest.approx(other.difference)
        assert (one.low, one.high) == pytest.approx((other.low, other.high))


def test_customers_are_resampled_and_not_their_rows() -> None:
    """Eight copies of each row tell nothing new; a bootstrap of rows would shrink the interval."""
    rows = held(300)
    said = champion_saying(rows, noise(5, 0.4, 600)).forecasts
    eight = pl.concat([rows] * 8)

    once = compare(rows, said)[0]
    often = compare(eight, pl.concat([said] * 8))[0]

    assert (often.low, often.high) == pytest.approx((once.low, once.high))


def test_customers_whose_giant_orders_training_had_made_ordinary_are_not_compared() -> None:
    rows = held(1200)
    everybody = newest_cohort(rows, CHAMPION_AS_OF)
    giants = everybody.rows["customer_id"].unique().sort().head(3)

    cohort = newest_cohort(rows, CHAMPION_AS_OF, giants=giants)

    assert set(everybody.rows["customer_id"]) - set(cohort.rows["customer_id"]) == set(giants)
    assert cohort.unseen


def test_only_customers_whose_year_ended_after_the_champion_are_compared() -> None:
    cohort = newest_cohort(held(1200), CHAMPION_AS_OF)

    assert cohort.unseen
    ends = cohort.rows["first_order"] + pl.duration(days=364)
    assert cohort.rows.select(ends.min()).item() > CHAMPION_AS_OF
    assert cohort.customers == 620


def test_where_too_few_are_unseen_the_newest_quarter_is_taken_and_the_verdict_says_so() -> None:
    rows = held(600)
    cohort = newest_cohort(rows, AS_OF - timedelta(days=10))

    assert not cohort.unseen
    assert cohort.customers == 150
    verdict = judge(champion_saying(rows, 1.0), "1", cohort, rows.select("customer_id", "as_of"), as_of=AS_OF)
    assert not verdict.unseen
    assert "version 1 may have learned from these, an advantage" in verdict.reason


def test_for_a_champion_that_is_due_few_unseen_customers_suffice() -> None:
    assert newest_cohort(held(600), AS_OF - timedelta(days=10), due=True).unseen


def test_windows_shorter_than_a_year_are_not_compared_with_years() -> None:
    short = held().with_columns(pl.lit(180, dtype=pl.Int64).alias("days"))
    cohort = newest_cohort(short, CHAMPION_AS_OF)
    champion = champion_saying(held(), 1.0)

    verdict = judge(champion, "1", cohort, short, as_of=AS_OF)

    assert cohort.customers == 0
    assert verdict.promoted
    assert "nothing can be compared" in verdict.reason
    assert not judge(champion, "1", cohort, short, as_of=CHAMPION_AS_OF).promoted


def test_a_champion_that_cannot_score_todays_features_is_replaced(trained: Any) -> None:
    model: LtvModel = replace(trained.model, as_of=CHAMPION_AS_OF)
    rows = held()

    verdict = judge(model, "7", Cohort(rows, unseen=True), rows.select("customer_id", "as_of"), as_of=AS_OF)

    assert verdict.promoted
    assert verdict.reason.startswith("Version 7 can no longer be used")


def test_a_champion_is_due_after_the_days_of_the_setting_and_never_without_one() -> None:
    assert is_due(date(2025, 1, 1), date(2025, 7, 3), 183)
    assert not is_due(date(2025, 1, 1), date(2025, 7, 2), 183)
    assert not is_due(date(2020, 1, 1), date(2025, 7, 2), None)


def test_the_deviance_is_nought_for_the_truth_and_least_for_the_mean() -> None:
    actual = np.array([0.0, 1.0, 20.0])
    levels = np.linspace(1, 20, 400)

    assert tweedie_deviance(actual[1:], actual[1:]) == pytest.approx(0)
    means = [tweedie_deviance(np.full(3, level), actual).mean() for level in levels]
    assert levels[int(np.argmin(means))] == pytest.approx(7, abs=0.05)


def test_a_verdict_comes_back_from_json() -> None:
    verdict = decided(noise(1, 0.6))

    assert Verdict.from_dict(verdict.as_dict()) == verdict
    assert Verdict.from_dict(first_of_all().as_dict()) == first_of_all()
    assert not backfilled("3", CHAMPION_AS_OF, date(2024, 1, 1)).promoted


def test_a_verdict_is_shown_as_a_small_table() -> None:
    table = decided(noise(1, 0.6)).table()

    assert table.height == 5
    assert table.row(0, named=True)["outcome"] == "better"
    assert first_of_all().table().is_empty()


def test_many_customers_are_thinned_to_what_takes_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(challenge, "MOST_CUSTOMERS", 1000)

    cohort = newest_cohort(held(6000), CHAMPION_AS_OF)

    assert 800 < cohort.customers < 1200
    began = time.perf_counter()
    compare(cohort.rows, champion_saying(cohort.rows, 1.0).forecasts)
    assert time.perf_counter() - began < 20
