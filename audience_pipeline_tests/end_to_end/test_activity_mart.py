"""``customer_activity`` counts every event once, and files landed before a column was there are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from audience_pipeline.audiences.activity import DAYPARTS, PROPERTIES
from audience_pipeline.defs.storage import write_table
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import LANDED, NOTHING_LANDED, Kind
from audience_pipeline_tests.end_to_end.marts import build_marts

DAY = datetime(2025, 3, 1)
KEY = ["customer_id", "activity_date", "activity", "category", "device", "channel", "source", "medium",
       "campaign", "daypart"]  # fmt: skip
LATER = {
    Kind.TRANSACTIONS: ["coupon", "loyalty_id", "line", "discount_minor"],
    Kind.WEB: ["gpc", "coupon", "device_id", "loyalty_id", "line", "utm_campaign"],
    Kind.ENGAGEMENT: ["meta_email", "line", "campaign"],
}
"""Columns that files of earlier versions do not have."""
Row = dict[str, Any]


def web_rows(draw: Random) -> list[Row]:
    return [
        {
            "event_at": at,
            "event_date": at.date(),
            "event": draw.choice(["product_view", "page_view"]),
            "customer_id": draw.choice([None, "C1", "o'brien"]),
            "anonymous_id": draw.choice([None, "b1", "b2"]),
            "category": draw.choice([None, "", "shoes"]),
            "device": draw.choice([None, "mobile"]),
            "channel": draw.choice(["direct", "email"]),
            "utm_source": draw.choice([None, "meta"]),
            "utm_campaign": draw.choice([None, "spring"]),
        }
        for at in (DAY + timedelta(hours=draw.randrange(72), seconds=draw.choice([0, 1])) for _ in range(900))
    ]


def engagement_rows(draw: Random) -> list[Row]:
    return [
        {
            "event_at": DAY + timedelta(hours=hour),
            "event_date": DAY.date(),
            "event": "email_open",
            "customer_id": draw.choice(["C1", "email:ab12"]),
            "campaign": draw.choice([None, "news"]),
            "channel": "email",
        }
        for hour in range(24)
    ]


def lines() -> list[Row]:
    """Two lines in one order at 9 and 20 o'clock, a return, an order without a time, a return of nothing."""

    def line(customer: str, amount: int, hour: int | None, category: str | None, order: str = "A") -> Row:
        return {
            "customer_id": customer,
            "transaction_date": DAY.date(),
            "transaction_at": None if hour is None else DAY + timedelta(hours=hour),
            "amount_minor": amount,
            "product_category": category,
            "order_id": order,
            "channel": "store",
        }

    return [
        line("C1", 500, 20, "shoes"),
        line("C1", 300, 9, None),
        line("C1", -100, 21, "shoes"),
        line("C1", 0, 21, "shoes"),
        line("C2", 700, None, "hats", "B"),
        line("C3", -700, None, "hats", "C"),
    ]


def land(lake: Path, kind: Kind, rows: list[Row]) -> None:
    """Half of the rows as an earlier version landed them, without the columns that came later."""
    schema = pl.Schema({**LANDED[kind], "landing_id": pl.String()})
    frame = pl.DataFrame([{**dict.fromkeys(schema), **row} for row in rows], schema=schema)
    half = frame.height // 2
    write_table(lake / kind.dataset / "old.parquet", frame[:half].drop(LATER[kind]))
    write_table(lake / kind.dataset / "new.parquet", frame[half:])
    write_table(lake / kind.dataset / NOTHING_LANDED, frame[:0].drop(LATER[kind]))


def daypart(at: datetime | None) -> str | None:
    return None if at is None or at == datetime(at.year, at.month, at.day) else DAYPARTS[at.hour // 6]


def expected(rows: dict[Kind, list[Row]]) -> Counter[tuple[Any, ...]]:
    """As one would count by hand, from what is left of the files."""
    counted: Counter[tuple[Any, ...]] = Counter()
    web, engagement = rows[Kind.WEB], rows[Kind.ENGAGEMENT]
    for place, row in enumerate(web):
        browser = row["anonymous_id"] and f"anonymous:{row['anonymous_id']}"
        if who := row["customer_id"] or browser:
            campaign = row["utm_campaign"] if place >= len(web) // 2 else None
            said = (row["category"], row["device"], row["channel"], row["utm_source"], None, campaign)
            counted[who, row["event_date"], f"web:{row['event']}", *said, daypart(row["event_at"])] += 1
    for place, row in enumerate(engagement):
        campaign = row["campaign"] if place >= len(engagement) // 2 else None
        said = (None, None, "email", None, None, campaign)
        who, day = row["customer_id"], row["event_date"]
        counted[who, day, "engagement:email_open", *said, daypart(row["event_at"])] += 1
    day = DAY.date()
    nothing = (None, None, None)
    counted["C1", day, "shop:order", None, None, "store", *nothing, "morning"] += 1
    counted["C1", day, "shop:return", None, None, "store", *nothing, "evening"] += 1
    counted["C1", day, "shop:item_bought", "shoes", None, "store", *nothing, "evening"] += 1
    counted["C1", day, "shop:item_bought", None, None, "store", *nothing, "morning"] += 1
    counted["C2", day, "shop:order", None, None, "store", *nothing, None] += 1
    counted["C2", day, "shop:item_bought", "hats", None, "store", *nothing, None] += 1
    return counted


@pytest.fixture(scope="module")
def rows() -> dict[Kind, list[Row]]:
    draw = Random(5)
    return {Kind.WEB: web_rows(draw), Kind.ENGAGEMENT: engagement_rows(draw), Kind.TRANSACTIONS: lines()}


@pytest.fixture(scope="module")
def activity(
    rows: dict[Kind, list[Row]],
    tmp_path_factory: pytest.TempPathFactory,
    workspace_at: Callable[..., Settings],
) -> pl.DataFrame:
    settings = workspace_at(tmp_path_factory.mktemp("shop") / "work (space)")
    for kind, landed in rows.items():
        land(settings.lake, kind, landed)
    result = build_marts(settings)
    assert result.success
    assert all(check.passed for check in result.get_asset_check_evaluations())
    return pl.read_parquet(settings.lake / "customer_activity.parquet")


def test_every_event_counts_once(activity: pl.DataFrame, rows: dict[Kind, list[Row]]) -> None:
    counted = {row[:-1]: row[-1] for row in activity.select(*KEY, "events").rows()}

    assert counted == dict(expected(rows))
    assert activity.height == len(counted) > 300


def test_it_has_the_columns_that_conditions_ask_for(activity: pl.DataFrame) -> None:
    assert activity.columns == [*KEY, "events"]
    assert set(PROPERTIES) - set(activity.columns) == {"weekday"}


def test_it_is_sorted_by_everything(activity: pl.DataFrame) -> None:
    assert_frame_equal(activity, activity.sort(KEY, nulls_last=True))


def test_all_parts_of_the_day_begin_and_end_where_they_should(activity: pl.DataFrame) -> None:
    opened = activity.filter(pl.col("activity") == "engagement:email_open", pl.col("activity_date") == DAY)
    events = dict(opened.group_by("daypart").agg(pl.col("events").sum()).iter_rows())

    assert events == {None: 1, "night": 5, "morning": 6, "afternoon": 6, "evening": 6}
