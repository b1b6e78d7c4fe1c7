"""What held-out outlooks teach: levels, probabilities, the distribution; and the table they are judged by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from audience_pipeline.ltv.boosters import tweedie_deviances
from audience_pipeline.ltv.calibration import AGE_BUCKETS, Level, Odds, age_bucket, winsorised
from audience_pipeline.ltv.distribution import Distribution, Forecast, Prospects
from audience_pipeline.ltv.held import HELD_SCHEMA, HeldOut
from audience_pipeline.ltv.matrix import Bools, Floats, Ints
from audience_pipeline.ltv.model import Calibration
from audience_pipeline.ltv.outlook import Outlook, Weights
from audience_pipeline.ltv.rows import FOLDS, Rows
from audience_pipeline.ltv.snapshots import AGES

_LEAST_ROWS = 400
"""An age bucket with fewer rows shares the level of all ages."""
_MOST_ROWS = 120_000
"""More rows than these are sampled by customer for the distribution."""
_MAJOR = 0.01
_SURE = 5.0
"""Standard errors of rows. Rows of a customer are alike, so that this is some two errors of customers."""
PURCHASES_ALONE: Weights = (1.0, 0.0, 0.0)
TREES_ALONE: Weights = (0.0, 0.5, 0.5)
"""Hurdle and Tweedie trees are as good as each other, and their errors differ."""


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Held-out forecasts, calibrated by the other folds; money in minor units."""

    remaining: Floats
    """Expected net revenue in the window of each row."""
    repeat: Floats
    """Probability of an order in the next year, of each row of that window."""
    forecast: Forecast
    """Of the rows of the first window, in their order."""


def calibrate(
    rows: Rows, outlook: Outlook, newest: date, *, by_rule: bool = False
) -> tuple[Calibration, Distribution, Forecasts]:
    """Fit the calibration and the distribution, and the held-out forecasts that they give.

    Args:
        rows: Training rows.
        outlook: Of each row, by models that never saw its customer.
        newest: The newest day with a complete following window: the level of the next year is its.
        by_rule: Choose no other multiple than the rule's: windows are shorter than a year.
    """
    on_newest = ~rows.first_window & rows.on(newest)
    calibration = _fit(rows, outlook, on_newest, np.ones(len(rows), dtype=bool))
    calibrated, repeat = np.zeros(len(rows)), np.zeros(len(rows))
    bucket = age_bucket(rows.age)
    first = rows.first_window
    outlook_of_first, years = outlook.take(first), rows.take(first)
    observed = rows.customers.first_year[years.snapshot]
    forecast = {name: np.zeros(len(years)) for name in ("likely", "p10", "p90", "within_30")}
    for number in range(FOLDS):
        out = rows.fold == number
        if not out.any():
            continue
        others = _fit(rows, outlook, on_newest, ~out)
        own, later = out & first, out & ~first
        calibrated[own] = others.remaining(outlook.take(own), bucket[own])
        calibrated[later] = others.next_year(outlook.take(later))
        repeat[later] = others.repeat.applied(outlook.again[later], bucket[later])
        # The probabilities of all are those that the others calibrate: else the fold's own outcomes
        # would come back to it through the distribution.
        prospects = others.prospects(outlook_of_first, observed, bucket[first])
        taught = _distribution(prospects, years, years.fold != number, by_rule=by_rule)
        told = taught.predict(prospects.take(own[first]))
        for name, values in forecast.items():
            values[own[first]] = getattr(told, name)
    prospects = calibration.prospects(outlook_of_first, observed, bucket[first])
    distribution = _distribution(prospects, years, _sampled(years), by_rule=by_rule)
    return calibration, distribution, Forecasts(calibrated, repeat, Forecast(**forecast))


def _distribution(prospects: Prospects, years: Rows, inside: Bools, *, by_rule: bool) -> Distribution:
    """What some of the rows of the first window teach."""
    some = years.take(inside)
    fitted = Distribution.fit(prospects.take(inside), some.spent, some.ordered, some.fold)
    return fitted.by_rule() if by_rule else fitted


def _sampled(years: Rows) -> Bools:
    share = min(1.0, _MOST_ROWS / max(len(years), 1))
    inside: Bools = years.part < max(int(100 * share), 1)
    return inside


