from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import polars as pl
import pytest

from audience_pipeline.ltv.holdout import checkable, drawn, spared
from audience_pipeline.ltv.minimum import TooLittleHistory
from audience_pipeline.ltv.snapshots import first_orders

AS_OF = date(2025, 3, 31)


def test_only_customers_with_a_complete_year_whose_first_order_is_known_can_be_checked(
    shop_orders: pl.DataFrame,
) -> None:
    first = first_orders(shop_orders.lazy(), AS_OF)

    found = first.filter(pl.col("customer_id").is_in(checkable(shop_orders.lazy(), AS_OF).implode()))

    assert found["first_order"].max() == AS_OF - timedelta(days=364)
    assert found["first_order"].min() == first["first_order"].min() + timedelta(days=90)


def test_too_little_history_is_refused_as_in_training(make: Callable[..., pl.DataFrame]) -> None:
    with pytest.raises(TooLittleHistory, match="120 customers"):
        checkable(make(120).lazy(), AS_OF)


def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_rows() -> None:
    customers = pl.Series([f"c{number}" for number in range(200)])

    one = drawn(customers, 50, seed=1)

    assert one.equals(drawn(customers.reverse(), 50, seed=1))
    assert not one.equals(drawn(customers, 50, seed=2))
    assert one.n_unique() == 50
    assert one.is_sorted()
    assert drawn(customers, 500, seed=1).len() == 200


def test_never_are_so_many_held_out_that_too_few_are_left_to_learn_from(
    make: Callable[..., pl.DataFrame],
) -> None:
    orders = make(600).lazy()

    assert spared(orders, AS_OF, candidates=150) == 75
    assert spared(orders, AS_OF, candidates=400) == 100
    with pytest.raises(TooLittleHistory, match="500 others are needed"):
        spared(make(500).lazy(), AS_OF, candidates=300)
