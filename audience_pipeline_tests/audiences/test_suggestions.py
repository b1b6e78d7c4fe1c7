from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from audience_pipeline.audiences.definition import Definitions, read_definitions
from audience_pipeline.audiences.preview import Seen, look
from audience_pipeline.audiences.reach import audience_standing
from audience_pipeline.audiences.suggestions import MOST_SUGGESTIONS, USEFUL_SIZE
from audience_pipeline.platforms.contract import CAPABILITIES, Platform

CUSTOMERS = 20_000
RNG = np.random.default_rng(1)
IDS = pl.Series([f"c{n:05d}" for n in range(CUSTOMERS)])
PROFILE = pl.DataFrame(
    {
        "customer_id": IDS,
        "person_key": IDS,
        "ltv_quintile": RNG.integers(1, 6, CUSTOMERS),
        "days_since_last_order": RNG.integers(0, 400, CUSTOMERS),
        "orders": RNG.integers(1, 12, CUSTOMERS),
        "churn_risk": RNG.choice(["new", "active", "lost"], CUSTOMERS),
        "is_competitor": RNG.random(CUSTOMERS) < 0.02,
        "country": RNG.choice(["DE", "AT", "US"], CUSTOMERS),
    }
)


def people() -> tuple[pl.DataFrame, pl.DataFrame]:
    rng = np.random.default_rng(2)
    columns = sorted({column for one in CAPABILITIES.values() for column in one.identifiers})
    some = {
        column: pl.Series(
            [
                (f"{column}{n}".encode() if known else None)
                for n, known in enumerate(rng.random(CUSTOMERS) < 0.7)
            ]
        )
        for column in columns
        if column not in ("country", "postal_code")
    }
    text = dict.fromkeys(("country", "postal_code"), pl.Series(["DE"] * CUSTOMERS))
    identifiers = pl.DataFrame({"customer_id": IDS, **some, **text})
    out, yes = rng.random(CUSTOMERS) < 0.05, rng.random(CUSTOMERS) < 0.8
    flags = {"opted_out": out} | {f"opted_out_{p}": out for p in Platform}
    consent = pl.DataFrame(
        {"customer_id": IDS, **flags, **{f"advertising_{p}": yes & ~out for p in Platform}}
    )
    return identifiers, consent


IDENTIFIERS, CONSENT = people()
STANDING = audience_standing(PROFILE, IDENTIFIERS, CONSENT)
RULES = b"""
rules:
  - {name: competitors, description: They watch us., include: {where: is_competitor}}
  - {name: churned, description: Gone., include: {where: churn_risk = 'lost'}}
"""


def defined(include: str, rest: str = "holdout_percent: 10") -> Definitions:
    text = f"name: a\ndescription: Some.\ninclude: {include}\nplatforms: [meta, google, tiktok]\n{rest}\n"
    return read_definitions({"a.yaml": text.encode(), "_s.yaml": RULES})


def seen(definitions: Definitions, **more: Any) -> Seen:
    return look("a", definitions, profile=PROFILE, standing=STANDING, seconds=60, **more)


SMALL = "{where: ltv_quintile = 1 and days_since_last_order between 60 and 90 and orders >= 5}"


@pytest.mark.parametrize(
    ("include", "rest"),
    [
        (SMALL, "holdout_percent: 10"),
        ("{where: orders >= 11}", "exclude: {any: [{where: ltv_quintile > 3}, {where: country = 'US'}]}"),
        ("{all: [{where: ltv_quintile = 1}, {any: [{where: orders > 8}, {where: country = 'AT'}]}]}", ""),
    ],
)
def test_the_gain_of_every_suggestion_is_what_a_preview_of_the_changed_audience_says(include: str, rest: str):
    definitions = defined(include, rest)
    now = seen(definitions).preview
    rates = {one.platform: one.expected for one in now.platforms}

    assert now.suggestions.complete
    assert now.suggestions.best
    for one in now.suggestions.best:
        changed = Definitions((one.change.definition,), definitions.suppressions)
        then = seen(changed).preview
        assert one.members == then.members - now.members
        for gain, before, after in zip(one.gains, now.platforms, then.platforms, strict=True):
            assert gain.sendable == after.eligible - before.eligible
            assert gain.matches_then == pytest.approx(after.expected.matches.expected)
            assert gain.matches == pytest.approx(
                after.expected.matches.expected - rates[gain.platform].matches.expected
            )


