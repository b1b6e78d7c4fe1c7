from __future__ import annotations

import gzip
import time
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.audiences.lists import listed
from audience_pipeline.identifiers import hashed
from audience_pipeline.identifiers.text import digest
from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.list_entries import ENTRIES_SCHEMA
from audience_pipeline.sources.lists import ListReport, list_names, list_path, read_list, upload

EMAIL, PHONE, DEVICE = "Ann.Example@shop.example", "+1 212 555 0123", "AB0E4567-e89b-12d3-a456-426614174000"
HASHES = {
    "email": bytes.fromhex(hashed("meta", "email", EMAIL) or ""),
    "phone": bytes.fromhex(hashed("meta", "phone", PHONE) or ""),
    "device_id": digest(DEVICE.lower()),
    "customer_id": digest("C1042"),
}


def uploaded(
    tmp_path: Path, content: str | bytes, region: str | None = "US", **options: object
) -> tuple[ListReport, set[tuple[str, bytes]]]:
    file = tmp_path / "list.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    report = upload(tmp_path, "vip", file, default_region=region, replace=True, **options)  # type: ignore[arg-type]
    return report, set(read_list(tmp_path, "vip").iter_rows())


def kinds(tmp_path: Path, *values: str, region: str | None = "US") -> list[str]:
    _, found = uploaded(tmp_path, "\n".join(("value", *values)), region)
    return sorted(kind for kind, _ in found)


def refusal(tmp_path: Path, content: str | bytes, **options: object) -> str:
    with pytest.raises(SourceError) as caught:
        uploaded(tmp_path, content, **options)  # type: ignore[arg-type]
    return str(caught.value)


EVERYTHING = set(HASHES.items())


@pytest.mark.parametrize(
    "content",
    [
        f"{EMAIL}\n{PHONE}\n{DEVICE}\nC1042\n",
        f"identifier\n{EMAIL}\n{PHONE}\n{DEVICE}\nC1042",
        f"C1042,{EMAIL},{PHONE},{DEVICE}\n",
        f"customer_id;email;phone;madid\nC1042;{EMAIL};{PHONE};{DEVICE}\n",
        f"Mail\tTelefon\tIDFA\tID\tName\n{EMAIL}\t{PHONE}\t{DEVICE}\tC1042\tAnn Example\n",
        f'"{EMAIL}"\r\n"{PHONE}"\r\n"{DEVICE}"\r\n"C1042"\r\n',
        f"\ufeff{EMAIL}\n\n{PHONE}\n  {DEVICE} \nC1042\n",
        f"{EMAIL.upper()}\n(212) 555-0123\n{DEVICE.upper()}\n\u200bC1042\n".encode("utf-16"),
        gzip.compress(f"{EMAIL}\n{PHONE}\n{DEVICE}\nC1042\n".encode()),
    ],
    ids=["lines", "one column", "no header", "header", "other names", "quoted", "blanks", "utf-16", "gzip"],
)
def test_a_file_of_any_form_gives_the_same_list(tmp_path: Path, content: str | bytes):
    report, found = uploaded(tmp_path, content)

    assert found == EVERYTHING
    assert (report.distinct, dict(report.by_kind)) == (4, dict.fromkeys(sorted(HASHES), 1))
    assert report.unusable == ()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ann@shop.example", ["email"]),
        ("C1042", ["customer_id"]),
        ("1042", ["customer_id"]),
        ("123456789", ["customer_id"]),
        ("2125550123", ["customer_id", "phone"]),
        ("9999999999", ["customer_id"]),
        ("12125550123", ["customer_id", "phone"]),
        ("212-555-0123", ["phone"]),
        ("+49 170 1234567", ["phone"]),
        ("123-456-78", ["customer_id"]),
        (DEVICE, ["device_id"]),
        ("a81f-77", ["customer_id"]),
    ],
)
def test_a_value_is_read_as_what_it_looks_like(tmp_path: Path, value: str, expected: list[str]):
    assert kinds(tmp_path, value) == expected


