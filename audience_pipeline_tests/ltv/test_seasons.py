"""The seasons that are decomposed from repeat orders."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from audience_pipeline.ltv.seasons import Seasons

BEGIN = date(2021, 1, 1)
PEAK = {11: 2.0, 12: 3.0}


def shop(days: int, *, growth: float = 0.0, peak: dict[int, float] | None = None) -> pl.LazyFrame:
    """Customers who were there from the first day on, and orders of theirs, more in some months."""
    rng = np.random.default_rng(1)
    rows = [(f"c{number}", BEGIN) for number in range(200)]
    for day in range(1, days):
        today = BEGIN + timedelta(days=day)
        mean = 3.0 * (1 + growth * day / 365) * (peak or {}).get(today.month, 1.0)
        rows += [(f"c{rng.integers(200)}", today) for _ in range(rng.poisson(mean))]
    table = pl.DataFrame(rows, schema={"customer_id": pl.String, "order_date": pl.Date}, orient="row")
    return table.with_columns(pl.lit("order").alias("kind")).lazy()


def ordinal(day: date) -> float:
    return float(day.toordinal() - date(1970, 1, 1).toordinal())


def test_months_with_more_orders_stand_out_and_growth_does_not() -> None:
    seasons = Seasons.fit(shop(1095, growth=1.0, peak=PEAK), BEGIN + timedelta(days=1094))
    index = np.array(seasons.monthly)
    assert index.argmax() == 11
    assert index[11] > 1.6
    assert np.abs(index[:8] - index[:8].mean()).max() < 0.2
    assert index.mean() == pytest.approx(1.0)


def test_without_two_years_there_is_no_season() -> None:
    assert Seasons.fit(shop(700, peak=PEAK), BEGIN + timedelta(days=699)) == Seasons()


def test_later_orders_are_not_read() -> None:
    as_of = BEGIN + timedelta(days=799)
    whole = shop(1095, peak=PEAK)
    assert Seasons.fit(whole, as_of) == Seasons.fit(whole.filter(pl.col("order_date") <= as_of), as_of)


def test_a_year_ahead_is_ordinary_and_a_window_over_the_peak_is_not() -> None:
    seasons = Seasons((0.8,) * 10 + (1.5, 2.5))
    day = np.array([ordinal(date(2024, 10, 31))] * 3 + [ordinal(date(2024, 2, 29))])
    ahead = seasons.ahead(day, np.array([365.0, 61.0, 30.0, 31.0]))
    assert ahead == pytest.approx([1.0, (30 * 1.5 + 31 * 2.5) / 61, 1.5, 0.8])


def test_seasons_read_back_from_the_model_folder() -> None:
    seasons = Seasons.fit(shop(1095, peak=PEAK), BEGIN + timedelta(days=1094))
    assert Seasons.from_json(seasons.as_json()) == seasons
