from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.features.catalogue import FEATURES, MODEL_FEATURES
from audience_pipeline.ltv.outlook import WINDOW_COLUMNS
from audience_pipeline.ltv.phrases import by_description, in_words
from audience_pipeline.ltv.topics import TOPICS, described, topics_of
from audience_pipeline.ltv.wording import effect_in_words

COLUMNS = (*(feature.name for feature in MODEL_FEATURES), *WINDOW_COLUMNS)
TOPIC_OF = {name: topic.name for topic in TOPICS for name in topic.columns}
VALUES: dict[str, Any] = {
    "days": 12, "hour": 14, "minor": 543_21, "count": 3, "ratio": 0.4, "cyclic": 0.5, "category": "shoes",
    "date": date(2025, 11, 7),
}  # fmt: skip
NULLABLE = {
    "days_between_orders_mean", "days_between_orders_std", "days_to_second_order", "longest_gap_days",
    "gap_variation", "recency_ratio", "recency_to_longest_gap", "order_value_std_minor", "units_mean",
    "days_since_return", "days_since_visit", "first_order_hour", "first_order_discount_share",
    "discount_share", "discounted_share", "first_category", "last_category", "top_category", "channel",
    "top_category_share", "late_orders_share", "late_sales_share", "return_share",
}  # fmt: skip


def row(**known: Any) -> dict[str, Any]:
    """A customer with three orders, changed by ``known``."""
    return {"as_of": date(2026, 1, 31)} | {one.name: VALUES[one.unit] for one in FEATURES} | known


def one_order(**known: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(NULLABLE - {"first_category", "last_category", "top_category", "channel"})
    return row(**{**nothing, "orders": 1, "purchase_days": 1, "returns": 0, **known})


def said(column: str, values: dict[str, Any]) -> str:
    return in_words(TOPIC_OF[column], column, values)


def test_each_column_of_the_model_belongs_to_one_topic() -> None:
    named = [name for topic in TOPICS for name in topic.columns]

    assert sorted(named) == sorted(COLUMNS)


def test_topics_of_customers_with_one_order_are_told_by_topics_that_there_are() -> None:
    names = [topic.name for topic in TOPICS]

    assert len(set(names)) == len(names)
    assert {topic.one_order for topic in TOPICS} - {""} <= set(names)


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize(
    "customer",
    [row(), row(**dict.fromkeys(NULLABLE)), one_order(), row(age_days=800), row(age_days=0, recency_days=0)],
    ids=["usual", "missing", "one order", "old", "new"],
)
def test_every_column_of_the_catalogue_can_be_said_in_words(column: str, customer: dict[str, Any]) -> None:
    words = said(column, customer)

    assert 5 < len(words) < 100
    assert words == words.strip()
    assert "None" not in words
    assert "nan" not in words
    assert words[0].islower() or words[0].isdigit() or words.startswith("shoes")
    assert not words.endswith((":", "."))


@pytest.mark.parametrize(
    ("column", "known", "words"),
    [
        ("days_between_orders_std", {}, "spread of the days between (12 days)"),
        ("gap_variation", {}, "spread of the days between purchase days by their mean (0.40)"),
        ("net_60d_minor", {}, "net revenue of the last 60 days (543.21)"),
        ("orders_60d", {"orders_60d": 1200}, "orders begun in the last 60 days (1,200)"),
        ("lines_mean", {"lines_mean": 2.25}, "mean lines of an order (2.2)"),
        ("first_order_hour", {}, "earliest hour of the first day's orders (14:00)"),
        ("first_order_hour", {"first_order_hour": None}, "earliest hour of the first day's orders (unknown)"),
        ("channel", {}, "channel of the first day (shoes)"),
        ("first_order_month_sin", {}, "month of the first order, sine"),
        ("moon_phase", {}, "moon phase"),
    ],
)
def test_a_column_without_a_template_is_said_by_its_description(
    column: str, known: dict[str, Any], words: str
) -> None:
    assert by_description(column, row(**known)) == words


def test_a_column_that_no_topic_names_is_a_topic_of_its_own() -> None:
    [*_, (topic, places)] = topics_of(("orders", "moon_phase"))

    assert (topic.name, places) == ("moon phase", (1,))


def test_every_column_of_the_model_is_described() -> None:
    assert [column for column in COLUMNS if len(described(column)) < 5] == []
    assert described("moon_phase") == ""


@pytest.mark.parametrize(
    ("column", "known", "words"),
    [
        (
            "orders",
            {"orders_90d": 4, "age_days": 200, "recency_days": 6},
            "ordered 4 times in 90 days, the last 6 days ago",
        ),
        (
            "recency_days",
            {"orders": 2, "age_days": 60, "recency_days": 0},
            "ordered twice in 60 days, the last today",
        ),
        (
            "orders",
            {"orders_90d": 0, "orders_365d": 2, "age_days": 900},
            "ordered twice in 365 days, the last 12 days ago",
        ),
        (
            "orders",
            {"orders_90d": 0, "orders_365d": 1, "orders": 9, "age_days": 900},
            "ordered 9 times in 900 days, the last 12 days ago",
        ),
        ("order_value_mean_minor", {"returns": 0}, "its orders are worth 543.21 on average"),
        (
            "order_value_mean_minor",
            {"observed_minor": 300_00},
            "its orders are worth 100.00 on average, less returns",
        ),
        (
            "order_value_last_minor",
            {"order_value_last_minor": 1_234_567},
            "its latest order was worth 12,345.67",
        ),
        (
            "days_between_orders_mean",
            {"days_between_orders_mean": 30.4, "recency_days": 29},
            "usually orders every 30 days",
        ),
        (
            "recency_ratio",
            {"days_between_orders_mean": 30.4, "recency_days": 80},
            "usually orders every 30 days, and has been silent for 80 days",
        ),
        ("first_category", {}, "first basket was mostly shoes"),
        ("last_category", {"last_category": "garden"}, "latest order was mostly garden"),
        ("channel", {"channel": "e-mail"}, "first came through e-mail"),
        ("channel", {"channel": None}, "channel of its first order is not known"),
        ("return_share", {"return_share": 0.38}, "returned 38 % of what it bought"),
        ("return_share", {"returns": 0}, "never returned anything"),
        (
            "days_since_return",
            {"days_since_return": 1},
            "returned 40 % of what it bought, the last time 1 day ago",
        ),
        ("discounted_share", {}, "40 % of its orders were discounted"),
        ("discount_share", {"discount_share": 0.0}, "never bought at a discount"),
        ("days_since_visit", {"days_since_visit": 80}, "no visit for 80 days"),
        ("days_since_visit", {"days_since_visit": None}, "no visit was ever seen"),
        ("days_since_visit", {"days_since_visit": 3}, "visited 3 days ago"),
        ("web_events_30d", {"web_events_30d": 1}, "1 web event in the last 30 days"),
        ("web_events_30d", {"web_events_30d": 0}, "no visit in the last 30 days"),
        ("web_events_7d", {"web_events_7d": None}, "its visits are not known"),
        ("carts_90d", {"carts_90d": None}, "its visits are not known"),
        (
            "days_since_visit",
            {"days_since_visit": None, "web_events_90d": None},
            "its visits are not known",
        ),
        ("email_clicks_90d", {"email_clicks_90d": None}, "its e-mails are not known"),
        ("carts_90d", {}, "put 3 products into the cart in the last 90 days"),
        ("email_opens_90d", {"email_opens_90d": 0}, "opened no e-mail in the last 90 days"),
        ("first_order_month_sin", {}, "first ordered in November"),
        ("first_order_weekday_cos", {}, "first ordered on a Friday"),
        ("as_of_quarter_sin", {}, "the time of the year is January"),
        ("window_days", {"age_days": 1}, "first ordered 1 day ago"),
        (
            "observed_minor",
            {"age_days": 100, "net_90d_minor": 0},
            "spent 543.21 so far, nothing of it in the last 90 days",
        ),
        ("observed_minor", {"age_days": 100, "net_90d_minor": -5}, "spent 543.21 so far"),
        ("categories", {"categories": 1}, "bought from 1 category"),
    ],
)
def test_a_reason_tells_the_customers_own_figures(column: str, known: dict[str, Any], words: str) -> None:
    assert said(column, row(**known)) == words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("home\r\nand\tgarden\x00", "home and garden"),
        ("\u202e shoes\u2028\x85boots ", "shoes boots"),
        ("s" * 60, "s" * 60),
        ("s" * 61, "s" * 59 + "…"),
        ("s" * 58 + " boots", "s" * 58 + "…"),
    ],
)
def test_a_name_that_the_shop_gave_stays_on_its_line_and_short(name: str, words: str) -> None:
    customer = row(first_category=name, last_category=name, top_category=name, channel=name)

    assert said("first_category", customer) == f"first basket was mostly {words}"
    assert said("last_category", customer) == f"latest order was mostly {words}"
    assert said("top_category", customer) == f"buys {words} most often"
    assert said("top_category_share", customer) == f"{words} is 40 % of the categories in its orders"
    assert said("channel", customer) == f"first came through {words}"
    assert by_description("channel", customer) == f"channel of the first day ({words})"


