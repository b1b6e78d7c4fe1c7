from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial

import pytest

from audience_pipeline.delivery.figures import match_rate
from audience_pipeline.delivery.run import sync
from audience_pipeline.delivery.status import status
from audience_pipeline.delivery.verify import verify
from audience_pipeline.ledger.records import Batch, BatchState, Upload
from audience_pipeline.platforms.contract import META, RemoteAudience, TransientPlatformError

DAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def clock(tools):
    return tools.clock()


@pytest.fixture
def deliver(ledger, clock):
    return partial(sync, ledger, as_of=DAY, sleep=clock.sleep, clock=clock)


@pytest.fixture
def sentences(ledger, clock):
    return lambda platform: [gap.sentence for gap in verify(ledger, platform, clock=clock).gaps]


def test_an_audience_that_is_as_it_should_be_has_no_gap(deliver, tools, sentences) -> None:
    platform = tools.platform(tools.small())
    deliver(platform, "best", tools.people(range(5)))

    assert sentences(platform) == []


def test_a_deleted_audience_is_a_gap(deliver, tools, sentences) -> None:
    platform = tools.platform(tools.small())
    deliver(platform, "best", tools.people(range(5)))
    platform.audiences.clear()

    (sentence,) = sentences(platform)

    assert "does not have it any more" in sentence


def test_a_renamed_audience_is_a_gap(deliver, tools, sentences) -> None:
    platform = tools.platform(tools.small())
    deliver(platform, "best", tools.people(range(5)))
    (held,) = platform.audiences.values()
    held.name = "mine"

    (sentence,) = sentences(platform)

    assert sentence == "It is named 'mine' there and 'best' here: somebody renamed it."


def test_people_added_by_somebody_else_are_a_gap(deliver, tools, sentences) -> None:
    platform = tools.platform()
    deliver(platform, "best", tools.people(range(1_000)))
    (held,) = platform.audiences.values()
    held.members |= tools.payloads(tools.people(range(5_000, 6_000)))

    (sentence,) = sentences(platform)

    assert "at least 2,000 people and 1,000 were delivered" in sentence


def test_what_was_never_confirmed_is_a_gap(deliver, tools, sentences) -> None:
    platform = tools.platform(tools.small())
    platform.fault = tools.fails_once("after add")
    deliver(platform, "best", tools.people(range(3)))

    assert sentences(platform) == [
        "3 additions and 0 removals are not confirmed: deliver again to send them once more.",
        "Its first delivery was not completed: deliver it again.",
    ]


def test_a_batch_that_is_processed_for_days_is_a_gap(deliver, tools, sentences, clock) -> None:
    platform = tools.platform(tools.small(), polls=1_000)
    deliver(platform, "best", tools.people(range(3)), patience=0)
    assert sentences(platform) == []
    clock.pass_days(3)

    (sentence,) = sentences(platform)

    assert "in processing for more than 48 hours" in sentence


def test_people_who_have_expired_are_a_gap(deliver, tools, sentences, clock) -> None:
    platform = tools.platform(tools.small(membership_days=30))
    deliver(platform, "best", tools.people(range(3)))
    clock.pass_days(31)

    (sentence,) = sentences(platform)

    assert "more than 30 days ago and have expired" in sentence


def test_a_platform_that_cannot_be_asked_is_a_gap(deliver, tools, sentences) -> None:
    platform = tools.platform(tools.small())
    deliver(platform, "best", tools.people(range(3)))
    platform.fault = tools.fails_once("before read", TransientPlatformError(META.platform, "no answer."))

    (sentence,) = sentences(platform)

    assert sentence == "It cannot be read (meta: no answer.), so nothing can be said about it."


def test_the_status_has_a_row_for_each_audience_and_platform(deliver, tools, ledger) -> None:
    meta, google = tools.platform(tools.small()), tools.platform(tools.small(), account="456")
    deliver(meta, "second", tools.people(range(4)))
    deliver(meta, "best", tools.people(range(5)))
    deliver(google, "best", tools.people(range(2)))

    rows = status(ledger)

    assert [
        (row.audience, row.account, row.wanted, row.sent, row.accepted, row.rejected) for row in rows
    ] == [
        ("best", "123", 5, 5, 5, 0),
        ("best", "456", 2, 2, 2, 0),
        ("second", "123", 4, 4, 4, 0),
    ]
    assert {(row.state, row.as_of, row.match_rate) for row in rows} == {("settled", DAY, "100 %")}
    assert [row.matched for row in rows] == ["5", "2", "4"]
    assert [row.audience for row in status(ledger, "second")] == ["second"]


def test_an_audience_deleted_for_want_of_people_is_no_gap_and_is_shown_as_such(
    deliver, tools, ledger, sentences
) -> None:
    platform = tools.platform(tools.small(creates_empty=False))
    deliver(platform, "best", tools.people(range(5)))
    deliver(platform, "best", {}, confirm=True)

    (row,) = status(ledger)

    assert sentences(platform) == []
    assert (row.remote_id, row.state, row.status) == (None, "settled", "not there, because nobody is wanted")
    assert (row.wanted, row.sent, row.matched, row.match_rate) == (0, 0, "-", "-")


def test_the_status_keeps_its_figures_when_a_later_delivery_sends_nothing(deliver, tools, ledger) -> None:
    platform = tools.platform(tools.small())
    deliver(platform, "best", tools.people(range(5)))
    deliver(platform, "best", tools.people(range(5)))

    (row,) = status(ledger)

    assert (row.state, row.sent, row.accepted, row.match_rate) == ("unchanged", 5, 5, "100 %")
    assert row.as_dict()["as_of"] == "2026-11-20"


REMOTE = RemoteAudience("1", "best", ready=True, status="ready")
BATCH = Batch("b", "d", 1, "add", 100, BatchState.SETTLED, NOW)


@pytest.mark.parametrize(
    ("remote", "uploads", "low", "high", "how"),
    [
        (replace(REMOTE, match_rate=(0.61, 0.7), size_high=5), [], 0.61, 0.7, "stated by the platform"),
        (REMOTE, [Upload(60, replace(BATCH, match_rate=(0.2, 0.3)))], 0.2, 0.3, "stated for"),
        (REMOTE, [Upload(60, replace(BATCH, matched=40))], 0.4, 0.4, "matched over sent"),
        (replace(REMOTE, size_low=50, size_high=60), [Upload(10, BATCH)], 0.5, 0.6, "size on the platform"),
        (replace(REMOTE, size_low=1_000, size_high=1_000), [], None, None, "only that it is small"),
        (REMOTE, [], None, None, "no size yet"),
        (None, [], None, None, "no size yet"),
    ],
)
def test_a_match_rate_says_how_it_was_obtained(remote, uploads, low, high, how) -> None:
    rate = match_rate(remote, uploads, 100)

    assert (rate.low, rate.high) == (low, high)
    assert how in rate.how


def test_an_audience_of_nobody_has_no_match_rate() -> None:
    assert match_rate(REMOTE, [], 0).low is None
