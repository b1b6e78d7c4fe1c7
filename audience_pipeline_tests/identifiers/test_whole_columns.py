"""Whole columns against one value at a time: expressions may be faster and nothing else."""

from __future__ import annotations

import string

import phonenumbers
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audience_pipeline.identifiers import (
    contact_hashes,
    device_id_expr,
    email_columns,
    emails,
    normalise,
    phone_columns,
    phones,
    source_ids,
)
from audience_pipeline_tests.identifiers.test_rules import VECTORS, _vectors

LOCALS = (
    "ada",
    "a.d.a",
    "ada+x",
    "+x",
    ".",
    "...",
    "+",
    "test",
    "na",
    "test+1",
    "noemail",
    "no-email+1",
    "a_b",
)
DOMAINS = (
    *(
        "gmail.com",
        "googlemail.com",
        "Gmail.Com",
        "example.org",
        "test.com",
        "na.na",
        "test.co.uk",
        "b\u00fccher.de",
    ),
    *("-x.de", "x-.de", "x.d_e", "_x.de", "x", "x..de", ".de", "mailinator.com", "web.de", "gmail.com.de"),
)
PADS = ("", " ", "\t", "\u00a0", "\u200b", "\ufeff", "\n", "\x1c", "\x00")
SIGNS = (
    string.ascii_letters + string.digits + "!#$%&'*+-/=?^_`{|}~.@ \"(),:;<>[]\\\u00e4\u0130\u212a\u200b\x7f"
)

addresses = st.one_of(
    st.builds(
        "{}{}@{}{}".format,
        st.sampled_from(PADS),
        st.sampled_from(LOCALS),
        st.sampled_from(DOMAINS),
        st.sampled_from(PADS),
    ),
    st.builds("{}@{}".format, st.text(SIGNS, max_size=8), st.sampled_from(DOMAINS)),
    st.builds("ada@{}".format, st.text(SIGNS, max_size=10)),
    st.text(max_size=12),
)


@given(st.lists(st.none() | addresses, max_size=30))
@example(["\u212aada@example.org", "ADA@example.org", "ada@example.org\n", None, ""])
@settings(max_examples=300, deadline=None)
def test_a_column_of_addresses_is_spelled_as_each_of_them(values: list[str | None]) -> None:
    spelled = email_columns.spelled(pl.Series("email", values, dtype=pl.String))

    expected = {}
    for value in set(values) - {None}:
        email = emails.parse(str(value))
        expected[value] = email and (email.meta, email.google, email.tiktok, email.domain_kind)
    found = {raw: (None if meta is None else (meta, *rest)) for raw, meta, *rest in spelled.iter_rows()}
    assert found == expected


REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
EXAMPLES = {
    region: [
        number
        for kind in (0, 1, 3, 4)
        if (number := phonenumbers.example_number_for_type(region, kind)) is not None
    ]
    for region in REGIONS
}
FORMS = [
    phonenumbers.PhoneNumberFormat.E164,
    phonenumbers.PhoneNumberFormat.NATIONAL,
    phonenumbers.PhoneNumberFormat.INTERNATIONAL,
]


@st.composite
def numbers(draw: st.DrawFn) -> tuple[str, str]:
    region = draw(st.sampled_from(REGIONS))
    written = phonenumbers.format_number(
        draw(st.sampled_from(EXAMPLES[region])), draw(st.sampled_from(FORMS))
    )
    text = list(written)
    for position in draw(st.lists(st.integers(0, len(text) - 1), max_size=3)):
        if text[position].isdigit():
            text[position] = draw(st.sampled_from("0123456789"))
    if draw(st.booleans()):
        text.insert(
            min(len(text), draw(st.integers(2, 4))), draw(st.sampled_from(["(0)", "0", " ", " (0) "]))
        )
    head = draw(st.sampled_from(["", "", "", "00", "0", "+", "1", "(0)", " ", "011", "\u00a0", "0000"]))
    return head + "".join(text), draw(st.sampled_from([region, region, draw(st.sampled_from(REGIONS)), ""]))


@given(
    st.lists(
        numbers()
        | st.tuples(st.from_regex(r"\+?[0-9 ()./-]{0,16}", fullmatch=True), st.sampled_from(REGIONS)),
        max_size=30,
    )
)
@settings(max_examples=300, deadline=None)
def test_a_column_of_numbers_is_read_as_each_of_them(pairs: list[tuple[str, str]]) -> None:
    frame = pl.DataFrame(pairs, schema={"phone": pl.String, "region": pl.String}, orient="row")

    read = phone_columns.e164(frame, few=1)

    assert {(phone, region): number for phone, region, number in read.iter_rows()} == {
        (phone, region): phones.e164(phone, region or None) for phone, region in set(pairs)
    }


