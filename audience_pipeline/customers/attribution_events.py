"""The web events that can tell what brought an order: those of the buyer, and those that carry its id."""

from __future__ import annotations

from datetime import date

import polars as pl

from audience_pipeline.customers.attribution_touches import CLUES, TOUCH, click, touch
from audience_pipeline.customers.mapped import mapped
from audience_pipeline.identifiers.source_ids import ANONYMOUS, prefixed

_BEST_FIRST = ("click_id", "utm", "channel")
_MEANT = {name: f"meant_{name}" for name in TOUCH}


def telling_events(
    web_events: pl.LazyFrame,
    identities: pl.LazyFrame,
    sold: pl.DataFrame,
    codes: list[str],
    as_of: date,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Events that can decide, and what they say.

    Args:
        web_events: landed events, by source id.
        identities: ``source_id, customer_id``.
        sold: orders with ``customer_id`` and a number of it, ``who``.
        codes: the coupons that stand for something.
        as_of: nothing dated later is read.

    Returns:
        ``who`` (null: nobody who bought), ``nobody`` (a browser of nobody known), ``at``, ``order_id``,
        ``web_coupon`` and ``what`` (null: came directly); and ``what`` with :data:`TOUCH`, of which a lesser
        number is the better one.
    """
    few = pl.Categorical(pl.Categories.random())
    clues = pl.any_horizontal(pl.col(name).is_not_null() for name in CLUES if name != "utm_medium")
    told = web_events.filter(pl.col("event_date") <= as_of).select(
        pl.coalesce("customer_id", prefixed(ANONYMOUS, "anonymous_id")).alias("customer_id"),
        pl.col("event_at").alias("at"),
        "order_id",
        pl.when(pl.col("coupon").is_in(codes)).then("coupon").alias("web_coupon"),
        click().cast(few),
        *(pl.col(name).cast(few) for name in CLUES[1:]),
    )
    who = sold.lazy().select("customer_id", "who").unique()
    events = (
        mapped(told.filter(clues | pl.col("web_coupon").is_not_null()), identities)
        .with_columns(nobody=pl.col("customer_id").str.starts_with(ANONYMOUS).fill_null(value=True))
        .join(who, on="customer_id", how="left")
        .filter(pl.col("who").is_not_null() | pl.col("order_id").is_not_null())
        .select("who", "nobody", "at", "order_id", "web_coupon", *CLUES)
        .collect(engine="streaming")
    )
    # Few combinations are worth looking at closely, millions of events are not.
    different = events.select(CLUES).unique()
    meant = different.hstack(different.cast(dict.fromkeys(CLUES, pl.String)).select(touch()).rename(_MEANT))
    said = (
        meant.select(pl.col(name).alias(plain) for plain, name in _MEANT.items())
        .filter(pl.col("how").is_not_null())
        .unique()
        .sort(pl.col("how").cast(pl.Enum(_BEST_FIRST)), *TOUCH[1:], nulls_last=True)
        .with_row_index("what")
    )
    numbers = meant.join(said.rename(_MEANT), on=list(_MEANT.values()), nulls_equal=True)
    numbered = events.join(numbers.select("what", *CLUES), on=list(CLUES), how="left", nulls_equal=True)
    return numbered.drop(CLUES), said


def carrying(events: pl.DataFrame, sold: pl.DataFrame) -> pl.LazyFrame:
    """The events that carry an order's id, up to the order's day: ``row, at, web_coupon, what``.

    The browser of nobody known tells of an order only where one customer alone has an order of that id.
    """
    with_id = events.lazy().filter(pl.col("order_id").is_not_null())
    one_of_the_kind = pl.len().over("order_id") == 1
    mine = pl.col("who") == pl.col("buyer")
    return (
        with_id.join(
            sold.lazy().select(
                "row", "order_id", "order_date", one_of_the_kind.alias("only"), buyer=pl.col("who")
            ),
            on="order_id",
        )
        .filter(
            mine.fill_null(value=False) | (pl.col("nobody") & pl.col("only")),
            pl.col("at").dt.date() <= pl.col("order_date"),
        )
        .select("row", "at", "web_coupon", "what")
    )


def coupons_of(carried: pl.LazyFrame) -> pl.LazyFrame:
    """The coupon of each order that such an event names, of several the first by name."""
    found = carried.filter(pl.col("web_coupon").is_not_null())
    return found.group_by("row").agg(pl.col("web_coupon").min())


def last_of(carried: pl.LazyFrame) -> pl.LazyFrame:
    """The last of those events that did not come directly; the best of those at one moment."""
    found = carried.filter(pl.col("what").is_not_null())
    last = pl.col("what").filter(pl.col("at") == pl.col("at").max()).min()
    return found.group_by("row").agg(last.alias("carried_what"), pl.col("at").max().alias("carried_at"))


def last_before(events: pl.DataFrame, sold: pl.DataFrame, lookback_days: int) -> pl.LazyFrame:
    """The last event before each order, within the lookback; the best of those at one moment."""
    mine = (
        events.lazy()
        .filter(pl.col("who").is_not_null(), pl.col("what").is_not_null())
        .group_by("who", "at")
        .agg(pl.col("what").min().alias("last_what"))
        .sort("at")
        .with_columns(last_at="at")
    )
    earliest = pl.col("order_date") - pl.duration(days=lookback_days)
    return (
        sold.lazy()
        .select("row", "who", "order_date", "until")
        .sort("until")
        .join_asof(
            mine, left_on="until", right_on="at", by="who", strategy="backward", check_sortedness=False
        )
        .filter(pl.col("last_at").dt.date() >= earliest)
        .select("row", "last_what", "last_at")
    )
