from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.audiences import activity_table
from audience_pipeline.audiences.activity import EVENTS, PROPERTIES, WEEKDAYS
from audience_pipeline.audiences.activity_counts import ActivityCounts, asked_by
from audience_pipeline.audiences.activity_table import STORED_PROPERTIES, Activity
from audience_pipeline.audiences.criteria import Criterion, compile_where
from audience_pipeline.audiences.errors import EvaluationError
from audience_pipeline.audiences.rules import Did

AS_OF = date(2026, 3, 31)
CUSTOMERS = pl.Series("customer_id", ["a", "b", "c", "d"])
SCHEMA = {
    "customer_id": pl.String,
    "activity_date": pl.Date,
    "activity": pl.String,
    **dict.fromkeys(STORED_PROPERTIES, pl.String),
    "events": pl.Int64,
}


def happened(
    customer: str, days_ago: int, event: str = "product_view", events: int = 1, **properties: str
) -> dict[str, Any]:
    row = {"customer_id": customer, "activity": EVENTS[event], "events": events, **properties}
    return {**dict.fromkeys(SCHEMA), **row, "activity_date": AS_OF - timedelta(days=days_ago)}


def loaded(*rows: dict[str, Any], **more: Any) -> Activity:
    return Activity.of(pl.LazyFrame(rows, schema=SCHEMA), CUSTOMERS, AS_OF, **more)


def who(activity: Activity, *dids: Did) -> list[str]:
    with duckdb.connect(":memory:") as connection:
        counts = ActivityCounts(activity, connection, dids)
        return ["".join(CUSTOMERS.filter(pl.Series(counts.mask(did)))) for did in dids]


def about(text: str) -> Criterion:
    return compile_where(text, PROPERTIES)


def test_a_window_ends_with_the_as_of_date_and_includes_it():
    activity = loaded(happened("a", 0), happened("b", 6), happened("c", 7), happened("d", -1))

    assert who(
        activity,
        Did("product_view", within_days=1),
        Did("product_view", within_days=7),
        Did("product_view", within_days=8),
        Did("product_view"),
    ) == ["a", "ab", "abc", "abc"]


def test_events_are_counted_over_days_and_bounds_are_included():
    activity = loaded(
        happened("a", 1), happened("b", 1, events=2), happened("c", 1), happened("c", 2, events=2)
    )

    assert who(
        activity,
        Did("product_view", at_least=2),
        Did("product_view", at_least=3),
        Did("product_view", at_most=2),
        Did("product_view", at_least=2, at_most=2),
    ) == ["bc", "c", "ab", "b"]


def test_who_never_did_it_is_meant_only_where_zero_times_are_enough():
    activity = loaded(happened("a", 1), happened("b", 1, events=5))

    assert who(
        activity,
        Did("product_view", at_most=3),
        Did("product_view", at_least=0, at_most=3),
        Did("product_view", at_least=0, at_most=0),
        Did("product_view", at_least=0),
        Did("search"),
        Did("search", at_least=0, at_most=0),
    ) == ["a", "acd", "cd", "abcd", "", "abcd"]


def test_properties_are_asked_of_each_event():
    activity = loaded(
        happened("a", 0, category="shoes", device="mobile"),
        happened("a", 1, category="bags", device="desktop"),
        happened("b", 0, category="bags", device="mobile"),
        happened("c", 0),
    )

    assert who(
        activity,
        Did("product_view", where=about("category = 'shoes'")),
        Did("product_view", where=about("category = 'bags' and device = 'mobile'")),
        Did("product_view", where=about("category <> 'shoes'")),
        Did("product_view", where=about("category is null")),
        Did("product_view", where=about("category = 'hats'")),
        Did("product_view", at_least=2, where=about("device in ('mobile', 'desktop')")),
    ) == ["a", "b", "ab", "c", "", "a"]


def test_the_day_of_the_week_follows_from_the_date():
    activity = loaded(*(happened(CUSTOMERS[n % 4], n, category="shoes") for n in range(4)))

    for n in range(4):
        weekday = WEEKDAYS[(AS_OF - timedelta(days=n)).weekday()]
        where = about(f"weekday = '{weekday}' and category = 'shoes'")
        assert who(activity, Did("product_view", where=where)) == [CUSTOMERS[n]]


def test_people_without_a_row_in_the_profile_and_later_days_are_left_out():
    activity = loaded(happened("nobody", 1), happened("anonymous:1", 0), happened("a", -1), happened("b", 3))

    assert activity.rows == 4
    assert activity.events["product_view"].rows.tolist() == [1]


