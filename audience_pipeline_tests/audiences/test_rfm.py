from __future__ import annotations

from collections import Counter

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.audiences.fields import FIELDS
from audience_pipeline.audiences.rfm import GROUPS, RFM_SCHEMA, rfm

SCORES = {"recency_score": "recency_days", "frequency_score": "orders", "monetary_score": "observed_minor"}
SCHEMA = {"customer_id": pl.String, "recency_days": pl.Int64, "orders": pl.Int64, "observed_minor": pl.Int64}
Customer = tuple[int, int, int]
customers = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 4), st.integers(-500, 5_000)), min_size=1, max_size=60
)


def scored(rows: list[Customer], *, backwards: bool = False) -> pl.DataFrame:
    named = [(f"c{place:03}", *row) for place, row in enumerate(rows)]
    features = pl.DataFrame(named[::-1] if backwards else named, SCHEMA, orient="row")
    scores = rfm(features)
    assert scores.schema == RFM_SCHEMA
    return features.join(scores, on="customer_id").sort("customer_id")


@given(customers)
def test_every_fifth_of_the_customers_has_a_score_of_its_own(rows: list[Customer]) -> None:
    frame = scored(rows)

    for score in SCORES:
        sizes = Counter(frame[score].to_list())
        assert set(sizes) <= {1, 2, 3, 4, 5}
        assert max(sizes.values()) - min(sizes[one] for one in range(1, 6)) <= 1
        assert 5 in sizes


@given(customers)
def test_whoever_is_better_never_has_the_lower_score(rows: list[Customer]) -> None:
    frame = scored(rows)

    for score, measure in SCORES.items():
        better = frame.sort(measure, descending=measure != "recency_days")
        by_value = better.group_by(measure, maintain_order=True).agg(
            pl.col(score).min().alias("least"), pl.col(score).max().alias("most")
        )
        assert (by_value["least"].shift(1) >= by_value["most"]).all()


@given(customers)
def test_the_order_of_the_rows_moves_nobody(rows: list[Customer]) -> None:
    assert scored(rows).equals(scored(rows, backwards=True))


def test_equals_are_told_apart_by_the_other_measures_and_at_last_by_id() -> None:
    frame = scored([(10, 1, 100), (10, 1, 100), (10, 1, 200), (10, 2, 50), (5, 1, 10)])

    assert frame["recency_score"].to_list() == [2, 1, 3, 4, 5]
    assert frame["frequency_score"].to_list() == [2, 1, 3, 5, 4]
    assert frame["monetary_score"].to_list() == [4, 3, 5, 2, 1]


def test_a_single_customer_is_the_best_there_is() -> None:
    [row] = scored([(3, 1, 100)]).to_dicts()

    assert (row["recency_score"], row["frequency_score"], row["monetary_score"]) == (5, 5, 5)
    assert row["rfm_group"] == "champion"


def test_without_customers_there_are_no_scores() -> None:
    assert rfm(pl.DataFrame(schema=SCHEMA)).equals(pl.DataFrame(schema=RFM_SCHEMA))


@given(customers)
def test_the_group_is_the_one_of_the_table(rows: list[Customer]) -> None:
    for row in scored(rows).to_dicts():
        mean = row["frequency_score"] + row["monetary_score"]
        column = -(-mean // 2)
        assert row["rfm_group"] == GROUPS[row["recency_score"]][column - 1]


def test_the_table_of_groups_is_whole_and_its_names_are_those_of_the_catalogue() -> None:
    names = [name for row in GROUPS.values() for name in row]

    assert sorted(GROUPS) == [1, 2, 3, 4, 5]
    assert set(names) == set(FIELDS["rfm_group"].allowed)
