from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.audiences import behaviour as module
from audience_pipeline.audiences.activity import EVENTS
from audience_pipeline.audiences.behaviour import BEHAVIOUR_SCHEMA, COUNTED, behaviour
from audience_pipeline.audiences.fields import DAYPARTS, FIELDS, WEEKDAYS, WINDOWS
from audience_pipeline.features.activity import activity_features

TODAY = date(2026, 3, 15)
SUNDAY, MONDAY, SATURDAY = TODAY, TODAY - timedelta(days=6), TODAY - timedelta(days=1)
CUSTOMERS = ("a", "b", "c")
ACTIVITY = {
    "customer_id": pl.String,
    "activity_date": pl.Date,
    "activity": pl.String,
    "category": pl.String,
    "device": pl.String,
    "daypart": pl.String,
    "events": pl.Int64,
}
Row = dict[str, Any]


def event(what: str, day: date = TODAY, who: str = "a", times: int = 1, **properties: str | None) -> Row:
    row = {"customer_id": who, "activity_date": day, "activity": EVENTS[what], "events": times}
    return dict.fromkeys(ACTIVITY) | row | properties


def seen(*rows: Row, customers: tuple[str, ...] = CUSTOMERS, as_of: date = TODAY) -> list[Row]:
    activity = pl.LazyFrame(list(rows), schema=ACTIVITY)
    frame = behaviour(activity, pl.Series(customers, dtype=pl.String), as_of)
    assert frame.schema == BEHAVIOUR_SCHEMA
    assert frame["customer_id"].to_list() == list(customers)
    assert not any(frame[name].is_nan().any() for name, dtype in frame.schema.items() if dtype == pl.Float64)
    return frame.to_dicts()


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


events = st.builds(
    event,
    st.sampled_from(sorted(EVENTS)),
    st.integers(-5, 400).map(ago),
    st.sampled_from([*CUSTOMERS, "nobody"]),
    st.integers(1, 4),
    daypart=st.sampled_from([*DAYPARTS, None]),
    device=st.sampled_from(["mobile", "desktop", None]),
    category=st.sampled_from(["shoes", "bags", None]),
)


@given(st.lists(events, max_size=40))
def test_every_count_is_the_one_of_counting_by_hand(rows: list[Row]) -> None:
    for found in seen(*rows):
        mine = [row for row in rows if row["customer_id"] == found["customer_id"]]
        for days in WINDOWS:
            inside = [row for row in mine if ago(days) < row["activity_date"] <= TODAY]
            for stem, what in COUNTED.items():
                expected = sum(row["events"] for row in inside if row["activity"] == EVENTS[what])
                assert found[f"{stem}_{days}d"] == expected
            on_web = [row for row in inside if row["activity"].startswith("web:")]
            assert found[f"web_events_{days}d"] == sum(row["events"] for row in on_web)
            assert found[f"visits_{days}d"] == len({row["activity_date"] for row in on_web})


@given(st.lists(events, max_size=40))
def test_what_the_features_count_too_is_the_same(rows: list[Row]) -> None:
    activity = pl.LazyFrame(rows, schema=ACTIVITY)
    shared = [
        name for name in BEHAVIOUR_SCHEMA if name in FIELDS and FIELDS[name].source == "customer_features"
    ]
    features = {row["customer_id"]: row for row in activity_features(activity, TODAY).collect().to_dicts()}

    assert len(shared) == 8
    for found in seen(*rows):
        if found["customer_id"] in features:
            assert {name: found[name] for name in shared} == {
                name: features[found["customer_id"]][name] for name in shared
            }


@given(st.lists(events, max_size=30), st.randoms())
def test_future_rows_their_order_and_other_people_change_nothing(rows: list[Row], random: Any) -> None:
    without = seen(*(row for row in rows if row["activity_date"] <= TODAY and row["customer_id"] == "a"))[0]
    shuffled = random.sample(rows, len(rows))

    assert seen(*shuffled)[0] == without


