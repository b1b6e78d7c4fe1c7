"""The profile: one row per customer with every field that an audience may use, in a marketer's words."""

from __future__ import annotations

import polars as pl
import polars.selectors as cs

from audience_pipeline.audiences.fields import DTYPES, FIELDS, Field

__all__ = ["FIELDS", "PROFILE_SCHEMA", "Field", "churn_risk", "customer_profile"]

PROFILE_SCHEMA = pl.Schema(
    {"customer_id": pl.String} | {field.name: DTYPES[field.type] for field in FIELDS.values()}
)

SHORTEST_RHYTHM, LONGEST_RHYTHM = 14, 180
"""Days. Somebody who bought twice in a week is not lost after a month."""
USUAL_RHYTHM = 60
"""Days between orders that are assumed while no customer of the shop has ordered twice."""

_MAJOR = 0.01
_RENAMED = {
    "days_since_first_order": pl.col("age_days"),
    "days_since_last_order": pl.col("recency_days"),
    "days_between_orders": pl.col("days_between_orders_mean"),
    "observed_value": pl.col("observed_minor") * _MAJOR,
    "average_order_value": pl.col("order_value_mean_minor") * _MAJOR,
    "revenue_90d": pl.col("net_90d_minor") * _MAJOR,
    "revenue_365d": pl.col("net_365d_minor") * _MAJOR,
}


def customer_profile(
    features: pl.LazyFrame,
    predictions: pl.LazyFrame,
    segments: pl.LazyFrame,
    identifiers: pl.LazyFrame,
    consent: pl.LazyFrame,
) -> pl.LazyFrame:
    """Everything known about each customer as of the date of the tables given.

    Customers of the shop and people who are only in the CRM have a row each; what is not known of somebody
    is null. There is no NaN.

    Args:
        features: ``customer_features`` of the date; money in minor units.
        predictions: ``ltv_predictions`` of the date, possibly empty; money in major units.
        segments: ``customer_segments`` of the date.
        identifiers: ``identifiers`` of the date.
        consent: ``consent`` of the date.

    Returns:
        ``PROFILE_SCHEMA``, sorted by ``customer_id``; money in major units.
    """
    shop = features.select(
        "customer_id",
        churn_risk().alias("churn_risk"),
        *(_RENAMED.get(name, pl.col(name)).alias(name) for name in _named("customer_features")),
    )
    people = identifiers.select(
        "customer_id",
        pl.any_horizontal(cs.ends_with("_email").is_not_null()).alias("has_email"),
        pl.any_horizontal(cs.ends_with("_phone").is_not_null()).alias("has_phone"),
        *(name for name in _named("identifiers") if not name.startswith("has_")),
    )
    everybody = pl.concat([shop.select("customer_id"), people.select("customer_id")]).unique()
    return (
        everybody.join(shop, on="customer_id", how="left")
        .join(predictions.select("customer_id", *_named("ltv_predictions")), on="customer_id", how="left")
        .join(segments.select("customer_id", "segment"), on="customer_id", how="left")
        .join(people, on="customer_id", how="left")
        .join(
            consent.select("customer_id", pl.col("advertising").alias("advertising_consent")),
            on="customer_id",
            how="left",
        )
        .with_columns(
            pl.col("has_email", "has_phone", "is_competitor", "advertising_consent").fill_null(value=False)
        )
        .select(pl.col(name).cast(dtype) for name, dtype in PROFILE_SCHEMA.items())
        .with_columns(cs.float().fill_nan(None))
        .sort("customer_id")
    )


def churn_risk() -> pl.Expr:
    """``new``, ``active``, ``at_risk`` or ``lost``, over ``customer_features``.

    The time without an order is measured in rhythms. A rhythm is the customer's own mean number of days
    between orders, or the median one of the shop for somebody with a single purchase day; never less than 14
    or more than 180 days. Up to 1 rhythm after their only purchase day a customer is new; up to 2 rhythms
    active; up to 4 at risk; then lost.
    """
    own = pl.col("days_between_orders_mean")
    rhythm = own.fill_null(own.median()).fill_null(USUAL_RHYTHM).clip(SHORTEST_RHYTHM, LONGEST_RHYTHM)
    waited = pl.col("recency_days")
    return (
        pl.when(own.is_null() & (waited <= rhythm))
        .then(pl.lit("new"))
        .when(waited <= 2 * rhythm)
        .then(pl.lit("active"))
        .when(waited <= 4 * rhythm)
        .then(pl.lit("at_risk"))
        .otherwise(pl.lit("lost"))
    )


def _named(source: str) -> list[str]:
    return [field.name for field in FIELDS.values() if field.source == source]
