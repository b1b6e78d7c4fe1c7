"""The fast path for phone numbers against the library that it must never contradict."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat

from audience_pipeline.identifiers import phone_plans
from audience_pipeline.identifiers.phones import e164

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
FORMATS = [PhoneNumberFormat.E164, PhoneNumberFormat.NATIONAL, PhoneNumberFormat.INTERNATIONAL]


@st.composite
def written_numbers(draw: st.DrawFn) -> tuple[str, str]:
    region = draw(st.sampled_from(REGIONS))
    number = phonenumbers.example_number(region)
    text = list(phonenumbers.format_number(number, draw(st.sampled_from(FORMATS))))
    for position in draw(st.lists(st.integers(0, len(text) - 1), max_size=3)):
        if text[position].isdigit():
            text[position] = draw(st.sampled_from("0123456789"))
    return "".join(text), draw(st.sampled_from([region, draw(st.sampled_from(REGIONS))]))


@given(written_numbers())
@settings(max_examples=300, deadline=None)
def test_what_the_fast_path_says_the_library_says_too(written: tuple[str, str]) -> None:
    text, region = written

    number = phone_plans.certain(text, region)

    if number is not None:
        parsed = phonenumbers.parse(text, region)
        assert phonenumbers.is_valid_number(parsed)
        assert number == phonenumbers.format_number(parsed, PhoneNumberFormat.E164)


def test_most_example_numbers_take_the_fast_path() -> None:
    numbers = [phonenumbers.example_number(region) for region in REGIONS]
    texts = [phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL) for number in numbers]

    fast = [text for text in texts if phone_plans.certain(text, None)]

    assert len(fast) > 0.9 * len(texts)


@pytest.mark.parametrize("region", ["US", "DE", "GB", "IT", "JE", "AR", "MX"])
def test_a_number_reads_the_same_however_it_is_written(region: str) -> None:
    number = phonenumbers.example_number(region)

    readings = {e164(phonenumbers.format_number(number, form), region) for form in FORMATS}

    assert readings == {phonenumbers.format_number(number, PhoneNumberFormat.E164)}
