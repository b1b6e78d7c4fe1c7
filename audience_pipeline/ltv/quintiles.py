"""Quintiles of predicted 12-month LTV: 1 is the top fifth, 5 the bottom fifth."""

from __future__ import annotations

import polars as pl

QUINTILES = 5


def ranked(predictions: pl.DataFrame) -> pl.Series:
    """The quintile of each row by its rank in the whole table.

    Args:
        predictions: ``customer_id, predicted_ltv``; equal values are ranked by ``customer_id``. Quintiles
            that it may hold already are not looked at.

    Returns:
        ``ltv_quintile`` in the order of the rows; null where ``predicted_ltv`` is null.
    """
    order = pl.struct(-pl.col("predicted_ltv"), "customer_id").rank("ordinal").cast(pl.Int64)
    known = pl.col("predicted_ltv").is_not_null()
    quintile = (order.filter(known).sub(1) * QUINTILES).floordiv(known.sum()) + 1
    rows = predictions.select("customer_id", "predicted_ltv").with_row_index("position")
    numbered = rows.filter(known).select("position", quintile.alias("ltv_quintile"))
    return (
        rows.select("position")
        .join(numbered, on="position", how="left", maintain_order="left")["ltv_quintile"]
        .cast(pl.Int64)
    )


def cut_points(predicted: pl.Series) -> tuple[float, ...]:
    """The least predicted LTV of quintiles 1 to 4, for a customer who is scored alone."""
    values = predicted.drop_nulls().sort(descending=True)
    if values.is_empty():
        return ()
    return tuple(
        values[(number * values.len() + QUINTILES - 1) // QUINTILES - 1] for number in range(1, QUINTILES)
    )


def by_cut_points(predicted: pl.Series, cuts: tuple[float, ...]) -> pl.Series:
    """The quintile of each value alone, by the cut points stored with a model."""
    below = sum(((predicted < cut).cast(pl.Int64) for cut in cuts), pl.repeat(1, predicted.len(), eager=True))
    return below.cast(pl.Int64).alias("ltv_quintile")


def of_one(predicted: float, cuts: tuple[float, ...]) -> int:
    """:func:`by_cut_points` of one customer."""
    return 1 + sum(predicted < cut for cut in cuts)
