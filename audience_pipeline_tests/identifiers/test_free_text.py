"""E-mail addresses and phone numbers where something else is expected."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.identifiers import CODES, WORDS, ContactPatterns, holds_contact

ADDRESSES = [
    "ann@example.org",
    "see ann@example.org there",
    "ann%40example.org",
    "ann%2Esmith%40example%2Eorg",
    "ann+shop%40example.org",
    "ann%2540example.org",
    "ann&#64;example.org",
    "ann\uff20example.org",
    "ann @ example.org",
    "mailto:ann@example.org?subject=x",
]
DIALLED = [
    "+491711234567",
    "+49 (0) 171 / 123 45 67",
    "%2B491711234567",
    "tel%3A%2B49%20171%201234567",
    "\uff0b49 171 1234567",
    "Ann +49 171 1234567",
    "0049 171 1234567",
    "0171 1234567",
    "0171/1234567",
    "0171%201234567",
    "06 12 34 56 78",
    "(212) 555-0123",
    "(212)555-0123",
    "212-555-0123",
    "call 212.555.0123 now",
    "1 212 555 0123",
]
NUMBERS_AMONG_WORDS = ["12125550123", "01711234567", "00491711234567", "612 345 678", "171-1234567"]
ORDER_IDS = ["12125550123", "01711234567", "2025-000123", "2025/000123", "0001234567", "120208371234560123"]
NEITHER = [
    "",
    "shoes",
    "@home",
    "100 %",
    "100% 40 off",
    "Home & Garden",
    "spring+20250331",
    "2025-03-31",
    "2025-03-31 10",
    "2025-03-31/2025-04-30",
    "20250331-01",
    "100-200",
    "sizes 36-38 / 40-42",
    "12345-6789",
    "O1234567",
    "302-1234567-1234567",
    "GA1.2.1234567890.1612345678",
    "1234567890.1612345678",
    "0f8fad5b-d9cb-469f-a165-70867728950e",
    "EAIaIQobChMI4-7x_Z2m_gIVkQCiAx0nOQ",
]


@pytest.mark.parametrize("patterns", [WORDS, CODES], ids=["words", "codes"])
@pytest.mark.parametrize("text", ADDRESSES + DIALLED)
def test_an_address_or_a_number_as_it_is_dialled_is_a_contact_anywhere(
    text: str, patterns: ContactPatterns
) -> None:
    assert holds_contact(text, patterns)


@pytest.mark.parametrize("text", NUMBERS_AMONG_WORDS)
def test_digits_of_the_length_of_a_phone_number_are_one_among_words(text: str) -> None:
    assert holds_contact(text, WORDS)


@pytest.mark.parametrize("text", ORDER_IDS)
def test_digits_are_an_id_among_codes(text: str) -> None:
    assert not holds_contact(text, CODES)


@pytest.mark.parametrize("patterns", [WORDS, CODES], ids=["words", "codes"])
@pytest.mark.parametrize("text", NEITHER)
def test_words_dates_and_ids_are_no_contacts(text: str, patterns: ContactPatterns) -> None:
    assert not holds_contact(text, patterns)


@given(text=st.from_regex(WORDS.harmless, fullmatch=True), patterns=st.sampled_from([WORDS, CODES]))
def test_what_is_taken_for_harmless_at_once_holds_no_contact(text: str, patterns: ContactPatterns) -> None:
    assert not holds_contact(text, patterns)
