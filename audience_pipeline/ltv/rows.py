"""Training rows as arrays: a customer as of a day, a window after it, and what happened in the window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from audience_pipeline.ltv.matrix import Bools, Customers, Encoder, Floats, Ints
from audience_pipeline.ltv.snapshots import Horizon, folds

FOLDS = 3
PARTS = 100
_KEPT = ("customer_id", "as_of", "first_order", "age_days", "orders", "observed_minor", "net_365d_minor",
         "first_year_minor")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rows:
    """One row for each snapshot and window; money in minor units."""

    frame: pl.DataFrame
    """Who and when, with what was spent by then; one row for each snapshot."""
    customers: Customers
    """The features of each snapshot."""
    snapshot: Ints
    """Position of each row's snapshot."""
    first_window: Bools
    """Whether the row's window ends with the customer's first year, or else is a year from the snapshot."""
    days: Floats
    """Length of the window."""
    spent: Floats
    """Net revenue in the window with giant orders set to a typical one: what models learn."""
    actual: Floats
    """Net revenue in the window as it was: what they are measured by."""
    ordered: Bools
    """Whether there was an order in the window."""
    fold: Ints
    part: Ints
    """0 to 99 by customer: bags, and the inner parts of category effects."""

    def __len__(self) -> int:
        return len(self.snapshot)

    def take(self, rows: Any) -> Rows:
        """Some of the rows; the snapshots stay."""
        return Rows(
            self.frame, self.customers, self.snapshot[rows], self.first_window[rows], self.days[rows],
            self.spent[rows], self.actual[rows], self.ordered[rows], self.fold[rows], self.part[rows],
        )  # fmt: skip

    def column(self, name: str) -> Floats:
        """A number of the frame for each row."""
        return self.frame[name].cast(pl.Float64).to_numpy()[self.snapshot]

    @property
    def age(self) -> Floats:
        """Days since the first order, at the snapshot."""
        return self.customers.age[self.snapshot]

    def on(self, day: date) -> Bools:
        """Rows whose snapshot is of that day."""
        return (self.frame["as_of"] == day).to_numpy()[self.snapshot]


def build_rows(
    features: pl.DataFrame,
    frame: pl.DataFrame,
    tamed: pl.DataFrame,
    actual: pl.DataFrame,
    encoder: Encoder,
    horizon: Horizon,
    seed: int,
) -> Rows:
    """Both windows of each snapshot, where they are over.

    Args:
        features: Of the snapshots without giant orders, sorted by ``customer_id, as_of``.
        frame: Of :func:`as_they_were`, in the same order.
        tamed: ``snapshots.labels`` of orders without giant ones, in the same order.
        actual: ``snapshots.labels`` of the orders as they were, in the same order.
        encoder: Knows the levels of the categories.
        horizon: How long windows are, and whose first order is known.
        seed: Of the folds.
    """
    fold = folds(frame["customer_id"], FOLDS, seed).to_numpy()
    part = folds(frame["customer_id"], PARTS, seed + 1).to_numpy()
    new = np.ones(frame.height, dtype=bool)
    if horizon.fresh_from is not None:
        new = (frame["first_order"] >= horizon.fresh_from).to_numpy()
    spent_so_far = frame["first_year_minor"].cast(pl.Float64).to_numpy()
    customers = replace(encoder.customers(features), first_year=spent_so_far)
    pieces = []
    for first_window, label, ordered in (
        (True, "remaining_minor", "orders_remaining"),
        (False, "next_12m_minor", "orders_again"),
    ):
        known = tamed[label].is_not_null().to_numpy() & (new if first_window else True)
        at = np.flatnonzero(known)
        days = (
            horizon.days - 1.0 - customers.age[at] if first_window else np.full(len(at), float(horizon.days))
        )
        pieces.append(
            (
                at,
                np.full(len(at), first_window),
                days,
                tamed[label].cast(pl.Float64).to_numpy()[at],
                actual[label].cast(pl.Float64).to_numpy()[at],
                tamed[ordered].fill_null(value=False).to_numpy()[at],
            )
        )
    snapshot, first, days, spent, real, again = (
        np.concatenate([piece[number] for piece in pieces]) for number in range(6)
    )
    return Rows(frame, customers, snapshot, first, days, spent, real, again, fold[snapshot], part[snapshot])


def as_they_were(features: pl.DataFrame, raw: pl.DataFrame) -> pl.DataFrame:
    """Who and when, and what was really spent by then.

    Args:
        features: Of snapshots, without giant orders.
        raw: Features of those of the snapshots whose customers have giant orders, with them.
    """
    keys = ["customer_id", "as_of"]
    spent = [name for name in _KEPT if name.endswith("_minor")]
    found = features.select(_KEPT).join(
        raw.select(*keys, *spent), on=keys, how="left", suffix="_raw", maintain_order="left"
    )
    return found.select(
        pl.coalesce(f"{name}_raw", name).alias(name) if name in spent else pl.col(name) for name in _KEPT
    )
