from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.audiences.definition import Definitions, load_definitions, read_definitions
from audience_pipeline.audiences.eligibility import eligibility
from audience_pipeline.audiences.membership import memberships, selections
from audience_pipeline.audiences.preview import preview
from audience_pipeline.audiences.profile import PROFILE_SCHEMA
from audience_pipeline.platforms.contract import CAPABILITIES, META, TIKTOK, Platform

SHIPPED = Path(__file__).parents[2] / "audiences"
IDS = [f"c{n:04d}" for n in range(2_000)]


def people(**columns: pl.Expr) -> pl.DataFrame:
    n = pl.int_range(len(IDS))
    return pl.DataFrame({"customer_id": IDS, "person_key": IDS}).with_columns(
        *(expression.alias(name) for name, expression in columns.items()), n.alias("n")
    )


N = pl.int_range(len(IDS))
PROFILE = people(orders=N, is_competitor=N % 100 == 7)
IDENTIFIERS = people(
    **{name: pl.when(N % 2 == 0).then(pl.lit(b"x")) for name in ("meta_email", "meta_phone", "tiktok_email")}
)
CONSENT = people(
    opted_out=N % 10 == 1,
    **{f"opted_out_{p}": N % 10 == 1 for p in Platform},
    **{f"advertising_{p}": (N % 10 != 1) & (N % 10 != 2) for p in Platform},
)
SOME = b"""
name: some
description: Some.
include: {where: orders >= 500}
exclude: {where: orders >= 1900}
platforms: [meta, tiktok]
holdout_percent: 10
"""
RULES = b"rules: [{name: competitors, description: They watch us., include: {where: is_competitor}}]"


def definitions() -> Definitions:
    return read_definitions({"some.yaml": SOME, "_suppression.yaml": RULES})


def test_the_steps_add_up_from_everybody_to_those_who_are_sent():
    seen = preview("some", definitions(), profile=PROFILE, identifiers=IDENTIFIERS, consent=CONSENT)

    assert (seen.customers, seen.included, seen.excluded, seen.suppressed) == (
        2_000,
        1_500,
        100,
        {"competitors": 14},
    )
    assert seen.members == 1_500 - 100 - 14
    assert [one.platform for one in seen.platforms] == [Platform.META, Platform.TIKTOK]
    for one in seen.platforms:
        assert one.eligible + sum(one.left_out.values()) == seen.members
        assert list(one.left_out) == ["holdout", "opted_out", "no_consent", "no_identifier"]
        assert all(one.left_out.values())


def test_the_preview_counts_exactly_those_whom_a_delivery_would_send():
    members = memberships(PROFILE, definitions())
    seen = preview("some", definitions(), profile=PROFILE, identifiers=IDENTIFIERS, consent=CONSENT)

    for one in seen.platforms:
        decided = eligibility(members, IDENTIFIERS, CONSENT, CAPABILITIES[one.platform])
        assert one.eligible == decided["eligible"].sum()


def test_a_small_audience_comes_with_a_warning_that_names_the_floor():
    seen = preview("some", definitions(), profile=PROFILE, identifiers=IDENTIFIERS, consent=CONSENT)
    warnings = {one.platform: one.warning for one in seen.platforms}

    assert "below 1,000 an audience hardly pays" in warnings[META.platform]
    assert "tiktok needs 1,000" in warnings[TIKTOK.platform]


def test_an_unknown_audience_is_an_error():
    with pytest.raises(KeyError, match="no audience is called"):
        preview("other", definitions(), profile=PROFILE, identifiers=IDENTIFIERS, consent=CONSENT)


def test_the_audiences_that_ship_select_whom_they_describe():
    columns = ("ltv_quintile", "churn_risk", "days_since_last_order", "days_since_first_order")
    rows = {
        "top": (1, "active", 40, 400),
        "top but lost": (1, "lost", 400, 500),
        "quiet": (2, "at_risk", 90, 300),
        "quiet but bought": (2, "at_risk", 29, 90),
        "new": (4, "new", 3, 3),
        "new, all returned": (5, "new", 3, 3),
        "competitor": (1, "new", 3, 3),
        "only in the crm": (None, None, None, None),
    }
    name = pl.col("customer_id")
    profile = pl.DataFrame(
        [dict(zip(("customer_id", *columns), (name, *row), strict=True)) for name, row in rows.items()],
        schema={column: PROFILE_SCHEMA[column] for column in ("customer_id", *columns)},
    ).with_columns(
        pl.when(name == "new, all returned").then(0.0).otherwise(10.0).alias("observed_value"),
        (name == "competitor").alias("is_competitor"),
        name.alias("person_key"),
    )

    definitions = load_definitions(SHIPPED, lists=("competitors", "employees"))
    nobody = dict.fromkeys(definitions.lists, pl.Series([], dtype=pl.String))
    wanted = ("at_risk_high_value", "high_predicted_ltv", "new_customers", "recent_converters")
    found = {
        one.audience.name: set(profile["customer_id"].filter(pl.Series(one.members)))
        for one in selections(profile, definitions, wanted, lists=nobody)
    }

    assert found == {
        "high_predicted_ltv": {"top"},
        "at_risk_high_value": {"quiet"},
        "recent_converters": {"quiet but bought", "new", "new, all returned", "competitor"},
        "new_customers": {"new"},
    }
