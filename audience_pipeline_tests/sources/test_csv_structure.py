from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.sources import survey
from audience_pipeline.sources.lines import LineMap
from audience_pipeline.sources.repair import Dialect, repair

HEADER = "customer_id,transaction_date,transaction_amount,product_category\n"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_are_found(shop, separator):
    text = HEADER + "c1,2025-01-02,10.00,shoes\n"
    report = shop.land(text.replace(",", separator))
    assert (report.landed, shop.rows()["product_category"].to_list()) == (1, ["shoes"])


def test_a_separator_can_be_given(shop):
    assert shop.land((HEADER + "c1,2025-01-02,10.00,shoes\n").replace(",", "^"), delimiter="^").landed == 1


def test_quotes_separators_and_newlines_inside_fields_are_read(shop):
    shop.land(
        HEADER + 'c1,2025-01-02,1,"shoes, ""red"""\n"c\n2",2025-01-02,2,"a\r\n\n b"\nc3,2025-01-02,3,c\n'
    )
    rows = shop.rows()
    assert rows["product_category"].to_list() == ['shoes, "red"', "a\n\n b", "c"]
    assert rows["customer_id"].to_list() == ["c1", "c\n2", "c3"]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_all_line_ends_are_read(shop, newline):
    report = shop.land(
        (HEADER + "c1,2025-01-02,1,a\n,2025-01-02,1,a\nc2,2025-01-02,2,b\n").replace("\n", newline)
    )
    assert (report.landed, shop.quarantine(report)) == (2, [(3, "customer_id", "empty")])


def test_mixed_line_ends_are_read(shop):
    text = HEADER.replace("\n", "\r\n") + "c1,2025-01-02,1,a\nc2,2025-01-02,2,b\r\nc3,2025-01-02,3,c"
    assert shop.land(text).landed == 3


def test_too_few_and_too_many_fields_cost_their_own_row_only(shop):
    report = shop.land(HEADER + "c1,2025-01-02,1,a\nc2,2025-01-02\nc3,2025-01-02,3,c,d\nc4,2025-01-02,4,d\n")
    assert (report.rows_read, report.landed) == (4, 2)
    assert shop.quarantine(report) == [
        (3, "record", "fewer fields than the header"),
        (4, "record", "more fields than the header"),
    ]


def test_a_quote_that_is_never_closed_swallows_nothing(shop):
    rows = "".join(f"c{i},2025-01-02,{i},a\n" for i in range(3, 2000))
    report = shop.land(HEADER + 'c1,2025-01-02,1,a\nc2,2025-01-02,2,"a\n' + rows)
    assert (report.rows_read, report.landed) == (1999, 1998)
    assert shop.quarantine(report) == [(3, "record", "a quote that is not closed or not doubled")]


def test_a_quote_closed_far_below_swallows_nothing(shop):
    rows = "".join(f"c{i},2025-01-02,{i},a\n" for i in range(3, 500))
    report = shop.land(HEADER + 'c2,2025-01-02,2,"a\n' + rows + 'c9,2025-01-02,2,"b"\n')
    assert (report.landed, [line for line, *_ in shop.quarantine(report)]) == (498, [2])


def test_line_numbers_are_those_of_the_file_whatever_comes_before(shop):
    report = shop.land(
        HEADER  # 1
        + "\n"  # 2: blank
        + 'c1,2025-01-02,1,"two\nlines"\n'  # 3, 4
        + "c2,2025-01-02\n"  # 5: too few
        + "  \n"  # 6: blank
        + ",2025-01-02,1,a\n"  # 7: no customer
        + 'c3,2025-01-02,x,"a\n\nb"\n'  # 8 to 10: no amount
        + 'c4,2025-01-02,1,"open\n'  # 11: not closed
        + "c5,2025-01-32,1,a\n"  # 12: no such day
        + "c6,2025-01-02,1,a\n"  # 13
    )
    assert shop.quarantine(report) == [
        (5, "record", "fewer fields than the header"),
        (7, "customer_id", "empty"),
        (8, "transaction_amount", "not a number"),
        (11, "record", "a quote that is not closed or not doubled"),
        (12, "transaction_date", "no such day or time in the calendar"),
    ]
    assert (report.rows_read, report.landed) == (7, 2)


def test_line_numbers_skip_blank_lines_without_repair(shop):
    report = shop.land("\n".join([HEADER.strip(), "", "c1,2025-01-02,1,a", "", "", ",2025-01-02,1,a", ""]))
    assert shop.quarantine(report) == [(6, "customer_id", "empty")]