@given(st.lists(events, max_size=30))
def test_customers_can_be_worked_on_in_parts(rows: list[Row]) -> None:
    whole = seen(*rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CUSTOMERS_AT_ONCE", 2)
        assert seen(*rows) == whole


def test_nobody_who_did_nothing_has_a_habit() -> None:
    row = seen()[0]

    assert row["visits_365d"] == row["emails_sent_365d"] == 0
    assert row["newsletter_reader"] is False
    for name in ("email_open_rate_90d", "days_since_visit", "visit_daypart", "order_weekday", "usual_device",
                 "visit_weekend_share", "favourite_category_90d"):  # fmt: skip
        assert row[name] is None


def test_no_customer_at_all_is_an_empty_table() -> None:
    assert seen(event("search"), customers=()) == []


def test_open_and_click_rates_are_by_e_mails_sent_and_at_most_one() -> None:
    row = seen(
        event("email_sent", ago(3), times=4),
        event("email_open", ago(2)),
        event("email_sent", ago(20)),
        event("email_click", ago(1), times=9),
    )[0]

    assert (row["email_open_rate_7d"], row["email_click_rate_7d"]) == (0.25, 1.0)
    assert row["email_open_rate_30d"] == 0.2


def test_days_since_the_latest_open_and_click_look_back_for_ever() -> None:
    row = seen(event("email_open", ago(900)), event("email_open", ago(800)), event("email_click", ago(0)))[0]

    assert (row["days_since_email_open"], row["days_since_email_click"]) == (800, 0)


def test_visits_count_each_day_and_part_of_it_once_however_many_pages_were_seen() -> None:
    row = seen(
        event("page_view", SUNDAY, times=50, daypart="night"),
        event("page_view", SATURDAY, daypart="evening"),
        event("search", SATURDAY, times=3, daypart="evening"),
        event("page_view", MONDAY, daypart="evening"),
    )[0]

    assert row["visits_7d"] == 3
    assert row["visit_daypart"] == "evening"
    assert row["visit_weekday"] == "mon"
    assert row["visit_weekend_share"] == pytest.approx(2 / 3)


def test_of_equally_frequent_parts_of_the_day_and_weekdays_the_earlier_is_named() -> None:
    row = seen(
        event("order", SUNDAY, daypart="evening"),
        event("order", SATURDAY, daypart="morning"),
    )[0]

    assert (row["order_daypart"], row["order_weekday"], row["order_weekend_share"]) == ("morning", "sat", 1.0)


def test_orders_without_a_time_have_a_weekday_and_no_part_of_the_day() -> None:
    row = seen(event("order", MONDAY, times=2))[0]

    assert (row["order_daypart"], row["order_weekday"], row["order_weekend_share"]) == (None, "mon", 0.0)
    assert row["visit_weekday"] is None


def test_the_usual_device_and_favourite_category_are_the_most_frequent_then_first_by_name() -> None:
    row = seen(
        event("product_view", ago(89), category="shoes", device="mobile", times=2),
        event("product_view", ago(1), category="bags", device="desktop", times=2),
        event("product_view", ago(90), category="shoes", device="mobile"),
        event("page_view", ago(1), category="hats", times=9),
    )[0]

    assert row["favourite_category_90d"] == "bags"
    assert row["usual_device"] == "mobile"


@pytest.mark.parametrize(
    ("what", "reads"),
    [
        ([("email_sent", 364)], True),
        ([("email_sent", 365)], False),
        ([("email_open", 3), ("unsubscribe", 2)], False),
        ([("email_open", 3), ("unsubscribe", 3)], False),
        ([("email_open", 3), ("unsubscribe", 4)], True),
        ([("sms_sent", 3)], False),
    ],
)
def test_a_newsletter_reader_gets_e_mails_and_has_not_unsubscribed_since(
    what: list[tuple[str, int]], reads: bool
) -> None:
    row = seen(*(event(name, ago(days)) for name, days in what))[0]

    assert row["newsletter_reader"] is reads


@given(st.lists(events, max_size=40))
def test_the_most_frequent_values_are_those_of_counting_by_hand(rows: list[Row]) -> None:
    for found in seen(*rows):
        mine = [
            row
            for row in rows
            if row["customer_id"] == found["customer_id"] and ago(365) < row["activity_date"] <= TODAY
        ]
        on_web = [row for row in mine if row["activity"].startswith("web:")]
        days = Counter(WEEKDAYS[day.weekday()] for day in {row["activity_date"] for row in on_web})
        parts = Counter(
            part for _, part in {(row["activity_date"], row["daypart"]) for row in on_web} if part
        )
        assert found["visit_weekday"] == first_of_most(days, WEEKDAYS)
        assert found["visit_daypart"] == first_of_most(parts, DAYPARTS)
        devices: Counter[str] = Counter()
        for row in on_web:
            devices.update({row["device"]: row["events"]} if row["device"] else {})
        assert found["usual_device"] == first_of_most(devices, ("desktop", "mobile"))


def first_of_most(counts: Counter[str], names: tuple[str, ...]) -> str | None:
    return max(names, key=lambda name: (counts[name], -names.index(name))) if counts else None
