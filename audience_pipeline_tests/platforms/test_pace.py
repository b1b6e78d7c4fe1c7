"""The pace: what a platform's limits leave of a burst, for one thread and for many."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.platforms.contract import CAPABILITIES, GOOGLE, META, TIKTOK, Platform, Rate
from audience_pipeline.platforms.pace import Pace
from audience_pipeline_tests.platforms.wire import Waiting

SLOW = Rate("calls", requests=4, seconds=2, burst=3)


def test_a_burst_goes_at_once_and_what_follows_at_the_rate(waiting: Waiting) -> None:
    pace = Pace([SLOW], waiting.clock)

    assert [pace.wait({"calls": 1}) for _ in range(5)] == [0, 0, 0, 0.5, 1.0]


def test_tokens_come_back_with_time_up_to_the_burst(waiting: Waiting) -> None:
    pace = Pace([SLOW], waiting.clock)
    for _ in range(3):
        pace.wait({"calls": 1})

    waiting.now += 3_600

    assert [pace.wait({"calls": 1}) for _ in range(4)] == [0, 0, 0, 0.5]


def test_a_request_waits_for_the_slowest_of_its_limits(waiting: Waiting) -> None:
    pace = Pace([SLOW, Rate("writes", requests=1, seconds=10, burst=1)], waiting.clock)

    assert [pace.wait({"calls": 1, "writes": 1}) for _ in range(2)] == [0, 10]
    assert pace.wait({"calls": 1}) == 0


def test_what_no_rate_speaks_of_is_not_limited(waiting: Waiting) -> None:
    pace = Pace((), waiting.clock)

    assert [pace.wait({"calls": 1}) for _ in range(1_000)] == [0] * 1_000


def test_a_pace_that_is_slowed_down_leaves_a_gap_after_each_request(waiting: Waiting) -> None:
    pace = Pace((), waiting.clock)
    pace.slow_down(8)

    assert [pace.wait({}) for _ in range(3)] == [8, 16, 24]

    pace.slow_down(0)
    assert pace.wait({}) == 0


def test_a_hold_lets_nobody_pass_before_it_ends(waiting: Waiting) -> None:
    pace = Pace([SLOW], waiting.clock)
    pace.hold(30)

    assert [pace.wait({"calls": 1}) for _ in range(2)] == [30, 30]

    pace.slow_down(0)
    assert pace.wait({}) == 30

    waiting.now += 30
    assert pace.wait({}) == 0


def test_another_rate_takes_the_place_of_that_of_its_name(waiting: Waiting) -> None:
    pace = Pace([SLOW], waiting.clock)
    pace.change(Rate("calls", requests=1, seconds=100, burst=1))
    pace.change(Rate("unknown", requests=1, seconds=100, burst=0))

    assert [pace.wait({"calls": 1, "unknown": 1}) for _ in range(2)] == [0, 100]


def test_a_clock_that_is_put_back_costs_no_more_than_the_rate(waiting: Waiting) -> None:
    pace = Pace([SLOW], waiting.clock)
    for _ in range(3):
        pace.wait({"calls": 1})

    waiting.now -= 3_600

    assert pace.wait({"calls": 1}) == 0.5


@given(
    steps=st.lists(st.floats(min_value=0, max_value=5), min_size=1, max_size=120),
    rate=st.builds(
        Rate,
        st.just("calls"),
        requests=st.integers(1, 50),
        seconds=st.integers(1, 60),
        burst=st.integers(1, 50),
    ),
)
def test_no_window_of_time_ever_sees_more_than_burst_and_rate(steps: list[float], rate: Rate) -> None:
    waiting = Waiting()
    pace = Pace([rate], waiting.clock)
    went = []
    for step in steps:
        waiting.now += step
        went.append(waiting.now + pace.wait({"calls": 1}))

    for position, start in enumerate(went):
        within = sum(start <= at <= start + rate.seconds for at in went[position:])
        assert within <= rate.burst + rate.requests + 1e-6


@pytest.mark.parametrize(
    ("platform", "name", "most", "seconds"),
    [
        (Platform.GOOGLE, "ingestion", 300, 60),
        (Platform.GOOGLE, "status", 300, 60),
        (Platform.GOOGLE, "list_reads", 300, 60),
        (Platform.GOOGLE, "list_writes", 300, 60),
        (Platform.META, "mutations", 100, 1),
        (Platform.META, "score", 9_000, 300),
        (Platform.TIKTOK, "calls", 5, 1),
    ],
)
def test_the_rates_of_a_platform_stay_within_what_is_published(
    platform: Platform, name: str, most: float, seconds: float
) -> None:
    rate = next(rate for rate in CAPABILITIES[platform].rates if rate.name == name)

    assert rate.burst + seconds * rate.requests / rate.seconds <= most


def test_every_platform_has_rates() -> None:
    assert all(capabilities.rates for capabilities in (META, GOOGLE, TIKTOK))


def test_threads_that_share_a_pace_keep_its_rate_together() -> None:
    pace = Pace([Rate("calls", requests=100, seconds=1, burst=1)], lambda: 0.0)
    waits: list[float] = []

    def send() -> None:
        waits.extend(pace.wait({"calls": 1}) for _ in range(50))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(waits) == pytest.approx([number / 100 for number in range(400)])
