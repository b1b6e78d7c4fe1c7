"""The customers of the demo are the people of its input files: as worked out anew, and as they were made."""

from __future__ import annotations

from collections import defaultdict

import polars as pl
import pytest

from audience_pipeline_tests.end_to_end.one_customer import is_browser
from audience_pipeline_tests.end_to_end.recomputed import Input
from audience_pipeline_tests.end_to_end.runs import Demo

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture(scope="module")
def identities(demo: Demo) -> pl.DataFrame:
    return pl.read_parquet(demo.place.table("identities", demo.as_of))


@pytest.fixture(scope="module")
def truth(demo: Demo) -> pl.DataFrame:
    return pl.read_parquet(demo.place.workspace / "input" / "truth" / "customers.parquet")


def test_every_id_of_every_file_belongs_to_the_customer_whom_the_files_say(
    identities: pl.DataFrame, given: Input
) -> None:
    found = dict(identities.select("source_id", "customer_id").iter_rows())

    assert len(found) == identities.height > 2_500
    assert found == given.customer_of


def test_second_accounts_and_readers_who_became_customers_are_merged(
    identities: pl.DataFrame, truth: pl.DataFrame
) -> None:
    customers = set(identities["customer_id"]) & set(truth["customer_id"])
    joined = identities.filter(
        pl.col("customer_id").is_in(customers) & (pl.col("source_id") != pl.col("customer_id"))
    )
    second = joined.filter(pl.col("source_id").str.ends_with("-2"))
    readers = joined.filter(pl.col("source_id").str.starts_with("email:"))

    assert second.height > 10
    assert second["customer_id"].to_list() == second["source_id"].str.strip_suffix("-2").to_list()
    assert readers.height > 40
    assert sum(map(is_browser, joined["source_id"])) > 1_000


def test_people_who_share_a_home_stay_two_customers(identities: pl.DataFrame, truth: pl.DataFrame) -> None:
    """Even with one address or number between them, as long as they have first names of their own."""
    customer = dict(identities.select("source_id", "customer_id").iter_rows())
    homes = defaultdict(list)
    for row in truth.iter_rows(named=True):
        homes[row["household"]].append(row)
    families = [
        home
        for home in homes.values()
        if any(row["shares_email"] or row["shares_phone"] for row in home)
        and len({row["first_name"] for row in home}) == len(home)
    ]

    assert len(families) > 20
    for home in families:
        assert len({customer[row["customer_id"]] for row in home}) == len(home)


def test_every_person_has_one_number_and_one_row_in_the_profile(identities: pl.DataFrame, demo: Demo) -> None:
    profile = pl.read_parquet(demo.place.table("customer_profile", demo.as_of))

    assert set(profile["customer_id"]) == set(identities["customer_id"])
    assert set(profile["person_key"]) == set(identities["person_key"])
    for column in ("customer_id", "person_key", "customer_no"):
        assert profile[column].n_unique() == profile.height


def test_each_merge_names_the_row_of_the_file_that_made_it(demo: Demo) -> None:
    decisions = pl.read_parquet(demo.place.table("identity_decisions", demo.as_of))
    by_email = decisions.filter(kind="email", decision="merged")

    assert decisions.filter(pl.col("line").is_null() | pl.col("statement_date").is_null()).is_empty()
    assert by_email.height > 50
    assert set(decisions.filter(decision="refused")["reason"]) == {
        "people with different first names have it"
    }
