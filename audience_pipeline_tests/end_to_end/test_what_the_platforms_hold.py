"""The sandbox believes only what it was sent: what it holds is compared with the input files themselves."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.request import urlopen

import polars as pl
import pytest
from pyroaring import BitMap

from audience_pipeline.sandbox.server import running
from audience_pipeline_tests.end_to_end.recomputed import PLATFORMS, Input
from audience_pipeline_tests.end_to_end.runs import Demo

pytestmark = pytest.mark.xdist_group("demo")
AUDIENCES = ("at_risk_high_value", "high_predicted_ltv", "new_customers", "recent_converters")
EVERYWHERE = [(audience, platform) for audience in AUDIENCES for platform in PLATFORMS]


@dataclass(frozen=True)
class Held:
    """Per audience and platform, the hashes of each person as the sandbox holds them."""

    rows: dict[tuple[str, str], list[frozenset[str]]]

    def everybody(self, platform: str) -> set[str]:
        return {
            text
            for (_, where), rows in self.rows.items()
            if where == platform
            for row in rows
            for text in row
        }


@pytest.fixture(scope="module")
def held(again: Demo, tmp_path_factory: pytest.TempPathFactory) -> Held:
    """What the platforms hold after two runs, asked of a sandbox that goes on from the demo's state."""
    state: Path = tmp_path_factory.mktemp("sandbox") / "state"
    shutil.copytree(again.place.workspace / "sandbox", state)
    names = {row["remote_id"]: row["audience"] for row in again.report["deliveries"]}
    rows = {}
    with running(state, again.place.workspace / "input" / "truth" / "population.parquet") as address:

        def ask(what: str) -> dict:
            with urlopen(f"{address}/_sandbox/{what}", timeout=30) as answer:
                return json.load(answer)

        for platform in PLATFORMS:
            for audience in ask(f"audiences?platform={platform}")["audiences"]:
                members = ask(f"members?platform={platform}&audience_id={audience['id']}")["members"]
                name = names[audience["id"]]
                assert (name, platform) not in rows, "the same audience twice"
                rows[name, platform] = [frozenset(row) for row in members]
    return Held(rows)


@pytest.fixture(scope="module")
def given(demo: Demo) -> Input:
    truth = pl.read_parquet(demo.place.workspace / "input" / "truth" / "customers.parquet")
    numbers = frozenset(number.lstrip("+") for number in truth["phone"].drop_nulls())
    return Input(demo.place.workspace / "input", date.fromisoformat(demo.as_of), numbers)


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


def test_an_audience_is_who_its_rule_says(memberships: pl.DataFrame, given: Input) -> None:
    """The two audiences whose rules can be followed without a model."""
    wanted = {
        "recent_converters": given.bought_within(30),
        "new_customers": given.first_bought_within(60),
    }

    for audience, customers in wanted.items():
        members = memberships.filter(pl.col("audience") == audience)["customer_id"]
        assert len(customers) > 50
        assert members.n_unique() == members.len()
        assert set(members) == customers


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

    assert len(wanted) > 40
    assert there == wanted


@pytest.mark.parametrize("platform", PLATFORMS)
def test_nobody_who_opted_out_is_anywhere(held: Held, given: Input, platform: str) -> None:
    """Not even where somebody who agreed has the same address."""
    denied = given.denied_addresses[platform]

    assert len(denied) > 100
    assert held.everybody(platform) & denied == set()


def test_those_who_opted_out_are_those_whom_the_maker_of_the_shop_means(given: Input, demo: Demo) -> None:
    truth = pl.read_parquet(demo.place.workspace / "input" / "truth" / "customers.parquet")

    said_no = set(truth.filter(pl.col("advertising") == "denied")["customer_id"])

    assert given.signals
    assert given.opted_out == said_no | given.signals


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
