from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.customers.numbers import NUMBERS_SCHEMA, newly_numbered

DAYS = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=6), max_size=6)


@settings(max_examples=80, deadline=None)
@given(DAYS)
def test_numbers_are_dense_and_stay_whoever_comes_and_goes(days: list[list[str]]):
    known = pl.DataFrame(schema=NUMBERS_SCHEMA)
    for people in days:
        new = newly_numbered(known, pl.Series(people, dtype=pl.String))
        assert set(new["person_key"]) == set(people) - set(known["person_key"])
        known = pl.concat([known, new])

    assert known.schema == NUMBERS_SCHEMA
    assert known["customer_no"].to_list() == list(range(known.height))
    assert known["person_key"].n_unique() == known.height


def test_the_same_people_get_the_same_numbers_in_any_order():
    nobody = pl.DataFrame(schema=NUMBERS_SCHEMA)

    first = newly_numbered(nobody, pl.Series(["b", "a", "c", "a"]))

    assert first.equals(newly_numbered(nobody, pl.Series(["c", "b", "a"])))
    assert first["person_key"].to_list() == ["a", "b", "c"]


def test_nobody_is_numbered_without_a_key():
    assert newly_numbered(pl.DataFrame(schema=NUMBERS_SCHEMA), pl.Series([None], dtype=pl.String)).is_empty()
