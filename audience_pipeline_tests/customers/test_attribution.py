from __future__ import annotations

from datetime import date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from audience_pipeline.customers.attribution import (
    HOW,
    ORDER_ATTRIBUTION,
    AttributionRules,
    CouponCampaign,
    acquisition,
    order_attribution,
)
from audience_pipeline.customers.orders import ORDERS_SCHEMA
from audience_pipeline.sources.contract import LANDED, Kind

AS_OF = date(2026, 3, 31)
RULES = AttributionRules(coupons={"spring10": CouponCampaign("spring", "meta", "paid_social")})
Row = dict[str, Any]


def order(
    order_id: str = "A1", day: int = 20, hour: int | None = 12, customer: str = "C1", **more: Any
) -> Row:
    return {
        "customer_id": customer,
        "order_id": order_id,
        "order_date": date(2026, 3, day),
        "kind": "order",
        "amount_minor": 1_000,
        "hour": hour,
        **more,
    }


def line(order_id: str | None = "A1", day: int = 20, customer: str = "C1", **more: Any) -> Row:
    return {
        "customer_id": customer,
        "order_id": order_id,
        "transaction_date": date(2026, 3, day),
        "amount_minor": 1_000,
        **more,
    }


def event(day: int = 18, at: tuple[int, int] = (9, 0), customer: str | None = "C1", **more: Any) -> Row:
    return {
        "event_at": datetime(2026, 3, day, *at),
        "event_date": date(2026, 3, day),
        "event": "page_view",
        "customer_id": customer,
        **more,
    }


def frame(rows: list[Row], schema: pl.Schema) -> pl.LazyFrame:
    return pl.LazyFrame([{**dict.fromkeys(schema), **row} for row in rows], schema=schema)


def attributed(
    orders: list[Row],
    events: list[Row],
    lines: list[Row] | None = None,
    identities: dict[str, str] | None = None,
    as_of: date = AS_OF,
    rules: AttributionRules = RULES,
) -> pl.DataFrame:
    who = identities or {}
    return order_attribution(
        frame(orders, ORDERS_SCHEMA),
        frame(lines or [], LANDED[Kind.TRANSACTIONS]),
        frame(events, LANDED[Kind.WEB]),
        as_of,
        identities=pl.LazyFrame(
            {"source_id": list(who), "customer_id": list(who.values())},
            schema={"source_id": pl.String, "customer_id": pl.String},
        ),
        rules=rules,
    )


def decision(
    orders: Row | None = None,
    *events: Row,
    lines: list[Row] | None = None,
    identities: dict[str, str] | None = None,
) -> tuple[str | None, str | None, str | None, str]:
    """Platform, channel, campaign and how of the one order."""
    [row] = attributed([orders or order()], list(events), lines, identities).rows(named=True)
    return row["platform"], row["channel"], row["campaign"], row["how"]


NOTHING = (None, None, None, "none")


def test_nothing_is_known_of_an_order_without_coupon_event_and_channel():
    assert decision() == NOTHING


@pytest.mark.parametrize(
    ("click", "platform"),
    [
        ("gclid.81", "google"),
        ("gbraid=0AAAAAo", "google"),
        ("wbraid-7", "google"),
        ("EAIaIQobChMI", "google"),
        ("Cj0KCQiA", "google"),
        ("fbclid.81", "meta"),
        ("IwAR3x", "meta"),
        ("fb.1.1700000000.IwAR3x", "meta"),
        ("ttclid_9", "tiktok"),
        ("E.C.P.abc", "tiktok"),
        ("msclkid.81", None),
        ("gclidish", None),
    ],
)
def test_a_click_id_says_its_platform_by_its_form(click: str, platform: str | None):
    found = decision(None, event(click_id=click, channel="ads"))

    assert found == (platform, "ads", None, "click_id")


def test_a_click_id_of_unknown_form_has_the_platform_of_the_source():
    assert decision(None, event(click_id="x", utm_source="TikTok")) == (
        "tiktok",
        "paid_social",
        None,
        "click_id",
    )


@pytest.mark.parametrize(
    ("source", "platform"),
    [("Google", "google"), ("facebook", "meta"), ("fb", "meta"), ("instagram", "meta"), ("meta", "meta"),
     ("tiktok", "tiktok"), ("partner-blog", None)],
)  # fmt: skip
def test_without_a_click_id_the_source_says_the_platform(source: str, platform: str | None):
    found = decision(None, event(utm_source=source, utm_medium="cpc", utm_campaign="x", channel="paid"))

    assert found == (platform, "paid", "x", "utm")


def test_a_visit_that_was_not_paid_for_has_no_platform():
    assert decision(None, event(utm_source="google", utm_medium="organic")) == (None, "organic", None, "utm")


def test_a_coupon_of_the_order_decides_over_every_event():
    found = decision(None, event(click_id="gclid.1"), lines=[line(coupon="SPRING10")])

    assert found == ("meta", "paid_social", "spring", "coupon")


