"""What is said of low match rates and small sizes: each sentence with its trigger and without."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from audience_pipeline.audiences.match_rate import match_model, signal_columns
from audience_pipeline.delivery.advice import (
    Known,
    Matched,
    few,
    low_rate,
    matched,
    rate_advice,
    signals_of,
    size_advice,
)
from audience_pipeline.platforms.contract import GOOGLE, META, TIKTOK, Capabilities

TODAY = date(2026, 11, 20)


def known(capabilities: Capabilities, *having: tuple[set[str], int], **more: object) -> Known:
    columns = signal_columns(capabilities)
    signals = np.zeros(2 ** len(columns), dtype=np.int64)
    for names, number in having:
        signals[sum(1 << columns.index(name) for name in names)] += number
    return Known(signals, **more)  # type: ignore[arg-type]


EMAIL, PHONE, BOTH = {"meta_email"}, {"meta_phone"}, {"meta_email", "meta_phone"}


def said(low: float | None, high: float | None, of: Known, version: int = 1) -> list[str]:
    return rate_advice(META, "best", (low, high), of, today=TODAY, rules_version=version)


@pytest.mark.parametrize(
    ("low", "high", "advised"),
    [(0.2, 0.3, True), (0.0, 0.2, True), (0.29, 0.29, True), (0.3, 0.3, False), (0.1, 0.9, False)],
)
def test_advice_is_given_where_the_middle_of_the_rate_is_below_thirty_percent(low, high, advised) -> None:
    assert low_rate(low, high) is advised
    assert bool(said(low, high, known(META, (EMAIL, 100)))) is advised


def test_a_rate_that_nobody_knows_is_not_called_low() -> None:
    assert not low_rate(None, None)
    assert said(None, None, known(META, (EMAIL, 100))) == []


def test_which_identifiers_the_people_have_is_counted_each_person_once() -> None:
    first, *_ = said(0.2, 0.2, known(META, (EMAIL, 600), (PHONE, 300), (BOTH, 100)))

    assert first == (
        "20 % of 1,000 people are matched: 60 % have e-mail address only, 30 % have phone number only, "
        "10 % have e-mail address and phone number."
    )


def test_what_a_missing_identifier_would_bring_is_the_models_figure() -> None:
    of = known(META, (EMAIL, 1_000))
    model = match_model(META, "best", of.signals, [])
    assert model.missing(of.signals)

    sentences = said(0.2, 0.2, of)

    told = [one for one in sentences if "have no phone number" in one]
    assert len(told) == 1
    # 8 points more by the assumption (60 to 68 %), corrected by the third that was matched of the sixty.
    number = float(told[0].split("about ")[1].split(" more")[0])
    assert 1_000 * 0.08 * (0.2 / 0.6) < number < 1_000 * 0.08
    assert told[0].startswith("1,000 people have no phone number")


def test_nothing_is_missing_where_everybody_has_everything() -> None:
    assert [one for one in said(0.2, 0.2, known(META, (BOTH, 1_000))) if "have no" in one] == []


def test_google_is_told_of_names_with_their_postal_code() -> None:
    of = known(GOOGLE, ({"google_email"}, 1_000))

    sentences = rate_advice(GOOGLE, "best", (0.1, 0.2), of, today=TODAY, rules_version=1)

    assert any("have no phone number" in one for one in sentences)
    assert sentences[0].endswith("100 % have e-mail address only.")


def test_older_hashing_rules_are_named_with_the_number_of_people() -> None:
    of = known(META, (EMAIL, 100), rules={1: 40, 2: 60})

    assert said(0.2, 0.2, of, version=2)[-1] == (
        "40 people are hashed by older rules (version 1, now 2): land their contacts again."
    )


def test_rules_in_use_are_ruled_out_as_the_cause() -> None:
    of = known(META, (EMAIL, 100), rules={2: 100})

    assert said(0.2, 0.2, of, version=2)[-1] == (
        "All are hashed by the rules in use (version 2): that is not the cause."
    )


def test_old_contacts_are_counted_with_their_median_age() -> None:
    stated = [TODAY - timedelta(days=age) for age in [10] * 60 + [400] * 40]

    last = said(0.2, 0.2, known(META, (EMAIL, 100), stated=stated))[-1]

    assert last.startswith("The contacts of 40 people (40 %) were last stated more than 365 days ago")
    assert "median of all is 10 days" in last


def test_contacts_that_are_mostly_fresh_are_not_mentioned() -> None:
    stated = [TODAY - timedelta(days=age) for age in [10] * 95 + [400] * 5]

    assert not any("last stated" in one for one in said(0.2, 0.2, known(META, (EMAIL, 100), stated=stated)))


NOBODY_KNOWS = (None, None)


def told(capabilities: Capabilities, low: int | None, high: int | None, delivered: int, rate: object) -> str:
    return size_advice(capabilities, matched(low, high, delivered, rate))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("capabilities", "shown", "delivered", "rate", "sentence"),
    [
        (
            META,
            (60, 60),
            90,
            NOBODY_KNOWS,
            "60 are matched; below 1,000 an audience hardly pays, and meta needs 100",
        ),
        (TIKTOK, (640, 640), 900, NOBODY_KNOWS, "640 are matched; tiktok needs 1,000 to deliver ads"),
        (GOOGLE, (1, 1), 5, NOBODY_KNOWS, "1 is matched; below 1,000"),
        (
            META,
            (0, 1_000),
            5_000,
            NOBODY_KNOWS,
            "at most 1,000 are matched; below 1,000 an audience hardly pays, while",
        ),
        (META, (0, 1_000), 26, NOBODY_KNOWS, "at most 26 are matched (no more were sent); below 1,000"),
        (
            META,
            (0, 1_000),
            559,
            (0.72, 0.72),
            "402 to 403 are matched (72 % of the 559 people sent); below 1,000",
        ),
        (
            GOOGLE,
            (None, None),
            99,
            (0.7, 0.8),
            "69 to 80 are matched (70 to 80 % of the 99 people sent); below 1,000",
        ),
        (META, (0, 1_000), 5_000, (0.1, 0.9), "at most 1,000 are matched; below 1,000"),
    ],
)
def test_a_small_size_stands_beside_the_floor_of_the_platform(
    capabilities, shown, delivered, rate, sentence
) -> None:
    assert told(capabilities, *shown, delivered, rate).startswith(sentence)


@pytest.mark.parametrize(
    ("shown", "delivered", "rate"),
    [
        ((1_000, 1_000), 2_000, NOBODY_KNOWS),
        ((1_000, 1_200), 2_000, (0.1, 0.1)),
        ((900, 1_200), 2_000, NOBODY_KNOWS),
        ((None, None), 1_500, NOBODY_KNOWS),
        ((None, None), 2_000, (0.6, 0.7)),
    ],
)
def test_a_size_that_suffices_or_that_nobody_knows_is_not_called_small(shown, delivered, rate) -> None:
    assert told(TIKTOK, *shown, delivered, rate) == ""


def test_the_floor_of_a_platform_is_taken_for_no_size_where_the_rate_says_more() -> None:
    assert matched(0, 1_000, 559, (0.5, 0.6)) == Matched(279, 336, "50 to 60 % of the 559 people sent")
    assert matched(0, 0, 559, (0.5, 0.6)) == Matched(0, 0)
    assert not few(None)


def test_signals_are_counted_from_what_was_sent() -> None:
    sent = pl.DataFrame(
        {
            "customer_id": ["a", "b", "c"],
            "meta_email": [b"1", None, b"3"],
            "meta_phone": [None, b"2", b"3"],
            "country": ["DE", "DE", None],
        }
    )

    assert signals_of(META, sent).tolist() == known(META, (EMAIL, 1), (PHONE, 1), (BOTH, 1)).signals.tolist()
    assert signals_of(META, sent.clear()).sum() == 0
