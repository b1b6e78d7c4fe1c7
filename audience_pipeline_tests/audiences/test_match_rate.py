from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.audiences.match_rate import (
    Delivered,
    match_model,
    prior_rates,
    signal_columns,
)
from audience_pipeline.platforms.contract import CAPABILITIES, GOOGLE, META, TIKTOK, Capabilities


def people(capabilities: Capabilities, *known: tuple[set[str], int]) -> np.ndarray:
    """How many people have exactly these identifiers."""
    columns = signal_columns(capabilities)
    signals = np.zeros(2 ** len(columns), dtype=np.int64)
    for having, number in known:
        signals[sum(1 << columns.index(column) for column in having)] += number
    return signals


@pytest.mark.parametrize("capabilities", CAPABILITIES.values(), ids=lambda one: one.platform.value)
def test_somebody_with_more_identifiers_is_never_expected_to_match_less(capabilities: Capabilities):
    rates = prior_rates(capabilities)

    for signal in range(rates.size):
        for bit in range(len(signal_columns(capabilities))):
            assert rates[signal | 1 << bit] >= rates[signal]


@pytest.mark.parametrize("capabilities", CAPABILITIES.values(), ids=lambda one: one.platform.value)
def test_nobody_matches_who_cannot_be_reached(capabilities: Capabilities):
    assert prior_rates(capabilities)[0] == 0


def test_before_any_delivery_the_promised_rate_is_expected_of_people_with_an_email_address():
    found = match_model(META, "a", people(META, ({"meta_email"}, 1_000)), []).expected(
        people(META, ({"meta_email"}, 1_000))
    )

    assert found.matches.expected == pytest.approx(600)
    assert (found.rate.low, found.rate.high) == pytest.approx((0.30, 0.80))
    assert "nothing was delivered there yet" in found.how
    assert "promised 60 %" in found.how


def test_history_takes_over_from_the_assumption_as_evidence_grows():
    signals = people(META, ({"meta_email"}, 1_000))

    def expected(delivered: int) -> float:
        history = [Delivered("other", delivered, 0.2, 0.2)] if delivered else []
        return match_model(META, "a", signals, history).expected(signals).rate.expected

    rates = [expected(number) for number in (0, 100, 2_000, 20_000)]
    assert rates == sorted(rates, reverse=True)
    assert rates[1] == pytest.approx(0.58, abs=0.02)
    assert rates[2] == pytest.approx(0.40, abs=0.01)
    assert rates[3] < 0.25


def test_what_the_audience_itself_came_to_counts_most():
    signals = people(GOOGLE, ({"google_email"}, 5_000))
    history = [Delivered("other", 50_000, 0.6, 0.6), Delivered("a", 5_000, 0.2, 0.2)]

    found = match_model(GOOGLE, "a", signals, history).expected(signals)

    assert found.rate.expected < 0.26
    assert "what this audience came to with 5,000 people" in found.how
    assert "another audience came to with 50,000 people" in found.how


def test_the_bounds_narrow_with_evidence():
    signals = people(TIKTOK, ({"tiktok_email"}, 1_000))

    def width(*history: Delivered) -> float:
        rate = match_model(TIKTOK, "a", signals, history).expected(signals).rate
        return rate.high - rate.low

    assert width(Delivered("b", 10_000, 0.5, 0.5)) < width(Delivered("b", 500, 0.5, 0.5)) < width()


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10**7), st.floats(0, 1), st.floats(0, 1))),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.sampled_from(sorted(CAPABILITIES)),
)
def test_matches_are_never_more_than_people_and_lie_between_their_bounds(
    past: list[tuple[str, int, float, float]], emails: int, phones: int, platform: str
):
    capabilities = CAPABILITIES[platform]
    first, second = capabilities.reachable_by[:2]
    signals = people(capabilities, (set(first), emails), (set(second), phones))
    history = [Delivered(name, number, min(a, b), max(a, b)) for name, number, a, b in past]

    found = match_model(capabilities, "a", signals, history).expected(signals)

    assert found.sendable == emails + phones
    assert 0 <= found.rate.low <= found.rate.expected + 1e-9
    assert found.rate.expected <= found.rate.high + 1e-9 <= 1 + 2e-9
    assert found.matches.expected <= found.sendable + 1e-6


def test_a_missing_identifier_is_told_with_what_it_would_bring():
    signals = people(META, ({"meta_email"}, 400), ({"meta_email", "meta_phone"}, 100), (set(), 50))
    model = match_model(META, "a", signals, [])

    missing = {one.identifier: one for one in model.missing(signals)}

    assert missing["phone number"].people == 450
    assert missing["phone number"].matches == pytest.approx(400 * (0.68 - 0.60) + 50 * 0.50)
    assert missing["e-mail address"].people == 50
    assert missing["e-mail address"].matches == pytest.approx(50 * 0.60)


def test_what_is_missing_is_worth_what_giving_it_to_everybody_brings():
    signals = people(GOOGLE, ({"google_email"}, 300), ({"google_phone"}, 200), (set(), 10))
    model = match_model(GOOGLE, "a", signals, [])
    phone = 1 << signal_columns(GOOGLE).index("google_phone")
    given_to_all = np.zeros_like(signals)
    for signal, number in enumerate(signals):
        given_to_all[signal | phone] += number

    [gain] = [one.matches for one in model.missing(signals) if one.identifier == "phone number"]

    assert gain == pytest.approx(model.matches(given_to_all) - model.matches(signals))
