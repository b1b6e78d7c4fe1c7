from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.sources.amounts import amount, plain
from audience_pipeline.sources.currencies import read_rates
from audience_pipeline.sources.engine import connect
from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.faults import Fault
from audience_pipeline.sources.options import ReadOptions


def read(tmp_path, texts, **options):
    """(minor units, fault, rounded) of each text."""
    given_options = ReadOptions(**options)
    sql = amount("t", "plain_", "minor_", given_options)
    prepared = f"SELECT *, {plain('t', given_options)} AS plain_ FROM texts"
    with connect(tmp_path) as connection:
        connection.execute("CREATE TABLE texts (n INTEGER, t VARCHAR)")
        connection.executemany("INSERT INTO texts VALUES (?, ?)", list(enumerate(texts)))
        return connection.execute(
            f"SELECT minor_, {sql.fault}, coalesce({sql.rounded}, false) "
            f"FROM (SELECT *, {sql.minor} AS minor_ FROM ({prepared})) ORDER BY n"
        ).fetchall()


@pytest.mark.parametrize(
    ("text", "minor"),
    [("12.34", 1234), ("-12.34", -1234), ("+5", 500), ("5.", 500), (".5", 50), ("0", 0), ("-0.01", -1),
     ("1e2", 10000), ("12.3400", 1234), ("999999999999.99", 99999999999999)],
)  # fmt: skip
def test_plain_amounts_become_minor_units(tmp_path, text, minor):
    assert read(tmp_path, [text]) == [(minor, Fault.NONE, False)]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("NaN", Fault.NOT_FINITE),
        ("-inf", Fault.NOT_FINITE),
        ("Infinity", Fault.NOT_FINITE),
        ("1e308", Fault.TOO_LARGE),
        ("99999999999999999999999", Fault.TOO_LARGE),
        ("1000000000000.01", Fault.TOO_LARGE),
        ("1,234.56", Fault.COMMA_THOUSANDS),
        ("1,234,567", Fault.COMMA_THOUSANDS),
        ("1.234,56", Fault.POINT_THOUSANDS),
        ("12,50", Fault.DECIMAL_COMMA),
        ("1,234", Fault.UNCLEAR_COMMA),
        ("1 234.56", Fault.OTHER_THOUSANDS),
        ("1'234.56", Fault.OTHER_THOUSANDS),
        ("1_000", Fault.NOT_A_NUMBER),
        ("$5", Fault.NOT_A_NUMBER),
        ("5-", Fault.NOT_A_NUMBER),
        ("(5.00)", Fault.NOT_A_NUMBER),
        ("0x10", Fault.NOT_A_NUMBER),
        ("\u0661\u0662", Fault.NOT_A_NUMBER),
        ("-", Fault.NOT_A_NUMBER),
        (None, Fault.EMPTY),
    ],
)
def test_everything_else_is_at_fault(tmp_path, text, fault):
    assert read(tmp_path, [text])[0][1] == fault


@pytest.mark.parametrize(
    ("text", "options", "minor"),
    [
        ("12,50", {"decimal": ","}, 1250),
        ("-1.234,56", {"decimal": ",", "thousands": "."}, -123456),
        ("1.234", {"decimal": ",", "thousands": "."}, 123400),
        ("1,234.56", {"thousands": ","}, 123456),
        ("1234.56", {"thousands": ","}, 123456),
        ("1 234 567,8", {"decimal": ",", "thousands": " "}, 123456780),
        ("1\u00a0234,5", {"decimal": ",", "thousands": " "}, 123450),
        ("1\u2019234.5", {"thousands": "'"}, 123450),
    ],
)
def test_separators_that_are_given_are_read(tmp_path, text, options, minor):
    assert read(tmp_path, [text], **options) == [(minor, Fault.NONE, False)]


@pytest.mark.parametrize("text", ["12,34.5", "1,23", "1,2345", "12.34,5"])
def test_thousands_in_the_wrong_places_are_at_fault(tmp_path, text):
    assert read(tmp_path, [text], thousands=",")[0][1] == Fault.NOT_A_NUMBER