def test_only_what_is_asked_for_is_loaded():
    rows = (happened("a", 1), happened("b", 40), happened("a", 1, "search"))

    few = loaded(*rows, events=["product_view"], within_days=30)

    assert list(few.events) == ["product_view"]
    assert few.events["product_view"].rows.tolist() == [0]


def test_a_condition_that_fails_is_named_without_its_values():
    broken = Did(
        "product_view", where=Criterion("cast('max@example.com' as integer) = 1", frozenset({"category"}))
    )

    with pytest.raises(EvaluationError, match="category") as caught:
        who(loaded(happened("a", 1)), broken)

    assert "max@" not in str(caught.value)


EVENT_ROWS = st.builds(
    happened,
    st.sampled_from(["a", "b", "c", "elsewhere"]),
    st.integers(-2, 12),
    st.sampled_from(["product_view", "search", "email_open"]),
    st.integers(1, 3),
    category=st.sampled_from(["shoes", "bags", None]),
    daypart=st.sampled_from(["night", "evening"]),
)
WHERES = {
    "category = 'shoes'": lambda row: row["category"] == "shoes",
    "category <> 'shoes' or daypart = 'night'": lambda row: (
        (row["category"] is not None and row["category"] != "shoes") or row["daypart"] == "night"
    ),
    "weekday in ('mon', 'tue')": lambda row: row["activity_date"].weekday() < 2,
}
DIDS = st.builds(
    Did,
    st.sampled_from(["product_view", "search"]),
    st.integers(0, 4),
    st.none() | st.integers(0, 5),
    st.none() | st.integers(1, 14),
    st.none() | st.sampled_from([about(text) for text in WHERES]),
)
HOLDS = {about(text): holds for text, holds in WHERES.items()}


def counted(rows: list[dict[str, Any]], did: Did) -> str:
    """The plain reading of the definition, one row after the other."""
    times: Counter[str] = Counter()
    for row in rows:
        age = (AS_OF - row["activity_date"]).days
        if (
            row["activity"] == EVENTS[did.event]
            and 0 <= age < (did.within_days or 10**6)
            and (did.where is None or HOLDS[did.where](row))
        ):
            times[row["customer_id"]] += row["events"]
    most = float("inf") if did.at_most is None else did.at_most
    return "".join(customer for customer in CUSTOMERS if did.at_least <= times[customer] <= most)


@settings(max_examples=60, deadline=None)
@given(st.lists(EVENT_ROWS, max_size=20), st.lists(DIDS, min_size=1, max_size=8))
def test_who_did_something_is_what_counting_row_by_row_says(rows: list[dict[str, Any]], dids: list[Did]):
    activity = loaded(*rows)

    assert who(activity, *dids) == [counted(rows, did) for did in dids]


@settings(max_examples=30, deadline=None)
@given(st.lists(EVENT_ROWS, max_size=15), st.lists(DIDS, min_size=1, max_size=4))
def test_what_conditions_ask_for_is_enough_to_answer_them(rows: list[dict[str, Any]], dids: list[Did]):
    assert who(loaded(*rows, **asked_by(dids)), *dids) == [counted(rows, did) for did in dids]


@settings(max_examples=30, deadline=None)
@given(st.lists(EVENT_ROWS, max_size=15), st.lists(DIDS, min_size=1, max_size=4), st.randoms())
def test_the_order_of_the_rows_does_not_matter(rows: list[dict[str, Any]], dids: list[Did], random: Any):
    assert who(loaded(*rows), *dids) == who(loaded(*random.sample(rows, len(rows))), *dids)


@pytest.mark.parametrize(("dense", "sizes"), [(2**23, (3, 4)), (1, (3, 4)), (1, (2**40, 2**40))])
def test_combinations_are_numbered_without_two_sharing_a_number(
    monkeypatch: pytest.MonkeyPatch, dense: int, sizes: tuple[int, int]
):
    monkeypatch.setattr(activity_table, "DENSE", dense)
    rng = np.random.default_rng(1)
    columns = [rng.integers(0, 3, 100, dtype=np.uint8), rng.integers(0, 4, 100, dtype=np.uint16)]

    numbers, examples = activity_table.numbered(100, columns, sizes)

    pairs = list(zip(*columns, strict=True))
    assert set(numbers.tolist()) == set(range(len(set(pairs))))
    assert [pairs[row] for row in examples[numbers]] == pairs
