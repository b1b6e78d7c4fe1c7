from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from audience_pipeline.audiences.behaviour import BEHAVIOUR_SCHEMA
from audience_pipeline.audiences.fields import DTYPES, FIELDS, fields_with
from audience_pipeline.audiences.profile import (
    PROFILE_SCHEMA,
    Known,
    churn_risk,
    customer_profile,
    profile_schema,
)
from audience_pipeline.customers.identity import IDENTIFIERS_SCHEMA
from audience_pipeline.features.catalogue import FEATURES_SCHEMA
from audience_pipeline.platforms.contract import Platform

TODAY = date(2026, 4, 11)
IDENTITIES = {"source_id": pl.String, "customer_id": pl.String, "person_key": pl.String}
PREDICTIONS = {
    "customer_id": pl.String,
    **dict.fromkeys(("predicted_ltv", "likely_ltv", "ltv_p10", "ltv_p90", "next_12m_value"), pl.Float64),
    "within_30_probability": pl.Float64,
    "confidence": pl.String,
    "repeat_probability": pl.Float64,
    "ltv_quintile": pl.Int8,
}
SEGMENTS = {"customer_id": pl.String, "segment_id": pl.String, "segment": pl.String}
CONSENT = {
    "customer_id": pl.String,
    "advertising": pl.Boolean,
    **{f"advertising_{platform.value}": pl.Boolean for platform in Platform},
    "personalisation": pl.Boolean,
    "opted_out": pl.Boolean,
}
ACTIVITY = {
    "customer_id": pl.String,
    "activity_date": pl.Date,
    **dict.fromkeys(("activity", "category", "device", "channel", "daypart"), pl.String),
    "events": pl.Int64,
}
ATTRIBUTION = {
    "customer_id": pl.String,
    "order_id": pl.String,
    "order_date": pl.Date,
    **dict.fromkeys(("platform", "channel", "campaign", "how"), pl.String),
}
CONTACTS = {
    "customer_id": pl.String,
    "updated_at": pl.Datetime("us"),
    "landing_id": pl.String,
    "loyalty_id": pl.String,
    "extra": pl.String,
}
Rows = tuple[dict[str, Any], ...]


def table(schema: Any, *rows: dict[str, Any]) -> pl.LazyFrame:
    return pl.LazyFrame([{**dict.fromkeys(schema), **row} for row in rows], schema=schema)


def profile(
    *features: dict[str, Any],
    identities: Rows | None = None,
    predictions: Rows = (),
    segments: Rows = (),
    people: Rows = (),
    consent: Rows = (),
    activity: Rows = (),
    attribution: Rows = (),
    contacts: Rows = (),
    crm_columns: tuple[str, ...] = (),
) -> dict[str, dict[str, Any]]:
    everybody = sorted({row["customer_id"] for row in (*features, *people, *activity, *contacts)})
    alone = tuple({"source_id": one, "customer_id": one, "person_key": one} for one in everybody)
    who = table(IDENTITIES, *(alone if identities is None else identities))
    keys = who.select("person_key").unique().sort("person_key", descending=True).collect()
    frame = customer_profile(
        Known(
            identities=who,
            features=table(FEATURES_SCHEMA, *features),
            predictions=table(PREDICTIONS, *predictions),
            segments=table(SEGMENTS, *segments),
            identifiers=table(IDENTIFIERS_SCHEMA | {"device_id": pl.String()}, *people),
            consent=table(CONSENT, *consent),
            activity=table(ACTIVITY, *activity),
            attribution=table(ATTRIBUTION, *attribution),
            contacts=table(CONTACTS, *contacts),
        ),
        TODAY,
        keys.with_row_index("customer_no"),
        crm_columns=crm_columns,
    ).collect()
    assert frame.schema == profile_schema(fields_with(crm_columns))
    assert frame["customer_id"].to_list() == sorted(frame["customer_id"])
    return {row["customer_id"]: row for row in frame.to_dicts()}


def did(activity: str, days_ago: int = 0, who: str = "a", **properties: Any) -> dict[str, Any]:
    day = TODAY - timedelta(days=days_ago)
    return {"customer_id": who, "activity_date": day, "activity": activity, "events": 1, **properties}


BUYER = {
    "customer_id": "a",
    "first_order": date(2026, 1, 1),
    "last_order": date(2026, 3, 1),
    "age_days": 100,
    "recency_days": 41,
    "observed_minor": 12_345,
    "order_value_mean_minor": 6_172.5,
    "net_90d_minor": 5_000,
    "orders": 2,
    "days_between_orders_mean": 59.0,
    "channel": "organic",
}
SOLD = {"customer_id": "a", "platform": None, "campaign": None}


def test_a_customer_of_the_shop_has_their_behaviour_in_major_units():
    row = profile(BUYER)["a"]

    assert (row["observed_value"], row["average_order_value"], row["revenue_90d"]) == (123.45, 61.725, 50.0)
    assert (row["days_since_first_order"], row["days_since_last_order"], row["days_between_orders"]) == (
        100,
        41,
        59.0,
    )
    assert (row["orders"], row["channel"], row["churn_risk"]) == (2, "organic", "active")