def test_a_point_is_at_fault_where_the_decimal_mark_is_a_comma(tmp_path):
    assert read(tmp_path, ["12.50"], decimal=",")[0][1] != Fault.NONE


@settings(max_examples=60, deadline=None)
@given(st.lists(st.decimals(-(10**9), 10**9, places=4), min_size=1, max_size=30))
def test_amounts_are_rounded_half_away_from_zero_as_exact_decimals(tmp_path_factory, values):
    got = read(tmp_path_factory.getbasetemp(), [f"{value:f}" for value in values])
    unit = Decimal("0.01")
    expected = [int(value.quantize(unit, ROUND_HALF_UP).scaleb(2)) for value in values]
    assert [minor for minor, *_ in got] == expected
    assert [rounded for *_, rounded in got] == [value != value.quantize(unit) for value in values]


HEADER = "customer_id,transaction_date,transaction_amount,currency\n"
EUR = HEADER + "c1,2025-01-02,10,EUR\nc2,2025-01-02,5,eur\n"
MIXED = HEADER + "c1,2025-01-02,10,EUR\nc2,2025-01-02,10.01,USD\nc3,2025-01-05,100,JPY\n"


def rates(shop, text="2025-01-01,USD,0.95\n2025-01-04,JPY,0.0062\n2025-01-04,USD,5\n"):
    return shop.file("date,currency,rate\n" + text, "rates.csv")


def test_one_currency_is_the_workspaces(shop):
    report = shop.land(EUR)
    assert (report.currency, shop.rows()["currency"].to_list()) == ("EUR", ["EUR", "EUR"])


def test_yen_are_kept_in_hundredths_like_every_currency(shop):
    shop.land(HEADER + "c1,2025-01-02,1200,JPY\nc1,2025-01-02,10.5,JPY\n")
    assert shop.rows()["amount_minor"].to_list() == [120000, 1050]


def test_mixed_currencies_without_a_known_one_are_refused(shop):
    assert shop.refusal(MIXED) == (
        "orders.csv, currency: it holds amounts in EUR, JPY and USD, and the workspace's currency is not "
        "set; set currency, and give rates: a CSV file date,currency,rate that says what one unit is worth "
        "in the workspace's currency from that day on."
    )


def test_a_foreign_currency_without_rates_is_refused(shop):
    assert shop.refusal(MIXED, currency="EUR") == (
        "orders.csv, currency: it holds amounts in JPY and USD, and the workspace counts in EUR; "
        "give rates: a CSV file date,currency,rate that says what one unit is worth in the "
        "workspace's currency from that day on."
    )


def test_a_file_in_another_currency_than_those_before_is_refused(shop):
    shop.land(EUR)
    with pytest.raises(
        SourceError, match="it holds amounts in USD, and the workspace counts in EUR; give rates"
    ):
        shop.land(HEADER + "c1,2025-01-02,10,USD\n")


def test_another_currency_in_the_settings_than_what_landed_is_refused(shop):
    shop.land(EUR)
    with pytest.raises(
        SourceError, match="earlier files landed in EUR, and the shop's currency is set to USD"
    ):
        shop.land(HEADER + "c9,2025-01-02,10,USD\n", currency="USD")


def test_amounts_are_converted_at_the_rate_of_their_day(shop):
    report = shop.land(MIXED, currency="EUR", rates=rates(shop))
    assert shop.rows()["amount_minor"].to_list() == [1000, 951, 62]
    assert shop.rows()["currency"].to_list() == ["EUR", "USD", "JPY"]
    assert "amounts in JPY, USD were converted to EUR at the rate of their day" in report.notices


