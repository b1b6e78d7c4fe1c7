from __future__ import annotations

import operator
from hashlib import sha256
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.audiences.criteria import compile_where
from audience_pipeline.audiences.definition import Definition, Definitions, Suppression
from audience_pipeline.audiences.fields import FIELDS
from audience_pipeline.audiences.holdouts import held_out, person_hashes
from audience_pipeline.audiences.membership import MEMBERSHIP_SCHEMA, memberships, selections
from audience_pipeline.audiences.rules import AllOf, AnyOf, In, Not, Rule, Where
from audience_pipeline.platforms.contract import Platform


def where(text: str) -> Where:
    return Where(compile_where(text, FIELDS))


def audience(name: str, include: Rule, **more: Any) -> Definition:
    values = {"exclude": None, "suppress": None, "refresh": "daily", "holdout_percent": 0.0, **more}
    return Definition(name, "Somebody.", include, platforms=(Platform.META,), file=f"{name}.yaml", **values)


PROFILE = pl.DataFrame(
    {
        "customer_id": [f"c{n}" for n in range(10)],
        "person_key": [f"p{n}" for n in range(10)],
        "orders": [*range(9), None],
        "is_competitor": [n == 4 for n in range(10)],
    }
)


def members_of(name: str, *audiences: Definition, suppressions: tuple[Suppression, ...] = ()) -> str:
    frame = memberships(PROFILE, Definitions(audiences, suppressions))
    return "".join(customer[1] for customer in frame.filter(pl.col("audience") == name)["customer_id"])


def test_members_are_included_and_neither_excluded_nor_suppressed():
    competitors = Suppression("competitors", "They watch us.", where("is_competitor"))
    some = audience("some", where("orders >= 2"), exclude=where("orders > 6"))

    assert members_of("some", some) == "23456"
    assert members_of("some", some, suppressions=(competitors,)) == "2356"
    some = audience("some", where("orders >= 2"), suppress=())
    assert members_of("some", some, suppressions=(competitors,)) == "2345678"


def test_an_audience_is_made_of_others():
    few = audience("few", where("orders < 3"), holdout_percent=50.0)
    rest = audience("rest", Not(In("few")), exclude=In("many"))
    many = audience("many", where("orders > 5"))

    assert members_of("rest", few, many, rest) == "3459"


def test_not_is_everybody_else_also_where_a_field_is_empty():
    assert members_of("a", audience("a", Not(where("orders > 3")))) == "01239"
    assert members_of("a", audience("a", where("not orders > 3"))) == "0123"


def test_nobody_and_everybody_are_audiences():
    assert members_of("a", audience("a", where("orders > 99"))) == ""
    assert members_of("a", audience("a", where("true"))) == "0123456789"
    assert memberships(PROFILE, Definitions(())).schema == MEMBERSHIP_SCHEMA
    assert memberships(PROFILE.clear(), Definitions((audience("a", where("orders > 1")),))).is_empty()


def test_the_result_is_sorted_and_does_not_depend_on_the_order_of_the_profile():
    audiences = Definitions(
        (audience("b", where("orders > 1"), holdout_percent=30.0), audience("a", where("true")))
    )

    frame = memberships(PROFILE, audiences)

    assert frame.schema == MEMBERSHIP_SCHEMA
    assert frame.equals(frame.sort("audience", "customer_id"))
    assert frame.equals(memberships(PROFILE.reverse(), audiences))


def test_only_the_audiences_asked_for_and_those_they_need_are_evaluated():
    audiences = Definitions(
        (audience("a", where("orders > 1")), audience("b", In("a")), audience("c", where("true")))
    )

    assert [one.audience.name for one in selections(PROFILE, audiences, ["b"])] == ["a", "b"]


