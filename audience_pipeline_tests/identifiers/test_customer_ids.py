"""Customer ids that are personal themselves."""

from __future__ import annotations

from hashlib import sha256

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audience_pipeline.identifiers import customer_id_expr, looks_personal, pseudonym

PERSONAL = [
    "ada@example.com",
    " Ada@Example.com ",
    "Ada <ada@example.com>",
    "ada%40example.com",
    "ada%2Elove%2540example%2Ecom",
    "%2B491711234567",
    "+49 171 1234567",
    "+491711234567",
    "\uff0b49 171 1234567",
    "0049 171 1234567",
    "0171 1234567",
    "01711234567",
    "(555) 123-4567",
    "555-123-4567",
    "555.123.4567",
    "1\u00a0555\u00a0123\u00a04567",
]
IDS = [
    "",
    "17850",
    "C-12345",
    "4915112345678",
    "1234567890",
    "0000123456",
    "0000000000",
    "00123",
    "555-1234",
    "h_" + "0" * 64,
    "CUST-001234567890",
    "1234-5678-9012-3456",
    "0f8fad5b-d9cb-469f-a165-70867728950e",
]


@pytest.mark.parametrize("customer_id", PERSONAL)
def test_an_id_that_is_an_address_or_phone_number_is_personal(customer_id: str) -> None:
    assert looks_personal(customer_id)


@pytest.mark.parametrize("customer_id", IDS)
def test_a_plain_id_is_not_personal(customer_id: str) -> None:
    assert not looks_personal(customer_id)


def test_a_pseudonym_forgets_case_and_outer_blanks_and_is_no_personal_id_itself() -> None:
    expected = "h_" + sha256(b"ada@example.com").hexdigest()

    assert pseudonym(" ADA@Example.com\n") == pseudonym("ada@example.com") == expected
    assert not looks_personal(expected)


def test_an_address_from_a_web_address_is_the_same_person() -> None:
    assert (
        pseudonym("Ada%2540Example%252Ecom") == pseudonym("ada%40example.com") == pseudonym("ada@example.com")
    )


@given(
    st.lists(
        st.none()
        | st.sampled_from(PERSONAL + IDS)
        | st.from_regex(r"[+0-9 ()./-]{0,20}", fullmatch=True)
        | st.text(alphabet="ab0245@.% \n\u200b+", max_size=14),
        max_size=20,
    )
)
@example([*PERSONAL, None, *IDS])
@settings(max_examples=150, deadline=None)
def test_the_expression_replaces_exactly_what_looks_personal(ids: list[str | None]) -> None:
    frame = pl.DataFrame({"customer_id": ids}, schema={"customer_id": pl.String})

    replaced = frame.lazy().select(customer_id_expr("customer_id")).collect()["customer_id"]

    expected = [pseudonym(value) if value is not None and looks_personal(value) else value for value in ids]
    assert replaced.to_list() == expected


def test_the_expression_keeps_the_name_of_its_column() -> None:
    frame = pl.DataFrame({"buyer": ["a@b.de", "7"]})

    assert frame.select(customer_id_expr("buyer")).columns == ["buyer"]