def test_a_national_number_needs_the_region_of_the_shop(tmp_path: Path):
    (with_region,) = kinds(tmp_path, "0170 1234567", region="DE")
    report, found = uploaded(tmp_path, "value\nC1\n0170 1234567\n", None)

    assert with_region == "phone"
    assert {kind for kind, _ in found} == {"customer_id"}
    assert "default_region" in report.unusable[0].reason


def test_a_column_says_what_it_holds(tmp_path: Path):
    _, ids = uploaded(tmp_path, "customer_id\n2125550123\nann\n12346.0\n")
    _, phones = uploaded(tmp_path, "mobile\n2125550123\n")
    _, cards = uploaded(tmp_path, "loyalty_id\n77\n")
    _, mapped = uploaded(tmp_path, "Wer,Wo\nann@shop.example,C9\n", columns={"email": "Wer"})

    assert ids == {("customer_id", digest(one)) for one in ("2125550123", "ann", "12346")}
    assert phones == {("phone", digest("12125550123"))}
    assert cards == {("customer_id", digest("loyalty:77"))}
    assert mapped == {("email", digest("ann@shop.example"))}


def test_hashes_are_read_only_from_a_column_that_says_so(tmp_path: Path):
    sha = digest("ann@shop.example").hex()

    _, found = uploaded(tmp_path, f"email_sha256\n{sha.upper()}\nnot a hash\n")
    report, others = uploaded(tmp_path, f"value\n{sha}\nC1\n")

    assert found == {("email", digest("ann@shop.example"))}
    assert len(others) == 1
    assert report.unusable[0].reason.startswith("hashed already")


def test_what_cannot_be_used_is_counted_by_reason_with_the_first_line(tmp_path: Path):
    content = "value\nC1\nAnn Example\ntest@test.com\nno-digits\n2026-01-31\na@b\nAnn Example\n" + "9" * 400

    report, _ = uploaded(tmp_path, content)

    assert [(one.values, one.first_line) for one in report.unusable] == [(4, 3), (2, 4), (1, 9)]
    assert report.unusable[0].reason.startswith("neither an e-mail address")
    assert (report.lines, report.values, report.distinct) == (8, 8, 1)


def test_columns_that_hold_something_else_are_named_and_not_read(tmp_path: Path):
    report, found = uploaded(tmp_path, "email,first_name,note\nann@shop.example,Ann,C77\n")

    assert (report.header, report.unused_columns) == (True, ("first_name", "note"))
    assert len(found) == 1


def test_a_line_longer_than_the_header_is_left_out_and_said(tmp_path: Path):
    report, found = uploaded(tmp_path, "email,phone\na@shop.example,,C1\nb@shop.example,\n")

    assert found == {("email", digest("b@shop.example"))}
    assert (report.unusable[0].values, report.unusable[0].first_line) == (1, 2)


def test_a_million_lines_with_duplicates_take_seconds(tmp_path: Path):
    values = [f"C{n % 1000}\nann{n % 500}@shop.example\n+1 212 555 {n % 100:04}\n" for n in range(333_334)]
    begun = time.perf_counter()

    report, _ = uploaded(tmp_path, "".join(values))

    assert time.perf_counter() - begun < 30
    assert report.lines == 1_000_002
    assert dict(report.by_kind) == {"customer_id": 1000, "email": 500, "phone": 100}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "nothing in the file can be used"),
        ("\n\n", "nothing in the file can be used"),
        ("email\n", "nothing in the file can be used as an identifier: it holds no values"),
        ("Ann\nBob\n", "1 from line 2 on are neither an e-mail address, a phone number nor an id"),
        (f"{'a1' * 32}\n{'b2' * 32}\n", "2 from line 1 on are hashed already: only a column called"),
        (b"PK\x03\x04rest", "this is a spreadsheet or an archive"),
        (b"PAR1\x00\x01", "this is not a text file"),
        ("x" * 200_000, "100,000 characters or more"),
        ('email,b\n"never closed,' + "x\n," * 80_000, "a quote is opened and never closed"),
        ("Vorname,Ort\nAnn,Bonn\n", "no name in the first line says which column holds what"),
    ],
    ids=[
        "empty",
        "blank",
        "header",
        "names",
        "hashes",
        "zip",
        "parquet",
        "one line",
        "quote",
        "unknown names",
    ],
)
def test_a_file_that_holds_no_list_is_refused_with_a_reason(
    tmp_path: Path, content: str | bytes, message: str
):
    assert message in refusal(tmp_path, content)
    assert list_names(tmp_path) == ()


