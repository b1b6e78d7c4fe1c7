from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.dates import moment
from audience_pipeline.sources.engine import connect
from audience_pipeline.sources.faults import Fault
from audience_pipeline.sources.options import ReadOptions, ShopFacts

FACTS = ShopFacts(today=dt.date(2025, 6, 30))


def read(tmp_path, texts, facts=FACTS, **options):
    """(instant, fault) of each text."""
    sql = moment("t", "at_", ReadOptions(**options), facts, required=True)
    with connect(tmp_path) as connection:
        connection.execute("CREATE TABLE texts (n INTEGER, t VARCHAR)")
        connection.executemany("INSERT INTO texts VALUES (?, ?)", list(enumerate(texts)))
        return connection.execute(
            f"SELECT at_, {sql.fault} FROM (SELECT *, {sql.at} AS at_ FROM texts) ORDER BY n"
        ).fetchall()


def day(*parts):
    return dt.datetime(*parts)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2025-03-04", day(2025, 3, 4)),
        ("2025/03/04", day(2025, 3, 4)),
        ("20250304", day(2025, 3, 4)),
        ("04.03.2025", day(2025, 3, 4)),
        ("4.3.2025", day(2025, 3, 4)),
        ("2025-03-04T05:06:07", day(2025, 3, 4, 5, 6, 7)),
        ("2025-03-04 05:06", day(2025, 3, 4, 5, 6)),
        ("2025-03-04 05:06:07.123456789", day(2025, 3, 4, 5, 6, 7, 123456)),
        ("2025/03/04 05:06:07", day(2025, 3, 4, 5, 6, 7)),
        ("04.03.2025 05:06", day(2025, 3, 4, 5, 6)),
        ("2025-03-04T05:06:07Z", day(2025, 3, 4, 5, 6, 7)),
        ("2025-03-04T05:06Z", day(2025, 3, 4, 5, 6)),
        ("2025-03-04T05:06:07+02:00", day(2025, 3, 4, 3, 6, 7)),
        ("2025-03-04T05:06:07.5-0330", day(2025, 3, 4, 8, 36, 7, 500000)),
        ("2025-03-04 05:06:07 +02", day(2025, 3, 4, 3, 6, 7)),
        ("1970-01-01", day(1970, 1, 1)),
        ("2025-07-01", day(2025, 7, 1)),
    ],
)
def test_dates_that_can_be_read_in_one_way_are_read(tmp_path, text, instant):
    assert read(tmp_path, [text]) == [(instant, Fault.NONE)]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("2025-02-31", Fault.NO_SUCH_DAY),
        ("2025-02-29", Fault.NO_SUCH_DAY),
        ("31.02.2025", Fault.NO_SUCH_DAY),
        ("20251301", Fault.NO_SUCH_DAY),
        ("2025-01-01 25:00", Fault.NO_SUCH_DAY),
        ("2025-01-01T10:00:00+99:00", Fault.UNREADABLE_DATE),
        ("0000-01-01", Fault.TOO_EARLY),
        ("1899-12-31", Fault.TOO_EARLY),
        ("1969-12-31 23:59:59", Fault.TOO_EARLY),
        ("2025-07-02", Fault.IN_FUTURE),
        ("2999-01-01", Fault.IN_FUTURE),
        ("01/02/2025", Fault.AMBIGUOUS_DATE),
        ("1-2-25", Fault.AMBIGUOUS_DATE),
        ("13/01/2025", Fault.AMBIGUOUS_DATE),
        ("01.02.25", Fault.AMBIGUOUS_DATE),
        ("01/02/2025 10:00", Fault.AMBIGUOUS_DATE),
        ("2025-1-2", Fault.UNREADABLE_DATE),
        ("2025-01", Fault.UNREADABLE_DATE),
        ("Jan 5, 2025", Fault.UNREADABLE_DATE),
        ("1735689600", Fault.UNREADABLE_DATE),
        ("infinity", Fault.UNREADABLE_DATE),
        ("today", Fault.UNREADABLE_DATE),
        ("2025-01-02 (BC)", Fault.UNREADABLE_DATE),
        ("2025-01-02 10:00 PM", Fault.UNREADABLE_DATE),
        ("2025-01-02x", Fault.UNREADABLE_DATE),
        ("\u0662\u0660\u0662\u0665-01-02", Fault.UNREADABLE_DATE),
        (None, Fault.EMPTY),
    ],
)
def test_everything_else_is_at_fault(tmp_path, text, fault):
    assert read(tmp_path, [text])[0][1] == fault


@settings(max_examples=60, deadline=None)
@given(st.lists(st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2025, 6, 30)), min_size=1, max_size=20))
def test_what_python_writes_as_iso_is_read_back(tmp_path_factory, instants):
    folder = tmp_path_factory.getbasetemp()
    assert read(folder, [instant.isoformat() for instant in instants]) == [
        (instant, Fault.NONE) for instant in instants
    ]


