"""Predictions of customers, and of times, that a model has not seen: how good it will be."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl

from audience_pipeline.features.customer_features import customer_features
from audience_pipeline.ltv.held import HELD_SCHEMA, HeldOut
from audience_pipeline.ltv.minimum import TooLittleHistory
from audience_pipeline.ltv.model import LtvModel
from audience_pipeline.ltv.outlook import expect
from audience_pipeline.ltv.snapshots import AGES, HORIZON_DAYS, first_orders, labels, longest_horizon
from audience_pipeline.ltv.training import Progress, Trained, fit, train

COHORT_DAYS = 91
"""Customers acquired in so many days are the later cohort."""
_LEAST_COHORT = 100
_MAJOR = 0.01


def hold_out(
    orders: pl.LazyFrame,
    as_of: date,
    customers: pl.Series,
    ages: Sequence[int] = AGES,
    activity: pl.LazyFrame | None = None,
    *,
    seed: int = 7,
    threads: int = 2,
    progress: Progress | None = None,
) -> HeldOut:
    """Train without some customers and predict them.

    Args:
        orders: The orders table.
        as_of: The last day whose data may be used.
        customers: Ids of the customers to hold out.
        ages: Days after the first order at which they are predicted.
        activity: The customer activity table, if there is one.
        seed: As in :func:`fit`.
        threads: As in :func:`fit`.
        progress: As in :func:`fit`.

    Returns:
        Those of them whose window is complete, at each age; and those known a window before ``as_of``.

    Raises:
        TooLittleHistory: The other customers are too few, or too young.
    """
    orders = orders.filter(pl.col("order_date") <= as_of)
    is_out = pl.col("customer_id").is_in(customers.implode())
    trained = fit(
        orders.filter(~is_out),
        as_of,
        None if activity is None else activity.filter(~is_out),
        seed=seed,
        threads=threads,
        progress=progress,
    )
    held = orders.filter(is_out)
    first = first_orders(held, as_of)
    window = trained.model.horizon_days
    complete = first.filter(pl.col("first_order") <= as_of - timedelta(days=window - 1))
    seen = None if activity is None else activity.filter(is_out)
    means = _means(trained.held)
    return HeldOut(
        ltv=_ltv(trained.model, held, complete, ages, as_of, seen, means),
        next_12m=_next(trained.model, held, first, as_of - timedelta(days=window), as_of, seen, means),
    )


def later_cohort(
    orders: pl.LazyFrame,
    as_of: date,
    activity: pl.LazyFrame | None = None,
    *,
    seed: int = 7,
    threads: int = 2,
    progress: Progress | None = None,
) -> HeldOut | None:
    """Train on what was known some 15 months ago, and predict the customers who came in the quarter after.

    No window that the model learnt from reaches into the time that it is judged on: everything it has
    seen ended before the first of these customers came.

    Returns:
        The cohort at each age, and the base of the training day with the year after it; None where no
        year was complete for enough customers by then (some 27 months of data are needed; a model of
        shorter windows would say little of one of whole years), or the cohort is too small.
    """
    trained_on = as_of - timedelta(days=HORIZON_DAYS - 1 + COHORT_DAYS)
    first = first_orders(orders, as_of)
    cohort = first.filter(
        pl.col("first_order") > trained_on, pl.col("first_order") <= as_of - timedelta(days=HORIZON_DAYS - 1)
    )
    known = first.filter(pl.col("first_order") <= trained_on)
    horizon = longest_horizon(known, trained_on)
    if cohort.height < _LEAST_COHORT or horizon is None or horizon.days < HORIZON_DAYS:
        return None
    try:
        trained = fit(orders, trained_on, activity, seed=seed, threads=threads, progress=progress)
    except TooLittleHistory:
        return None
    means = _means(trained.held)
    return HeldOut(
        ltv=_ltv(trained.model, orders, cohort, AGES, as_of, activity, means),
        next_12m=_next(trained.model, orders, known, trained_on, as_of, activity, means),
    )


def train_and_test(
    orders: pl.LazyFrame,
    as_of: date,
    activity: pl.LazyFrame | None = None,
    *,
    seed: int = 7,
    threads: int = 2,
    progress: Progress | None = None,
) -> Trained:
    """:func:`train`, with a :func:`later_cohort` in the report where the data are long enough.

    Arguments and errors as in :func:`train`.
    """
    tell = progress or (lambda _what, _share: None)
    later = later_cohort(
        orders, as_of, activity, seed=seed, threads=threads,
        progress=lambda what, share: tell(f"a later cohort, predicted from before: {what}", share / 2),
    )  # fmt: skip
    begin = 0.0 if later is None else 0.5
    return train(
        orders, as_of, activity, seed=seed, threads=threads, later=later,
        progress=lambda what, share: tell(what, begin + (1.0 - begin) * share),
    )  # fmt: skip


def next_period(
    orders: pl.LazyFrame,
    trained_on: date,
    days: int,
    activity: pl.LazyFrame | None = None,
    *,
    seed: int = 7,
    threads: int = 2,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Train on what was known on a day and predict everybody's value of the days that followed.

    Args:
        orders: The orders table, with the days that followed.
        trained_on: The last day whose data the model sees.
        days: How many days after it are predicted.
        activity: The customer activity table, if there is one.
        seed: As in :func:`fit`.
        threads: As in :func:`fit`.
        progress: As in :func:`fit`.

    Returns:
        One row a customer, as in ``HeldOut.next_12m``.

    Raises:
        TooLittleHistory: There was too little to train on by then.
    """
    trained = fit(orders, trained_on, activity, seed=seed, threads=threads, progress=progress)
    first, end = first_orders(orders, trained_on), trained_on + timedelta(days=days)
    return _next(trained.model, orders, first, trained_on, end, activity, _means(trained.held), days)


