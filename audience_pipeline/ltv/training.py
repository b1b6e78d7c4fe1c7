"""Training: models that never saw a customer predict it, and from that everything else is measured.

Customers are parted into folds by a stable hash. Each fold is predicted by trees grown on the others;
these held-out predictions calibrate the totals, give the distribution and are evaluated. The model
that is returned is grown on all customers.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TypeVar

import numpy as np
import polars as pl

from audience_pipeline.features.customer_features import customer_features
from audience_pipeline.ltv import quintiles
from audience_pipeline.ltv.boosters import (
    PARAMETERS,
    ROUNDS,
    TWEEDIE_POWER,
    MoneyModel,
    RepeatModel,
    calibration,
    remaining_share,
)
from audience_pipeline.ltv.distribution import Distribution, Forecast
from audience_pipeline.ltv.held import HELD_SCHEMA, HeldOut
from audience_pipeline.ltv.importances import importances
from audience_pipeline.ltv.matrix import Encoder, Floats
from audience_pipeline.ltv.minimum import check_history
from audience_pipeline.ltv.model import FIRST_YEAR_SPENT, NEXT_12M_SPENT, LtvModel, floats
from audience_pipeline.ltv.report import Report, build_report
from audience_pipeline.ltv.snapshots import (
    AGES,
    HORIZON_DAYS,
    calendar_days,
    first_orders,
    folds,
    snapshot_days,
    training_rows,
)

FOLDS = 3
MAX_ROWS = 600_000
"""More snapshots than these are thinned by customers, which keeps training below a minute or so."""
UNSEEN_DAYS = 90
"""Customers first seen so soon after the data begin have probably bought before."""

_Model = TypeVar("_Model", MoneyModel, RepeatModel)

Progress = Callable[[str, float], None]
"""Called with what is being done and the share that is done."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A model and what is known of its quality."""

    model: LtvModel
    held: HeldOut
    """Predictions of customers by models that never saw them, beside what they spent."""
    report: Report


@dataclass(frozen=True, slots=True)
class Held:
    """Rows predicted by a model that never saw the customer; money in minor units."""

    age: Floats
    observed: Floats
    predicted: Floats
    actual: Floats
    fold: Floats

    def where(self, inside: Floats) -> Held:
        """Some of the rows."""
        return Held(
            self.age[inside],
            self.observed[inside],
            self.predicted[inside],
            self.actual[inside],
            self.fold[inside],
        )


@dataclass(frozen=True, slots=True)
class _Rows:
    """Training rows of one label, as arrays."""

    frame: pl.DataFrame
    matrix: Floats
    fold: Floats
    age: Floats
    spent: Floats
    label: Floats
    exposure: Floats


