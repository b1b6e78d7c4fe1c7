from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.sources.contract import LANDED, Kind
from audience_pipeline.sources.options import ReadOptions, ShopFacts
from audience_pipeline.sources.single import read_transactions

DATA = Path(os.environ.get("AUDIENCE_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")

pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(
        not DATA.is_dir(),
        reason="the shared data sets are not here: AUDIENCE_SHARED_DATA says where they are",
    ),
]


@pytest.fixture
def read(tmp_path):
    return lambda name: read_transactions(DATA / name, ReadOptions(), ShopFacts(), tmp_path)


def test_online_retail_ii_drops_exactly_its_repeated_days(read, tmp_path):
    frame, report = read("online_retail_ii.csv.gz")
    assert report.rows_read == 1_067_370
    assert report.quarantined == 243_007
    assert [(count.field, count.reason, count.rows) for count in report.quarantine] == [
        ("customer_id", "empty", 243_007)
    ]
    assert report.repeated == 22_523
    days = [each.day for each in report.repeated_days]
    assert (days[0], days[-1], len(days)) == (dt.date(2010, 12, 1), dt.date(2010, 12, 9), 8)
    assert {each.times for each in report.repeated_days} == {2}
    assert report.landed == 1_067_370 - 243_007 - 22_523 + report.repeated_and_quarantined
    assert (report.customers, report.first_date, report.last_date) == (
        5_942,
        dt.date(2009, 12, 1),
        dt.date(2011, 12, 9),
    )
    assert pl.read_parquet(tmp_path / "quarantine.parquet").height == 243_007
    assert frame.collect_schema() == LANDED[Kind.TRANSACTIONS]


def test_cdnow_keeps_every_line(read):
    frame, report = read("cdnow.csv.gz")
    assert (report.rows_read, report.landed, report.repeated, report.quarantined) == (69_659, 69_659, 0, 0)
    assert (report.customers, report.total_minor) == (23_570, 250_031_563)
    assert (report.first_date, report.last_date) == (dt.date(1997, 1, 1), dt.date(1998, 6, 30))
    assert "80 amounts of zero: kept, and no order" in report.notices
    assert any(notice.startswith("product_category is empty in every row") for notice in report.notices)
    assert frame.select(pl.len()).collect().item() == 69_659