def test_coupons_that_nobody_mapped_or_of_other_orders_or_returns_decide_nothing():
    lines = [
        line(coupon="OTHER"),
        line("A2", coupon="SPRING10"),
        line(customer="C2", coupon="SPRING10"),
        line(coupon="SPRING10", amount_minor=-1_000),
    ]

    assert decision(lines=lines) == NOTHING


def test_a_coupon_of_an_event_that_carries_the_orders_id_counts_even_of_a_direct_visit():
    assert decision(None, event(20, order_id="A1", coupon="SPRING10"))[3] == "coupon"
    assert decision(None, event(20, coupon="SPRING10")) == NOTHING


def test_an_order_without_id_is_that_of_its_day():
    found = decision(order("2026-03-20"), lines=[line(None, coupon="SPRING10")])

    assert found[3] == "coupon"


def test_the_last_touch_that_is_not_direct_wins():
    found = decision(
        None,
        event(10, click_id="gclid.1", utm_campaign="old"),
        event(11, click_id="ttclid.1", utm_campaign="new"),
        event(12, channel="direct"),
        event(13, channel="(none)", utm_source="(direct)", utm_medium="(none)"),
    )

    assert found == ("tiktok", "paid_social", "new", "click_id")


def test_an_event_counts_within_the_lookback_and_not_a_day_before():
    rules = AttributionRules(lookback_days=7)
    [within] = attributed([order(day=20)], [event(13, utm_source="fb")], rules=rules)["how"]
    [before] = attributed([order(day=20)], [event(12, utm_source="fb")], rules=rules)["how"]

    assert (within, before) == ("utm", "none")


@pytest.mark.parametrize(
    ("hour", "at", "counts"),
    [(12, (12, 59), True), (12, (13, 0), False), (None, (23, 59), True), (0, (0, 0), True)],
)
def test_on_the_day_of_the_order_what_is_not_later_counts(
    hour: int | None, at: tuple[int, int], counts: bool
):
    found = decision(order(hour=hour), event(20, at, click_id="gclid.1"))

    assert (found[3] == "click_id") == counts


def test_the_visit_that_carries_the_orders_id_decides_although_it_is_logged_later_that_day():
    found = decision(
        None,
        event(20, (13, 5), click_id="fbclid.1", order_id="A1"),
        event(20, (11, 0), click_id="gclid.1"),
    )

    assert found[0] == "meta"


def test_a_direct_visit_with_the_orders_id_leaves_the_decision_to_the_last_touch():
    found = decision(None, event(20, (12, 5), channel="direct", order_id="A1"), event(19, click_id="gclid.1"))

    assert found[0] == "google"


def test_an_event_of_a_later_day_does_not_count_although_it_carries_the_orders_id():
    assert decision(None, event(21, click_id="gclid.1", order_id="A1")) == NOTHING


def test_an_unknown_browser_tells_of_an_order_only_where_one_customer_alone_has_that_id():
    told = event(20, customer=None, anonymous_id="b1", click_id="gclid.1", order_id="A1")
    both = attributed([order(), order(customer="C2")], [told])
    other = event(20, customer="C2", click_id="gclid.1", order_id="A1")

    assert decision(None, told)[0] == "google"
    assert both["how"].to_list() == ["none", "none"]
    assert decision(None, other) == NOTHING


def test_what_a_known_browser_saw_before_the_login_counts():
    before = event(18, customer=None, anonymous_id="b1", click_id="gclid.1")

    assert decision(None, before) == NOTHING
    assert decision(None, before, identities={"anonymous:b1": "C1"})[0] == "google"


def test_events_and_coupons_of_a_merged_account_are_the_customers():
    assert decision(None, event(customer="old", click_id="gclid.1"), identities={"old": "C1"})[0] == "google"
    assert decision(lines=[line(customer="old", coupon="SPRING10")], identities={"old": "C1"})[3] == "coupon"


def test_without_click_id_and_utm_the_orders_channel_decides():
    touched = event(channel="organic")

    assert decision(order(channel="store")) == (None, "store", None, "channel")
    assert decision(order(channel="store"), touched) == (None, "store", None, "channel")
    assert decision(order(channel="direct"), touched) == (None, "organic", None, "channel")
    assert decision(order(), touched) == (None, "organic", None, "channel")
    assert decision(order(channel="direct")) == (None, "direct", None, "channel")


def test_it_is_said_when_the_event_that_decided_happened():
    rows = attributed(
        [order("A1"), order("A2", coupon=None), order("A3", 2, customer="C3", channel="store")],
        [event(19, (8, 30), click_id="gclid.1")],
        [line("A2", coupon="SPRING10")],
    )

    assert rows["touched_at"].to_list() == [datetime(2026, 3, 19, 8, 30), None, None]