def _fit(rows: Rows, outlook: Outlook, on_newest: Bools, inside: Bools) -> Calibration:
    first, next_year = rows.first_window & inside, on_newest & inside
    bucket = age_bucket(rows.age)
    by_age = []
    for number in range(AGE_BUCKETS):
        of_age = first & (bucket == number)
        by_age.append(_blend(rows, outlook, of_age if of_age.sum() >= _LEAST_ROWS else first))
    next_level, next_weights = _blend(rows, outlook, next_year)
    return Calibration(
        first_year=tuple(level for level, _ in by_age),
        first_year_weights=tuple(weights for _, weights in by_age),
        next_12m=next_level,
        next_12m_weights=next_weights,
        again=Odds.fit(outlook.again[first], rows.ordered[first], bucket[first]),
        repeat=Odds.fit(outlook.again[next_year], rows.ordered[next_year], bucket[next_year]),
    )


def _blend(rows: Rows, outlook: Outlook, inside: Bools) -> tuple[Level, Weights]:
    """How far to trust the trees at these rows, levels made equal first, and the level of the blend.

    Nothing where they are no better than the purchase model alone, everything from :data:`_SURE` standard
    errors on, and evenly in between, so that a small change of the data changes little.
    """
    some, spent = outlook.take(inside), rows.spent[inside]
    if not len(spent):
        return Level.fit(spent, spent), PURCHASES_ALONE
    label = np.maximum(winsorised(spent), 0.0)
    gain = _deviances(some, PURCHASES_ALONE, label) - _deviances(some, TREES_ALONE, label)
    error = float(gain.std()) / float(np.sqrt(len(gain)))
    trust = float(np.clip(gain.mean() / (_SURE * error), 0.0, 1.0)) if error > 0 else 0.0
    weights = (1.0 - trust, trust / 2, trust / 2)
    return Level.fit(some.blended(weights), spent), weights


def _deviances(outlook: Outlook, weights: Weights, label: Floats) -> Floats:
    blended = outlook.blended(weights)
    return tweedie_deviances(label, blended * max(float(label.sum() / max(blended.sum(), 1e-9)), 1e-6))


def held_tables(rows: Rows, outlook: Outlook, forecasts: Forecasts, newest: date, horizon: int) -> HeldOut:
    """Both tables of held-out predictions."""
    first = np.flatnonzero(rows.first_window)
    forecast = forecasts.forecast
    ltv = _table(rows, first, outlook, forecasts, horizon).with_columns(
        pl.Series("likely", forecast.likely * _MAJOR),
        pl.Series("p10", forecast.p10 * _MAJOR),
        pl.Series("p90", forecast.p90 * _MAJOR),
        pl.Series("within_30_probability", forecast.within_30),
    )
    later = np.flatnonzero(~rows.first_window & rows.on(newest))
    next_12m = _table(rows, later, outlook, forecasts, horizon).with_columns(
        pl.Series("repeat_probability", forecasts.repeat[later]), pl.Series("repeated", rows.ordered[later])
    )
    return HeldOut(
        ltv=ltv.filter(pl.col("age_days").is_in(AGES)).select(HELD_SCHEMA.names()),
        next_12m=next_12m.select(HELD_SCHEMA.names()),
    )


def _table(rows: Rows, at: Ints, outlook: Outlook, forecasts: Forecasts, horizon: int) -> pl.DataFrame:
    some = rows.take(at)
    first_window = bool(some.first_window.all()) and len(some) > 0
    in_window = some.column("first_year_minor") if first_window else np.zeros(len(some))
    actual = in_window + some.actual
    money = {
        "observed_value": in_window if first_window else some.column("observed_minor"),
        "last_12m": some.column("net_365d_minor"),
        "purchase_model": in_window + outlook.purchase[at],
        "global_mean": _mean_of_others(some, actual),
        "predicted": in_window + forecasts.remaining[at],
        "actual": actual,
    }
    table = some.frame[some.snapshot].select("customer_id", "as_of", "first_order", "age_days", "orders")
    table = table.with_columns(
        *(pl.Series(name, values * _MAJOR) for name, values in money.items()),
        pl.lit(horizon, dtype=pl.Int64).alias("days"),
    )
    return table.with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in HELD_SCHEMA.items() if name not in table.columns
    ).cast({name: dtype for name, dtype in HELD_SCHEMA.items() if name in table.columns})  # fmt: skip


def _mean_of_others(rows: Rows, actual: Floats) -> Floats:
    """Mean of the other folds at the same age (first window) or of all (next year)."""
    mean = np.zeros(len(actual))
    age = rows.age if len(rows) and rows.first_window.all() else np.zeros(len(actual))
    for number in np.unique(rows.fold):
        for value in np.unique(age):
            out = (rows.fold == number) & (age == value)
            others = (rows.fold != number) & (age == value)
            mean[out] = actual[others].mean() if others.any() else actual.mean()
    return mean
