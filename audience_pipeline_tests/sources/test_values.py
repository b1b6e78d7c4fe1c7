from __future__ import annotations

from datetime import date
from typing import Any

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audience_pipeline.sources import amounts, dates
from audience_pipeline.sources.faults import Fault
from audience_pipeline.sources.options import ReadOptions, ShopFacts
from audience_pipeline.sources.values import free_text, identifier, minor_units, moment, trimmed

FACTS = ShopFacts(today=date(2026, 11, 20))
NUMBERS = st.one_of(
    st.from_regex(r"\A[-+]?[0-9]{0,14}\.?[0-9]{0,5}\Z").filter(bool),
    st.from_regex(r"\A[-+]?[0-9]{1,5}(\.[0-9]{0,4})?[eE][-+]?[0-9]{1,2}\Z"),
    st.from_regex(r"\A-?[0-9]{1,6}\.[0-9]{2}5(0{0,9}1?)?\Z"),
    st.floats(-1e13, 1e13).map(repr),
    st.text("0123456789.,'-+_ \u00a0", min_size=1, max_size=12).map(trimmed).filter(bool),
    st.sampled_from(
        ["nan", "-Infinity", "n/a", "NULL", "12,50", "1.234,50", "1,234.50", "1,234", "x", "1_0"]
    ),
)
TWO, FOUR = "[0-9]{2}", "(19|20)[0-9]{2}"
TIMES = rf"([T ]{TWO}:[0-5][0-9](:[0-5][0-9](\.[0-9]{{1,9}})?)?( ?([Zz]|[+-][01][0-9](:?[0-5][0-9])?))?)?"
MOMENTS = st.one_of(
    st.from_regex(rf"\A{FOUR}-(0[1-9]|1[0-2])-[0-3][0-9]{TIMES}\Z"),
    st.from_regex(rf"\A{FOUR}/{TWO}/{TWO}{TIMES}\Z"),
    st.from_regex(rf"\A[0-3]?[0-9]\.[01]?[0-9]\.{FOUR}{TIMES}\Z"),
    st.from_regex(rf"\A{FOUR}[01][0-9][0-3][0-9]\Z"),
    st.dates(date(1969, 12, 1), date(2027, 1, 31)).map(str),
    st.text("0123456789-/.: TZ+", min_size=1, max_size=20).map(trimmed).filter(bool),
)


@pytest.fixture(scope="module")
def database() -> Any:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def landed_amount(database: Any, text: str) -> int | Fault:
    sql = amounts.amount("t", "t", "m", ReadOptions())
    inner = f"SELECT t, {sql.minor} AS m FROM (SELECT ? AS t)"
    minor, fault = database.execute(f"SELECT m, {sql.fault} FROM ({inner})", [text]).fetchone()
    return Fault(fault) if fault else minor


def landed_moment(database: Any, text: str) -> Any:
    sql = dates.moment("t", "a", ReadOptions(), FACTS, required=True)
    inner = f"SELECT t, {sql.at} AS a FROM (SELECT ? AS t)"
    at, has_time, fault = database.execute(
        f"SELECT a, {sql.has_time}, {sql.fault} FROM ({inner})", [text]
    ).fetchone()
    return Fault(fault) if fault else (at.date(), at if has_time else None)


@given(text=NUMBERS)
@example(text="1.005")
@example(text="-0.005")
@example(text="1000000000000.004")
@example(text="1000000000000.005")
@example(text="100000000000000")
@example(text="5e-3")
def test_an_amount_alone_is_what_it_is_in_a_file(database: Any, text: str) -> None:
    assert minor_units(text) == landed_amount(database, text)


@given(text=MOMENTS)
@example(text="2025-03-31 24:00")
@example(text="2025-03-31T00:15:00.9999999+0200")
@example(text="2026-11-21 23:59:59")
@example(text="2025-03-31 10:15 Z")
@example(text="2025-03-31T10:15:00z")
@example(text="2026-11-22")
@example(text="1969-12-31")
def test_a_date_alone_is_what_it_is_in_a_file(database: Any, text: str) -> None:
    assert moment(text, FACTS) == landed_moment(database, text)


def test_a_number_beyond_every_amount_of_money_is_a_fault_whatever_its_exponent() -> None:
    for text in ("1e400", "-1e999999999", "12345678901234567890e-9", "9" * 40):
        assert minor_units(text) is Fault.TOO_LARGE


def test_digits_of_other_scripts_are_no_amount_and_no_date() -> None:
    assert minor_units("\u0661\u0662") is Fault.NOT_A_NUMBER
    assert moment("\u0662\u0660\u0662\u0665-01-01", FACTS) is Fault.UNREADABLE_DATE


def test_ids_that_a_spreadsheet_made_decimals_become_what_they_were() -> None:
    assert [identifier(text) for text in ("12346.0", "12346.00", "A.0", "7")] == [
        "12346",
        "12346.00",
        "A.0",
        "7",
    ]


def test_blanks_around_a_value_are_no_part_of_it() -> None:
    assert trimmed("\ufeff\u00a0 a b\t\r\n") == "a b"
    assert trimmed(" \t") is None


def test_an_address_in_a_category_is_left_out_and_a_number_in_an_order_id_is_not() -> None:
    assert free_text("product_category", "ann@example.com") is None
    assert free_text("product_category", "4915112345678") is None
    assert free_text("order_id", "4915112345678") == "4915112345678"
    assert free_text("channel", "paid_search") == "paid_search"