def test_at_most_five_are_given_and_each_helps():
    found = seen(defined(SMALL)).preview.suggestions.best

    assert 0 < len(found) <= MOST_SUGGESTIONS
    assert all(any(gain.matches >= 1 for gain in one.gains) for one in found)
    assert len({one.change.place for one in found}) == len(found)


@pytest.mark.parametrize(
    "include",
    [SMALL, "{where: ltv_quintile <= 2 and days_since_last_order between 60 and 90 and orders > 2}"],
)
def test_the_smallest_change_that_is_enough_comes_first_and_then_the_one_that_brings_most(include: str):
    found = seen(defined(include)).preview.suggestions.best
    platforms = list(Platform)
    ordinary = [one for one in found if one.change.kind != "suppress"]
    enough = [one for one in ordinary if one.suffices(platforms)]
    rest = [one for one in ordinary if not one.suffices(platforms)]

    def order(one: Any) -> tuple[bool, float]:
        brought = sum(gain.matches for gain in one.gains)
        return one.change.kind == "drop", brought if one in enough else -brought

    assert ordinary == enough + rest
    assert enough == sorted(enough, key=order)
    assert rest == sorted(rest, key=order)


@pytest.mark.parametrize(("others", "given"), [("ltv_quintile = 1", True), ("ltv_quintile <= 4", False)])
def test_what_would_mean_half_of_all_customers_is_no_suggestion(others: str, given: bool):
    include = f"{{all: [{{where: days_since_last_order = 399}}, {{where: {others}}}]}}"

    found = seen(defined(include, "")).preview.suggestions.best

    said = [one.sentence for one in found if one.members > 0]
    assert ("take out days_since_last_order = 399" in said) is given
    assert all(one.members < CUSTOMERS / 2 for one in found)


def test_suppression_is_never_given_up_first_and_competitors_never():
    for include in (SMALL, "{where: churn_risk = 'lost' and orders > 10}"):
        found = seen(defined(include, "")).preview.suggestions.best
        assert not found or found[0].change.kind != "suppress"
        assert all("competitors" not in one.sentence for one in found)


def test_an_audience_that_only_a_suppression_makes_small_gets_no_suggestion_to_drop_it():
    definitions = defined("{where: churn_risk = 'lost'}", "")

    now = seen(definitions).preview

    assert now.members == 0
    assert now.suggestions.best == ()


def test_a_large_audience_needs_no_suggestion():
    now = seen(defined("{where: orders > 0}", "suppress: []")).preview

    assert all(one.expected.matches.expected >= USEFUL_SIZE for one in now.platforms)
    assert now.suggestions.best == ()


def test_out_of_time_it_is_said_that_not_everything_was_tried():
    found = look("a", defined(SMALL), profile=PROFILE, standing=STANDING, seconds=0).preview.suggestions

    assert not found.complete


def test_nothing_of_a_person_is_in_a_suggestion():
    definitions = defined("{all: [{where: country = 'jane@example.com'}, {where: orders > 3}]}")
    found = seen(definitions).preview.suggestions

    assert found.best
    assert "jane" not in " ".join(one.sentence for one in found.best)


def test_a_change_changes_one_thing():
    definitions = defined(SMALL)
    for one in seen(definitions).preview.suggestions.best:
        same = replace(
            one.change.definition,
            include=definitions["a"].include,
            holdout_percent=10.0,
            suppress=None,
        )
        assert same == definitions["a"]
