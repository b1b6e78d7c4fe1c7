from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.audiences.fields import FIELDS
from audience_pipeline.audiences.fill import FEWEST_PEOPLE, MOST_VALUES, SHOWN_VALUES, fills

CHANNEL, ORDERS = FIELDS["channel"], FIELDS["orders"]


def profile(channels: list[str | None]) -> pl.LazyFrame:
    return pl.LazyFrame({"channel": channels}, schema={"channel": pl.String})


@given(st.lists(st.sampled_from(["a", "b", None]), max_size=20))
def test_the_fill_rate_is_the_share_of_people_whose_value_is_known(channels: list[str | None]) -> None:
    rate = fills(profile(channels), [CHANNEL])["channel"].rate

    known = len([one for one in channels if one is not None])
    assert rate == (known / len(channels) if channels else 0.0)


def test_frequent_values_have_shares_of_all_people_greatest_first() -> None:
    found = fills(profile(["email"] * 100 + ["store"] * 200 + [None] * 100), [CHANNEL])["channel"]

    assert list(found.values.items()) == [("store", 0.5), ("email", 0.25)]


def test_a_value_that_few_people_share_is_not_shown() -> None:
    channels = ["email"] * FEWEST_PEOPLE + ["fax"] * (FEWEST_PEOPLE - 1)

    assert set(fills(profile(channels), [CHANNEL])["channel"].values) == {"email"}


def test_a_text_with_many_values_shows_none_however_frequent_some_are() -> None:
    many = [f"w{number}" for number in range(MOST_VALUES)]

    assert fills(profile(["email"] * 100 + many), [CHANNEL])["channel"].values == {}
    assert set(fills(profile(["email"] * 100 + many[1:]), [CHANNEL])["channel"].values) == {"email"}


def test_only_the_most_frequent_values_are_shown() -> None:
    channels = [name for name in "abcdefgh" for _ in range(FEWEST_PEOPLE)]

    assert list(fills(profile(channels), [CHANNEL])["channel"].values) == list("abcdefgh"[:SHOWN_VALUES])


def test_numbers_have_a_rate_and_no_values_and_absent_fields_are_left_out() -> None:
    frame = pl.LazyFrame({"orders": [1] * 100})

    found = fills(frame, [CHANNEL, ORDERS])

    assert set(found) == {"orders"}
    assert (found["orders"].rate, found["orders"].values) == (1.0, {})


def test_of_a_yes_or_no_the_shares_of_both_are_shown() -> None:
    frame = pl.LazyFrame({"has_email": [True] * 150 + [False] * 50})

    assert fills(frame, [FIELDS["has_email"]])["has_email"].values == {"true": 0.75, "false": 0.25}
