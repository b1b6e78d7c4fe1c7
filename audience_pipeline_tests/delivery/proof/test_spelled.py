"""The independent normaliser of the proof, against forms whose outcome the platforms' pages state."""

from __future__ import annotations

from random import Random

import pytest

from audience_pipeline_tests.delivery.proof.raw_input import Person, messy_email, messy_phone
from audience_pipeline_tests.delivery.proof.spelled import (
    CALLING,
    Contact,
    country,
    digest,
    email,
    letters,
    lowered,
    meta_zip,
    phone,
    spell,
)


@pytest.mark.parametrize(
    ("typed", "meta", "google", "tiktok"),
    [
        (" Ann.Lee+News@GMail.com\n", "ann.lee+news@gmail.com", "annlee@gmail.com", "ann.lee@gmail.com"),
        (
            "ANN.LEE+news@shop.example",
            "ann.lee+news@shop.example",
            "ann.lee+news@shop.example",
            "ann.lee@shop.example",
        ),
        ("\u00a0ann@shop.example\u200b", "ann@shop.example", "ann@shop.example", "ann@shop.example"),
        ("test@test.com", None, None, None),
        ("ann.example.com", None, None, None),
        ("", None, None, None),
    ],
)
def test_an_address_is_spelled_as_each_platform_wants_it(typed, meta, google, tiktok) -> None:
    assert (email(typed, "meta"), email(typed, "google"), email(typed, "tiktok")) == (meta, google, tiktok)


@pytest.mark.parametrize(
    ("typed", "region", "digits"),
    [
        ("+49 (0) 1512 3456789", None, "4915123456789"),
        ("0049 1512 3456789", None, "4915123456789"),
        ("01512 345-6789", "DE", "4915123456789"),
        ("01512 345-6789", None, None),
        ("(212) 555-0199", "US", "12125550199"),
        ("07400 123456", "GB", "447400123456"),
        ("0000000000", "US", None),
        ("n/a", "US", None),
    ],
)
def test_a_number_gets_its_country_code_or_is_refused(typed, region, digits) -> None:
    assert phone(typed, region) == digits


def test_names_places_and_countries() -> None:
    assert (letters(" O'Neil-Lé "), lowered(" O'Neil-Lé ")) == ("oneillé", "o'neil-lé")
    assert (meta_zip("94045-1234", "US"), meta_zip("SW1A 1AA", "GB")) == ("94045", "sw1a1aa")
    assert (country(" germany"), country("fr"), country("nowhere")) == ("DE", "FR", None)


def test_a_hash_is_that_of_the_published_example() -> None:
    assert digest("mary@example.com") == "f1904cf1a9d73a55fa5de0ac823c4403ded71afd4c3248d00bdcd0866552bb79"


def test_google_gets_a_name_only_with_the_whole_address() -> None:
    whole = Contact("ann@shop.example", None, "Ann", "Lee", "US", "94045")

    without = Contact("ann@shop.example", None, "Ann", "Lee", None, "94045")

    assert len(spell(whole, "google").row) == 3
    assert spell(without, "google").row == spell(without, "google").naming
    assert not spell(Contact(first_name="Ann", last_name="Lee"), "google").reachable


@pytest.mark.parametrize("number", range(0, 40, 3))
def test_whatever_way_a_person_types_it_is_the_same_person(number) -> None:
    person, chance = Person(number), Random(number)
    full = CALLING[person.country] + person.national(number)

    typed = {
        phone(messy_phone(chance, person.country, person.national(number)), person.country) for _ in range(30)
    }
    addresses = {email(messy_email(chance, person.email()), "google") for _ in range(30)}

    assert typed == {full}
    assert len(addresses) <= (1 if "gmail" in person.email() or "googlemail" in person.email() else 2)