def test_times_with_an_offset_become_the_shops_and_others_stay(tmp_path):
    berlin = ShopFacts(time_zone="Europe/Berlin", today=dt.date(2025, 6, 30))
    texts = ["2025-03-29T23:30:00Z", "2025-03-30T01:30:00Z", "2025-03-30T01:30:00"]
    assert [instant for instant, _ in read(tmp_path, texts, berlin)] == [
        day(2025, 3, 30, 0, 30),
        day(2025, 3, 30, 3, 30),
        day(2025, 3, 30, 1, 30),
    ]


def test_the_days_result_is_the_same_in_any_zone_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    assert read(tmp_path, ["2025-03-04T05:06:07Z"]) == [(day(2025, 3, 4, 5, 6, 7), Fault.NONE)]


def test_a_given_format_is_the_only_one(tmp_path):
    got = read(tmp_path, ["01/02/2025", "31/02/2025", "2025-02-01"], date_format="%d/%m/%Y")
    assert got == [(day(2025, 2, 1), 0), (None, Fault.UNREADABLE_DATE), (None, Fault.UNREADABLE_DATE)]


def test_a_format_with_an_offset_becomes_the_shops_time(tmp_path):
    berlin = ShopFacts(time_zone="Europe/Berlin", today=dt.date(2025, 6, 30))
    got = read(tmp_path, ["01/02/2025 23:30 +0000"], berlin, date_format="%d/%m/%Y %H:%M %z")
    assert got == [(day(2025, 2, 2, 0, 30), 0)]


@pytest.mark.parametrize("wrong", ["%d/%m", "%H:%M", "dd/mm/yyyy"])
def test_a_format_that_names_no_day_month_and_year_is_refused(wrong):
    with pytest.raises(ValueError, match="date_format lacks the"):
        ReadOptions(date_format=wrong)


def orders(*dates):
    return "customer_id,transaction_date,transaction_amount\n" + "".join(f"c1,{date},1\n" for date in dates)


def test_ambiguous_dates_are_asked_about(shop):
    assert shop.refusal(orders("01/02/2025", "03/04/2025")) == (
        "orders.csv, line 2, transaction_date: dates such as 99/99/9999 can be read as day first (%d/%m/%Y) "
        "or month first (%m/%d/%Y), and no row settles it; give date_format: %d/%m/%Y or %m/%d/%Y "
        "(--date-format '%d/%m/%Y')."
    )


def test_a_row_that_settles_the_question_is_mentioned_and_still_not_guessed_from(shop):
    assert shop.refusal(orders("01/02/2025", "13/04/2025")).endswith(
        "and some rows can only be day first; give date_format: %d/%m/%Y (--date-format '%d/%m/%Y')."
    )
    assert "some rows can only be month first; give date_format: %m-%d-%y" in shop.refusal(
        orders("1-2-25", "1-22-25")
    )


def test_ambiguous_dates_that_contradict_each_other_are_said_to(shop):
    assert "rows contradict each other" in shop.refusal(orders("13/02/2025", "01/14/2025"))


def test_ambiguous_times_of_contacts_are_asked_about(shop):
    message = shop.refusal("customer_id,country,updated_at\nc1,DE,01/02/2025 10:00\n", Kind.CRM)
    assert "updated_at: dates such as 99/99/9999 can be read as day first" in message


def test_the_answer_is_read(shop):
    report = shop.land(orders("01/02/2025", "03/04/2025"), date_format="%d/%m/%Y")
    assert (report.first_date, report.last_date) == (dt.date(2025, 2, 1), dt.date(2025, 4, 3))


def test_a_stray_ambiguous_date_among_many_clear_ones_goes_to_quarantine(shop):
    report = shop.land(orders(*["2025-01-02"] * 199, "01/02/2025"))
    assert shop.quarantine(report) == [
        (201, "transaction_date", "day and month cannot be told apart: give date_format, such as %d/%m/%Y")
    ]


def test_impossible_and_implausible_days_go_to_quarantine_with_their_reasons(shop):
    report = shop.land(orders("2025-02-31", "1899-12-31", "2999-01-01", "soon", "2025-01-02"))
    assert shop.quarantine(report) == [
        (2, "transaction_date", "no such day or time in the calendar"),
        (3, "transaction_date", "before 1970-01-01"),
        (4, "transaction_date", "later than tomorrow (2025-06-30 is today)"),
        (
            5,
            "transaction_date",
            "not a date as YYYY-MM-DD, YYYY/MM/DD, YYYYMMDD or DD.MM.YYYY: give date_format",
        ),
    ]


def test_the_time_is_kept_only_where_there_is_one(shop):
    shop.land(orders("2025-01-02", "2025-01-02 10:30"))
    assert shop.rows()["transaction_at"].to_list() == [None, dt.datetime(2025, 1, 2, 10, 30)]
