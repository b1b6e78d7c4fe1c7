"""Data to measure customer values on: two public data sets, files, and the synthetic shop."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from audience_pipeline.customers.orders import orders
from audience_pipeline.ltv.holdout import checkable
from audience_pipeline.ltv.snapshots import HORIZON_DAYS, first_orders
from audience_pipeline.sandbox.shop import ShopParameters, make_shop
from audience_pipeline.sources.options import ReadOptions, ShopFacts
from audience_pipeline.sources.single import read_transactions

SHARED = Path(os.environ.get("AUDIENCE_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
SIGNALS = (0.0, 0.5, 1.0, 2.0)
"""Strengths of the shop's signals, frozen before any model was tuned."""
REAL = ("cdnow", "online_retail_ii")
NAMES = (*REAL, *(f"shop-{signal}" for signal in SIGNALS))


@dataclass(frozen=True, slots=True)
class Data:
    """Orders, and who can be checked on them."""

    name: str
    origin: str
    orders: pl.LazyFrame
    activity: pl.LazyFrame | None
    as_of: date
    checkable: pl.Series
    """Customers with a complete first year of which nothing is missing."""
    period_from: date
    """Day from which everybody's next period is predicted."""
    period_days: int
    signal: float | None = None
    """How much the shop's signals tell; None for data of real shops."""

    @property
    def real(self) -> bool:
        """Whether people made it."""
        return self.signal is None


@contextmanager
def data(name: str, *, customers: int) -> Iterator[Data | str]:
    """A data set by name or file, or the reason why it is not there.

    Args:
        name: One of :data:`NAMES`, or the path of a file of transactions.
        customers: Of a synthetic shop.
    """
    with tempfile.TemporaryDirectory(prefix="ltv-") as folder:
        if name.startswith("shop-"):
            yield _shop(Path(folder), float(name.removeprefix("shop-")), customers)
        elif name not in REAL:
            yield _file(Path(name), Path(folder), Path(name).name, "a file")
        elif not (SHARED / f"{name}.csv.gz").is_file():
            yield f"{name}: left out, there is no {name}.csv.gz in {SHARED}"
        elif name == "cdnow":
            yield _cdnow(Path(folder))
        else:
            yield _online_retail(Path(folder))


def _cdnow(folder: Path) -> Data | str:
    found = _file(SHARED / "cdnow.csv.gz", folder, "cdnow", "CDNOW, Fader and Hardie")
    if isinstance(found, str):
        return found
    everybody = first_orders(found.orders, found.as_of)
    complete = everybody.filter(pl.col("first_order") <= found.as_of - timedelta(days=HORIZON_DAYS - 1))
    weeks = timedelta(weeks=39)
    return _changed(found, complete["customer_id"], date(1997, 1, 1) + weeks - timedelta(days=1), weeks.days)


def _online_retail(folder: Path) -> Data | str:
    origin = "Online Retail II, UCI, CC BY 4.0; customers first seen from 2010-03-01 on"
    found = _file(SHARED / "online_retail_ii.csv.gz", folder, "online_retail_ii", origin)
    if isinstance(found, str):
        return found
    everybody = first_orders(found.orders, found.as_of)
    fresh = everybody.filter(
        pl.col("first_order").is_between(date(2010, 3, 1), found.as_of - timedelta(days=HORIZON_DAYS - 1))
    )
    return _changed(found, fresh["customer_id"], found.as_of - timedelta(days=180), 180)


def _file(file: Path, folder: Path, name: str, origin: str) -> Data | str:
    if not file.is_file():
        return f"{name}: there is no such file"
    lines, landed = read_transactions(file, ReadOptions(), ShopFacts(), folder)
    if landed.last_date is None:
        return f"{name}: no row could be used"
    table = _kept(lines, folder)
    as_of = landed.last_date
    return Data(name, origin, table, None, as_of, checkable(table, as_of), as_of - timedelta(days=180), 180)


def _shop(folder: Path, signal: float, customers: int) -> Data | str:
    parameters = ShopParameters(customers=customers, months=36, signal_strength=signal, file_format="parquet")
    made = make_shop(folder, parameters)
    lines, landed = read_transactions(made.transactions, ReadOptions(), ShopFacts(), folder)
    if landed.last_date is None:
        return f"shop-{signal}: no row could be used"
    events = [
        _events(made.web_events, "web"),
        _events(made.engagement_events, "engagement"),
    ]
    table, as_of = _kept(lines, folder), landed.last_date
    return Data(
        name=f"shop-{signal}",
        origin=f"synthetic shop of {customers:,} customers, signal strength {signal}",
        orders=table,
        activity=pl.concat(events).collect().lazy(),
        as_of=as_of,
        checkable=checkable(table, as_of),
        period_from=as_of - timedelta(days=HORIZON_DAYS),
        period_days=HORIZON_DAYS,
        signal=signal,
    )


def _events(file: Path, source: str) -> pl.LazyFrame:
    """What known customers did, by day."""
    return (
        pl.scan_parquet(file)
        .filter(pl.col("customer_id").is_not_null() & (pl.col("customer_id") != ""))
        .group_by(
            "customer_id",
            pl.col("event_at").str.slice(0, 10).str.to_date().alias("activity_date"),
            pl.format(f"{source}:{{}}", "event").alias("activity"),
        )
        .agg(pl.len().cast(pl.Int64).alias("events"))
    )


def _kept(lines: pl.LazyFrame, folder: Path) -> pl.LazyFrame:
    """The orders table as a file, so that it is made once."""
    path = folder / "orders.parquet"
    orders(lines).collect().write_parquet(path)
    return pl.scan_parquet(path)


def _changed(found: Data, customers: pl.Series, period_from: date, period_days: int) -> Data:
    return Data(
        found.name,
        found.origin,
        found.orders,
        found.activity,
        found.as_of,
        customers,
        period_from,
        period_days,
    )
