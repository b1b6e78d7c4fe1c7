from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
import pytest

from audience_pipeline.features.customer_features import customer_features
from audience_pipeline.ltv.outliers import OUTLIERS_SCHEMA, Ordinary
from audience_pipeline.ltv.training import Trained, train

AS_OF = date(2025, 3, 31)
TEN = 10
ORDER = ["customer_id", "order_date", "order_id", "kind"]


def planted(orders: pl.DataFrame, times: int, *, as_new: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The shop with ten orders more, ``times`` the typical size, and these ten."""
    typical = Ordinary.of(orders.lazy()).typical_minor
    bought = orders.filter(pl.col("kind") == "order").unique("customer_id", maintain_order=True)
    more = bought.gather_every(bought.height // TEN).head(TEN)
    more = more.with_columns(
        pl.lit(typical * times, dtype=pl.Int64).alias("amount_minor"),
        (pl.col("order_id") + "-more").alias("order_id"),
        (pl.col("customer_id") + ("-new" if as_new else "")).alias("customer_id"),
    )
    return pl.concat([orders, more]).sort(ORDER), more


def predicted(trained: Trained, orders: pl.DataFrame) -> pl.DataFrame:
    features = customer_features(orders.lazy(), AS_OF).collect().sort("customer_id")
    return pl.concat([features, trained.model.predict(features)], how="horizontal")


def change(both: pl.DataFrame, name: str) -> tuple[float, float, float]:
    """Median, 99 % quantile and maximum of the relative change."""
    moved = (both[f"{name}_bent"] / both[name] - 1).abs().to_numpy()
    return float(np.median(moved)), float(np.quantile(moved, 0.99)), float(moved.max())


@dataclass(frozen=True)
class Bent:
    """A shop with ten giant orders, and what was learnt from it."""

    orders: pl.DataFrame
    giants: pl.DataFrame
    trained: Trained


@pytest.fixture(scope="module", params=[False, True], ids=["of existing customers", "of new customers"])
def bent(request: pytest.FixtureRequest, shop_orders: pl.DataFrame) -> Bent:
    orders, giants = planted(shop_orders, 1000, as_new=request.param)
    return Bent(orders, giants, train(orders.lazy(), AS_OF))


def test_nothing_that_is_expected_of_others_depends_on_how_great_a_giant_order_is(bent: Bent) -> None:
    typical = Ordinary.of(bent.orders.lazy()).typical_minor
    is_giant = pl.col("order_id").is_in(bent.giants["order_id"].implode())
    usual = bent.orders.with_columns(
        pl.when(is_giant).then(typical).otherwise("amount_minor").alias("amount_minor")
    )

    model = train(usual.lazy(), AS_OF)

    assert model.report.summary["outliers"] == 0
    both = predicted(model, usual).join(
        predicted(bent.trained, bent.orders), on="customer_id", suffix="_bent"
    )
    others = both.filter(~pl.col("customer_id").is_in(bent.giants["customer_id"].implode()))
    for name in ("predicted_ltv", "next_12m_value", "repeat_probability"):
        assert others[name].equals(others[f"{name}_bent"])
    assert change(others, "likely_ltv")[2] <= 0.05


def test_ten_orders_a_thousand_times_as_great_bend_no_other_customer(
    trained: Trained, shop_orders: pl.DataFrame, bent: Bent
) -> None:
    """Any ten orders more, ordinary ones too, move a model that is grown again by a little."""
    giants, model = bent.giants, bent.trained

    assert model.report.summary["outliers"] == TEN
    assert set(model.outliers["customer_id"]) == set(giants["customer_id"])
    assert set(model.outliers["order_id"]) == set(giants["order_id"])
    both = predicted(trained, shop_orders).join(
        predicted(model, bent.orders), on="customer_id", suffix="_bent"
    )
    others = both.filter(~pl.col("customer_id").is_in(giants["customer_id"].implode()))
    young = others.filter(pl.col("age_days") < 364)
    _, likely, _ = change(young, "likely_ltv")
    _, mean, most = change(young, "predicted_ltv")
    middle, _, worst = change(others, "next_12m_value")
    assert likely <= 0.05
    assert mean <= 0.05
    assert most <= 0.1
    assert middle <= 0.1
    assert worst <= 0.3
    for name in ("predicted_ltv", "likely_ltv", "next_12m_value"):
        assert others[f"{name}_bent"].sum() == pytest.approx(others[name].sum(), rel=0.05)


def test_to_a_model_a_giant_order_is_a_typical_one(shop_orders: pl.DataFrame) -> None:
    """Whatever ten giant orders move, ten typical ones move too: not a digit comes from their size."""
    giant, more = planted(shop_orders, 1000, as_new=False)
    usual, _ = planted(shop_orders, 1, as_new=False)

    ordinary = Ordinary.of(giant.lazy())

    tamed = ordinary.tamed(giant.lazy()).collect()
    same = usual.with_columns(
        pl.when(pl.col("order_id").is_in(more["order_id"].implode()))
        .then(ordinary.typical_minor)
        .otherwise("amount_minor")
        .alias("amount_minor")
    )
    assert tamed.equals(same)
    assert ordinary.typical_minor == pytest.approx(Ordinary.of(shop_orders.lazy()).typical_minor, rel=0.005)


def test_a_shop_without_giant_orders_is_left_as_it_is(shop_orders: pl.DataFrame) -> None:
    ordinary = Ordinary.of(shop_orders.lazy())

    assert ordinary.outliers(shop_orders.lazy()).is_empty()
    assert ordinary.tamed(shop_orders.lazy()).collect().equals(shop_orders)


def test_outliers_are_listed_with_their_returns_the_greatest_first_in_major_units(
    shop_orders: pl.DataFrame,
) -> None:
    bent, giants = planted(shop_orders, 1000, as_new=False)
    first = giants["order_id"][0]
    bigger = pl.when(pl.col("order_id") == first).then(pl.col("amount_minor") * 2).otherwise("amount_minor")
    cancelled = giants.head(1).with_columns(
        -pl.col("amount_minor") * 2, pl.lit("return").alias("kind"), pl.lit("back").alias("order_id")
    )
    rows = pl.concat([bent.with_columns(bigger), cancelled]).lazy()

    found = Ordinary.of(rows).outliers(rows)

    assert found.schema == OUTLIERS_SCHEMA
    assert found.height == TEN + 1
    assert set(found["order_id"][:2]) == {first, "back"}
    assert found["amount"].abs().is_sorted(descending=True)
    assert found["amount"].max() == giants["amount_minor"][0] * 2 * 0.01


def test_a_giant_order_and_its_return_cancel_each_other_still(shop_orders: pl.DataFrame) -> None:
    bent, giants = planted(shop_orders, 1000, as_new=False)
    cancelled = giants.with_columns(-pl.col("amount_minor"), pl.lit("return").alias("kind"))
    rows = pl.concat([bent, cancelled]).lazy()

    tamed = Ordinary.of(rows).tamed(rows).collect()

    assert tamed["amount_minor"].sum() == shop_orders["amount_minor"].sum()


def test_what_is_ordinary_does_not_depend_on_the_order_of_rows_and_returns_have_no_say(
    shop_orders: pl.DataFrame,
) -> None:
    found = Ordinary.of(shop_orders.lazy())

    bought = shop_orders.filter(pl.col("kind") == "order").sample(fraction=1, shuffle=True, seed=2)
    assert Ordinary.of(bought.lazy()) == found
    assert found.typical_minor == int(np.median(bought["amount_minor"].to_numpy()))


def test_a_table_without_orders_has_no_outliers(shop_orders: pl.DataFrame) -> None:
    nothing = shop_orders.clear().lazy()

    assert Ordinary.of(nothing).outliers(nothing).is_empty()


def test_a_shop_of_dear_and_cheap_goods_has_no_outliers(make: Callable[..., pl.DataFrame]) -> None:
    """Orders that differ by a factor of twenty, as of a shop that sells pens and desks."""
    orders = make(800, seed=3)
    desks = pl.col("order_id").hash(seed=1) % 10 == 0
    dear = orders.with_columns(
        pl.when(desks).then(pl.col("amount_minor") * 20).otherwise("amount_minor").alias("amount_minor")
    )

    assert Ordinary.of(dear.lazy()).outliers(dear.lazy()).is_empty()