def test_a_column_that_is_not_there_is_named(tmp_path: Path):
    assert "'Mail'" in refusal(tmp_path, "email\na@shop.example\n", columns={"email": "Mail"})
    assert "no kind" in refusal(tmp_path, "email\na@shop.example\n", columns={"mail": "email"})


def test_a_list_is_replaced_only_when_that_is_said(tmp_path: Path):
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text("C1\n")
    second.write_text("C2\n")

    assert not upload(tmp_path, "vip", first).replaced
    with pytest.raises(SourceError, match="there is a list vip already; say --replace"):
        upload(tmp_path, "vip", second)
    assert read_list(tmp_path, "vip")["value"].to_list() == [digest("C1")]
    assert upload(tmp_path, "vip", second, replace=True).replaced
    assert read_list(tmp_path, "vip")["value"].to_list() == [digest("C2")]


def test_a_list_that_is_refused_leaves_the_one_that_is_there(tmp_path: Path):
    uploaded(tmp_path, "C1\n")

    refusal(tmp_path, "nobody\n")

    assert read_list(tmp_path, "vip")["value"].to_list() == [digest("C1")]
    assert sorted(path.name for path in (tmp_path / "lists").iterdir()) == [".lock", "vip.parquet"]


def test_nothing_of_the_file_is_written(tmp_path: Path):
    raw = ("ann@shop.example", "+1 212 555 0123", "C1042", "Ann Example", "2125550123", DEVICE)
    uploaded(tmp_path, "\n".join(raw))

    stored = list_path(tmp_path, "vip").read_bytes()

    assert not [value for value in raw if value.encode() in stored or value.lower().encode() in stored]


@pytest.mark.parametrize("name", ["../x", "a/b", "a.b", ""])
def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path, name: str):
    with pytest.raises(ValueError, match="a list has a name"):
        list_path(tmp_path, name)


def test_names_of_lists_are_those_of_their_files(tmp_path: Path):
    uploaded(tmp_path, "C1\n")

    assert list_names(tmp_path) == ("vip",)
    assert read_list(tmp_path, "vip").schema == ENTRIES_SCHEMA


@settings(max_examples=40)
@given(st.lists(st.text(max_size=30) | st.sampled_from([EMAIL, PHONE, "C1", ",", '"', ";"]), max_size=12))
def test_whatever_a_file_holds_it_is_a_list_or_a_sentence(values: Sequence[str]):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        try:
            report, found = uploaded(Path(folder), "\n".join(values).encode("utf-8", "surrogatepass"))
        except SourceError as error:
            assert not [value for value in (EMAIL, PHONE) if value in str(error)]  # noqa: PT017 -- either is right
        else:
            assert report.distinct == len(found) > 0


def test_what_is_uploaded_finds_the_customers_by_any_identifier(tmp_path: Path):
    identifiers = pl.DataFrame(
        {
            "customer_id": ["a", "b", "c", "C1042", "e"],
            "meta_email": [HASHES["email"], None, None, None, digest("other")],
            "meta_phone": [None, HASHES["phone"], None, None, None],
            "device_id": [None, None, DEVICE.lower(), None, None],
        }
    )

    uploaded(tmp_path, f"{EMAIL}\n{PHONE}\n{DEVICE}\nC1042\n")

    assert listed(read_list(tmp_path, "vip"), identifiers).to_list() == ["C1042", "a", "b", "c"]