def train(
    orders: pl.LazyFrame,
    as_of: date,
    activity: pl.LazyFrame | None = None,
    *,
    seed: int = 7,
    threads: int = 2,
    progress: Progress | None = None,
) -> Trained:
    """Train and evaluate on what was known at the end of ``as_of``.

    Args:
        orders: The orders table; later rows are not read.
        as_of: The last day whose data may be used.
        activity: The customer activity table, if there is one; later rows are not read.
        seed: Of folds and trees: the same data and seed give the same model, bit for bit.
        threads: Boosters that grow at once, each on one core; changes nothing but the time.
        progress: Told of each step.

    Raises:
        TooLittleHistory: See :func:`audience_pipeline.ltv.minimum.check_history`.
    """
    tell = progress or _silent
    tell("looking at past days", 0.0)
    first = first_orders(orders, as_of)
    check_history(first, as_of)
    days = _thinned(snapshot_days(first, as_of), seed)
    rows = training_rows(orders, days, as_of, activity)
    rows = rows.with_columns(folds(rows["customer_id"], FOLDS, seed).alias("fold"))
    encoder = Encoder.fit(rows)

    first_year = _label_rows(_fresh(rows, first, as_of), encoder, "remaining_minor", FIRST_YEAR_SPENT)
    tell("12-month LTV", 0.2)
    remaining, expected = _fit_money(first_year, encoder, seed, threads)
    held = _hold_out(first_year, expected)
    distribution = _fit_distribution(held)

    next_year = _label_rows(rows, encoder, "next_12m_minor", NEXT_12M_SPENT)
    newest = calendar_days(first, as_of)[0]
    tell("value of the next 12 months", 0.5)
    next_12m, next_held = _fit_money(next_year, encoder, seed, threads, calibrate_on=newest)
    tell("repeat purchases", 0.7)
    again = floats(next_year.frame, "orders_again")
    repeat, repeat_held = _fit_repeat(next_year, again, encoder, seed, threads)

    tell("evaluation", 0.9)
    model = LtvModel(as_of, encoder, remaining, next_12m, repeat, distribution)
    base = customer_features(orders, as_of, activity).collect(engine="streaming").sort("customer_id")
    model = replace(model, cuts=quintiles.cut_points(model.predict(base)["predicted_ltv"]))
    on_newest = (next_year.frame["as_of"] == newest).to_numpy()
    held_out = HeldOut(
        ltv=_held_table(first_year, held.predicted, held.actual, _held_forecast(held)).filter(
            pl.col("age_days").is_in(AGES)
        ),
        next_12m=_held_table(next_year, next_held, next_year.label, None, repeat_held).filter(on_newest),
    )
    summary = {
        "as_of": as_of,
        "first_order": first["first_order"].min(),
        "customers": first.height,
        "training_customers": rows["customer_id"].n_unique(),
        "training_rows": rows.height,
        "parameters": {**PARAMETERS, "rounds": ROUNDS, "tweedie_variance_power": TWEEDIE_POWER, "seed": seed},
    }
    report = build_report(held=held_out, later=None, importances=importances(model), summary=summary)
    tell("done", 1.0)
    return Trained(model, held_out, report)


def _silent(_step: str, _share: float) -> None:
    """Progress that nobody wants to hear of."""