@pytest.mark.parametrize("region", ["US", "CA", "DE", "GB", "FR", "IT", "MX", "JP", "AU"])
def test_plain_numbers_of_a_region_need_no_library(monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    """Where the expressions read nothing, the column would be right and slow."""
    written = {phonenumbers.format_number(each, form) for each in EXAMPLES[region] for form in FORMS[::2]}
    expected = {form: phones.e164(form, region) for form in written}
    monkeypatch.setattr(phones, "e164", lambda *_: None)

    read = phone_columns.e164(pl.DataFrame({"phone": sorted(written), "region": region}), few=1)

    assert dict(read.select("phone", "e164").iter_rows()) == expected


def test_nothing_comes_of_no_numbers() -> None:
    frame = pl.DataFrame(
        {"phone": [None, "1"], "region": ["US", None]}, schema={"phone": pl.String, "region": pl.String}
    )

    assert phone_columns.e164(frame).is_empty()
    assert email_columns.spelled(pl.Series("email", [None], dtype=pl.String)).is_empty()


@pytest.mark.skipif(
    not VECTORS.is_file(), reason="no vectors beside the shared data: set AUDIENCE_SHARED_DATA"
)
@pytest.mark.parametrize(
    ("column", "raw", "platform", "identifier"),
    [
        ("meta_email", "email", "meta", "email"),
        ("google_email", "email", "google", "email"),
        ("tiktok_email", "email", "tiktok", "email"),
        ("meta_phone", "phone", "meta", "phone"),
        ("meta_phone", "phone", "tiktok", "phone_file"),
        ("google_phone", "phone", "google", "phone"),
        ("google_phone", "phone", "tiktok", "phone_streaming"),
        ("meta_first_name", "first_name", "meta", "first_name"),
        ("meta_last_name", "last_name", "meta", "last_name"),
        ("google_given_name", "first_name", "google", "given_name"),
        ("google_family_name", "last_name", "google", "family_name"),
    ],
)
def test_every_published_vector_passes_in_a_column(
    column: str, raw: str, platform: str, identifier: str
) -> None:
    vectors = [
        each for each in _vectors() if (each["platform"], each["identifier"]) == (platform, identifier)
    ]
    contacts = pl.DataFrame({"customer_id": "c", raw: [vector["input"] for vector in vectors]})

    hashes = contact_hashes(contacts, "US")[column].to_list()

    assert vectors
    assert [value and value.hex() for value in hashes] == [
        None if vector["normalised"] == "<INVALID>" else vector["sha256"] for vector in vectors
    ]


DEVICE = "6D92078a-8246-4ba4-AE5B-76104861e7dc"


@given(
    st.lists(
        st.none()
        | st.sampled_from(
            [DEVICE, "0" * 8 + "-0000-0000-0000-" + "0" * 12, "F" * 36, f"\u200b{DEVICE}\n", DEVICE[1:]]
        )
        | st.from_regex(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}", fullmatch=True)
        | st.from_regex(r"[0fF]{8}-([0fF]{4}-){3}[0fF]{12}", fullmatch=True)
        | st.text(max_size=40),
        max_size=20,
    )
)
@settings(max_examples=100, deadline=None)
def test_a_column_of_devices_is_read_as_each_of_them(values: list[str | None]) -> None:
    frame = pl.DataFrame({"device": values}, schema={"device": pl.String})

    read = frame.select(device_id_expr("device"))["device"].to_list()

    assert read == [None if value is None else normalise("meta", "madid", value) for value in values]


def test_hashes_of_elsewhere_are_taken_for_the_platforms_that_are_named() -> None:
    given_hash = "Ab" * 32
    contacts = pl.DataFrame(
        {"customer_id": ["a", "b", "c"], "email": [f" {given_hash}\n", "ada@example.org", None]}
    )

    hashes = contact_hashes(contacts, None, {"email": ["google"]})

    assert hashes["google_email"].to_list() == [bytes.fromhex(given_hash), None, None]
    assert hashes["meta_email"].null_count() == hashes["email_domain_kind"].null_count() == 3


@given(
    st.lists(
        st.sampled_from(["email:x", "id:x", "idx", "loyalty:", "phone", "anonymous:a"]) | st.text(max_size=8)
    )
)
def test_a_column_of_own_ids_is_kept_apart_as_each_of_them(ids: list[str]) -> None:
    frame = pl.DataFrame({"id": ids}, schema={"id": pl.String})

    apart = frame.select(source_ids.own_id("id"))["id"].to_list()

    assert apart == [source_ids.own(each) for each in ids]
    assert len(set(apart)) == len(set(ids))
    assert not any(each.startswith(source_ids.PREFIXES) for each in apart)
