"""The audiences that ship, over people who are made to be in or out of them."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.audiences.activity import EVENTS
from audience_pipeline.audiences.activity_table import STORED_PROPERTIES, Activity
from audience_pipeline.audiences.definition import load_definitions
from audience_pipeline.audiences.fields import DTYPES, FIELDS
from audience_pipeline.audiences.membership import selections

SHIPPED = load_definitions(Path(__file__).parents[2] / "audiences")
AS_OF = date(2026, 6, 30)
PEOPLE: dict[str, dict[str, object]] = {
    "quiet": {"ltv_quintile": 1, "churn_risk": "at_risk", "days_since_last_order": 90},
    "lost": {"ltv_quintile": 1, "churn_risk": "lost", "days_since_last_order": 900},
    "fresh": {"days_since_first_order": 3, "days_since_last_order": 3, "observed_value": 40},
    "returned": {"days_since_first_order": 3, "days_since_last_order": 3, "observed_value": 0},
    "spy": {"ltv_quintile": 1, "churn_risk": "at_risk", "days_since_first_order": 3, "observed_value": 9,
            "days_since_last_order": 29, "is_competitor": True},
    "cart": {}, "cart_long_ago": {}, "cart_and_order": {}, "cart_and_purchase": {},
    "reader": {}, "one_open": {}, "clicked": {}, "reader_and_buyer": {}, "unsubscribed": {},
}  # fmt: skip
DID = [
    ("cart", "add_to_cart", 6, 1),
    ("cart_long_ago", "add_to_cart", 7, 3),
    ("cart_and_order", "add_to_cart", 2, 1),
    ("cart_and_order", "order", 1, 1),
    ("cart_and_purchase", "add_to_cart", 2, 1),
    ("cart_and_purchase", "purchase", 0, 1),
    ("spy", "add_to_cart", 0, 1),
    ("reader", "email_open", 1, 1),
    ("reader", "email_open", 29, 1),
    ("one_open", "email_open", 1, 1),
    ("one_open", "email_open", 30, 5),
    ("clicked", "email_click", 1, 1),
    ("reader_and_buyer", "email_open", 1, 2),
    ("reader_and_buyer", "order", 59, 1),
    ("unsubscribed", "email_open", 1, 9),
    ("unsubscribed", "unsubscribe", 0, 1),
]


@pytest.fixture(scope="module")
def members() -> dict[str, set[str]]:
    profile = pl.DataFrame(
        [{"customer_id": name, **values} for name, values in sorted(PEOPLE.items())],
        schema={"customer_id": pl.String, **{name: DTYPES[field.type] for name, field in FIELDS.items()}},
    ).with_columns(pl.col("is_competitor").fill_null(value=False))
    activity = pl.LazyFrame(
        [
            {
                "customer_id": customer,
                "activity_date": AS_OF - timedelta(days=ago),
                "activity": EVENTS[event],
                "events": times,
            }
            for customer, event, ago, times in DID
        ],
        schema={
            "customer_id": pl.String,
            "activity_date": pl.Date,
            "activity": pl.String,
            **dict.fromkeys(STORED_PROPERTIES, pl.String),
            "events": pl.UInt32,
        },
    )
    done = Activity.of(activity, profile["customer_id"], AS_OF)
    ids = profile["customer_id"]
    return {
        found.audience.name: set(ids.filter(pl.Series(found.members)))
        for found in selections(profile, SHIPPED, activity=done)
    }


@pytest.mark.parametrize(
    ("audience", "expected"),
    [
        ("at_risk_high_value", {"quiet"}),
        ("cart_abandoners", {"cart"}),
        ("engaged_newsletter_readers", {"reader", "clicked"}),
        ("high_predicted_ltv", {"quiet"}),
        ("new_customers", {"fresh"}),
        ("recent_converters", {"fresh", "returned", "spy"}),
    ],
)
def test_an_audience_that_ships_holds_whom_its_description_says(
    members: dict[str, set[str]], audience: str, expected: set[str]
):
    assert members[audience] == expected


def test_every_audience_that_ships_is_tried_here(members: dict[str, set[str]]):
    assert set(members) == set(SHIPPED.names)
    assert len(members) == 6
