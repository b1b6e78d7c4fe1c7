from __future__ import annotations

import gzip
import io
import zipfile

import pytest

from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.errors import SourceError

HEADER = "customer_id,transaction_date,transaction_amount\n"
GOOD = HEADER + "c1,2025-01-02,10.00\nc2,2025-01-03,20.50\n"


def test_an_empty_file_is_refused(shop):
    assert shop.refusal("") == "orders.csv: the file is empty; export it again."


def test_a_file_of_blanks_is_refused(shop):
    assert shop.refusal("\n  \n\n") == "orders.csv: the file holds nothing but blanks; export it again."


@pytest.mark.parametrize("ending", ["", "\n", "\n\n", "   \n"])
def test_a_header_alone_is_refused(shop, ending):
    message = shop.refusal(HEADER.strip() + "\n" + ending)
    assert message == "orders.csv: there is a header and nothing under it; export it again, with its rows."


def test_a_file_that_is_not_there_is_refused(shop):
    message = shop.refusal(shop.folder / "nowhere.csv")
    assert message == "nowhere.csv: there is no such file; check the path."


def test_a_folder_is_refused(shop):
    assert "this is a folder" in shop.refusal(shop.folder)


def test_an_excel_workbook_is_refused_by_name(shop):
    workbook = io.BytesIO()
    with zipfile.ZipFile(workbook, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    message = shop.refusal(workbook.getvalue(), name="orders.xlsx")
    assert message.startswith(
        "orders.xlsx: this is an Excel workbook, not a table; save the sheet as CSV (UTF-8)"
    )


def test_a_zip_archive_is_refused_by_name(shop):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writing:
        writing.writestr("orders.csv", GOOD)
    assert "this is a zip archive, not a table; unpack it first" in shop.refusal(archive.getvalue())


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"SQLite format 3\x00", "an SQLite database"),
        (b"<!DOCTYPE html><html>", "a web page or XML"),
        (b"abc\x00\x01\x02\x00\x03", "a binary file"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_name(shop, head, what):
    assert f"this is {what}, not a table; CSV, JSON" in shop.refusal(head + b"rest of it")


def test_contacts_given_as_transactions_are_recognised(shop):
    message = shop.refusal("customer_id,email,phone\nc1,ann@example.com,+1\n", name="people.csv")
    assert message == (
        "people.csv: the columns 'transaction_date', 'transaction_amount' "
        "are missing; the file has 'customer_id', 'email', 'phone': it looks like crm, so land it as crm."
    )


def test_transactions_given_as_contacts_are_recognised(shop):
    message = shop.refusal(GOOD, Kind.CRM)
    assert "none of the columns email, phone" in message
    assert "it looks like transactions, so land it as transactions" in message


def test_a_missing_column_is_named_with_what_is_there_and_how_to_map_it(shop):
    message = shop.refusal("Customer,transaction_date,transaction_amount\nc1,2025-01-02,1\n")
    assert message == (
        "orders.csv: the column 'customer_id' is missing; the file has 'Customer', "
        "'transaction_date', 'transaction_amount'. Rename it there, or say which column it is: "
        "columns: {customer_id: Customer} (--column customer_id='Customer')."
    )


def test_columns_can_be_mapped(shop):
    report = shop.land(
        "Kunde;Datum;Betrag\nc1;2025-01-02;1.5\n",
        columns={"customer_id": "Kunde", "transaction_date": "Datum", "transaction_amount": "Betrag"},
    )
    assert (report.landed, report.total_minor) == (1, 150)


def test_a_mapping_to_a_column_that_is_not_there_is_refused(shop):
    message = shop.refusal(GOOD, columns={"customer_id": "Kunde"})
    assert "columns maps customer_id to 'Kunde', which is not in the file" in message


def test_a_mapping_of_an_unknown_column_is_refused(shop):
    assert "columns maps 'customer', which transactions does not have" in shop.refusal(
        GOOD, columns={"customer": "x"}
    )


def test_a_duplicate_header_is_named_with_its_places(shop):
    message = shop.refusal(
        "customer_id,transaction_date,transaction_amount,transaction_date\nc1,2025-01-02,1,x\n"
    )
    assert message == (
        "orders.csv, line 1: the column 'transaction_date' occurs 2 times (columns 2, 4); "
        "remove or rename all but one."
    )


def test_a_file_without_header_is_refused_without_showing_its_first_row(shop):
    message = shop.refusal("c1,ann@example.com,Ann\n", Kind.CRM)
    assert message == (
        "orders.csv, line 1: the first line looks like data, not like column names; "
        "put the names of the columns into the first line."
    )


def test_latin_1_is_refused_by_name_and_place(shop):
    message = shop.refusal((GOOD + "caf\u00e9,2025-01-02,1\n").encode("latin-1"))
    assert message == (
        "orders.csv, line 4: byte 91 is not UTF-8; the file looks like latin-1 (ISO 8859-1); "
        "give encoding: latin-1 (--encoding latin-1), or encoding: utf-8 to put the lines that are not UTF-8 "
        "into quarantine."
    )


def test_windows_1252_is_told_from_latin_1(shop):
    assert "looks like Windows-1252" in shop.refusal((GOOD + "\u20ac,2025-01-02,1\n").encode("cp1252"))


def test_latin_1_is_read_when_it_is_named(shop):
    shop.land((GOOD + "caf\u00e9,2025-01-02,1\n").encode("latin-1"), encoding="latin-1")
    assert "caf\u00e9" in shop.rows()["customer_id"]


def test_lines_that_are_not_utf_8_go_to_quarantine_when_utf_8_is_named(shop):
    report = shop.land(GOOD.encode() + b"caf\xe9,2025-01-02,1\nc4,2025-01-04,4\n", encoding="utf-8")
    assert (report.landed, shop.quarantine(report)) == (3, [(4, "record", "not UTF-8")])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_utf_8_with_and_without_mark_and_utf_16_with_mark_are_read(shop, encoding):
    report = shop.land((HEADER + "zo\u00eb,2025-01-02,1.25\n").encode(encoding))
    assert (report.landed, shop.rows()["customer_id"].to_list()) == (1, ["zo\u00eb"])


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_mark_is_refused_by_name(shop, encoding):
    message = shop.refusal(GOOD.encode(encoding))
    assert message == (
        "orders.csv: this is UTF-16 without a byte order mark; "
        f"give encoding: {encoding} (--encoding {encoding})."
    )
    assert shop.land(GOOD.encode(encoding), encoding=encoding).landed == 2


def test_utf_32_is_refused_by_name(shop):
    assert "this is UTF-32; give encoding: utf-32" in shop.refusal(GOOD.encode("utf-32"))


def test_a_wrong_encoding_is_refused_with_the_place(shop):
    message = shop.refusal(GOOD.encode() + b"caf\xe9,2025-01-02,1\n", encoding="ascii")
    assert message == "orders.csv, line 4: byte 91 is not ascii; give another encoding."


def test_gzip_is_read_whatever_the_file_is_called(shop):
    assert shop.land(gzip.compress(GOOD.encode()), name="orders.csv").landed == 2


def test_a_truncated_gzip_is_refused(shop):
    whole = gzip.compress((HEADER + "".join(f"c{i},2025-01-02,{i}.5\n" for i in range(20_000))).encode())
    for size in (12, len(whole) // 2, len(whole) - 3):
        message = shop.refusal(whole[:size], name="orders.csv")
        assert message == (
            "orders.csv: the gzip file is cut off or damaged; copy or export it again; nothing was landed."
        )


def test_a_file_of_which_no_row_can_be_used_is_refused_and_its_quarantine_is_kept(shop):
    with pytest.raises(SourceError) as caught:
        shop.land(HEADER + "c1,2025-02-31,1\n,2025-01-01,x\n")
    assert str(caught.value) == (
        "orders.csv: none of its 2 rows can be used: customer_id: empty (1); "
        "transaction_amount: not a number (1); transaction_date: no such day or time in the calendar (1); "
        "nothing was landed; the quarantine lists every row."
    )
    assert caught.value.report is not None
    assert shop.quarantine(caught.value.report) == [
        (2, "transaction_date", "no such day or time in the calendar"),
        (3, "customer_id", "empty"),
        (3, "transaction_amount", "not a number"),
    ]
    assert not list(shop.lake.glob("transactions/*"))


def test_more_than_half_in_quarantine_lands_the_rest_and_says_so_loudly(shop):
    report = shop.land(HEADER + "c1,2025-01-01,1\n,2025-01-01,1\n,2025-01-01,1\n")
    assert report.landed == 1
    assert report.notices[0].startswith("MORE THAN HALF OF THE FILE IS IN QUARANTINE (2 of 3 rows)")


@pytest.mark.parametrize("name", ["a[1].csv", "a*b.csv", "a?b.csv", "it's.csv", "a b.csv"])
def test_odd_file_names_are_no_patterns(shop, name):
    assert shop.land(GOOD, name=name).landed == 2


def test_the_name_of_a_file_that_is_an_address_is_not_repeated(shop):
    report = shop.land(GOOD, name="ann@example.com.csv")
    assert report.file == "(file with a personal name).csv"
