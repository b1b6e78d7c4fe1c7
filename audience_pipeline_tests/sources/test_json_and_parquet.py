from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import polars as pl
import pytest

from audience_pipeline.sources.contract import Kind

ROWS = [
    {
        "customer_id": "c1",
        "transaction_date": "2025-01-02",
        "transaction_amount": 10.5,
        "product_category": "a",
    },
    {"customer_id": 12346, "transaction_date": "2025-01-03T10:00:00Z", "transaction_amount": "-2.25"},
]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["orders.json", "orders.json.gz"])
def test_an_array_of_objects_is_read(shop, indent, name):
    report = shop.land(json.dumps(ROWS, indent=indent), name=name)
    rows = shop.rows()
    assert (report.landed, rows["customer_id"].to_list()) == (2, ["c1", "12346"])
    assert rows["amount_minor"].to_list() == [1050, -225]


@pytest.mark.parametrize("name", ["orders.jsonl", "orders.ndjson.gz"])
def test_one_object_a_line_is_read(shop, name):
    report = shop.land("\n\n".join(json.dumps(row) for row in ROWS), name=name)
    assert (report.rows_read, report.landed, report.total_minor) == (2, 2, 825)


def test_a_single_object_on_a_line_is_one_row(shop):
    assert shop.land(json.dumps(ROWS[0])).landed == 1


@pytest.mark.parametrize("indent", [None, 2])
def test_an_object_around_the_rows_is_refused_and_says_where_they_are(shop, indent):
    message = shop.refusal(json.dumps({"count": 2, "orders": ROWS}, indent=indent), name="orders.json")
    assert message == (
        "orders.json: this is one JSON object, not an array of them: its rows may be in the list 'orders'; "
        "give an array of objects, or one object a line."
    )


def test_an_object_over_several_lines_is_refused(shop):
    message = shop.refusal(json.dumps(ROWS[0], indent=1))
    assert "this is one JSON object, not an array of them; give an array" in message


@pytest.mark.parametrize("text", ["[]", "[ \n ]"])
def test_an_empty_array_is_refused(shop, text):
    assert shop.refusal(text) == "orders.csv: the JSON array is empty; export it again, with its rows."


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (json.dumps(ROWS, indent=1)[:-30], 8),
        (json.dumps(ROWS, indent=1) + "\n[", 14),
        (json.dumps(ROWS, indent=1).replace("},", "}"), 8),
        ('[{"customer_id": 1},\n{"customer_id: 2}]', 2),
    ],
)
def test_a_broken_array_is_refused_with_the_line(shop, text, line):
    message = shop.refusal(text)
    assert message.startswith(f"orders.csv, line {line}: the JSON array is broken")
    assert "c1" not in message


def test_elements_that_are_no_objects_go_to_quarantine(shop):
    report = shop.land("[\n" + ",\n".join([json.dumps(ROWS[0]), "17", '"x"', "[1]", "null"]) + "\n]")
    assert report.landed == 1
    assert shop.quarantine(report) == [(line, "record", "not a JSON object") for line in (3, 4, 5, 6)]


def test_lines_that_are_no_json_go_to_quarantine(shop):
    report = shop.land("\n".join([json.dumps(ROWS[0]), "{broken", "", "[1]", json.dumps(ROWS[1])]))
    assert (report.rows_read, report.landed) == (4, 2)
    assert shop.quarantine(report) == [(2, "record", "not a JSON object"), (4, "record", "not a JSON object")]


def test_json_lines_that_are_not_utf_8_or_endless_go_to_quarantine(shop):
    lines = [json.dumps(ROWS[0]).encode(), b'{"customer_id": "\xff"}', b'{"x": "' + b"y" * 3_000_000 + b'"}']
    report = shop.land(b"\n".join([*lines, json.dumps(ROWS[1]).encode()]), encoding="utf-8")
    assert report.landed == 2
    assert shop.quarantine(report) == [
        (2, "record", "not UTF-8"),
        (3, "record", "longer than 2,000,000 bytes"),
    ]


def test_keys_that_only_some_objects_have_are_columns(shop):
    shop.land(json.dumps([*ROWS, {**ROWS[0], "order_id": "o-1"}]))
    assert shop.rows()["order_id"].to_list() == [None, None, "o-1"]


def test_json_without_the_required_keys_is_refused(shop):
    message = shop.refusal('[{"id": 1}]')
    assert "the columns 'customer_id', 'transaction_date', 'transaction_amount' are missing" in message