def test_rows_of_a_large_file_keep_their_order_and_their_lines(shop):
    rows = [f"c{i},2025-01-02,{i % 1000},{'x' * (i % 40)}" for i in range(150_000)]
    rows[137_000] = ",2025-01-02,1,a"
    report = shop.land(HEADER + "\n".join(rows))
    expected = [f"c{i}" for i in range(150_000) if i != 137_000]
    assert shop.rows()["customer_id"].to_list() == expected
    assert shop.quarantine(report) == [(137_002, "customer_id", "empty")]


def test_one_broken_row_in_a_large_file_is_found_on_its_line(shop):
    rows = [f"c{i},2025-01-02,{i % 1000},abcdefgh" for i in range(150_000)]
    rows[140_000] = "c,2025-01-02"
    report = shop.land(HEADER + "\n".join(rows) + "\n")
    assert (report.landed, shop.quarantine(report)) == (
        149_999,
        [(140_002, "record", "fewer fields than the header")],
    )


@pytest.mark.parametrize("length", [3_000_000, 70_000_000])
def test_an_endless_field_goes_to_quarantine_and_the_rest_lands(shop, length):
    long = b"x" * length
    report = shop.land(
        HEADER.encode()
        + b"c1,2025-01-02,1,a\nc2,2025-01-02,2,"
        + long
        + b"\nc3,2025-01-02,3,a\n,2025-01-02,1,a\n"
    )
    assert report.landed == 2
    assert shop.quarantine(report) == [
        (3, "record", "longer than 2,000,000 bytes"),
        (5, "customer_id", "empty"),
    ]


def test_an_endless_header_is_refused(shop):
    assert "the header is longer than 2,000,000 bytes or not closed" in shop.refusal(b"x," * 2_000_000)


def test_a_field_with_null_bytes_is_no_reason_to_stop(shop):
    text = HEADER + "".join(f"c{i},2025-01-02,1,a\n" for i in range(400)) + "c\x00,2025-01-02,1,a\n"
    assert shop.land(text).landed == 401


def test_blanks_around_values_are_no_part_of_them(shop):
    shop.land(HEADER + " c1\u00a0,2025-01-02 , 10.00,\ta\nc2, 2025-01-02,1,   \n")
    rows = shop.rows()
    assert rows["customer_id"].to_list() == ["c1", "c2"]
    assert rows["product_category"].to_list() == ["a", None]


def test_customer_ids_that_a_data_frame_made_decimal_become_what_they_were(shop):
    shop.land(HEADER + "12346.0,2025-01-02,1,a\n12346,2025-01-03,1,a\nv1.0,2025-01-03,1,a\n")
    assert shop.rows()["customer_id"].to_list() == ["12346", "12346", "v1.0"]


TEXT = st.text(alphabet='ab,"\n \u00e9', max_size=5)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=12), st.integers(16, 80))
def test_repair_reads_every_well_formed_file_as_the_csv_module_does(records, block):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("h", "h", "h"), *records])
    source, target = io.BytesIO(text.getvalue().encode()), io.BytesIO()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(survey, "BLOCK", block)
        outcome = repair(source, target, Dialect(",", 3), skip=1)

    reader = csv.reader(io.StringIO(text.getvalue()), strict=True, skipinitialspace=True)
    next(reader)
    expected, lines, start = [], [], reader.line_num
    for record in reader:
        expected.append(record)
        lines.append(start + 1)
        start = reader.line_num
    got = list(csv.reader(io.StringIO(target.getvalue().decode())))
    assert got == expected
    assert len(outcome.rejected) == 0
    assert outcome.line_map.lines(np.arange(len(expected))).tolist() == lines


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(["a,b\n", "a\n", "a,b,c\n", "\n", '"a\n', '"a",b\n', 'x"y,z\n', "  \n"]), max_size=15
    )
)
def test_repair_accounts_for_every_line_of_a_broken_file(lines):
    source, target = io.BytesIO("".join(["h,h\n", *lines]).encode()), io.BytesIO()

    outcome = repair(source, target, Dialect(",", 2), skip=1)

    good = list(csv.reader(io.StringIO(target.getvalue().decode())))
    assert len(good) == outcome.records
    starts = outcome.line_map.lines(np.arange(outcome.records)).tolist()
    taken = sum(1 + sum(field.count("\n") for field in record) for record in good)
    blank_outside = len(lines) - taken - len(outcome.rejected)
    assert 0 <= blank_outside <= sum(not line.strip() for line in lines)
    assert starts == sorted(set(starts))
    assert not set(starts) & set(outcome.rejected.lines)


@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(2, 40)), st.integers(2, 4))
def test_lines_around_blanks_are_counted_like_a_person_would(blanks, first):
    content = [line for line in range(first, 60) if line not in blanks]
    line_map = LineMap.around_blanks(first, np.array(sorted(blanks), dtype=np.int64))
    assert line_map.lines(np.arange(len(content))).tolist() == content