def _thinned(days: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Snapshots of as many customers as fit, chosen by a stable hash."""
    if days.height <= MAX_ROWS:
        return days
    parts = 1000
    kept = MAX_ROWS * parts // days.height
    return days.filter(folds(days["customer_id"], parts, seed + 1) < kept)


def _fresh(rows: pl.DataFrame, first: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Rows of customers whose first order in the data is their first order, where that can be told.

    A file that begins in the middle of a shop's life shows old customers as new in its first weeks.
    They are left out unless there would be too few others (a file of one cohort).
    """
    begin = first["first_order"].min() + timedelta(days=UNSEEN_DAYS)  # type: ignore[operator]
    complete = first.filter(pl.col("first_order") <= as_of - timedelta(days=HORIZON_DAYS))
    fresh = complete.filter(pl.col("first_order") >= begin).height
    if fresh < max(200, complete.height // 2):
        return rows
    return rows.filter(pl.col("first_order") >= begin)


def _label_rows(rows: pl.DataFrame, encoder: Encoder, label: str, spent: str) -> _Rows:
    frame = rows.filter(pl.col(label).is_not_null())
    age = floats(frame, "age_days")
    first_year = label == "remaining_minor"
    return _Rows(
        frame=frame,
        matrix=encoder.matrix(frame),
        fold=floats(frame, "fold"),
        age=age,
        spent=floats(frame, spent),
        label=floats(frame, label),
        exposure=remaining_share(age) if first_year else np.ones(len(age)),
    )


def _fit_money(
    rows: _Rows, encoder: Encoder, seed: int, threads: int, calibrate_on: date | None = None
) -> tuple[MoneyModel, Floats]:
    """The model grown on all rows, and calibrated predictions by models that saw no such customer."""

    def grow(inside: Floats) -> MoneyModel:
        return MoneyModel.fit(
            rows.matrix[inside], rows.spent[inside], rows.label[inside], rows.exposure[inside],
            encoder.categorical, seed=seed,
        )  # fmt: skip

    *others, final = _grown(grow, rows.fold, threads)
    held = np.zeros(len(rows.label))
    for number, model in enumerate(others):
        out = rows.fold == number
        held[out] = model.predict(rows.matrix[out], rows.spent[out], rows.exposure[out], rows.age[out])
    if calibrate_on is None:
        level = np.ones(len(held), dtype=bool)
    else:
        level = (rows.frame["as_of"] == calibrate_on).to_numpy()
    factors = calibration(rows.label[level], held[level], rows.age[level], by_age=calibrate_on is None)
    final = final.calibrated(factors)
    return final, held * final.factor(rows.age)


def _fit_repeat(
    rows: _Rows, again: Floats, encoder: Encoder, seed: int, threads: int
) -> tuple[RepeatModel, Floats]:
    def grow(inside: Floats) -> RepeatModel:
        return RepeatModel.fit(rows.matrix[inside], again[inside], encoder.categorical, seed=seed)

    *others, final = _grown(grow, rows.fold, threads)
    held = np.zeros(len(again))
    for number, model in enumerate(others):
        out = rows.fold == number
        held[out] = model.predict(rows.matrix[out])
    return final, held


def _grown(grow: Callable[[Floats], _Model], fold: Floats, threads: int) -> list[_Model]:
    """A model without each fold, and last the one of all rows."""
    parts = [fold != number for number in range(FOLDS)] + [np.ones(len(fold), dtype=bool)]
    with ThreadPoolExecutor(max(1, threads)) as pool:
        return list(pool.map(grow, parts))


def _hold_out(rows: _Rows, expected: Floats) -> Held:
    return Held(
        age=rows.age,
        observed=rows.spent,
        predicted=rows.spent + expected,
        actual=rows.spent + rows.label,
        fold=rows.fold,
    )


def _held_table(
    rows: _Rows, predicted: Floats, actual: Floats, forecast: Forecast | None, repeat: Floats | None = None
) -> pl.DataFrame:
    """Held-out predictions as a table, in major units (``held.HELD_SCHEMA``)."""
    mean = np.zeros(len(actual))
    for number in np.unique(rows.fold):
        for age in np.unique(rows.age):
            out = (rows.fold == number) & (rows.age == age)
            others = (rows.fold != number) & (rows.age == age)
            mean[out] = actual[others].mean() if others.any() else actual.mean()
    frame = rows.frame
    money = {"observed_value": floats(frame, "observed_minor"), "last_12m": rows.spent, "global_mean": mean,
             "predicted": predicted, "actual": actual}  # fmt: skip
    if forecast is not None:
        money |= {"likely": forecast.likely, "p10": forecast.p10, "p90": forecast.p90}
    columns = {name: pl.Series(values * 0.01) for name, values in money.items()}
    if forecast is not None:
        columns["within_30_probability"] = pl.Series(forecast.within_30)
    if repeat is not None:
        columns |= {"repeat_probability": pl.Series(repeat), "repeated": frame["orders_again"]}
    table = frame.select("customer_id", "as_of", "first_order", "age_days", "orders").with_columns(**columns)
    return table.with_columns(pl.lit(HORIZON_DAYS, dtype=pl.Int64).alias("days")).select(
        pl.col(name).cast(dtype)
        if name in table.columns or name == "days"
        else pl.lit(None, dtype).alias(name)
        for name, dtype in HELD_SCHEMA.items()
    )


def _fit_distribution(held: Held, inside: Floats | None = None) -> Distribution:
    chosen = held if inside is None else held.where(inside)
    return Distribution.fit(chosen.age, chosen.observed, chosen.predicted, chosen.actual, chosen.fold)


def _held_forecast(held: Held) -> Forecast:
    """Each fold's forecast from cells that were filled by the other folds."""
    columns = {name: np.zeros(len(held.age)) for name in ("likely", "p10", "p90", "within_30")}
    for number in range(FOLDS):
        out = held.fold == number
        forecast = _fit_distribution(held, ~out).predict(
            held.age[out], held.observed[out], held.predicted[out]
        )
        for name, values in columns.items():
            values[out] = getattr(forecast, name)
    return Forecast(**columns)
