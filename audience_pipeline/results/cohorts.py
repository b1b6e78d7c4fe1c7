"""Predicted against actual 12-month LTV by month of the first order."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import polars as pl

from audience_pipeline.ltv.drift import Calibration, calibration
from audience_pipeline.ltv.snapshots import HORIZON_DAYS, LAST_AGE

EARLY = (0, 30, 90)
"""Days after the first order from which predictions are looked at on their own; each until the next."""
LATEST_EARLY = 180
RECENT_DAYS = 90
"""Customers whose first year ended in so many days say whether predictions hold today."""

COHORTS_SCHEMA = pl.Schema(
    {
        "cohort": pl.Date,
        "customers": pl.Int64,
        "predicted_customers": pl.Int64,
        "predicted": pl.Float64,
        "likely": pl.Float64,
        "age_when_predicted": pl.Float64,
        "predicted_0d": pl.Float64,
        "predicted_30d": pl.Float64,
        "predicted_90d": pl.Float64,
        "actual_so_far": pl.Float64,
        "complete_customers": pl.Int64,
        "predicted_of_complete": pl.Float64,
        "actual": pl.Float64,
        "ratio": pl.Float64,
        "ratio_low": pl.Float64,
        "ratio_high": pl.Float64,
        "within_30": pl.Float64,
    }
)
"""Columns of the cohorts, in order; means per customer, money in major units.

``predicted, likely`` are of the earliest prediction of each customer, made ``age_when_predicted`` days after
the first order on average; ``predicted_0d`` of the earliest one made 0 to 29 days after it, and so on.
``actual_so_far`` is what all customers of the cohort have spent of their first year. The columns from
``complete_customers`` on are of predicted customers whose first year is over: ``ratio`` is their actual over
their predicted sum with the middle 95 % of a bootstrap, ``within_30`` the share whose ``likely`` was within
30 %.
"""


def earliest(predictions: pl.LazyFrame, orders: pl.LazyFrame, as_of: date) -> pl.DataFrame:
    """What was predicted of each customer first, beside what it has spent in its first year since.

    Args:
        predictions: ``customer_id, prediction_date, predicted_ltv, likely_ltv`` of several dates; those
            after ``as_of`` are not read.
        orders: The orders table; rows after ``as_of`` are not read.
        as_of: The last day that may be seen.

    Returns:
        A row for each customer who had bought by ``as_of``, sorted: ``customer_id, first_order, complete``
        (whether the first year is over), ``actual`` (spent in it so far), ``age_days, predicted, likely``
        (of the earliest prediction; null without one) and ``predicted_0d, predicted_30d, predicted_90d``.
    """
    seen = orders.filter(pl.col("order_date") <= as_of)
    first = (
        seen.filter(pl.col("kind") == "order")
        .group_by("customer_id")
        .agg(pl.col("order_date").min().alias("first_order"))
    )
    spent = (
        seen.join(first, on="customer_id")
        .filter(
            pl.col("order_date") >= pl.col("first_order"),
            pl.col("order_date") < pl.col("first_order") + pl.duration(days=HORIZON_DAYS),
        )
        .group_by("customer_id")
        .agg((pl.col("amount_minor").sum() * 0.01).alias("actual"))
    )
    age = (pl.col("prediction_date") - pl.col("first_order")).dt.total_days()
    made = (
        predictions.filter(pl.col("prediction_date") <= as_of, pl.col("predicted_ltv").is_not_null())
        .select("customer_id", "prediction_date", "predicted_ltv", "likely_ltv")
        .join(first, on="customer_id")
        .with_columns(age.alias("age_days"))
        # On the last day of the first year the value is a fact, and no prediction.
        .filter(pl.col("age_days").is_between(0, LAST_AGE - 1))
    )
    bounds = (*EARLY, LATEST_EARLY)
    first_made = made.group_by("customer_id").agg(
        pl.col("age_days").min(),
        pl.col("predicted_ltv").sort_by("age_days").first().alias("predicted"),
        pl.col("likely_ltv").sort_by("age_days").first().alias("likely"),
        *(
            pl.col("predicted_ltv")
            .filter(pl.col("age_days").is_between(low, high - 1))
            .sort_by(pl.col("age_days").filter(pl.col("age_days").is_between(low, high - 1)))
            .first()
            .alias(f"predicted_{low}d")
            for low, high in pairwise(bounds)
        ),
    )
    over = pl.col("first_order") + pl.duration(days=LAST_AGE) <= as_of
    return (
        first.join(spent, on="customer_id", how="left")
        .join(first_made, on="customer_id", how="left")
        .with_columns(over.alias("complete"), pl.col("actual").fill_null(0.0))
        .sort("customer_id")
        .collect(engine="streaming")
    )


def cohorts(customers: pl.DataFrame) -> pl.DataFrame:
    """One row for each month of first orders, the oldest first.

    Args:
        customers: What :func:`earliest` returns.

    Returns:
        :data:`COHORTS_SCHEMA`.
    """
    checked = pl.col("complete") & pl.col("predicted").is_not_null()
    hit = (pl.col("likely") - pl.col("actual")).abs() <= 0.3 * pl.col("actual").abs()
    table = (
        customers.group_by(pl.col("first_order").dt.truncate("1mo").alias("cohort"))
        .agg(
            pl.len().cast(pl.Int64).alias("customers"),
            pl.col("predicted").is_not_null().sum().cast(pl.Int64).alias("predicted_customers"),
            pl.col("predicted", "likely", *(f"predicted_{days}d" for days in EARLY)).mean(),
            pl.col("age_days").mean().alias("age_when_predicted"),
            pl.col("actual").mean().alias("actual_so_far"),
            checked.sum().cast(pl.Int64).alias("complete_customers"),
            pl.col("predicted").filter(checked).mean().alias("predicted_of_complete"),
            pl.col("actual").filter(checked).mean().alias("mean_actual"),
            hit.filter(checked).mean().alias("within_30"),
        )
        .rename({"mean_actual": "actual"})
        .sort("cohort")
    )
    found = [
        _calibration(customers.filter(pl.col("first_order").dt.truncate("1mo") == month))
        for month in table["cohort"]
    ]
    return table.with_columns(
        pl.Series("ratio", [one.ratio for one in found], dtype=pl.Float64),
        pl.Series("ratio_low", [one.low for one in found], dtype=pl.Float64),
        pl.Series("ratio_high", [one.high for one in found], dtype=pl.Float64),
    ).select(COHORTS_SCHEMA.names())


def recent_calibration(customers: pl.DataFrame, as_of: date) -> Calibration:
    """Actual over predicted of the customers whose first year ended in the last 90 days.

    Args:
        customers: What :func:`earliest` returns for ``as_of``.
        as_of: The day.
    """
    since = as_of - timedelta(days=LAST_AGE + RECENT_DAYS)
    return _calibration(customers.filter(pl.col("first_order") > since))


def _calibration(customers: pl.DataFrame) -> Calibration:
    checked = customers.filter(pl.col("complete"), pl.col("predicted").is_not_null())
    values = checked.select("predicted", "actual").to_numpy()
    return calibration(np.ascontiguousarray(values[:, 0]), np.ascontiguousarray(values[:, 1]))
