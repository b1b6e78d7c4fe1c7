"""Training rows: customers as they stood on past days, beside what they spent afterwards."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

HORIZON_DAYS = 365
"""Days of the first-year window and of the next-12-months window."""
AGES = (0, 30, 60, 90, 180, 270, 330)
"""Days after the first order at which every customer with a complete window is looked at."""
CALENDAR_STEP_DAYS = 91
CALENDAR_SNAPSHOTS = 4
"""Days on which the whole base is looked at: a horizon before the end, and each a quarter earlier."""
LAST_AGE = HORIZON_DAYS - 1
"""The last day of the first-year window: from its evening on, 12-month LTV is a fact."""
MIN_COMPLETE = 200
"""Customers with a complete window that a horizon needs."""
HORIZONS = (HORIZON_DAYS, 330, 300, 270, 240, 210, 183, 150, 120, 90)
"""Days of the windows to learn from; the shorter ones where no year is complete."""
UNSEEN_DAYS = 90
"""Customers first seen so soon after the data begin have probably bought before."""
_LONG_ENOUGH = 120


def first_orders(orders: pl.LazyFrame, as_of: date) -> pl.DataFrame:
    """``customer_id, first_order`` of everybody who had bought by ``as_of``, sorted."""
    bought = orders.filter((pl.col("kind") == "order") & (pl.col("order_date") <= as_of))
    first = bought.group_by("customer_id").agg(pl.col("order_date").min().alias("first_order"))
    return first.sort("customer_id").collect(engine="streaming")


@dataclass(frozen=True, slots=True)
class Horizon:
    """What can be learnt from: how long windows are, and whose first order is known."""

    days: int
    """365, or fewer where too few years are complete."""
    fresh_from: date | None
    """Customers first seen earlier may have bought before the data begin; None if all are new."""


def longest_horizon(first: pl.DataFrame, as_of: date) -> Horizon | None:
    """The longest windows that are complete for enough customers.

    A file that begins in the middle of a shop's life shows old customers as new in its first
    :data:`UNSEEN_DAYS`, and their value misleads; windows of :data:`_LONG_ENOUGH` days of customers
    who are surely new are better than whole years of those. In a file of one cohort everybody is new.

    Args:
        first: ``customer_id, first_order`` of everybody who had bought by ``as_of``.
        as_of: The last day whose data may be used.

    Returns:
        None where no window of at least 90 days is complete for :data:`MIN_COMPLETE` customers.
    """
    begin: date | None = first["first_order"].min()  # type: ignore[assignment]
    if begin is None:
        return None
    fresh_from = begin + timedelta(days=UNSEEN_DAYS)
    fresh = first.filter(pl.col("first_order") >= fresh_from)
    options: list[Horizon] = []
    if fresh.height >= max(MIN_COMPLETE, first.height // 4):
        complete = (days for days in HORIZONS if _complete(fresh, as_of, days) >= MIN_COMPLETE)
        options += [Horizon(days, fresh_from) for days in complete]
    least = {days: MIN_COMPLETE if days == HORIZON_DAYS else first.height // 4 for days in HORIZONS}
    options += [
        Horizon(days, None)
        for days in HORIZONS
        if _complete(first, as_of, days) >= max(MIN_COMPLETE, least[days])
    ]
    return max(
        options,
        key=lambda one: (one.fresh_from is not None and one.days >= _LONG_ENOUGH, one.days),
        default=None,
    )


def snapshot_days(first: pl.DataFrame, as_of: date, horizon: int = HORIZON_DAYS) -> pl.DataFrame:
    """The days on which each customer is looked at, all of them with a label that is over by ``as_of``.

    Args:
        first: ``customer_id, first_order``.
        as_of: The last day whose data may be used.
        horizon: Days of the windows.

    Returns:
        ``customer_id, as_of``, sorted and unique: every customer with a complete window at
        :data:`AGES`, and everybody known on each of the calendar days.
    """
    complete = first.filter(pl.col("first_order") <= as_of - timedelta(days=horizon - 1))
    days = [
        complete.select("customer_id", (pl.col("first_order") + pl.duration(days=age)).alias("as_of"))
        for age in AGES
        if age < horizon - 1
    ]
    for day in calendar_days(first, as_of, horizon):
        known = first.filter(pl.col("first_order") <= day)
        days.append(known.select("customer_id", pl.lit(day).alias("as_of")))
    return pl.concat(days).unique().sort("customer_id", "as_of")


def calendar_days(first: pl.DataFrame, as_of: date, horizon: int = HORIZON_DAYS) -> list[date]:
    """Days with a complete following window by ``as_of`` and some base before them, newest first."""
    newest = as_of - timedelta(days=horizon)
    days = [newest - timedelta(days=CALENDAR_STEP_DAYS * step) for step in range(CALENDAR_SNAPSHOTS)]
    counts = {day: first.filter(pl.col("first_order") <= day).height for day in days}
    least = max(1, counts[newest] // 5)
    return [day for day in days if counts[day] >= least]


def labels(
    orders: pl.LazyFrame, days: pl.DataFrame, as_of: date, horizon: int = HORIZON_DAYS
) -> pl.DataFrame:
    """What happened after each snapshot.

    Args:
        orders: The orders table.
        days: ``customer_id, as_of, first_order, age_days`` of the snapshots.
        as_of: The last day whose data may be used; a label that reaches beyond it is null.
        horizon: Days of the windows.

    Returns:
        ``customer_id, as_of``; ``remaining_minor`` and ``orders_remaining`` (net revenue, and whether
        there is any order, from the day after the snapshot to the end of the customer's first
        ``horizon`` days); ``next_12m_minor`` and ``orders_again`` (the same in the ``horizon`` days
        after the snapshot).
    """
    keys = ["customer_id", "as_of"]
    snapshots = days.select(*keys, "first_order", "age_days")
    after = (
        orders.filter(pl.col("order_date") <= as_of)
        .select("customer_id", "order_date", "kind", "amount_minor")
        .join(snapshots.lazy(), on="customer_id")
        .filter(pl.col("order_date") > pl.col("as_of"))
    )
    amount, ordered, is_order = pl.col("amount_minor"), pl.col("order_date"), pl.col("kind") == "order"
    first_window = ordered <= pl.col("first_order") + pl.duration(days=horizon - 1)
    next_window = ordered <= pl.col("as_of") + pl.duration(days=horizon)
    found = after.group_by(keys).agg(
        pl.when(first_window).then(amount).otherwise(0).sum().alias("remaining_minor"),
        (first_window & is_order).any().alias("orders_remaining"),
        pl.when(next_window).then(amount).otherwise(0).sum().alias("next_12m_minor"),
        (next_window & is_order).any().alias("orders_again"),
    )
    over = pl.col("first_order") + pl.duration(days=horizon - 1) <= as_of
    predictable = over & (pl.col("age_days") < horizon - 1)
    next_over = pl.col("as_of") + pl.duration(days=horizon) <= as_of
    return (
        snapshots.join(found.collect(engine="streaming"), on=keys, how="left", maintain_order="left")
        .select(
            *keys,
            pl.when(predictable).then(pl.col("remaining_minor").fill_null(0)),
            pl.when(predictable).then(pl.col("orders_remaining").fill_null(value=False)),
            pl.when(next_over).then(pl.col("next_12m_minor").fill_null(0)),
            pl.when(next_over).then(pl.col("orders_again").fill_null(value=False)),
        )
    )  # fmt: skip


def folds(customer_ids: pl.Series, count: int, seed: int) -> pl.Series:
    """A number below ``count`` for each customer that never depends on who else is in the table."""
    distinct = customer_ids.unique()
    numbers = [
        int.from_bytes(hashlib.blake2b(f"{seed}:{customer}".encode(), digest_size=8).digest(), "big") % count
        for customer in distinct.to_list()
    ]
    return customer_ids.replace_strict(distinct, pl.Series(numbers, dtype=pl.Int64), return_dtype=pl.Int64)


def _complete(first: pl.DataFrame, as_of: date, horizon: int) -> int:
    return first.filter(pl.col("first_order") <= as_of - timedelta(days=horizon - 1)).height
