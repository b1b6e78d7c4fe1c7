from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.audiences.definition import Definitions, read_definitions
from audience_pipeline.audiences.relaxing import MAX_CHANGES, changes
from audience_pipeline.audiences.widening import DAYS, longer_windows, looser_numbers

RULES = b"""
rules:
  - {name: competitors, description: They watch us., include: {where: is_competitor}}
  - {name: churned, description: Gone., include: {where: churn_risk = 'lost'}}
"""


def defined(include: str, rest: str = "") -> Definitions:
    text = f"name: a\ndescription: Some.\ninclude: {include}\n{rest}\nplatforms: [meta]\n"
    other = b"name: other\ndescription: Others.\ninclude: {where: orders > 1}\nplatforms: [meta]\n"
    return read_definitions({"a.yaml": text.encode(), "other.yaml": other, "_s.yaml": RULES})


def sentences(include: str, rest: str = "suppress: []") -> list[str]:
    definitions = defined(include, rest)
    return [one.sentence for one in changes(definitions["a"], definitions.suppressions_of(definitions["a"]))]


def test_a_bound_is_widened_to_rounded_values_and_a_term_left_out():
    assert sentences("{where: ltv_quintile = 1 and days_since_last_order between 60 and 180}") == [
        "take out ltv_quintile = 1",
        "take out days_since_last_order BETWEEN 60 AND 180",
        "widen ltv_quintile = 1 to ltv_quintile <= 2",
        *(
            "widen days_since_last_order BETWEEN 60 AND 180 to days_since_last_order BETWEEN "
            f"{low} AND {high}"
            for low, high in ((45, 180), (30, 180), (60, 270), (60, 365))
        ),
    ]


def test_a_day_moves_to_the_edge_of_a_month():
    assert sentences("{where: first_order >= '2026-03-10'}") == [
        "widen first_order >= '2026-03-10' to first_order >= '2026-02-01'",
        "widen first_order >= '2026-03-10' to first_order >= '2025-12-01'",
    ]


def test_what_people_did_is_asked_for_less_often_and_over_a_longer_time():
    shoes = "with category = 'shoes'"
    said = sentences(
        "{did: {event: product_view, at_least: 4, within_days: 14, where: \"category = 'shoes'\"}}"
    )

    assert said == [
        f"ask for product_view at least 2 times within 14 days {shoes}, instead of at least 4 times",
        f"ask for product_view at least once within 14 days {shoes}, instead of at least 4 times",
        "look back 21 days instead of 14 for product_view at least 4 times with category = 'shoes'",
        "look back 30 days instead of 14 for product_view at least 4 times with category = 'shoes'",
        "look back 60 days instead of 14 for product_view at least 4 times with category = 'shoes'",
        "ask for any product_view, not only those with category = 'shoes'",
    ]


def test_a_branch_of_exclude_and_the_holdout_can_be_given_up():
    rest = "suppress: []\nexclude: {any: [{where: churn_risk = 'lost'}, {in: other}]}\nholdout_percent: 5"

    assert sentences("{where: orders > 0}", rest) == [
        "send the 5 % who are held out too; lift can then not be measured",
        "no longer exclude churn_risk = 'lost'",
        "no longer exclude the audience other",
    ]


def test_consent_opt_outs_and_competitors_are_never_given_up():
    said = sentences(
        "{all: [{where: advertising_consent and orders > 20}, {where: not is_competitor}]}",
        "exclude: {any: [{where: is_competitor}, {where: opted_out}]}",
    )

    assert said == [
        "take out orders > 20",
        "widen orders > 20 to orders > 10",
        "no longer suppress churned, if the campaign is meant for them too",
    ]


def test_under_a_not_nothing_is_widened():
    assert sentences("{not: {where: orders between 2 and 5}}") == []
    assert sentences("{where: not (orders between 2 and 5)}") == []


def test_every_change_is_a_definition_of_its_own_that_differs_from_the_first():
    definitions = defined("{where: orders > 20 and predicted_ltv > 300}", "holdout_percent: 5")
    first = definitions["a"]

    for change in changes(first, definitions.suppressions):
        assert change.definition != first
        assert replace(change.definition, include=first.include, holdout_percent=5.0, suppress=None) == first


def test_a_thousand_terms_are_not_a_thousand_changes():
    include = "{any: [" + ", ".join(f"{{where: orders > {n}}}" for n in range(1, 400)) + "]}"

    assert len(sentences(include)) == MAX_CHANGES


def test_sentences_withhold_what_looks_personal():
    said = " ".join(sentences("{where: first_category = 'jane@example.com' and orders > 20}"))

    assert "jane" not in said
    assert "take out a term of it" in said


@given(
    st.floats(0.01, 5_000), st.sampled_from(["days", "orders", "shop currency", "year", ""]), st.booleans()
)
def test_looser_bounds_lie_on_the_right_side(value: float, unit: str, upwards: bool):
    for looser in looser_numbers(value, unit, upwards=upwards):
        assert looser > value if upwards else looser < value


@pytest.mark.parametrize("upwards", [True, False])
def test_days_become_windows_that_people_think_in(upwards: bool):
    for value in range(2, 1_000):
        assert set(looser_numbers(value, "days", upwards=upwards)) <= set(DAYS)


@pytest.mark.parametrize(
    ("days", "longer"),
    [(1, [3, 7]), (3, [7, 14]), (7, [14, 30]), (14, [21, 30, 60]), (30, [45, 60]), (1825, [3000, 4000])],
)
def test_who_did_something_is_looked_for_in_windows_of_twice_and_four_times_the_days(
    days: int, longer: list[int]
):
    assert longer_windows(days) == longer


@given(st.integers(1, 5_000))
def test_a_longer_window_is_always_longer(days: int):
    assert all(days < longer for longer in longer_windows(days))


def test_what_has_parts_is_taken_out_part_by_part_and_never_as_a_whole():
    said = sentences(
        "{all: [{where: orders > 3 and country = 'DE'}, {all: [{where: returns = 0}, {in: other}]}, "
        "{all: [{where: categories > 2}]}]}"
    )

    assert [sentence for sentence in said if sentence.startswith("take out")] == [
        "take out orders > 3",
        "take out country = 'DE'",
        "take out returns = 0",
        "take out the audience other",
        "take out categories > 2",
    ]


def test_one_day_is_one_day():
    assert sentences("{did: {event: order, within_days: 1}}") == [
        "look back 3 days instead of 1 for order at least once",
        "look back 7 days instead of 1 for order at least once",
    ]


def test_what_is_left_out_is_said_without_a_not():
    said = sentences("{all: [{where: orders > 0}, {did_not: {event: order, within_days: 60}}]}")

    assert said[1:] == [
        "leave out order at least once within 45 days instead of 60",
        "leave out order at least once within 30 days instead of 60",
        "no longer leave out order at least once within 60 days",
    ]