def test_a_missing_rate_is_refused_with_the_line_to_add(shop):
    message = shop.refusal(
        MIXED, currency="EUR", rates=rates(shop, "2025-01-03,USD,0.95\n2025-01-04,JPY,0.006\n")
    )
    assert message == (
        "orders.csv, currency: there is no rate for USD on or before 2025-01-02 in rates.csv; "
        "add a line 2025-01-02,USD,<what one USD is worth in EUR>."
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [("2025-01-01,USD\n", 2), ("2025-01-01,USD,0.9\n01/02/2025,USD,1\n", 3), ("2025-01-01,USD,nan\n", 2),
     ("2025-01-01,USD,-1\n", 2), ("2025-01-01,$,1\n", 2), ("2025-01-01,USD,1\n2025-01-01,USD,2\n", 3)],
)  # fmt: skip
def test_rates_that_cannot_be_read_are_refused_with_the_line(shop, text, line):
    with pytest.raises(SourceError) as caught:
        read_rates(rates(shop, text))
    assert caught.value.line == line


def test_what_is_no_currency_code_goes_to_quarantine(shop):
    report = shop.land(EUR + "c3,2025-01-02,5,\u20ac\nc4,2025-01-02,5,\n")
    assert (report.landed, report.currency) == (3, "EUR")
    assert shop.quarantine(report) == [(4, "currency", "not a currency code of three letters")]


PLAIN = "customer_id,transaction_date,transaction_amount,quantity\n"


def test_amounts_that_cannot_be_read_go_to_quarantine_with_the_remedy(shop):
    report = shop.land(
        PLAIN + 'c1,2025-01-02,"1,234.56",1\nc2,2025-01-02,nan,1\nc3,2025-01-02,1e308,1\nc4,2025-01-02,1,1\n'
    )
    assert shop.quarantine(report) == [
        (2, "transaction_amount", "commas between thousands: give thousands ','"),
        (3, "transaction_amount", "not a finite number"),
        (4, "transaction_amount", "larger than any amount of money (a million million)"),
    ]


def test_rounding_zero_amounts_and_unread_quantities_are_counted(shop):
    report = shop.land(PLAIN + "c1,2025-01-02,1.005,two\nc2,2025-01-02,0,1.5\nc3,2025-01-02,-1.005,1\n")
    assert shop.rows()["amount_minor"].to_list() == [101, 0, -101]
    assert shop.rows()["quantity"].to_list() == [None, Decimal("1.500"), Decimal("1.000")]
    assert "2 amounts with more than 2 decimals, rounded half away from zero" in report.notices
    assert "1 amount of zero: kept, and no order" in report.notices
    assert "1 quantity that is no number, left out" in report.notices
    assert any(
        notice.startswith("1 return before the first order of the customer") for notice in report.notices
    )


DISCOUNTS = "customer_id,transaction_date,transaction_amount,discount\n"


def test_an_empty_discount_is_none_and_one_that_cannot_be_is_left_out(shop):
    report = shop.land(
        DISCOUNTS + "c1,2025-01-02,9,1.50\nc2,2025-01-02,9,\nc3,2025-01-02,9,-1\nc4,2025-01-02,9,ten\n"
    )
    assert shop.rows()["discount_minor"].to_list() == [150, 0, None, None]
    assert "2 discounts other than an amount of 0 or more, left out" in report.notices


def test_without_the_column_no_discount_is_known(shop):
    shop.land(PLAIN + "c1,2025-01-02,9,1\n")
    assert shop.rows()["discount_minor"].to_list() == [None]


def test_a_discount_in_foreign_money_is_converted_like_its_amount(shop):
    shop.land(
        HEADER.strip() + ",discount\nc1,2025-01-02,10,USD,1\nc2,2025-01-02,10,EUR,1\n",
        currency="EUR",
        rates=rates(shop),
    )
    assert shop.rows()["amount_minor"].to_list() == [950, 1000]
    assert shop.rows()["discount_minor"].to_list() == [95, 100]


def test_an_absent_category_is_said_with_what_is_lost(shop):
    report = shop.land(PLAIN + "c1,2025-01-02,1,1\n")
    assert (
        "the file has no product_category: category preferences, and segments and audiences by category "
        "are lost for its rows"
    ) in report.notices
