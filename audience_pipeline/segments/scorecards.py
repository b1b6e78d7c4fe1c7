"""What the customers of each segment are worth and do."""

from __future__ import annotations

import polars as pl

_MAJOR = 0.01
_STEPS = 2**20
"""Sums are taken over whole steps of 1 / 2^20, so that no order of the rows can change a digit."""


def scorecards(assigned: pl.DataFrame, features: pl.DataFrame, predictions: pl.DataFrame) -> pl.DataFrame:
    """Sizes and means per segment.

    Args:
        assigned: ``customer_id, segment_id, segment``.
        features: ``customer_features`` of the date; money in minor units.
        predictions: ``ltv_predictions`` of the date, possibly empty; money in major units.

    Returns:
        One row per segment, the largest first: ``segment_id, segment, customers, share`` and means:
        ``orders``, ``days_since_first_order``, ``days_since_last_order``, ``average_order_value``,
        ``observed_value``, ``predicted_ltv``, ``next_12m_value``, ``repeat_probability``. Money in major
        units; null where there are no predictions.
    """
    values = features.select(
        "customer_id",
        "orders",
        pl.col("age_days").alias("days_since_first_order"),
        pl.col("recency_days").alias("days_since_last_order"),
        (pl.col("order_value_mean_minor") * _MAJOR).alias("average_order_value"),
        (pl.col("observed_minor") * _MAJOR).alias("observed_value"),
    )
    predicted = predictions.select("customer_id", "predicted_ltv", "next_12m_value", "repeat_probability")
    return (
        assigned.select("customer_id", "segment_id", "segment")
        .join(values, on="customer_id", how="left")
        .join(predicted, on="customer_id", how="left")
        .group_by("segment_id", "segment")
        .agg(
            pl.len().cast(pl.Int64).alias("customers"),
            *(_mean(name) for name in (*values.columns[1:], *predicted.columns[1:])),
        )
        .with_columns((pl.col("customers") / pl.col("customers").sum()).alias("share"))
        .select(
            "segment_id",
            "segment",
            "customers",
            "share",
            pl.exclude("segment_id", "segment", "customers", "share"),
        )
        .sort(["customers", "segment_id"], descending=[True, False])
    )


def _mean(name: str) -> pl.Expr:
    value = pl.col(name).cast(pl.Float64).fill_nan(None)
    steps = (value * _STEPS).round().cast(pl.Int128).sum().cast(pl.Float64)
    count = value.count()
    return pl.when(count > 0).then(steps * (1 / _STEPS) / count).alias(name)
