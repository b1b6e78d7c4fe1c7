"""Predictions as the product shows them, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import Literal

import polars as pl

from audience_pipeline.customers.parts import ahead
from audience_pipeline.features.customer_features import customer_features
from audience_pipeline.ltv import quintiles
from audience_pipeline.ltv.model import LtvModel
from audience_pipeline.ltv.snapshots import HORIZON_DAYS, LAST_AGE

PREDICTIONS_SCHEMA = pl.Schema(
    {
        "customer_id": pl.String,
        "prediction_date": pl.Date,
        "model_version": pl.String,
        "age_days": pl.Int64,
        "observed_value": pl.Float64,
        "predicted_ltv": pl.Float64,
        "likely_ltv": pl.Float64,
        "ltv_p10": pl.Float64,
        "ltv_p90": pl.Float64,
        "within_30_probability": pl.Float64,
        "confidence": pl.String,
        "next_12m_value": pl.Float64,
        "repeat_probability": pl.Float64,
        "ltv_quintile": pl.Int64,
    }
)
"""Columns of the predictions, in order; money in major units."""

ACTUALS_SCHEMA = pl.Schema(
    {
        "customer_id": pl.String,
        "prediction_date": pl.Date,
        "age_days": pl.Int64,
        "predicted_ltv": pl.Float64,
        "likely_ltv": pl.Float64,
        "actual_ltv": pl.Float64,
        "within_30": pl.Boolean,
        "ltv_quintile": pl.Int64,
    }
)


def score(
    model: LtvModel | None,
    features: pl.DataFrame | pl.LazyFrame,
    *,
    prediction_date: date,
    model_version: str | None,
    quintile_by: Literal["rank", "cut_points"] = "rank",
) -> pl.DataFrame:
    """Predictions of every customer in ``features``, sorted by customer.

    Args:
        model: None where there is too little history for one: all predicted columns are then null.
        features: As made by ``features.customer_features``, one row for each customer.
        prediction_date: The as-of date of the features.
        model_version: Stated beside each prediction.
        quintile_by: ``rank`` where the table holds the whole base; ``cut_points`` (stored with the
            model) where it holds one customer or some.

    Returns:
        :data:`PREDICTIONS_SCHEMA`.
    """
    table = features.lazy().collect(engine="streaming").sort("customer_id")
    known = table.select(
        "customer_id",
        pl.lit(prediction_date).alias("prediction_date"),
        pl.lit(model_version, dtype=pl.String).alias("model_version"),
        "age_days",
        # As numpy divides: polars divides a single row another way than many.
        pl.Series("observed_value", table["observed_minor"].to_numpy() / 100.0),
    )
    if model is None:
        return known.select(
            pl.col(name) if name in known.columns else pl.lit(None, dtype=dtype).alias(name)
            for name, dtype in PREDICTIONS_SCHEMA.items()
        )
    scored = pl.concat([known, model.predict(table)], how="horizontal")
    if quintile_by == "rank":
        quintile = quintiles.ranked(scored)
    else:
        quintile = quintiles.by_cut_points(scored["predicted_ltv"], model.cuts)
    return scored.with_columns(quintile.alias("ltv_quintile")).select(PREDICTIONS_SCHEMA.names())


def score_in_parts(
    model: LtvModel,
    parts: Iterable[pl.DataFrame],
    *,
    as_of: date,
    model_version: str,
    observe_days: int | None = None,
    progress: Callable[[int], None] | None = None,
    also: Callable[[pl.DataFrame], object] | None = None,
) -> pl.DataFrame:
    """Predictions of the whole base, in memory for one part and the predictions.

    Args:
        model: What predicts.
        parts: Orders of some customers after others, as made by ``customers.parts``.
        as_of: The last day that may be seen.
        model_version: Stated beside each prediction.
        observe_days: Score each customer as it stood so many days after its first order instead.
        progress: Told the customers scored so far.
        also: Given the features of each part.

    Returns:
        :data:`PREDICTIONS_SCHEMA`, sorted by customer, the quintiles being those of the whole base; fewer
        than five customers have no fifths, and get theirs from the cut points stored with the model.
    """
    scored, customers = [PREDICTIONS_SCHEMA.to_frame()], 0
    for features in ahead(_features(orders, as_of, observe_days) for orders in parts):
        part = score(
            model, features, prediction_date=as_of, model_version=model_version, quintile_by="cut_points"
        )
        scored.append(part.with_columns(features["as_of"].alias("prediction_date")))
        customers += part.height
        if also is not None:
            also(features)
        if progress is not None:
            progress(customers)
    table = pl.concat(scored).sort("customer_id")
    if table.height < quintiles.QUINTILES:
        return table
    return table.with_columns(quintiles.ranked(table).alias("ltv_quintile"))


def _features(orders: pl.DataFrame, as_of: date, observe_days: int | None) -> pl.DataFrame:
    seen: date | pl.LazyFrame = as_of
    if observe_days is not None:
        bought = orders.lazy().filter(pl.col("kind") == "order").group_by("customer_id")
        first = pl.col("order_date").min()
        seen = bought.agg((first + pl.duration(days=observe_days)).alias("as_of"))
    return customer_features(orders.lazy(), seen).collect().sort("customer_id")


def actuals(predictions: pl.DataFrame | pl.LazyFrame, orders: pl.LazyFrame, as_of: date) -> pl.DataFrame:
    """Earlier predictions beside what was spent, for customers whose first year has since ended.

    Args:
        predictions: Of one or several earlier dates, as made by :func:`score`.
        orders: The orders table.
        as_of: The last day whose data may be used.

    Returns:
        :data:`ACTUALS_SCHEMA`, sorted. Customers whose value was a fact already when it was
        "predicted", and those without a prediction, are left out.
    """
    first_order = pl.col("prediction_date") - pl.duration(days=pl.col("age_days"))
    over = (
        predictions.lazy()
        .filter(
            pl.col("predicted_ltv").is_not_null(),
            pl.col("age_days") < LAST_AGE,
            first_order <= as_of - timedelta(days=LAST_AGE),
        )
        .with_columns(first_order.alias("first_order"))
    )
    keys = ["customer_id", "prediction_date"]
    spent = (
        orders.join(over.select(*keys, "first_order"), on="customer_id")
        .filter(
            pl.col("order_date") >= pl.col("first_order"),
            pl.col("order_date") < pl.col("first_order") + pl.duration(days=HORIZON_DAYS),
        )
        .group_by(keys)
        .agg((pl.col("amount_minor").sum() * 0.01).alias("actual_ltv"))
    )
    error = (pl.col("likely_ltv") - pl.col("actual_ltv")).abs()
    return (
        over.join(spent, on=keys, how="left")
        .with_columns(pl.col("actual_ltv").fill_null(0.0))
        .with_columns((error <= 0.3 * pl.col("actual_ltv").abs()).alias("within_30"))
        .select(ACTUALS_SCHEMA.names())
        .collect(engine="streaming")
        .sort(keys)
    )
