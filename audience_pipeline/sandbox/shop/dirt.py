"""The transactions as a shop's export leaves them: a little broken, and one day in it twice."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl

from audience_pipeline.sandbox.shop.draws import BLOCK, Bools, Ints, Stage, generator, pick
from audience_pipeline.sandbox.shop.frames import TRANSACTIONS, customer_ids, moments, order_ids, times
from audience_pipeline.sandbox.shop.latent import CATEGORIES, CHANNELS, Latent
from audience_pipeline.sandbox.shop.lines import Lines
from audience_pipeline.sandbox.shop.orders import Orders
from audience_pipeline.sandbox.shop.parameters import ShopParameters

_UNREADABLE = ("n/a", "", "12.3.4", "--", "NaN")
CLEAN, WITHOUT_CUSTOMER, BAD_DATE, BAD_AMOUNT, UNSEEN_RETURN = range(5)


def draw_transactions(
    parameters: ShopParameters, block: int, latent: Latent, orders: Orders, lines: Lines
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The transaction lines of one block, by time: as the shop's file has them, and those of the future.

    Returns:
        Columns of ``TRANSACTIONS``, ``number``, ``_fault`` and ``_again`` (the second copy of a repeated
        line); and ``TRANSACTIONS`` with typed values and ``number``.
    """
    draw = generator(parameters.seed, block, Stage.DIRT)
    past = lines.day < parameters.days
    row = np.flatnonzero(past)
    order = np.lexsort((row, lines.second[row], lines.day[row]))
    row = row[order]
    rates = {
        WITHOUT_CUSTOMER: parameters.without_customer,
        BAD_DATE: parameters.bad_dates,
        BAD_AMOUNT: parameters.bad_amounts,
    }
    fault = np.zeros(len(row), dtype=np.int64)
    rows, faults = [row], [fault]
    for kind, rate in rates.items():
        hit = row[draw.random(len(row)) < rate]
        rows.append(hit)
        faults.append(np.full(len(hit), kind))
    row, fault = np.concatenate(rows), np.concatenate(faults)
    history = pl.concat(
        [
            _unseen_returns(parameters, draw, latent),
            _frame(parameters, latent, orders, lines, row).with_columns(
                pl.Series("_fault", fault), pl.Series("_bad", draw.integers(0, len(_UNREADABLE), len(row)))
            ),
        ]
    ).sort("_second", "number", "_fault", maintain_order=True)
    future = _frame(parameters, latent, orders, lines, np.flatnonzero(~past)).sort(
        "_second", "number", maintain_order=True
    )
    return (
        _written(parameters, history),
        future.select(
            "number",
            "customer_id",
            times(parameters, future["_second"].to_numpy()).alias("transaction_date"),
            (pl.col("_cents") * 0.01).round(2).alias("transaction_amount"),
            *TRANSACTIONS[3:-1],
            (pl.col("_discount") * 0.01).round(2).alias("discount"),
        ),
    )


def _frame(
    parameters: ShopParameters, latent: Latent, orders: Orders, lines: Lines, row: Ints
) -> pl.DataFrame:
    """Those lines, with ``number``, ``_second``, ``_cents`` and ``_discount``."""
    order = lines.order[row]
    number = latent.number[orders.customer[order]]
    return pl.DataFrame(
        {
            "number": number,
            "_second": lines.day[row] * 86_400 + lines.second[row],
            "customer_id": customer_ids(number),
            "_cents": lines.amount[row],
            "product_category": pick(CATEGORIES, lines.category[row]),
            "order_id": order_ids(number, orders.sequence[order]),
            "quantity": lines.quantity[row],
            "currency": pl.Series([parameters.currency], dtype=pl.String).new_from_index(0, len(row)),
            "channel": pick(CHANNELS, lines.order_channel[order]),
            "_discount": lines.discount[row],
        }
    )


def _unseen_returns(parameters: ShopParameters, draw: np.random.Generator, latent: Latent) -> pl.DataFrame:
    """Returns of orders from before the shop's files, by customers whose first order comes later."""
    back: Bools = (draw.random(BLOCK) < parameters.unseen_returns) & (latent.start >= 20.0)
    customer = np.flatnonzero(back)
    number = latent.number[customer]
    size = len(customer)
    return pl.DataFrame(
        {
            "number": number,
            "_second": (1.0 + draw.random(size) * 15.0).astype(np.int64) * 86_400 + 43_200,
            "customer_id": customer_ids(number),
            "_cents": -draw.integers(500, 9_000, size),
            "product_category": pick(CATEGORIES, draw.integers(0, len(CATEGORIES), size)),
            "order_id": order_ids(number, np.zeros(size, dtype=np.int64)),
            "quantity": np.full(size, -1),
            "currency": pl.Series([parameters.currency], dtype=pl.String).new_from_index(0, size),
            "channel": pick(CHANNELS, latent.channel[customer]),
            "_discount": np.zeros(size, dtype=np.int64),
            "_fault": np.full(size, UNSEEN_RETURN),
            "_bad": np.zeros(size, dtype=np.int64),
        }
    )


def _written(parameters: ShopParameters, history: pl.DataFrame) -> pl.DataFrame:
    """History as text, damaged where it is faulty, with the repeated day at the end."""
    at = moments(parameters, history["_second"].to_numpy())
    text = history.select(
        "number",
        pl.when(pl.col("_fault") != WITHOUT_CUSTOMER).then("customer_id").alias("customer_id"),
        pl.when(pl.col("_fault") == BAD_DATE)
        .then(at.str.slice(0, 4) + "-02-31" + at.str.slice(10))
        .otherwise(at)
        .alias("transaction_date"),
        pl.when(pl.col("_fault") == BAD_AMOUNT)
        .then(pick(_UNREADABLE, history["_bad"].to_numpy()))
        .otherwise(_major("_cents"))
        .alias("transaction_amount"),
        "product_category",
        pl.when(pl.col("_fault") == WITHOUT_CUSTOMER)
        .then("G" + pl.col("order_id"))
        .otherwise("order_id")
        .alias("order_id"),
        *TRANSACTIONS[5:-1],
        _major("_discount").alias("discount"),
        "_fault",
        pl.lit(value=False).alias("_again"),
    )
    if parameters.repeated_day is None:
        return text
    first = (parameters.repeated_day - parameters.first_day) // timedelta(days=1) * 86_400
    again = history["_second"].is_between(first, first + 86_399) & (text["_fault"] != BAD_DATE)
    return pl.concat([text, text.filter(again).with_columns(_again=pl.lit(value=True))])


def _major(name: str) -> pl.Expr:
    """Cents as text with a point."""
    cents = pl.col(name)
    return (
        pl.when(cents < 0).then(pl.lit("-")).otherwise(pl.lit(""))
        + (cents.abs() // 100).cast(pl.String)
        + "."
        + (cents.abs() % 100).cast(pl.String).str.zfill(2)
    )