def test_events_of_one_moment_are_told_apart_by_what_they_say_best():
    rows = [
        event(click_id="gclid.1", utm_campaign="b"),
        event(click_id="gclid.1", utm_campaign="a"),
        event(utm_source="a"),
        event(channel="a"),
    ]

    assert decision(None, *rows) == ("google", "paid_search", "a", "click_id")


def test_an_order_of_two_days_is_one_of_its_first_day_and_returns_are_none():
    rows = attributed([order(day=20), order(day=22), order("A2", 25, kind="return")], [])

    assert rows.select("order_id", "order_date").rows() == [("A1", date(2026, 3, 20))]


def test_the_first_order_says_what_brought_the_customer():
    rows = attributed(
        [order("A2", 5), order("A1", 25), order("B", 3, customer="C2", channel="store")],
        [event(4, click_id="gclid.1", utm_campaign="brand"), event(24, click_id="fbclid.1")],
    )

    assert acquisition(rows.lazy()).sort("customer_id").collect().rows() == [
        ("C1", "google", "paid_search", "brand", "click_id"),
        ("C2", None, "store", None, "channel"),
    ]


def test_nothing_at_all_is_a_table_without_rows():
    empty = attributed([], [])

    assert empty.schema == ORDER_ATTRIBUTION
    assert empty.is_empty()
    assert acquisition(empty.lazy()).collect().is_empty()


texts = st.sampled_from
few_orders = st.builds(
    order,
    texts(["A", "B", "C"]),
    st.integers(1, 9),
    texts([None, 0, 11, 12]),
    texts(["C1", "C2"]),
    channel=texts([None, "direct", "store"]),
    kind=texts(["order", "order", "return"]),
)
few_lines = st.builds(
    line,
    texts(["A", "B", None]),
    st.integers(1, 9),
    texts(["C1", "C2", "old"]),
    coupon=texts([None, "SPRING10", "AUTUMN"]),
)
few_events = st.builds(
    event,
    st.integers(1, 9),
    texts([(0, 0), (11, 30), (12, 0)]),
    texts([None, "C1", "C2", "old"]),
    anonymous_id=texts(["b1", "b2"]),
    click_id=texts([None, None, "gclid.1", "fbclid.1", "x"]),
    utm_source=texts([None, "tiktok", "blog", "direct"]),
    utm_campaign=texts([None, None, "spring"]),
    channel=texts([None, "direct", "organic"]),
    order_id=texts([None, None, "A", "B"]),
    coupon=texts([None, None, "SPRING10", "AUTUMN"]),
)
WHO = {"old": "C1", "anonymous:b1": "C2"}
BOTH = AttributionRules(
    coupons={
        "SPRING10": CouponCampaign("spring", "meta", "paid_social"),
        "AUTUMN": CouponCampaign("autumn", channel="flyer"),
    },
    lookback_days=3,
)
KEY = ("customer_id", "order_id", "order_date", "kind")
keyed_orders = st.lists(few_orders, max_size=8, unique_by=lambda row: tuple(row[name] for name in KEY))
many_lines, many_events = st.lists(few_lines, max_size=6), st.lists(few_events, max_size=12)


@given(keyed_orders, many_lines, many_events, st.randoms())
def test_the_order_of_rows_changes_nothing(
    orders: list[Row], lines: list[Row], events: list[Row], draw: Any
) -> None:
    first = attributed(orders, events, lines, WHO, rules=BOTH)
    for rows in (orders, lines, events):
        draw.shuffle(rows)

    assert_frame_equal(attributed(orders, events, lines, WHO, rules=BOTH), first)


@given(keyed_orders, many_lines, many_events, st.integers(1, 9))
def test_nothing_dated_after_the_as_of_date_moves_anything(
    orders: list[Row], lines: list[Row], events: list[Row], day: int
) -> None:
    as_of = date(2026, 3, day)
    known = (
        [row for row in orders if row["order_date"] <= as_of],
        [row for row in events if row["event_date"] <= as_of],
        [row for row in lines if row["transaction_date"] <= as_of],
    )

    with_future = attributed(orders, events, lines, WHO, as_of=as_of, rules=BOTH)

    assert_frame_equal(with_future, attributed(*known, WHO, as_of=date(2027, 1, 1), rules=BOTH))


@given(keyed_orders, many_lines, many_events)
def test_what_happens_after_an_order_never_changes_its_attribution(
    orders: list[Row], lines: list[Row], events: list[Row]
) -> None:
    everything = attributed(orders, events, lines, WHO, rules=BOTH)
    sold = everything.filter(pl.col("order_id") == "C")

    for row in sold.iter_rows(named=True):
        then = [e for e in events if e["event_date"] <= row["order_date"]]
        again = attributed(orders, then, lines, WHO, as_of=AS_OF, rules=BOTH)
        same = again.filter(pl.col("customer_id") == row["customer_id"], pl.col("order_id") == "C")
        assert same.row(0, named=True) == row
    assert set(everything["how"]) <= set(HOW)
    assert everything.select("customer_id", "order_id").is_unique().all()
