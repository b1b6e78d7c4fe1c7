"""The rules of every platform and identifier, one value at a time."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from audience_pipeline.identifiers import hashed, normalise
from audience_pipeline.identifiers.rules import RULES

ROOT = Path(__file__).resolve().parents[2]
VECTORS = (
    Path(os.environ.get("AUDIENCE_SHARED_DATA", ROOT.parent / "shared" / "data")).parent
    / "platforms"
    / "identifier_vectors.csv"
)


def _vectors() -> Iterator[dict[str, str]]:
    if VECTORS.is_file():
        with VECTORS.open(newline="", encoding="utf-8") as file:
            yield from csv.DictReader(file)


@pytest.mark.skipif(
    not VECTORS.is_file(), reason=f"no {VECTORS.name} beside the shared data: set AUDIENCE_SHARED_DATA"
)
def test_every_published_vector_passes() -> None:
    wrong = []
    vectors = list(_vectors())
    for line, vector in enumerate(vectors, start=2):
        platform, identifier = vector["platform"], vector["identifier"]
        region = "US" if "phone" in identifier else None
        expected = None if vector["normalised"] == "<INVALID>" else vector["normalised"]
        on_the_wire = None if expected is None else vector["sha256"] or expected
        got = (
            normalise(platform, identifier, vector["input"], region),
            hashed(platform, identifier, vector["input"], region),
        )
        if got != (expected, on_the_wire):
            wrong.append((line, platform, identifier))

    assert len(vectors) > 90
    assert wrong == []


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("meta", "ada.byron+news@gmail.com"),
        ("google", "adabyron@gmail.com"),
        ("tiktok", "ada.byron@gmail.com"),
    ],
)
def test_one_address_has_three_spellings(platform: str, expected: str) -> None:
    assert normalise(platform, "email", " Ada.Byron+News@Gmail.com\n") == expected
    assert hashed(platform, "email", " Ada.Byron+News@Gmail.com\n") == sha256(expected.encode()).hexdigest()


@pytest.mark.parametrize(
    ("platform", "value", "expected"),
    [
        ("google", "Ada.Byron+x@googlemail.com", "adabyron@googlemail.com"),
        ("google", "ada.byron+x@example.com", "ada.byron+x@example.com"),
        ("google", "+x@gmail.com", None),
        ("google", "..+x@gmail.com", None),
        ("google", " @googlemail.com", None),
        ("google", "user.name+NYC@Example.com", "user.name+nyc@example.com"),
        ("tiktok", "a+b+c@example.com", "a@example.com"),
        ("tiktok", "+x@example.com", None),
        ("meta", "\u00a0\u200bAda@Example.com\ufeff\t", "ada@example.com"),
        ("meta", "ada\u200b@example.com", "ada@example.com"),
        ("meta", "ADA@BÜCHER.example", "ada@bücher.example"),
        ("meta", "ada byron@example.com", None),
        ("meta", "ada@example", None),
        ("meta", "ada@@example.com", None),
        ("meta", "ada@exa..mple.com", None),
        ("meta", "@example.com", None),
        ("meta", "ada@", None),
        ("meta", "Ada <ada@example.com>", None),
        ("meta", "", None),
        ("meta", " \t", None),
        ("meta", sha256(b"ada@example.com").hexdigest(), None),
    ],
)
def test_an_address_follows_the_rule_of_its_platform(platform: str, value: str, expected: str | None) -> None:
    assert normalise(platform, "email", value) == expected


@pytest.mark.parametrize(
    "value",
    ["test@test.com", "NA@na.na", "none@none.com", "noemail@shop.example", "test+1@test.com", "x@x.de"],
)
@pytest.mark.parametrize("platform", ["meta", "google", "tiktok"])
def test_placeholder_addresses_are_refused(platform: str, value: str) -> None:
    assert normalise(platform, "email", value) is None


@pytest.mark.parametrize(
    ("value", "region", "expected"),
    [
        ("+44 (0)20 7946 0958", None, "+442079460958"),
        ("+39 06 1234 5678", None, "+390612345678"),
        ("0049 30 12345678", None, "+493012345678"),
        ("0044 (0)20 7946 0958", "US", "+442079460958"),
        ("+49 (0) 30 12345678", "US", "+493012345678"),
        ("+39 06 6982", None, "+39066982"),
        ("030 12345678", "DE", "+493012345678"),
        ("(030) 123456-78", "de", "+493012345678"),
        ("011 44 20 7946 0958", "US", "+442079460958"),
        ("0011 44 20 7946 0958", "AU", "+442079460958"),
        ("00 44 20 7946 0958", "US", "+442079460958"),
        ("01(650)123-4567", "US", "+16501234567"),
        ("441134960987", "US", "+441134960987"),
        ("tel:+49-30-12345678", None, "+493012345678"),
        ("+1 650 253 0000 ext. 12", None, "+16502530000"),
        ("\uff0b49 30 \u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668", None, "+493012345678"),
        ("\u202a+49\u00a030\u00a012345678\u202c", None, "+493012345678"),
    ],
)
def test_a_phone_number_is_brought_to_e164(value: str, region: str | None, expected: str) -> None:
    assert normalise("google", "phone", value, region) == expected
    assert normalise("tiktok", "phone_streaming", value, region) == expected
    assert normalise("meta", "phone", value, region) == expected[1:]
    assert normalise("tiktok", "phone_file", value, region) == expected[1:]


@pytest.mark.parametrize(
    ("value", "region"),
    [
        ("(657)777-0000", None),
        ("030 12345678", None),
        ("441134960987", None),
        ("030 12345678", "ZZ"),
        ("0000000000", "US"),
        ("1111111111", "US"),
        ("+1 000 000 0000", None),
        ("123-456-7890", "US"),
        ("1-800-FLOWERS", "US"),
        ("12345", "US"),
        ("555-1234", "US"),
        ("+999 12345678", None),
        ("+0 30 12345678", None),
        ("+49 30 12345678 / +49 40 12345678", None),
        ("unknown", "US"),
        ("", "US"),
        ("12345678" * 8, "US"),
    ],
)
def test_a_phone_number_that_cannot_be_read_with_certainty_is_refused(value: str, region: str | None) -> None:
    assert normalise("google", "phone", value, region) is None
    assert hashed("meta", "phone", value, region) is None


@pytest.mark.parametrize(
    ("platform", "identifier", "value", "expected"),
    [
        ("meta", "first_name", "  Valéry ", "valéry"),
        ("meta", "first_name", "Vale\u0301ry", "valéry"),
        ("meta", "first_name", "İpek", "i̇pek"),
        ("meta", "first_name", "Bjo\u0308rk", "björk"),
        ("meta", "first_name", "Σίσυφος", "σίσυφος"),
        ("meta", "first_name", "李小龙", "李小龙"),
        ("meta", "last_name", "Straße", "straße"),
        ("meta", "first_name", "IŞIK", "işik"),
        ("meta", "last_name", "O\u2019Brien-Smith", "obriensmith"),
        ("meta", "last_name", "Dr. Smith", "drsmith"),
        ("meta", "first_name", "---", None),
        ("meta", "first_name", "12345", None),
        ("meta", "first_initial", " élodie", "é"),
        ("google", "given_name", "Mrs. Mary Ann", "mary ann"),
        ("google", "given_name", "Mary-Ann", "mary-ann"),
        ("google", "given_name", "E\u0301lodie", "élodie"),
        ("google", "family_name", "van der Berg", "van der berg"),
        ("google", "family_name", "Smith, Jr.", "smith"),
        ("google", "family_name", "Smith III", "smith"),
        ("google", "family_name", "O'Brien", "o'brien"),
        ("google", "given_name", "Dr.", "dr."),
        ("google", "given_name", " ", None),
        ("google", "family_name", "n/a", None),
    ],
)
def test_names_keep_their_letters(platform: str, identifier: str, value: str, expected: str | None) -> None:
    assert normalise(platform, identifier, value) == expected


@pytest.mark.parametrize(
    ("identifier", "value", "region", "expected"),
    [
        ("gender", "Boy", None, "m"),
        ("gender", "Ma'am", None, "f"),
        ("gender", "Mr.", None, "m"),
        ("gender", "diverse", None, None),
        ("gender", "unknown", None, None),
        ("dob_year", "1899", None, None),
        ("dob_year", "9999", None, None),
        ("dob_year", " 1984 ", None, "1984"),
        ("dob_month", " January", None, "01"),
        ("dob_month", "Oct", None, "10"),
        ("dob_month", "0", None, None),
        ("dob_month", "-1", None, None),
        ("dob_day", "02", None, "02"),
        ("dob_day", "0", None, None),
        ("dob_year", "'99", None, None),
        ("dob_day", "31", None, "31"),
        ("dob_day", "32", None, None),
        ("city", "São Paulo", None, "sopaulo"),
        ("city", "東京", None, None),
        ("city", "St. Louis", None, "stlouis"),
        ("city", "Washington, D.C.", None, "washingtondc"),
        ("state", "N.Y.", None, "ny"),
        ("state", "District of Columbia", None, "dc"),
        ("state", "12", None, None),
        ("zip", "EC1A 1BB", "GB", "ec1a1bb"),
        ("zip", "1234 AB", "NL", "1234ab"),
        ("state", "New York", None, "ny"),
        ("state", "  TE", None, "te"),
        ("state", "Île-de-France", None, "îledefrance"),
        ("zip", "37221 3312", "DE", "372213312"),
        ("zip", "372213312", "US", "37221"),
        ("zip", "1229-076", "PT", "1229-076"),
        ("zip", "K1A 0A6", None, "k1a0a6"),
        ("zip", "-", None, None),
        ("country", "USA", None, "us"),
        ("country", "U.S.A.", None, "us"),
        ("country", "Deutschland", None, "de"),
        ("country", "UK", None, "gb"),
        ("country", "The Netherlands", None, "nl"),
        ("country", "España", None, "es"),
        ("country", "gbr", None, "gb"),
        ("country", "Atlantis", None, None),
        ("country", "zz", None, None),
        ("madid", "00000000-0000-0000-0000-000000000000", None, None),
        ("madid", "ffffffff-FFFF-ffff-ffff-ffffffffffff", None, None),
        ("madid", "B67385F89A8246708C0A6F9EA7513F5F", None, None),
        ("madid", "no device", None, None),
        ("extern_id", "ABC-1", None, "ABC-1"),
        ("extern_id", " ", None, None),
        ("lookalike_value", " 12.50 ", None, "12.50"),
        ("lookalike_value", "-1", None, None),
        ("lookalike_value", "nan", None, None),
        ("lookalike_value", "1e3", None, None),
    ],
)
def test_what_else_meta_takes(identifier: str, value: str, region: str | None, expected: str | None) -> None:
    assert normalise("meta", identifier, value, region) == expected


@pytest.mark.parametrize(
    ("identifier", "value", "expected"),
    [
        ("region_code", " uS ", "US"),
        ("region_code", "uk", "GB"),
        ("region_code", "USA", None),
        ("region_code", "ZZ", None),
        ("postal_code", " 1229-076  ", "1229-076"),
        ("postal_code", " ", None),
        ("mobile_id", "00000000-0000-0000-0000-000000000000", None),
        ("user_id", "ABC-99", "ABC-99"),
    ],
)
def test_what_google_takes_in_plain_text(identifier: str, value: str, expected: str | None) -> None:
    assert normalise("google", identifier, value) == expected
    assert hashed("google", identifier, value) == expected


def test_the_hash_of_nothing_is_never_sent() -> None:
    wires = {hashed(*key, "", "US") for key in RULES} | {hashed(*key, " \u200b\t", "US") for key in RULES}

    assert wires == {None}


@pytest.mark.parametrize(("platform", "identifier"), [("meta", "e-mail"), ("myspace", "email")])
def test_an_unknown_identifier_is_an_error_that_names_the_known_ones(platform: str, identifier: str) -> None:
    with pytest.raises(ValueError, match=r"no rule for identifier .* use") as error:
        normalise(platform, identifier, "ada@example.com")

    assert "ada" not in str(error.value)
