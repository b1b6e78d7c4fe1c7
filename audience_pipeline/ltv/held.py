"""Predictions of customers that the model never saw, beside what they spent: what accuracy is measured on."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

HELD_SCHEMA = pl.Schema(
    {
        "customer_id": pl.String,
        "as_of": pl.Date,
        "first_order": pl.Date,
        "age_days": pl.Int64,
        "orders": pl.Int64,
        "observed_value": pl.Float64,
        "last_12m": pl.Float64,
        "purchase_model": pl.Float64,
        "global_mean": pl.Float64,
        "predicted": pl.Float64,
        "likely": pl.Float64,
        "p10": pl.Float64,
        "p90": pl.Float64,
        "within_30_probability": pl.Float64,
        "repeat_probability": pl.Float64,
        "repeated": pl.Boolean,
        "actual": pl.Float64,
        "days": pl.Int64,
    }
)
"""Columns of both tables of :class:`HeldOut`, in order; money in major units, net of returns.

``observed_value`` is the net revenue of the first year so far in ``ltv`` and all net revenue so far in
``next_12m``; ``purchase_model`` and ``global_mean`` are forecasts of the same value by BG/NBD with
Gamma-Gamma and by the mean of customers of that age, fitted without the customer; ``days`` is the length
of the window that ``actual`` covers.
"""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out predictions of both targets."""

    ltv: pl.DataFrame
    """12-month LTV: customers at several ages; ``repeat_probability`` and ``repeated`` are null."""
    next_12m: pl.DataFrame
    """Value of the 12 months after ``as_of``; ``likely``, the bounds and their probability are null."""
