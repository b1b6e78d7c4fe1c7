"""Which signals of browsers are remembered: those that changed something."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from audience_pipeline.customers.consent_signals import new_signals
from audience_pipeline_tests.customers.consent_frames import EVENTS, NOON, WEB, Row, said, visit

HOUR = timedelta(hours=1)


def remembered(
    web: list[Row], earlier: Sequence[tuple[str, datetime]] = (), *events: Row
) -> dict[str, datetime]:
    known = pl.LazyFrame(
        list(earlier), schema={"customer_id": pl.String, "event_at": pl.Datetime("us")}, orient="row"
    )
    found = new_signals(
        pl.LazyFrame(web, schema=WEB), known, pl.LazyFrame(list(events), schema=EVENTS)
    ).collect()
    assert found["customer_id"].is_unique().all()
    assert set(found["status"]) <= {"denied"}
    return dict(found.select("customer_id", "event_at").iter_rows())


def test_the_first_signal_of_each_visitor_is_new():
    web = [
        visit(NOON + HOUR, customer_id="a"),
        visit(NOON, customer_id="a"),
        visit(NOON, anonymous_id="x"),
        visit(NOON, customer_id="b", anonymous_id="y"),
    ]

    assert remembered(web) == {"a": NOON, "anonymous:x": NOON, "b": NOON}


def test_a_visitor_whose_signal_is_known_says_nothing_new():
    assert remembered([visit(NOON + HOUR, customer_id="a")], [("a", NOON)]) == {}


def test_the_first_signal_after_a_grant_is_new_again():
    web = [visit(NOON + n * HOUR, customer_id="a") for n in (1, 3, 4)]

    assert remembered(web, [("a", NOON)], said("granted", NOON + 2 * HOUR)) == {"a": NOON + 3 * HOUR}


def test_a_grant_before_the_known_signal_and_a_denial_change_nothing():
    web = [visit(NOON + 3 * HOUR, customer_id="a")]
    before, denial = said("granted", NOON - HOUR), said("denied", NOON + HOUR)

    assert remembered(web, [("a", NOON)], before, denial) == {}


def test_a_page_without_the_signal_or_without_a_visitor_is_nothing():
    assert remembered([visit(gpc=False, customer_id="a"), visit(gpc=None, customer_id="a"), visit()]) == {}
