from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest

from audience_pipeline.audiences.fields import DTYPES
from audience_pipeline.audiences.profile import FIELDS, PROFILE_SCHEMA, churn_risk, customer_profile
from audience_pipeline.customers.identity import IDENTIFIERS_SCHEMA
from audience_pipeline.features.catalogue import FEATURES_SCHEMA

PREDICTIONS = {
    "customer_id": pl.String,
    "predicted_ltv": pl.Float64,
    "likely_ltv": pl.Float64,
    "confidence": pl.String,
    "next_12m_value": pl.Float64,
    "repeat_probability": pl.Float64,
    "ltv_quintile": pl.Int8,
}
SEGMENTS = {"customer_id": pl.String, "segment_id": pl.String, "segment": pl.String}
CONSENT = {"customer_id": pl.String, "advertising": pl.Boolean}


def table(schema: Any, *rows: dict[str, Any]) -> pl.LazyFrame:
    return pl.LazyFrame([{**dict.fromkeys(schema), **row} for row in rows], schema=schema)


def profile(
    *features: dict[str, Any],
    predictions: tuple[dict[str, Any], ...] = (),
    segments: tuple[dict[str, Any], ...] = (),
    people: tuple[dict[str, Any], ...] = (),
    consent: tuple[dict[str, Any], ...] = (),
) -> dict[str, dict[str, Any]]:
    frame = customer_profile(
        table(FEATURES_SCHEMA, *features),
        table(PREDICTIONS, *predictions),
        table(SEGMENTS, *segments),
        table(IDENTIFIERS_SCHEMA, *people),
        table(CONSENT, *consent),
    ).collect()
    assert frame.schema == PROFILE_SCHEMA
    assert frame["customer_id"].to_list() == sorted(frame["customer_id"])
    return {row["customer_id"]: row for row in frame.to_dicts()}


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

    assert [row[name] for name in ("predicted_ltv", "ltv_quintile", "segment", "country", "carts_90d")] == [
        None
    ] * 5
    assert [row[name] for name in ("has_email", "has_phone", "is_competitor", "advertising_consent")] == [
        False
    ] * 4


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


def test_somebody_who_is_only_in_the_crm_has_a_row_without_behaviour():
    rows = profile(BUYER, people=({"customer_id": "b", "meta_phone": b"x"},))

    assert set(rows) == {"a", "b"}
    assert rows["b"]["has_phone"] is True
    assert [rows["b"][name] for name in ("orders", "observed_value", "churn_risk", "first_order")] == [
        None
    ] * 4


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


def test_the_catalogue_describes_every_column_with_an_example_of_its_type():
    assert list(PROFILE_SCHEMA) == ["customer_id", *FIELDS]
    for name, field in FIELDS.items():
        assert field.name == name
        assert field.meaning
        if field.type == "boolean":
            assert field.example in ("true", "false")
        elif field.type == "date":
            assert date.fromisoformat(field.example)
        else:
            assert pl.Series([field.example]).cast(DTYPES[field.type], strict=True).null_count() == 0
        assert not field.allowed or field.example in field.allowed
