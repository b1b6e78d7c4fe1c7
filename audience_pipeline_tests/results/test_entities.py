"""The rows of the entities that users know by name."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest
from pyroaring import BitMap

from audience_pipeline.audiences.definition import Definitions, read_definitions
from audience_pipeline.audiences.fields import FIELDS
from audience_pipeline.ledger.records import (
    AudienceKey,
    AudienceState,
    Delivery,
    DeliveryState,
    PlatformAudience,
)
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.results.entities import (
    criteria,
    data_sources,
    discoveries,
    ltv_audiences,
    segments,
    unified_audiences,
)
from audience_pipeline.segments.behaviours import Scale
from audience_pipeline.segments.model import Segment, SegmentModel

DAY = date(2026, 11, 19)
NOW = datetime(2026, 11, 20, 6, tzinfo=UTC)
BEST = """\
name: best
description: The  best.
include:
  all:
    - where: ltv_quintile = 1
    - any:
        - did: {event: product_view, at_least: 2, within_days: 30}
        - in: {segment: Loyal}
exclude: {not: {in: lookers}}
platforms: [meta, tiktok]
holdout_percent: 10
"""
LOOKERS = """\
name: lookers
description: Some.
include: {all: [{where: orders > 0}, {in: {list: staff}}]}
platforms: [google]
"""


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    return read_definitions({"best.yaml": BEST.encode(), "lookers.yaml": LOOKERS.encode()}, lists=("staff",))


def test_a_rule_is_published_in_the_shape_of_its_file(definitions: Definitions) -> None:
    best = definitions["best"]

    assert best.exclude is not None
    assert criteria(best.exclude) == {"not": {"in": "lookers"}}
    shape = criteria(best.include)
    assert shape["all"][1] == {
        "any": [
            {"did": {"event": "product_view", "at_least": 2, "within_days": 30}},
            {"in": {"segment": "Loyal"}},
        ]
    }
    assert "ltv_quintile" in shape["all"][0]["where"]
    assert criteria(definitions["lookers"].include)["all"][1] == {"in": {"list": "staff"}}


def test_the_tables_that_an_audience_is_made_of_are_named(definitions: Definitions) -> None:
    assert data_sources(definitions["best"], FIELDS) == [
        "audience lookers",
        "customer_activity",
        "customer_segments",
        "ltv_predictions",
    ]
    assert data_sources(definitions["lookers"], FIELDS) == ["customer_features", "list staff"]


def test_an_audience_that_nobody_evaluated_has_no_size(definitions: Definitions) -> None:
    best, lookers = unified_audiences(definitions, FIELDS, {"best": (100, 10)}, DAY)

    assert (best["name"], best["members"], best["held_out"], best["as_of"]) == ("best", 100, 10, DAY)
    assert best["description"] == "The best."
    assert best["sync_config"] == {
        "platforms": ["meta", "tiktok"],
        "refresh": "daily",
        "holdout_percent": 10,
        "suppress": [],
    }
    assert (lookers["members"], lookers["held_out"], lookers["as_of"]) == (None, None, None)


PROFILE = pl.DataFrame(
    {
        "customer_id": ["a", "b", "c", "d"],
        "customer_no": pl.Series([7, 3, 0, 9], dtype=pl.UInt32),
        "country": ["DE", "DE", "FR", None],
        "segment": ["Loyal", "Loyal", "New", None],
        "predicted_ltv": [10.0, 30.0, None, 50.0],
    }
)


def test_segments_are_audiences_and_what_was_found_with_size_worth_and_shares() -> None:
    found = segments(
        PROFILE, {"best": BitMap([7, 0, 99]).serialize(), "empty": BitMap().serialize()}, ["Loyal"], DAY
    )

    by_name = {row["name"]: row for row in found}
    assert [(row["segment_type"], row["size"]) for row in found] == [
        ("manual", 2),
        ("manual", 0),
        ("ai_discovered", 2),
    ]
    assert by_name["best"]["composition"]["country"] == {"DE": 0.5, "FR": 0.5}
    assert by_name["best"]["predicted_performance"] == {"predicted_ltv": 10.0}
    assert by_name["Loyal"]["predicted_performance"] == {"predicted_ltv": 20.0}
    assert (by_name["empty"]["composition"], by_name["empty"]["predicted_performance"]) == ({}, None)


def test_discoveries_carry_their_worth_in_the_newest_month_alone() -> None:
    model = SegmentModel(
        scales=(Scale("orders", 0, 9, 1, 1), Scale("recency_days", 0, 9, 1, 1)),
        segments=(Segment("s1", "Loyal", (1.5, -0.5), 0.25), Segment("s2", "New", (-0.5, 0.5), 0.75)),
        customers=400,
        seed=7,
        stability={2: 0.91},
    )
    cards = [{"segment_id": "s1", "predicted_ltv": 80.0, "repeat_probability": 0.4}]

    rows = discoveries({date(2026, 9, 1): model, date(2026, 10, 1): model}, cards)

    assert [(row["month"].month, row["segment"]) for row in rows] == [
        (9, "Loyal"),
        (9, "New"),
        (10, "Loyal"),
        (10, "New"),
    ]
    assert [row["performance_prediction"] for row in rows] == [
        None,
        None,
        {"predicted_ltv": 80.0, "repeat_probability": 0.4},
        None,
    ]
    assert rows[0]["segment_characteristics"] == {"orders": 1.5, "recency_days": -0.5}
    assert {row["confidence_score"] for row in rows} == {0.91}
    assert rows[0]["clustering_method"] == "k-means over 2 standardised behaviours, 2 groups"


def test_audiences_that_ask_for_predicted_value_are_listed_per_platform(definitions: Definitions) -> None:
    key = AudienceKey(Platform.META, "123", "best")
    known = PlatformAudience(key, "best", AudienceState.ACTIVE, NOW, remote_id="r1", size_low=5, size_high=9)
    last = Delivery("d", key, DAY, NOW, state=DeliveryState.SETTLED)

    rows = ltv_audiences(definitions, FIELDS, [known], {key: last})

    assert [(row["segment"], row["platform"], row["account"]) for row in rows] == [
        ("best", "meta", "123"),
        ("best", "tiktok", ""),
    ]
    assert (rows[0]["audience_id"], rows[0]["size_low"], rows[0]["size_high"]) == ("r1", 5, 9)
    assert (rows[0]["last_sync_date"], rows[1]["last_sync_date"]) == (NOW, None)
    assert len(rows[0]["segment_criteria"]) == 1
