"""What holds of identity whatever was landed."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.customers.identities import Resolved, resolve
from audience_pipeline.customers.identities_limits import IdentityLimits
from audience_pipeline.identifiers.source_ids import ANONYMOUS
from audience_pipeline_tests.customers.identity_tables import (
    AS_OF,
    LANDINGS,
    customers,
    day,
    email_id,
    landed,
    people,
)

FEW = IdentityLimits(email=3, component=5, browsers=3)
Rows = dict[str, list[dict[str, Any]]]


def some(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    told = {
        "landing_id": st.sampled_from(sorted(LANDINGS)),
        "line": st.integers(2, 9),
        "day": st.integers(0, 20).map(day),
    }
    return st.lists(st.fixed_dictionaries({**values, **told}), max_size=12)


ids = st.integers(1, 9).map(lambda number: f"C{number}")
cards = st.sampled_from(["loyalty:K1", "loyalty:K2"])
emails, phones = st.none() | st.sampled_from("abcd"), st.none() | st.sampled_from("123")
loyalty, devices = (
    st.none() | st.sampled_from(["K1", "K2", "K3"]),
    st.none() | st.sampled_from(["d-1", "d-2"]),
)
browsers, clicks = st.sampled_from(["b-1", "b-2", "b-3", "b-4"]), st.none() | st.sampled_from(["g-1", "g-2"])
names = st.sampled_from([None, None, "ann", "bob", "cem"])


def without_nulls(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


shops: st.SearchStrategy[Rows] = st.fixed_dictionaries(
    {
        "crm": some(
            customer_id=ids | cards, email=emails, phone=phones, loyalty_id=loyalty, first_name=names
        ),
        "web": some(customer_id=st.none() | ids, anonymous_id=browsers, device_id=devices, click_id=clicks),
        "transactions": some(customer_id=ids | cards, loyalty_id=loyalty),
        "engagement": some(customer_id=ids | st.sampled_from("abc").map(email_id)),
    }
).map(lambda rows: {kind: without_nulls(some_rows) for kind, some_rows in rows.items()})


def found(rows: Rows, limits: IdentityLimits | None = FEW) -> Resolved:
    return resolve(landed(**rows), AS_OF, LANDINGS, limits)


@given(rows=shops, seed=st.integers(0, 99))
def test_the_order_of_rows_decides_nothing(rows: Rows, seed: int) -> None:
    shuffled = {
        kind: random.Random(seed).sample(some_rows, len(some_rows)) for kind, some_rows in rows.items()
    }

    again, once = found(shuffled), found(rows)

    assert again.identities.equals(once.identities)
    assert again.decisions.equals(once.decisions)


@given(rows=shops)
def test_rows_that_say_nothing_in_common_change_nothing_for_others(rows: Rows) -> None:
    stranger = {"customer_id": "C99", "email": "z", "first_name": "zoe", "landing_id": "one", "day": day(0)}

    more = found({**rows, "crm": [*rows["crm"], stranger]})

    assert more.identities.filter(pl.col("customer_id") != "C99").equals(found(rows).identities)
    assert more.decisions.equals(found(rows).decisions)


@given(rows=shops)
def test_no_customer_has_two_first_names(rows: Rows) -> None:
    named: dict[str, str] = {}
    dated = sorted(
        (row for row in rows["crm"] if "first_name" in row),
        key=lambda row: (row["day"], LANDINGS[row["landing_id"]], row["line"]),
    )
    ambiguous = set()
    for before, row in zip([None, *dated], dated, strict=False):
        same = before and all(before[key] == row[key] for key in ("customer_id", "day", "landing_id", "line"))
        if same and before["first_name"] != row["first_name"]:
            ambiguous.add(row["customer_id"])
        named[row["customer_id"]] = row["first_name"]

    for together in people(found(rows)):
        assert len({named[one] for one in together - ambiguous if one in named}) <= 1


@given(rows=shops)
def test_each_source_id_belongs_to_one_customer_who_is_one_of_them(rows: Rows) -> None:
    identities = found(rows).identities

    assert identities["source_id"].is_unique().all()
    assert identities["source_id"].is_sorted()
    for column in ("customer_id", "person_key"):
        held = set(zip(identities["customer_id"], identities[column], strict=True))
        assert len(held) == identities["customer_id"].n_unique(), "one for each customer"
        assert set(identities[column]) <= set(identities["source_id"])
        assert not any(one.startswith(ANONYMOUS) for one in identities[column])
    for together in people(found(rows)):
        own = {one for one in together if one.startswith("C")}
        assert not own or customers(found(rows))[min(together)] in own


@given(rows=shops)
def test_everybody_who_was_named_is_a_customer_and_browsers_only_of_one(rows: Rows) -> None:
    named = {row["customer_id"] for some_rows in rows.values() for row in some_rows if "customer_id" in row}
    known = set(customers(found(rows)))

    assert named <= known
    assert all(one.startswith(ANONYMOUS) for one in known - named)


@given(rows=shops)
def test_every_merge_is_told_and_nothing_else_was_merged(rows: Rows) -> None:
    result = found(rows)
    merged = result.decisions.filter(pl.col("decision") == "merged")
    parent = {one: one for one in customers(result)}

    def root(one: str) -> str:
        return one if parent[one] == one else root(parent[one])

    for one, other in merged.select("source_id", "other_id").iter_rows():
        parent[root(one)] = root(other)
    told: dict[str, set[str]] = {}
    for one in parent:
        told.setdefault(root(one), set()).add(one)

    assert {frozenset(one) for one in told.values()} == people(result)
    assert result.decisions.filter(pl.col("customer_id") != pl.col("source_id").replace_strict(
        customers(result), default=None)).is_empty()  # fmt: skip


@given(rows=shops)
def test_no_customer_has_more_ids_than_allowed(rows: Rows) -> None:
    for together in people(found(rows)):
        browsing = {one for one in together if one.startswith(ANONYMOUS)}
        assert len(together - browsing) <= FEW.component
        assert len(browsing) <= FEW.browsers


@given(rows=shops)
def test_rows_of_the_future_change_nothing(rows: Rows) -> None:
    def until(last: int) -> Rows:
        return {
            kind: [row for row in some_rows if row["day"] <= day(last)] for kind, some_rows in rows.items()
        }

    early = resolve(landed(**rows), day(10), LANDINGS, FEW)
    only = resolve(landed(**until(10)), day(10), LANDINGS, FEW)

    assert early.identities.equals(only.identities)
    assert early.decisions.equals(only.decisions)


@given(rows=shops, more=shops)
def test_who_keeps_the_company_of_yesterday_keeps_the_id_too(rows: Rows, more: Rows) -> None:
    """What lands later changes the id of nobody whose source ids stay the same."""
    late = {kind: [{**row, "landing_id": "four"} for row in some_rows] for kind, some_rows in more.items()}
    both = {kind: [*rows[kind], *late[kind]] for kind in rows}
    before = found(rows)
    after = resolve(landed(**both), AS_OF, {**LANDINGS, "four": 4}, FEW)

    unchanged = people(before) & people(after)

    for together in unchanged:
        for one in together:
            assert customers(before)[one] == customers(after)[one]
    joined = before.identities.join(after.identities, on="source_id", suffix="_after")
    same = joined.filter(pl.col("source_id") == pl.col("person_key"))
    grown = same.filter(pl.col("person_key") != pl.col("person_key_after"))
    assert set(grown["person_key_after"]) <= set(before.identities["source_id"]), "an older one survives"
