"""The ``orders`` that dbt builds and those of ``customers.orders`` are the same table."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from audience_pipeline.customers.orders import ORDER_KEY, orders
from audience_pipeline.defs.storage import write_table
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import LANDED, Kind
from audience_pipeline_tests.end_to_end.marts import build_marts
from audience_pipeline_tests.end_to_end.runs import Demo

MINUTES = 24 * 60


def assert_same_orders(lake: Path) -> pl.DataFrame:
    by_dbt = pl.read_parquet(lake / "orders.parquet")
    by_polars = orders(pl.scan_parquet(lake / "transactions" / "*.parquet")).collect()
    assert_frame_equal(by_dbt.sort(ORDER_KEY), by_polars.sort(ORDER_KEY), check_column_order=True)
    return by_dbt


@pytest.mark.xdist_group("demo")
def test_on_the_demo(demo: Demo) -> None:
    made = assert_same_orders(demo.place.lake)

    assert made.height > 1_500
    assert set(made["kind"]) == {"order", "return"}


def hostile_lines() -> pl.DataFrame:
    """Few values, so that everything collides with everything; ties, zeros, signs, extremes, odd text."""
    draw = Random(11)
    names = ["a", "A", "ä", " a", "", "o'brien", 'quo"te', "C-1;--", "🦊", "null"]
    texts = [None, None, "", "x", "X", "ß", "it's", 'a"b', "🦊", "z,z"]
    ids = [None, None, None, "1", "01", "1.0", "R-2", "2025-03-02", "🦊"]
    amounts = [0, 0, 1, -1, 5, -5, 5, 999, -999, 10**15, -(10**15)]
    rows = []
    for _ in range(4_000):
        day = date(2025, 3, 1) + timedelta(days=draw.randrange(6))
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC).replace(tzinfo=None)
        rows.append(
            {
                "customer_id": draw.choice(names),
                "transaction_date": day,
                "transaction_at": draw.choice([None, midnight + timedelta(minutes=draw.randrange(MINUTES))]),
                "amount_minor": draw.choice(amounts),
                "product_category": draw.choice(texts),
                "order_id": draw.choice(ids),
                "channel": draw.choice(texts),
                "quantity": draw.choice([None, Decimal(1), Decimal("-2.5"), Decimal(10**9), Decimal(10**12)]),
                "discount_minor": draw.choice([None, None, 0, 1, 250, 10**14]),
                "landing_id": "0" * 16,
            }
        )
    # Somebody who only ever returned things, and somebody whose first lines are returns.
    rows += [dict(rows[0], customer_id="returner", amount_minor=-7, order_id=None)] * 2
    rows += [
        dict(
            rows[0],
            customer_id="late",
            amount_minor=amount,
            transaction_date=date(2025, 3, day),
            order_id="9",
        )
        for day, amount in ((1, -40), (2, -1), (2, 30), (3, -5), (3, 0))
    ]
    schema = pl.Schema({**LANDED[Kind.TRANSACTIONS], "landing_id": pl.String})
    given = pl.DataFrame(rows, schema={name: schema[name] for name in rows[0]})
    return given.with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in schema.items() if name not in rows[0]
    ).select(*schema)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, workspace_at: Callable[..., Settings]) -> Path:
    """A lake whose transactions are as unpleasant as transactions can be, with dbt's marts."""
    settings = workspace_at(tmp_path_factory.mktemp("hostile"))
    lines = hostile_lines()
    folder = settings.lake / "transactions"
    # In three files, cut in the middle of days and orders.
    for number, start in enumerate(range(0, lines.height, 1_500)):
        write_table(folder / f"{number}.parquet", lines.slice(start, 1_500))
    result = build_marts(settings)
    assert result.success
    assert all(check.passed for check in result.get_asset_check_evaluations())
    return settings.lake


def test_on_hostile_lines(hostile: Path) -> None:
    made = assert_same_orders(hostile)

    assert made.height > 300
    assert "returner" not in set(made["customer_id"])
    late = made.filter(pl.col("customer_id") == "late").sort(ORDER_KEY)
    assert late.select("order_date", "kind", "amount_minor").rows() == [
        (date(2025, 3, 2), "order", 30),
        (date(2025, 3, 2), "return", -1),
        (date(2025, 3, 3), "return", -5),
    ]


def test_orders_are_stored_in_the_order_of_their_key(hostile: Path) -> None:
    made = pl.read_parquet(hostile / "orders.parquet")

    assert_frame_equal(made, made.sort("customer_id", "order_date", "kind", "order_id"))
    assert made.select(ORDER_KEY).is_unique().all()