def test_what_is_not_known_of_a_customer_is_null_and_what_is_yes_or_no_is_no():
    row = profile(BUYER)["a"]

    assert [row[name] for name in ("predicted_ltv", "ltv_quintile", "segment", "country", "age")] == [
        None
    ] * 5
    assert {name for name, field in FIELDS.items() if field.type == "boolean" and row[name]} == {
        "has_ordered"
    }
    assert None not in [row[name] for name, field in FIELDS.items() if field.type == "boolean"]


def test_what_a_customer_has_not_done_is_zero_and_not_unknown():
    row = profile(BUYER)["a"]

    counts = [name for name, dtype in BEHAVIOUR_SCHEMA.items() if dtype == pl.Int32 and name.endswith("d")]
    assert len(counts) == 48
    assert [row[name] for name in counts] == [0] * 48


def test_predictions_segment_identifiers_and_consent_are_joined():
    row = profile(
        BUYER,
        predictions=({"customer_id": "a", "predicted_ltv": 200.0, "ltv_quintile": 1, "confidence": "high"},),
        segments=({"customer_id": "a", "segment_id": "s1", "segment": "Loyal big spenders"},),
        people=({"customer_id": "a", "country": "DE", "tiktok_email": b"x", "is_competitor": True},),
        consent=({"customer_id": "a", "advertising": True},),
    )["a"]

    assert (row["predicted_ltv"], row["ltv_quintile"], row["confidence"]) == (200.0, 1, "high")
    assert (row["segment"], row["country"]) == ("Loyal big spenders", "DE")
    assert (row["has_email"], row["has_phone"], row["is_competitor"], row["advertising_consent"]) == (
        True, False, True, True,
    )  # fmt: skip


def test_somebody_who_is_only_in_the_crm_has_a_row_without_orders():
    rows = profile(BUYER, people=({"customer_id": "b", "meta_phone": b"x"},))

    assert set(rows) == {"a", "b"}
    assert rows["b"]["has_phone"] is True
    assert rows["b"]["has_ordered"] is False
    for name in ("orders", "observed_value", "churn_risk", "first_order", "recency_score", "rfm_group"):
        assert rows["b"][name] is None


def test_a_newsletter_reader_who_never_ordered_is_told_apart():
    rows = profile(
        BUYER, activity=(did("engagement:email_open"), did("engagement:email_open", who="email:1"))
    )

    assert (rows["a"]["newsletter_reader"], rows["a"]["newsletter_only"]) == (True, False)
    assert (rows["email:1"]["newsletter_reader"], rows["email:1"]["newsletter_only"]) == (True, True)
    assert rows["email:1"]["email_opens_90d"] == 1


def test_what_the_features_know_is_taken_from_there():
    row = profile({**BUYER, "email_opens_90d": 7}, activity=(did("engagement:email_open"),))["a"]

    assert (row["email_opens_90d"], row["email_opens_30d"]) == (7, 1)


def test_every_customer_of_the_identities_has_one_row_with_key_and_number():
    rows = profile(
        BUYER,
        identities=(
            {"source_id": "a", "customer_id": "a", "person_key": "email:1"},
            {"source_id": "email:1", "customer_id": "a", "person_key": "email:1"},
            {"source_id": "loyalty:9", "customer_id": "loyalty:9", "person_key": "loyalty:9"},
        ),
    )

    assert {name: (row["person_key"], row["customer_no"]) for name, row in rows.items()} == {
        "a": ("email:1", 1),
        "loyalty:9": ("loyalty:9", 0),
    }
    assert [rows[name]["loyalty_member"] for name in ("a", "loyalty:9")] == [False, True]


def test_scores_name_a_group_for_those_who_ordered():
    row = profile(BUYER, people=({"customer_id": "b"},))["a"]

    assert (row["recency_score"], row["frequency_score"], row["monetary_score"]) == (5, 5, 5)
    assert row["rfm_group"] == "champion"


def test_the_first_order_says_where_a_customer_was_acquired_and_all_of_them_where_they_buy():
    sold = (
        {**SOLD, "order_id": "3", "order_date": date(2026, 3, 1), "channel": "email"},
        {**SOLD, "order_id": "2", "order_date": date(2026, 2, 1), "channel": "store"},
        {"customer_id": "a", "order_id": "1", "order_date": date(2026, 1, 1), "channel": "paid_social",
         "platform": "meta", "campaign": "spring", "how": "coupon"},
        {**SOLD, "order_id": "4", "order_date": date(2026, 2, 2), "channel": "store"},
        {**SOLD, "order_id": "5", "order_date": date(2026, 3, 2), "channel": None},
    )  # fmt: skip

    row = profile(BUYER, attribution=sold)["a"]

    assert [row[f"acquired_{what}"] for what in ("platform", "channel", "campaign", "how")] == [
        "meta", "paid_social", "spring", "coupon",
    ]  # fmt: skip
    assert (row["last_channel"], row["top_channel"], row["channels"]) == ("email", "store", 3)


