"""Giant orders: listed, and set to an ordinary size where a model learns, so that they bend nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from audience_pipeline.ltv.purchases import robust_ceiling

OUTLIERS_SCHEMA = pl.Schema(
    {"customer_id": pl.String, "order_date": pl.Date, "order_id": pl.String, "amount": pl.Float64}
)
_MOST_ORDERS = 2_000_000
"""More orders than these are sampled by their day's hash for the ceiling; a quantile needs no more."""


@dataclass(frozen=True, slots=True)
class Ordinary:
    """What an order is worth when it is none of the giant ones."""

    ceiling_minor: float
    """Orders and returns above this in size are outliers; see ``purchases.robust_ceiling``."""
    typical_minor: int
    """Median order, minor units."""

    @classmethod
    def of(cls, orders: pl.LazyFrame) -> Ordinary:
        """From the order rows of a table; returns do not count."""
        amounts = orders.filter(pl.col("kind") == "order").select("amount_minor")
        values = amounts.collect(engine="streaming")["amount_minor"].sort().to_numpy().astype(np.float64)
        if len(values) > _MOST_ORDERS:
            values = values[:: -(-len(values) // _MOST_ORDERS)]
        if not len(values):
            return cls(0.0, 0)
        return cls(robust_ceiling(values), int(np.median(values)))

    def tamed(self, orders: pl.LazyFrame) -> pl.LazyFrame:
        """The same rows; an outlier's ``amount_minor`` becomes that of a typical order, with its sign."""
        amount = pl.col("amount_minor")
        return orders.with_columns(
            pl.when(amount.abs() > self.ceiling_minor)
            .then(amount.sign() * self.typical_minor)
            .otherwise(amount)
            .alias("amount_minor")
        )

    def outliers(self, orders: pl.LazyFrame) -> pl.DataFrame:
        """:data:`OUTLIERS_SCHEMA` of the giant orders and returns, the greatest first; major units."""
        amount = pl.col("amount_minor")
        return (
            orders.filter(amount.abs() > self.ceiling_minor)
            .select("customer_id", "order_date", "order_id", (amount * 0.01).round(2).alias("amount"))
            .collect(engine="streaming")
            .sort(pl.col("amount").abs(), "customer_id", "order_date", descending=[True, False, False])
        )