def test_an_array_longer_than_a_block_keeps_its_rows_and_lines(shop):
    rows = [dict(ROWS[0], customer_id=f"c{i}", order_id="x" * (i % 50)) for i in range(15_000)]
    rows[12_345]["customer_id"] = None
    report = shop.land("[" + ",\n".join(json.dumps(row) for row in rows) + "]")
    assert (report.landed, shop.quarantine(report)) == (14_999, [(12_346, "customer_id", "empty")])


def test_parquet_with_its_own_types_is_read(shop):
    frame = pl.DataFrame(
        {
            "customer_id": [1.0, None, 3.0],
            "transaction_date": [dt.datetime(2025, 1, 2, 23, 30)] * 3,
            "transaction_amount": [Decimal("10.50"), Decimal("1.00"), Decimal("-0.01")],
            "extra": [[1], [2], None],
        }
    )
    path = shop.folder / "orders.parquet"
    frame.write_parquet(path)
    report = shop.land(path)
    rows = shop.rows()
    assert rows["customer_id"].to_list() == ["1", "3"]
    assert rows["transaction_at"].to_list() == [dt.datetime(2025, 1, 2, 23, 30)] * 2
    assert rows["amount_minor"].to_list() == [1050, -1]
    assert (report.unit, shop.quarantine(report)) == ("row", [(2, "customer_id", "empty")])


def test_parquet_times_with_a_zone_become_the_shops(shop):
    frame = pl.DataFrame(
        {
            "customer_id": ["c1"],
            "transaction_date": pl.Series([dt.datetime(2025, 7, 1, 23, 30)]).dt.replace_time_zone("UTC"),
            "transaction_amount": [1.1],
        }
    )
    path = shop.folder / "orders.parquet"
    frame.write_parquet(path)
    shop.land(path, time_zone="Europe/Berlin", today=dt.date(2026, 1, 1))
    assert shop.rows()["transaction_at"].to_list() == [dt.datetime(2025, 7, 2, 1, 30)]


def test_gzipped_parquet_is_read(shop):
    path = shop.folder / "orders.parquet"
    pl.DataFrame(ROWS[:1]).write_parquet(path)
    assert shop.land(path.read_bytes(), name="orders.parquet.gz").landed == 1


def test_damaged_parquet_is_refused(shop):
    path = shop.folder / "orders.parquet"
    pl.DataFrame(ROWS[:1]).write_parquet(path)
    message = shop.refusal(path.read_bytes()[:-20])
    assert message == ("orders.csv: the Parquet file is cut off or damaged; copy or export it again.")


def test_parquet_without_rows_is_refused(shop):
    path = shop.folder / "orders.parquet"
    pl.DataFrame(ROWS[:1]).clear().write_parquet(path)
    assert "the file has columns and no rows" in shop.refusal(path)


def test_the_same_rows_land_alike_from_every_format(shop, tmp_path):
    frame = pl.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(50)],
            "transaction_date": [dt.date(2025, 1, 1) + dt.timedelta(days=i) for i in range(50)],
            "transaction_amount": [f"{i}.{i:02}" for i in range(50)],
            "product_category": [None if i % 3 else "a" for i in range(50)],
        }
    )
    frame.write_csv(tmp_path / "a.csv")
    frame.with_columns(pl.col("transaction_date").cast(pl.String)).write_ndjson(tmp_path / "a.jsonl")
    frame.write_parquet(tmp_path / "a.parquet")
    landed = [shop.land(tmp_path / name) for name in ("a.csv", "a.jsonl", "a.parquet")]
    assert [(report.landed, report.known) for report in landed] == [(50, 0), (0, 50), (0, 50)]


def test_events_are_checked_against_their_names(shop):
    text = (
        "event_at,event,customer_id,anonymous_id,order_id\n"
        "2025-01-02T10:00:00Z,Page_View,c1,,\n2025-01-02T10:00:00Z,jump,c1,,\n"
        "2025-01-02T10:00:00Z,search,,,\n2025-01-02T10:00:00Z,purchase,,b7,o1\n"
    )
    report = shop.land(text, Kind.WEB)
    assert shop.rows(Kind.WEB)["event"].to_list() == ["page_view", "purchase"]
    assert shop.quarantine(report) == [
        (3, "event", "not one of page_view, product_view, add_to_cart, checkout, purchase, search"),
        (4, "customer_id", "none of customer_id, anonymous_id is given"),
    ]


def test_engagement_lands_in_its_schema(shop):
    shop.land("event_at,customer_id,event,campaign\n2025-01-02 10:00,c1,email_open,spring\n", Kind.ENGAGEMENT)
    assert shop.rows(Kind.ENGAGEMENT).drop("landing_id").rows() == [
        (dt.datetime(2025, 1, 2, 10), dt.date(2025, 1, 2), "c1", "email_open", "spring", None, None, 2)
    ]