def _means(held: HeldOut) -> tuple[float, float]:
    """Mean actual value of the training customers: of the first window, and of the next one."""
    return (
        float(held.ltv["actual"].mean() or 0.0),  # type: ignore[arg-type]
        float(held.next_12m["actual"].mean() or 0.0),  # type: ignore[arg-type]
    )


def _ltv(
    model: LtvModel,
    orders: pl.LazyFrame,
    first: pl.DataFrame,
    ages: Sequence[int],
    as_of: date,
    activity: pl.LazyFrame | None,
    means: tuple[float, float],
    window: int | None = None,
) -> pl.DataFrame:
    window = window or model.horizon_days
    days = [
        first.select("customer_id", (pl.col("first_order") + pl.duration(days=age)).alias("as_of"))
        for age in ages
        if age < window - 1
    ]
    if not days or first.is_empty():
        return pl.DataFrame(schema=HELD_SCHEMA)
    features = customer_features(orders, pl.concat(days).lazy(), activity).collect(engine="streaming")
    features = features.sort("age_days", "customer_id")
    after = labels(orders, features, as_of, window)
    table = _table(model, features, window, float(window) - 1.0, means[0])
    predicted = model.predict(features, days=window)
    observed = features["first_year_minor"] * _MAJOR
    return _finished(
        table.with_columns(
            observed.alias("observed_value"),
            (observed + table["purchase_model"]).alias("purchase_model"),
            predicted["predicted_ltv"].alias("predicted"),
            predicted["likely_ltv"].alias("likely"),
            predicted["ltv_p10"].alias("p10"),
            predicted["ltv_p90"].alias("p90"),
            predicted["within_30_probability"],
            (observed + after["remaining_minor"] * _MAJOR).alias("actual"),
        )
    )


def _next(
    model: LtvModel,
    orders: pl.LazyFrame,
    first: pl.DataFrame,
    day: date,
    as_of: date,
    activity: pl.LazyFrame | None,
    means: tuple[float, float],
    window: int | None = None,
) -> pl.DataFrame:
    window = window or model.horizon_days
    known = first.filter(pl.col("first_order") <= day)
    if known.is_empty():
        return pl.DataFrame(schema=HELD_SCHEMA)
    days = known.select("customer_id", pl.lit(day).alias("as_of"))
    features = customer_features(orders, days.lazy(), activity).collect(engine="streaming")
    features = features.sort("customer_id")
    after = labels(orders, features, as_of, window)
    predicted = model.predict(features, days=window)
    return _finished(
        _table(model, features, window, None, means[1]).with_columns(
            (features["observed_minor"] * _MAJOR).alias("observed_value"),
            predicted["next_12m_value"].alias("predicted"),
            predicted["repeat_probability"],
            after["orders_again"].alias("repeated"),
            (after["next_12m_minor"] * _MAJOR).alias("actual"),
        )
    )


def _table(
    model: LtvModel, features: pl.DataFrame, window: int, until: float | None, mean: float
) -> pl.DataFrame:
    customers = model.outlook.encoder.customers(features)
    days = np.full(len(customers), float(window)) if until is None else until - customers.age
    money = expect(model.outlook.purchases, customers, days).money
    return features.select(
        "customer_id", "as_of", "first_order", "age_days", "orders", pl.col("net_365d_minor") * _MAJOR
    ).with_columns(
        pl.col("net_365d_minor").alias("last_12m"),
        pl.Series("purchase_model", money * _MAJOR),
        pl.lit(mean).alias("global_mean"),
        pl.lit(window, dtype=pl.Int64).alias("days"),
    )


def _finished(table: pl.DataFrame) -> pl.DataFrame:
    missing = [
        pl.lit(None, dtype).alias(name) for name, dtype in HELD_SCHEMA.items() if name not in table.columns
    ]
    return table.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in HELD_SCHEMA.items())
