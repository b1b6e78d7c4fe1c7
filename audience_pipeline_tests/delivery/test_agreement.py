"""What the people of each platform are like, and why platforms differ."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.delivery.agreement import Side, disagreements
from audience_pipeline.delivery.composition import NO_CUSTOMER, Profile, shares
from audience_pipeline.platforms.contract import Platform

META, GOOGLE, TIKTOK = Platform.META, Platform.GOOGLE, Platform.TIKTOK
STANDING = ("opted_out", "no_consent", "no_identifier", "purpose")


def profile(people: int = 100) -> Profile:
    customers = pl.Series("customer_id", [f"c{number}" for number in range(people)])
    quintile = pl.Series("ltv_quintile", [1 + number % 5 for number in range(people)], dtype=pl.Int8)
    country = pl.Series("country", ["DE" if number < people // 2 else "FR" for number in range(people)])
    return Profile(customers, [quintile, country])


def side(platform: Platform, rows: object, **more: object) -> Side:
    reasons = np.zeros(100, dtype=np.uint8)
    for reason, who in dict(more.pop("reasons", {})).items():  # type: ignore[call-overload]
        reasons[list(who)] = STANDING.index(reason) + 1
    lists = {
        name: np.array(list(value), dtype=np.int64) if name != "held" else value  # type: ignore[call-overload]
        for name, value in more.items()
    }
    accepted = np.array(list(rows), dtype=np.int64)  # type: ignore[call-overload]
    return Side(platform, accepted, reasons=reasons, standing=STANDING, **lists)


def sentences(*sides: Side) -> list[str]:
    return [one.sentence for one in disagreements("best", sides, profile())]


def test_customers_are_found_by_row_and_strangers_are_not():
    assert profile().rows(pl.Series(["c7", "nobody", "c0"])).tolist() == [7, -1, 0]
    assert profile(0).rows(pl.Series(["c7"])).tolist() == [-1]
    assert profile().rows(pl.Series([], dtype=pl.String)).tolist() == []


@given(st.lists(st.integers(0, 150), unique=True))
def test_looking_customers_up_is_what_a_join_finds(numbers):
    asked = pl.Series([f"c{number}" for number in numbers], dtype=pl.String)

    assert profile().rows(asked).tolist() == [number if number < 100 else -1 for number in numbers]


def test_shares_are_counted_per_platform_and_add_up():
    rows = {META: np.arange(50), GOOGLE: np.array([0, 60, -1, -1])}

    table = shares(profile(), rows)

    countries = {one.value: (one.people[META], one.people[GOOGLE]) for one in table if one.field == "country"}
    assert countries == {"DE": (50, 1), "FR": (0, 1), NO_CUSTOMER: (0, 2)}
    for field in ("ltv_quintile", "country"):
        for platform in rows:
            assert sum(one.shares[platform] for one in table if one.field == field) == pytest.approx(1)
    assert [one.value for one in table if one.field == "ltv_quintile"][:5] == ["1", "2", "3", "4", "5"]


def test_a_platform_that_holds_nobody_has_no_shares():
    assert shares(profile(), {META: np.empty(0, dtype=np.int64)}) == []


def test_platforms_that_hold_the_same_people_agree():
    assert sentences(side(META, range(100)), side(GOOGLE, range(100))) == []


def test_up_to_ten_percent_fewer_people_are_tolerated():
    # Every fifth of ten in a row, so that no share moves.
    assert sentences(side(META, range(100)), side(GOOGLE, range(10, 100))) == []
    assert len(sentences(side(META, range(100)), side(GOOGLE, range(11, 100)))) == 1


def test_one_platform_alone_has_nobody_to_differ_from():
    assert sentences(side(META, range(10))) == []


@pytest.mark.parametrize(
    ("more", "cause", "explained"),
    [
        ({"reasons": {"purpose": range(80, 100)}}, "20 people agreed to advertising but not to", True),
        ({"reasons": {"no_consent": range(80, 100)}}, "20 people without consent for google", True),
        ({"reasons": {"opted_out": range(80, 100)}}, "20 people opted out of google", True),
        ({"reasons": {"no_identifier": range(80, 100)}}, "20 people without an identifier", True),
        ({"refused": range(80, 100)}, "20 people refused by google", False),
        ({"processing": range(80, 100)}, "20 people still being processed by google", False),
        ({"expired": range(80, 100)}, "20 people expired on google", False),
        ({"held": True}, "20 people waiting for a confirmation", False),
        ({}, "20 people not sent to google yet", False),
    ],
)
def test_the_cause_of_fewer_people_is_named_and_counted(more, cause, explained):
    found = disagreements("best", [side(META, range(100)), side(GOOGLE, range(80), **more)], profile())

    first = found[0]
    assert first.platform is GOOGLE
    assert first.sentence.startswith("best: google holds 80 people and meta 100 (20 % fewer): ")
    assert cause in first.sentence
    assert first.explained is explained


def test_each_person_counts_for_one_cause():
    lacking = side(GOOGLE, range(80), refused=range(90, 100), reasons={"no_consent": range(80, 100)})

    (first, *_) = sentences(side(META, range(100)), lacking)

    assert first.endswith("10 people refused by google, 10 people without consent for google")


def test_people_who_are_no_customers_any_more_are_a_cause():
    (first,) = sentences(side(META, [*range(80), *[-1] * 20]), side(GOOGLE, range(80)))

    assert first.endswith("20 people who are not in the newest profile")


def test_a_share_that_differs_is_told_with_the_cause():
    # Twenty of the fifty Germans are missing on Google, and ten of the fifty French on Meta.
    meta = side(META, [*range(50), *range(50, 90)])
    google = side(GOOGLE, [*range(30), *range(50, 100)], reasons={"no_consent": range(30, 50)})

    told = [one for one in sentences(meta, google) if "country" in one]

    assert len(told) == 1
    assert told[0] == (
        "best: country FR is 62 % of google and 44 % of meta: 10 people not sent to meta yet; "
        "20 people without consent for google"
    )


def test_equal_shares_of_unequal_numbers_are_no_difference_of_composition():
    # Half of each country and quintile.
    half = [number for number in range(100) if (number // 5) % 2 == 0]

    told = sentences(side(META, range(100)), side(TIKTOK, half))

    assert len(told) == 1
    assert "country" not in told[0]
