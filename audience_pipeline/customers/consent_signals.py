"""The Global Privacy Control of browsers: a denial at the moment at which it is sent."""

from __future__ import annotations

from datetime import date

import polars as pl

from audience_pipeline.customers.consent_statements import DENIED, GRANTED, STATEMENTS
from audience_pipeline.identifiers.source_ids import ANONYMOUS, prefixed

SOURCE, BASIS, SIGNAL = "global privacy control", "opt-out", "gpc"


def signals(web: pl.LazyFrame, as_of: date) -> pl.LazyFrame:
    """The newest Global Privacy Control signal of each visitor, as denials: columns ``STATEMENTS``.

    Args:
        web: the landed ``web_events``: ``customer_id, anonymous_id, event_at, gpc``.
        as_of: the day up to which signals are seen.
    """
    return (
        _sent(web)
        .filter(pl.col("event_at").dt.date() <= as_of)
        .group_by("source_id")
        .agg(pl.col("event_at").max())
        .select(
            "source_id",
            pl.col("event_at").alias("at"),
            "event_at",
            pl.lit(DENIED).alias("status"),
            pl.lit(None, pl.String).alias("platform"),
            pl.lit(value=True).alias("about_advertising"),
            pl.lit(value=True).alias("about_personalisation"),
            pl.lit("signal").alias("kind"),
            pl.lit(SOURCE).alias("source"),
            pl.lit(BASIS).alias("legal_basis"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in STATEMENTS.items())
    )


def new_signals(web: pl.LazyFrame, earlier: pl.LazyFrame, events: pl.LazyFrame) -> pl.LazyFrame:
    """The signals that changed something: the first of a visitor, and the first after a grant of theirs.

    A browser sends its signal with every page; what is worth remembering is when it began to count.

    Args:
        web: landed ``web_events``.
        earlier: signals that are remembered already: ``customer_id, event_at``.
        events: the landed ``consent_events``.

    Returns:
        A row per visitor, in the columns of ``consent_events`` that say something.
    """
    known = earlier.group_by(pl.col("customer_id").alias("source_id")).agg(
        pl.col("event_at").max().alias("_known")
    )
    granted = (
        events.filter((pl.col("status") == GRANTED) & pl.col("customer_id").is_not_null())
        .group_by(pl.col("customer_id").alias("source_id"))
        .agg(pl.col("event_at").max().alias("_granted"))
    )
    is_new = pl.col("_known").is_null() | (
        (pl.col("_granted") > pl.col("_known")) & (pl.col("event_at") > pl.col("_granted"))
    )
    return (
        _sent(web)
        .join(known, on="source_id", how="left")
        .join(granted, on="source_id", how="left")
        .filter(is_new)
        .group_by("source_id")
        .agg(pl.col("event_at").min())
        .select(
            "event_at",
            pl.col("source_id").alias("customer_id"),
            pl.lit(DENIED).alias("status"),
            pl.lit(SOURCE).alias("source"),
            pl.lit(BASIS).alias("legal_basis"),
            pl.lit(SIGNAL).alias("signal"),
        )
    )


def _sent(web: pl.LazyFrame) -> pl.LazyFrame:
    """``source_id, event_at`` of the events whose browser sent the signal."""
    visitor = pl.coalesce("customer_id", prefixed(ANONYMOUS, "anonymous_id"))
    return web.filter(pl.col("gpc")).select(visitor.alias("source_id"), "event_at").drop_nulls()
