from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.audiences.composition import NOT_KNOWN, OTHERS, coded, composition
from audience_pipeline.audiences.eligibility import REASONS, eligibility
from audience_pipeline.audiences.holdouts import held_out, person_hashes
from audience_pipeline.audiences.match_rate import signal_columns
from audience_pipeline.audiences.reach import Reach, audience_standing
from audience_pipeline.platforms.contract import CAPABILITIES, Platform

COLUMNS = sorted(
    {column for one in CAPABILITIES.values() for column in (*one.identifiers, *signal_columns(one))}
)
CUSTOMERS = [f"c{n}" for n in range(8)]
MAYBE = st.none() | st.booleans()
# Two people may share an address, so that an opt-out of one holds for the other.
PERSON = st.fixed_dictionaries({column: st.none() | st.sampled_from([b"x", b"y"]) for column in COLUMNS})
FLAGS = st.fixed_dictionaries(
    {"opted_out": MAYBE}
    | {f"opted_out_{p}": MAYBE for p in Platform}
    | {f"advertising_{p}": MAYBE for p in Platform}
)


def table(rows: dict[str, dict[str, Any]], dtype: Any, columns: list[str]) -> pl.DataFrame:
    return pl.DataFrame(
        [{"customer_id": customer} | row for customer, row in rows.items()],
        schema={"customer_id": pl.String} | dict.fromkeys(columns, dtype),
    )


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(st.sampled_from(CUSTOMERS), PERSON),
    st.dictionaries(st.sampled_from(CUSTOMERS), FLAGS),
    st.lists(st.booleans(), min_size=8, max_size=8),
    st.sampled_from([0.0, 10.0, 50.0]),
)
def test_the_counts_are_those_of_what_a_delivery_decides_and_they_add_up(
    known: dict[str, Any], said: dict[str, Any], chosen: list[bool], percent: float
):
    identifiers = table(known, pl.Binary, COLUMNS)
    consent = table(said, pl.Boolean, _flags())
    profile = pl.DataFrame({"customer_id": CUSTOMERS, "person_key": CUSTOMERS})
    mask = np.array(chosen)

    reached = Reach(audience_standing(profile, identifiers, consent)).count(mask, "a", percent)

    held = held_out(person_hashes(profile["person_key"]), "a", percent)
    members = profile.select("customer_id", holdout=pl.Series(held)).filter(pl.Series(mask))
    for platform, one in reached.items():
        decided = eligibility(members, identifiers, consent, CAPABILITIES[platform])
        assert one.sendable == decided["eligible"].sum()
        assert dict(one.left_out) == {
            reason: decided.filter(pl.col("reason") == reason).height for reason in REASONS
        }
        assert one.sendable + sum(one.left_out.values()) == mask.sum()
        assert one.unreached.sum() == one.left_out["no_identifier"]


def test_those_who_agreed_to_advertising_alone_are_told_where_a_platform_asks_for_more():
    """Granted everything; only advertising; nothing; only advertising and held out; no row."""
    profile = pl.DataFrame({"customer_id": CUSTOMERS[:5], "person_key": CUSTOMERS[:5]})
    advertising, personalisation = [True, True, False, True], [True, False, False, False]
    allowed = pl.Series(advertising) & pl.Series(personalisation)
    consent = pl.DataFrame({"customer_id": CUSTOMERS[:4], "advertising": advertising}).with_columns(
        pl.lit(value=False).alias(name) for name in ("opted_out", *(f"opted_out_{p}" for p in Platform))
    )
    consent = consent.with_columns(
        *(
            pl.Series(name, allowed if "personalisation" in CAPABILITIES[p].purposes else advertising)
            for p in Platform
            for name in [f"advertising_{p}"]
        ),
        *(pl.Series(f"personalisation_{p}", personalisation) for p in Platform),
    )
    identifiers = table({customer: {} for customer in CUSTOMERS}, pl.Binary, COLUMNS)
    standing = audience_standing(profile, identifiers, consent)
    mask = np.array([True, True, True, False, True])

    reached = Reach(standing).count(mask, "a", 0)
    without = Reach(standing.select(pl.exclude("^.*_lacks_.*$"))).count(mask, "a", 0)

    assert {platform: dict(one.lacking) for platform, one in reached.items()} == {
        platform: dict.fromkeys(set(one.purposes) - {"advertising"}, 1)
        for platform, one in CAPABILITIES.items()
    }
    assert reached[Platform.GOOGLE].left_out["no_consent"] == 3
    assert reached[Platform.META].left_out["no_consent"] == 2
    assert not any(one.lacking for one in without.values())


def _flags() -> list[str]:
    return [
        "opted_out",
        *(f"opted_out_{p}" for p in Platform),
        *(f"advertising_{p}" for p in Platform),
    ]


def test_the_table_has_a_row_for_each_of_the_profile_and_nothing_personal():
    profile = pl.DataFrame(
        {"customer_id": ["b", "a"], "person_key": ["b", "a"], "customer_no": [7, 3], "country": ["DE", None]},
        schema_overrides={"customer_no": pl.UInt32},
    )
    identifiers = table({"a": dict.fromkeys(COLUMNS, b"hash")}, pl.Binary, COLUMNS)
    consent = table({"a": dict.fromkeys(_flags(), True)}, pl.Boolean, _flags())

    made = audience_standing(profile, identifiers, consent)

    assert made["customer_no"].to_list() == [7, 3]
    assert made["country"].to_list() == ["DE", None]
    assert made["meta_reason"].to_list() == [2, 1]
    assert not {pl.String, pl.Binary} & {dtype.base_type() for dtype in made.dtypes}


def test_somebody_who_stands_twice_in_a_table_is_an_error():
    profile = pl.DataFrame({"customer_id": ["a"]})
    consent = table({"a": dict.fromkeys(_flags(), True)}, pl.Boolean, _flags())

    with pytest.raises(pl.exceptions.ComputeError):
        audience_standing(profile, table({}, pl.Binary, COLUMNS), pl.concat([consent, consent]))


def test_composition_says_shares_and_how_they_differ_from_the_base():
    country = coded(pl.Series("country", ["DE", "DE", "AT", None]))

    found = {one.value: one for one in composition(np.array([True, False, True, False]), [country])}

    assert (found["DE"].members, found["DE"].share, found["DE"].base_share, found["DE"].index) == (
        1, 0.5, 0.5, 100,
    )  # fmt: skip
    assert (found["AT"].share, found["AT"].index) == (0.5, 200)
    assert (found[NOT_KNOWN].members, found[NOT_KNOWN].index) == (0, 0)


@given(st.lists(st.tuples(st.booleans(), st.none() | st.integers(0, 300)), max_size=400))
def test_the_shares_of_a_field_add_up_to_everybody(rows: list[tuple[bool, int | None]]):
    values = coded(pl.Series("country", [value for _, value in rows], dtype=pl.Int64))
    members = np.array([member for member, _ in rows], dtype=np.bool_)

    found = composition(members, [values])

    assert sum(one.members for one in found) == members.sum()
    assert sum(one.base_share for one in found) == pytest.approx(1 if rows else 0)
    assert all(one.value != OTHERS for one in found[:-1])
