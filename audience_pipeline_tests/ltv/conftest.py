"""A small shop, and a model of it that is trained once for all tests of a worker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest

from audience_pipeline.customers.orders import ORDERS_SCHEMA
from audience_pipeline.features.customer_features import customer_features
from audience_pipeline.ltv import training
from audience_pipeline.ltv.training import Trained, train
from audience_pipeline_tests.ltv.workshop import Workshop

BEGIN = date(2023, 1, 1)
AS_OF = date(2025, 3, 31)


def make_orders(customers: int, *, days: int = 821, seed: int = 11, signal: float = 1.0) -> pl.DataFrame:
    """Orders of customers who come all the time, buy at their own pace and drop out.

    ``signal`` is how much more those buy whose first category is ``books``.
    """
    rng = np.random.default_rng(seed)
    joined = rng.integers(0, days, customers)
    keen = rng.random(customers) < 0.4
    pace = rng.gamma(1.0, 0.012, customers) * np.where(keen, 1 + signal, 1.0)
    active = rng.exponential(250, customers)
    level = rng.normal(8.2, 0.6, customers)
    end = np.minimum(active, days - joined)
    count = 1 + rng.poisson(pace * end)
    who = np.repeat(np.arange(customers), count)
    first = np.r_[True, who[1:] != who[:-1]]
    day = joined[who] + np.where(first, 0, (rng.random(len(who)) * end[who]).astype(np.int64))
    value = np.exp(level[who] + rng.normal(0, 0.5, len(who))).astype(np.int64) + 1
    category = np.where(keen[who] & (rng.random(len(who)) < 0.9), "books", "toys")
    bought = pl.DataFrame(
        {
            "customer_id": [f"c{number:05d}" for number in who],
            "order_id": [f"o{number}" for number in range(len(who))],
            "day": day,
            "amount_minor": value,
            "top_category": category.astype(object).tolist(),
        }
    )
    back = bought.filter(pl.Series(rng.random(len(who)) < 0.05)).with_columns(
        pl.col("day") + 7, -(pl.col("amount_minor") // 2)
    )
    return (
        pl.concat([bought, back.filter(pl.col("day") < days)])
        .with_columns(
            (pl.lit(BEGIN) + pl.duration(days="day")).cast(pl.Date).alias("order_date"),
            pl.when(pl.col("amount_minor") > 0)
            .then(pl.lit("order"))
            .otherwise(pl.lit("return"))
            .alias("kind"),
            pl.lit(1, dtype=pl.Int64).alias("lines"),
            pl.lit(None, dtype=pl.Int8).alias("hour"),
            pl.concat_list("top_category").alias("categories"),
            pl.lit("web").alias("channel"),
            pl.lit(None, dtype=pl.Int64).alias("units_milli"),
            pl.lit(None, dtype=pl.Int64).alias("discount_minor"),
        )
        .select(ORDERS_SCHEMA.names())
        .sort("customer_id", "order_date", "order_id", "kind")
    )


@pytest.fixture(scope="session")
def make() -> Callable[..., pl.DataFrame]:
    return make_orders


@pytest.fixture(scope="session")
def shop_orders() -> pl.DataFrame:
    return make_orders(1500)


@pytest.fixture(scope="session")
def workshop(shop_orders: pl.DataFrame) -> Workshop:
    """One training, watched."""
    seen: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def watched(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def watching(*args: Any, **kwargs: Any) -> Any:
            result = step(*args, **kwargs)
            seen[name] = (args, result)
            return result

        return watching

    with pytest.MonkeyPatch.context() as patch:
        for name in ("hold_out_folds", "calibrate"):
            patch.setattr(training, name, watched(name, getattr(training, name)))
        trained = train(shop_orders.lazy(), AS_OF)
    (rows, base, encoder), held = seen["hold_out_folds"]
    (_, _, newest), (_, _, forecasts) = seen["calibrate"]
    return Workshop(trained, rows, base, encoder, held, newest, forecasts)


@pytest.fixture(scope="session")
def trained(workshop: Workshop) -> Trained:
    return workshop.trained


@pytest.fixture(scope="session")
def features(shop_orders: pl.DataFrame) -> pl.DataFrame:
    """Everybody as of the last day, sorted by customer."""
    return customer_features(shop_orders.lazy(), AS_OF).collect().sort("customer_id")
