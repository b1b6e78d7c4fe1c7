"""What customers did on the website and with e-mails, as of a date."""

from __future__ import annotations

from datetime import date

import polars as pl

from audience_pipeline.features.catalogue import WEB_WINDOWS

_COUNTED = {
    "product_views_90d": "web:product_view",
    "carts_90d": "web:add_to_cart",
    "email_opens_90d": "engagement:email_open",
    "email_clicks_90d": "engagement:email_click",
}


def activity_features(activity: pl.LazyFrame, as_of: date | pl.LazyFrame) -> pl.LazyFrame:
    """Counts of web and e-mail events up to a day, for customers who have any.

    Args:
        activity: ``customer_id, activity_date, activity`` (``web:product_view``,
            ``engagement:email_open``, ...) ``, events``.
        as_of: One day, or a frame ``customer_id, as_of``.

    Returns:
        ``customer_id`` (and ``as_of`` where a frame was given) and the activity features.
    """
    if isinstance(as_of, date):
        keys = ["customer_id"]
        rows = activity.filter(pl.col("activity_date") <= as_of).with_columns(pl.lit(as_of).alias("as_of"))
    else:
        keys = ["customer_id", "as_of"]
        rows = activity.join(as_of.select(keys), on="customer_id").filter(
            pl.col("activity_date") <= pl.col("as_of")
        )
    ago = pl.col("as_of").cast(pl.Int32) - pl.col("activity_date").cast(pl.Int32)
    web = pl.col("activity").str.starts_with("web:")
    return rows.group_by(keys).agg(
        *(_count(web & (ago < days)).alias(f"web_events_{days}d") for days in WEB_WINDOWS),
        *(_count((pl.col("activity") == kind) & (ago < 90)).alias(name) for name, kind in _COUNTED.items()),
        pl.when(web).then(ago).min().cast(pl.Int64).alias("days_since_visit"),
    )


def _count(condition: pl.Expr) -> pl.Expr:
    return pl.when(condition).then(pl.col("events")).otherwise(0).sum()