def test_a_name_of_which_nothing_shows_is_not_known() -> None:
    customer = row(first_category="\n\x00", channel="")

    assert said("first_category", customer) == "category of the first basket is not known"
    assert by_description("channel", customer) == "channel of the first day (unknown)"


@pytest.mark.parametrize(
    ("column", "known", "words"),
    [
        ("orders", {"recency_days": 40}, "ordered once, 40 days ago"),
        ("orders", {"recency_days": 0, "orders": 2}, "ordered twice, today"),
        ("order_value_last_minor", {}, "its order was worth 543.21"),
        ("first_order_minor", {}, "its order was worth 543.21"),
        (
            "order_value_mean_minor",
            {"returns": 1, "observed_minor": 100},
            "kept 1.00 of the 543.21 that it ordered",
        ),
        ("top_category", {}, "first basket was mostly shoes"),
        ("lines_mean", {"first_order_lines": 1}, "first basket held 1 product"),
    ],
)
def test_of_a_single_order_nothing_is_said_on_average(column: str, known: dict[str, Any], words: str) -> None:
    assert said(column, one_order(**known)) == words


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        (0.45, "+45 %"),
        (-0.09, "-9 %"),
        (-0.995, "below -99 %"),
        (-1.0, "below -99 %"),
        (8.994, "+899 %"),
        (9.0, "10 times as much"),
        (1e6, "1,000,001 times as much"),
    ],
)
def test_effects_are_told_with_direction_and_size(effect: float, words: str) -> None:
    assert effect_in_words(effect) == words


@given(st.floats(-0.99, 8.9))
def test_a_percentage_is_the_effect_rounded(effect: float) -> None:
    told = float(effect_in_words(effect).removesuffix(" %")) / 100

    assert told == pytest.approx(effect, abs=0.00500001)