@pytest.mark.parametrize(
    ("birth_year", "age"), [(1985, 41), (2026, 0), (2027, None), (1906, 120), (1905, None), (None, None)]
)
def test_age_is_the_one_reached_in_the_year_of_the_date(birth_year: int | None, age: int | None):
    row = profile(people=({"customer_id": "b", "birth_year": birth_year},))["b"]

    assert (row["age"], row["birth_year"]) == (age, birth_year)


@pytest.mark.parametrize(
    ("postal_code", "area"), [("10001", "100"), ("sw1a 1aa", "SW1"), ("7", "7"), (" ", None), (None, None)]
)
def test_of_a_postal_code_the_area_remains(postal_code: str | None, area: str | None):
    assert profile(people=({"customer_id": "b", "postal_code": postal_code},))["b"]["postal_area"] == area


def test_consent_is_there_for_each_purpose_and_platform():
    said = {"customer_id": "a", "advertising": True, "advertising_meta": False, "advertising_google": True}
    row = profile(BUYER, consent=({**said, "personalisation": True, "opted_out": False},))["a"]

    assert [row[f"advertising_consent{platform}"] for platform in ("", "_meta", "_google", "_tiktok")] == [
        True, False, True, False,
    ]  # fmt: skip
    assert (row["personalisation_consent"], row["opted_out"]) == (True, False)


def test_device_ids_and_loyalty_cards_of_the_crm_are_a_yes_or_no():
    row = profile(
        people=({"customer_id": "b", "device_id": "x"},),
        contacts=({"customer_id": "b", "loyalty_id": "L1", "landing_id": "1"},),
    )["b"]

    assert (row["has_device_id"], row["loyalty_member"]) == (True, True)


def test_kept_columns_of_the_crm_are_fields():
    row = profile(
        contacts=({"customer_id": "b", "landing_id": "1", "extra": '{"tier": "gold"}'},),
        crm_columns=("tier", "status"),
    )["b"]

    assert (row["crm_tier"], row["crm_status"]) == ("gold", None)


def test_nothing_dated_later_changes_a_row():
    later = ({"customer_id": "a", "updated_at": "2026-04-12T00:00:01", "landing_id": "1", "loyalty_id": "L",
              "extra": '{"tier": "gold"}'},)  # fmt: skip
    later = tuple({**row, "updated_at": pl.Series([row["updated_at"]]).str.to_datetime()[0]} for row in later)

    before = profile(BUYER, crm_columns=("tier",))
    after = profile(BUYER, crm_columns=("tier",), contacts=later, activity=(did("web:page_view", -1),))

    assert after == before


def test_there_is_no_nan():
    row = profile(
        {**BUYER, "return_share": float("nan")},
        predictions=({"customer_id": "a", "predicted_ltv": float("nan")},),
    )["a"]

    assert row["return_share"] is None
    assert row["predicted_ltv"] is None


@pytest.mark.parametrize(
    ("own_rhythm", "waited", "expected"),
    [
        (30.0, 30, "active"),
        (30.0, 60, "active"),
        (30.0, 61, "at_risk"),
        (30.0, 120, "at_risk"),
        (30.0, 121, "lost"),
        (2.0, 28, "active"),
        (2.0, 57, "lost"),
        (900.0, 361, "at_risk"),
        (900.0, 721, "lost"),
        (None, 30, "new"),
        (None, 31, "active"),
        (None, 61, "at_risk"),
        (None, 121, "lost"),
    ],
)
def test_churn_risk_is_the_wait_in_rhythms(own_rhythm: float | None, waited: int, expected: str):
    others = [30.0, 30.0, 30.0, 30.0]
    frame = pl.DataFrame(
        {"days_between_orders_mean": [own_rhythm, *others], "recency_days": [waited, 1, 1, 1, 1]},
        schema={"days_between_orders_mean": pl.Float64, "recency_days": pl.Int64},
    )

    assert frame.select(churn_risk().alias("x"))["x"][0] == expected
    assert expected in FIELDS["churn_risk"].allowed


def test_without_any_repeat_customer_a_usual_rhythm_is_assumed():
    frame = pl.DataFrame(
        {"days_between_orders_mean": [None, None], "recency_days": [60, 61]},
        schema={"days_between_orders_mean": pl.Float64, "recency_days": pl.Int64},
    )

    assert frame.select(churn_risk().alias("x"))["x"].to_list() == ["new", "active"]


def test_the_profile_has_the_columns_of_the_catalogue():
    assert list(PROFILE_SCHEMA) == ["customer_id", "person_key", "customer_no", *FIELDS]
    assert all(PROFILE_SCHEMA[name] == DTYPES[field.type] for name, field in FIELDS.items())
