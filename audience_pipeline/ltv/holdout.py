"""Which customers are held out of training, so that a model can be checked on them."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl

from audience_pipeline.ltv.minimum import MIN_CUSTOMERS, TooLittleHistory, check_history
from audience_pipeline.ltv.snapshots import first_orders


def checkable(orders: pl.LazyFrame, as_of: date) -> pl.Series:
    """Ids of the customers who can be checked: their window is over, and their first order is in the data.

    Customers who may have been there before the data began are left out where enough others remain.

    Args:
        orders: The orders table.
        as_of: The last day whose data may be used.

    Raises:
        TooLittleHistory: As in training.
    """
    first = first_orders(orders, as_of)
    horizon = check_history(first, as_of)
    complete = first.filter(pl.col("first_order") <= as_of - timedelta(days=horizon.days - 1))
    if horizon.fresh_from is not None:
        complete = complete.filter(pl.col("first_order") >= horizon.fresh_from)
    return complete["customer_id"]


def spared(orders: pl.LazyFrame, as_of: date, candidates: int) -> int:
    """How many of the customers who can be checked may be held out, so that the others can be learnt from.

    Args:
        orders: The orders table.
        as_of: The last day whose data may be used.
        candidates: How many can be checked.

    Raises:
        TooLittleHistory: None: all customers are needed.
    """
    customers = first_orders(orders, as_of).height
    most = min(candidates // 2, customers - MIN_CUSTOMERS)
    if most > 0:
        return most
    raise TooLittleHistory(
        f"Too few customers to check a model on: of {customers:,} who have bought, {candidates:,} have been "
        f"seen for long enough, and {MIN_CUSTOMERS} others are needed to learn from.",
        customers=customers,
        days=0,
        complete=candidates,
        suffices_on=None,
    )


def drawn(customers: pl.Series, count: int, seed: int) -> pl.Series:
    """Some customers at random, sorted; the same of the same ones whatever their order."""
    known = customers.unique().sort()
    chosen = np.random.default_rng(seed).permutation(known.len())[:count]
    return known.gather(np.sort(chosen))