SIGNS = {"<": operator.lt, ">=": operator.ge, "=": operator.eq}
SETS = {
    f"orders {sign} {limit}": {n for n in range(9) if holds(n, limit)}
    for sign, holds in SIGNS.items()
    for limit in (2, 5)
}
TREES = st.recursive(
    st.sampled_from(sorted(SETS)),
    lambda inner: (
        st.tuples(st.sampled_from(["all", "any"]), st.lists(inner, min_size=1, max_size=3))
        | st.tuples(st.just("not"), inner)
    ),
    max_leaves=8,
)


def rule_of(tree: Any) -> Rule:
    match tree:
        case str():
            return where(tree)
        case ("all", inner):
            return AllOf(tuple(rule_of(one) for one in inner))
        case ("any", inner):
            return AnyOf(tuple(rule_of(one) for one in inner))
        case (_, inner):
            return Not(rule_of(inner))
    raise AssertionError(tree)


def set_of(tree: Any) -> set[int]:
    match tree:
        case str():
            return SETS[tree]
        case ("all", inner):
            return set.intersection(*(set_of(one) for one in inner))
        case ("any", inner):
            return set.union(*(set_of(one) for one in inner))
        case (_, inner):
            return set(range(10)) - set_of(inner)
    raise AssertionError(tree)


@settings(max_examples=60, deadline=None)
@given(TREES, TREES)
def test_all_any_not_and_exclude_are_the_algebra_of_sets(include: Any, exclude: Any):
    found = members_of("a", audience("a", rule_of(include), exclude=rule_of(exclude)))

    assert set(map(int, found)) == set_of(include) - set_of(exclude)


@settings(max_examples=30, deadline=None)
@given(TREES)
def test_a_reference_is_the_same_set_as_the_rule_it_refers_to(tree: Any):
    first, second = audience("first", rule_of(tree)), audience("second", In("first"))

    assert members_of("second", first, second) == members_of("first", first)


def drawn(percent: float, name: str = "a", salt: str = "salt", people: int = 20_000) -> set[str]:
    keys = pl.Series([f"c{n}" for n in range(people)])
    return set(keys.filter(pl.Series(held_out(person_hashes(keys), name, percent, salt=salt))))


@pytest.mark.parametrize("percent", [0.0, 1.0, 5.0, 12.5, 50.0])
def test_a_holdout_is_near_its_percentage(percent: float):
    spread = 4 * (20_000 * percent / 100 * (1 - percent / 100)) ** 0.5

    assert abs(len(drawn(percent)) - 20_000 * percent / 100) <= spread


def test_a_holdout_stays_the_same_and_grows_with_its_percentage():
    assert drawn(5.0) == drawn(5.0)
    assert drawn(5.0, people=500) == {one for one in drawn(5.0) if int(one[1:]) < 500}
    assert drawn(5.0) < drawn(10.0)


def test_a_holdout_can_be_checked_by_anybody():
    def first_bytes(text: str) -> int:
        return int(sha256(text.encode()).hexdigest()[:16], 16)

    def draw(person_key: str) -> float:
        number = first_bytes(person_key) ^ first_bytes("salt\x1fa")
        number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        number = (number ^ number >> 27) * 0x94D049BB133111EB % 2**64
        return (number ^ number >> 31) / 2**64

    assert drawn(10.0, people=2_000) == {f"c{n}" for n in range(2_000) if draw(f"c{n}") < 0.1}


def test_holdouts_belong_to_the_person_and_not_to_the_id_of_the_day():
    half = Definitions((audience("a", where("true"), holdout_percent=50.0),))
    renamed = PROFILE.with_columns(pl.format("shop-{}", "customer_id").alias("customer_id"))

    held = memberships(PROFILE, half)["holdout"]

    assert held.any()
    assert held.equals(memberships(renamed, half)["holdout"])


def test_holdouts_of_different_audiences_and_salts_are_different():
    assert len(drawn(10.0) & drawn(10.0, name="b")) < 400
    assert len(drawn(10.0) & drawn(10.0, salt="other")) < 400
