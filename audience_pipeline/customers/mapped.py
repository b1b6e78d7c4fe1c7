"""Tables by source id as tables by customer: who is merged has one history."""

from __future__ import annotations

import polars as pl

from audience_pipeline.customers.orders import ORDERS_SCHEMA
from audience_pipeline.customers.orders import orders as orders_of
from audience_pipeline.identifiers.source_ids import ANONYMOUS

_INTO = "_into"


def mapped(table: pl.LazyFrame, identities: pl.LazyFrame, column: str = "customer_id") -> pl.LazyFrame:
    """The table with source ids replaced by the ids of their customers; ids that nobody knows stay.

    Args:
        table: any table; its rows stay as they are otherwise, their order is nobody's business.
        identities: ``source_id, customer_id`` and whatever else.
        column: the column of ``table`` that holds source ids.
    """
    aliases = _aliases(identities)
    return table if aliases.is_empty() else _replaced(table, aliases, column)


def mapped_once(table: pl.LazyFrame, identities: pl.LazyFrame, *key: str) -> pl.LazyFrame:
    """The table mapped, without what it says of several who have become one since.

    Two people were predicted when the predictions were made: of the one that they are now there is none.

    Args:
        table: has ``customer_id`` and the columns of ``key``.
        identities: who is who.
        key: what there is one row of for each customer.
    """
    if not has_merges(identities):
        return table
    return mapped(table, identities).filter(pl.len().over("customer_id", *key) == 1)


def has_merges(identities: pl.LazyFrame) -> bool:
    """Whether anybody's source id is not that of the customer."""
    return not _aliases(identities).is_empty()


def merged_orders(orders: pl.LazyFrame, transactions: pl.LazyFrame, identities: pl.LazyFrame) -> pl.LazyFrame:
    """The orders of customers: exactly those that their transactions would have made under one id.

    Where lines of several source ids belong to one customer, its orders are made anew: an order whose lines
    stand under two ids is one, and a return may now follow the first order. All other rows pass through.

    Args:
        orders: the orders table by source id.
        transactions: the landed lines that it was made of.
        identities: who is who.
    """
    aliases = _aliases(identities).filter(~pl.col("source_id").str.starts_with(ANONYMOUS))
    if aliases.is_empty():
        return orders
    customers = aliases.select(pl.col(_INTO).unique())
    everybody = pl.concat([aliases, customers.select(pl.col(_INTO).alias("source_id"), _INTO)])
    sold = transactions.select("customer_id").join(
        everybody.lazy().select(pl.col("source_id").alias("customer_id")), on="customer_id", how="semi"
    )
    selling = everybody.join(
        sold.unique().collect(engine="streaming"), left_on="source_id", right_on="customer_id", how="semi"
    )
    several = selling.filter(pl.len().over(_INTO) > 1)
    table = _replaced(orders, aliases, "customer_id")
    if several.is_empty():
        return table
    anew = transactions.join(
        several.lazy().select(pl.col("source_id").alias("customer_id")), on="customer_id", how="semi"
    )
    others = table.join(
        several.lazy().select(pl.col(_INTO).unique().alias("customer_id")), on="customer_id", how="anti"
    )
    names = ORDERS_SCHEMA.names()
    return pl.concat([others.select(names), orders_of(_replaced(anew, several, "customer_id"))])


def merged_activity(activity: pl.LazyFrame, identities: pl.LazyFrame) -> pl.LazyFrame:
    """The activity of customers; that of browsers of nobody known is left out.

    Args:
        activity: ``customer_activity``, by source id.
        identities: who is who.
    """
    return mapped(activity, identities).filter(~pl.col("customer_id").str.starts_with(ANONYMOUS))


def rows_of(customers: pl.Series, identities: pl.LazyFrame | None = None) -> pl.DataFrame:
    """Where what is said of a source id belongs, in a table with one row per customer.

    Args:
        customers: the ``customer_id`` column of that table.
        identities: who is who; without it, every source id is a customer.

    Returns:
        ``source_id`` and ``row`` (UInt32) of every id that belongs to one of the customers; those of browsers
        of nobody known are left out.
    """
    own = pl.DataFrame({"source_id": customers}).with_row_index("row").select("source_id", "row")
    own = own.filter(~pl.col("source_id").str.starts_with(ANONYMOUS))
    if identities is None:
        return own
    aliases = _aliases(identities)
    others = aliases.join(own, left_on=_INTO, right_on="source_id", how="inner").select("source_id", "row")
    return pl.concat([own.join(aliases, on="source_id", how="anti"), others])


def _aliases(identities: pl.LazyFrame) -> pl.DataFrame:
    """``source_id`` and, under another name, the customer id where it is another."""
    return (
        identities.filter(pl.col("source_id") != pl.col("customer_id"))
        .select("source_id", pl.col("customer_id").alias(_INTO))
        .collect(engine="streaming")
    )


def _replaced(table: pl.LazyFrame, aliases: pl.DataFrame, column: str) -> pl.LazyFrame:
    names = table.collect_schema().names()
    return (
        table.join(aliases.lazy(), left_on=column, right_on="source_id", how="left")
        .with_columns(pl.coalesce(_INTO, column).alias(column))
        .select(names)
    )
