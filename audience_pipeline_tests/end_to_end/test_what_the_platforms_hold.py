"""The sandbox believes only what it was sent: what it holds is compared with the input files themselves."""

from __future__ import annotations

import polars as pl
import pytest
from pyroaring import BitMap

from audience_pipeline_tests.end_to_end.holdings import Held, held_by_the_platforms
from audience_pipeline_tests.end_to_end.raw_files import PLATFORMS
from audience_pipeline_tests.end_to_end.recomputed import Input
from audience_pipeline_tests.end_to_end.runs import Demo

pytestmark = pytest.mark.xdist_group("demo")
AUDIENCES = (
    "at_risk_high_value",
    "cart_abandoners",
    "engaged_newsletter_readers",
    "high_predicted_ltv",
    "new_customers",
    "recent_converters",
)
EVERYWHERE = [(audience, platform) for audience in AUDIENCES for platform in PLATFORMS]


@pytest.fixture(scope="module")
def held(again: Demo, tmp_path_factory: pytest.TempPathFactory) -> Held:
    """What the platforms hold after two runs."""
    names = {row["remote_id"]: row["audience"] for row in again.report["deliveries"]}
    return held_by_the_platforms(again.place, names, tmp_path_factory.mktemp("sandbox") / "state")


@pytest.fixture(scope="module")
def memberships(demo: Demo) -> pl.DataFrame:
    """Read without the pipeline: bitmaps of numbers, and the customers whose numbers they are."""
    people = pl.read_parquet(demo.place.table("customer_profile", demo.as_of))
    customer = dict(people.select("customer_no", "customer_id").iter_rows())
    stored = pl.read_parquet(demo.place.table("audience_memberships", demo.as_of))
    rows = [
        {"audience": row["audience"], "customer_id": customer[number], "holdout": number in held_out}
        for row in stored.to_dicts()
        for held_out in [BitMap.deserialize(row["holdout"])]
        for number in BitMap.deserialize(row["members"])
    ]
    return pl.DataFrame(rows)


def test_every_audience_is_on_every_platform_once(held: Held) -> None:
    assert sorted(held.rows) == sorted(EVERYWHERE)


@pytest.mark.parametrize(
    ("audience", "at_least"),
    [
        ("recent_converters", 100),
        ("new_customers", 50),
        ("cart_abandoners", 10),
        ("engaged_newsletter_readers", 20),
    ],
)
def test_an_audience_is_who_its_rule_says(
    memberships: pl.DataFrame, given: Input, audience: str, at_least: int
) -> None:
    """The audiences whose rules can be followed without a model."""
    members = memberships.filter(pl.col("audience") == audience)["customer_id"]

    assert members.len() >= at_least
    assert members.n_unique() == members.len()
    assert set(members) == given.members[audience]


@pytest.mark.parametrize(("audience", "platform"), EVERYWHERE)
def test_a_platform_holds_exactly_the_people_who_may_be_sent(
    held: Held, given: Input, memberships: pl.DataFrame, audience: str, platform: str
) -> None:
    chosen = memberships.filter((pl.col("audience") == audience) & ~pl.col("holdout"))["customer_id"]
    wanted = {
        hashes
        for customer in chosen
        if given.may_be_sent(customer, platform) and (hashes := given.identifiers(customer, platform))
    }
    known = {text for customer in given.people for text in given.identifiers(customer, platform)}

    there = {row & known for row in held.rows[audience, platform]}

    assert wanted
    assert there == wanted


@pytest.mark.parametrize("platform", PLATFORMS)
def test_nobody_who_opted_out_is_anywhere(held: Held, given: Input, platform: str) -> None:
    """Not even where somebody who agreed has the same address."""
    denied = given.denied_addresses[platform]

    assert len(denied) > 100
    assert held.everybody(platform) & denied == set()


def test_those_who_opted_out_are_those_whom_the_maker_of_the_shop_means(given: Input, demo: Demo) -> None:
    truth = pl.read_parquet(demo.place.workspace / "input" / "truth" / "customers.parquet")

    buyers = {given.customer_of[one] for one in truth["customer_id"]}
    said_no = {given.customer_of[one] for one in truth.filter(advertising="denied")["customer_id"]}

    assert len(given.signals) > 10
    assert given.opted_out & buyers == said_no | given.signals
    assert given.opted_out - buyers, "no reader of the newsletter has opted out"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_nobody_who_is_held_out_is_sent(
    held: Held, given: Input, memberships: pl.DataFrame, platform: str
) -> None:
    def hashes(audience: str, *, holdout: bool) -> set[str]:
        chosen = memberships.filter((pl.col("audience") == audience) & (pl.col("holdout") == holdout))
        return {text for one in chosen["customer_id"] for text in given.identifiers(one, platform)}

    for audience in ("high_predicted_ltv", "new_customers", "at_risk_high_value"):
        sent = {text for row in held.rows[audience, platform] for text in row}
        held_out = hashes(audience, holdout=True) - hashes(audience, holdout=False)
        assert held_out
        assert sent & held_out == set()
