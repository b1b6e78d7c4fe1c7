"""Somebody asks to be erased: gone from three platforms, from every file of the workspace, and for good."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from audience_pipeline.identifiers.columns import HASH_COLUMNS
from audience_pipeline.ledger import deliveries
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.platforms.contract import Platform
from audience_pipeline_tests.end_to_end.runs import Demo, Place
from audience_pipeline_tests.end_to_end.traces import Needles, found

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture(scope="module")
def place(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A copy of the demo's workspace, for what cannot be undone."""
    made = Place(tmp_path_factory.mktemp("erasure"))
    shutil.copytree(demo.place.workspace, made.workspace)
    return made


@pytest.fixture(scope="module")
def customer(place: Place) -> str:
    """Somebody who is in audiences of all three platforms."""
    platforms: Counter[str] = Counter()
    with Ledger.open(f"sqlite:///{place.workspace / 'ledger.db'}") as ledger:
        store = MemberStore(ledger, place.lake / "delivered")
        with ledger.reading() as connection:
            for platform in Platform:
                keys = [one.key for one in deliveries.audiences(connection, platform) if one.remote_id]
                platforms.update({name for key in keys for name in store.members(key)["customer_id"]})
    return min(name for name, times in platforms.items() if times == len(Platform))


@pytest.fixture(scope="module")
def theirs(place: Place, demo: Demo, customer: str) -> Needles:
    """Everything that they alone are known by: ids, cards, browsers, devices, hashes as bytes and as hex."""
    people = pl.read_parquet(place.table("identities", demo.as_of))
    ids = people.filter(pl.col("customer_id") == customer)["source_id"].to_list()
    rows = pl.concat([pl.read_parquet(path) for path in (place.lake / "crm_contacts").glob("*.parquet")])
    mine = rows.filter(pl.col("customer_id").is_in(ids))
    columns = [name for name in HASH_COLUMNS if name.endswith(("_email", "_phone"))]
    hashes = {sha256(name.encode()).digest() for name in ids}
    for column in columns:
        others = rows.filter(~pl.col("customer_id").is_in(ids))[column].drop_nulls()
        hashes |= set(mine[column].drop_nulls()) - set(others)
    texts = {*ids, *(name.partition(":")[2] for name in ids if ":" in name)}
    texts |= set(mine["device_id"].drop_nulls()) | {one.hex()[:32] for one in hashes}
    return Needles(frozenset(texts | {one.decode("latin-1") for one in hashes}), frozenset())


@pytest.fixture(scope="module")
def before(place: Place, theirs: Needles) -> set[str]:
    """Tables in which they are found."""
    return {
        Path(hit.partition(": ")[0]).relative_to(place.lake).parts[0] for hit in found(place.lake, theirs)
    }


@pytest.fixture(scope="module")
def receipt(place: Place, customer: str, before: set[str]) -> dict[str, Any]:
    asked = place.run("privacy", "erase", "--customer-id", customer, "--dir", place.workspace, "--json")
    assert asked.returncode == 0, asked.stderr
    done = place.run("privacy", "complete", "--dir", place.workspace, "--json")
    assert done.returncode == 0, done.stderr
    [finished] = json.loads(done.stdout)["finished"]
    assert finished["request_id"] == json.loads(asked.stdout)["request_id"]
    shown: dict[str, Any] = finished
    return shown


def test_they_were_in_many_places(before: set[str]) -> None:
    assert {"delivered", "customer_profile", "crm_contacts", "consent_log", "ltv_predictions"} <= before


def test_every_platform_has_confirmed_the_removal_and_the_receipt_says_how(receipt: dict[str, Any]) -> None:
    assert receipt["complete"]
    for one in receipt["platforms"]:
        assert one["state"] in {"confirmed", "verified"}, one
        assert one["audiences"] >= 1
        assert one["request_ids"]
        assert one["confirmed_at"] is not None
    assert {one["platform"] for one in receipt["platforms"]} == {one.value for one in Platform}


def test_nothing_of_them_is_left_in_any_file(place: Place, theirs: Needles, receipt: dict[str, Any]) -> None:
    assert receipt["here"]["state"] == "deleted"
    left_out = [place.workspace / "input", place.workspace / "sandbox"]

    assert found(place.workspace, theirs, left_out) == []


def test_the_receipt_holds_nothing_of_them(theirs: Needles, receipt: dict[str, Any]) -> None:
    assert not [one for one in theirs.anywhere if one in json.dumps(receipt)]


def test_the_log_is_whole_and_the_next_refresh_and_delivery_go_on_without_them(
    place: Place, theirs: Needles, receipt: dict[str, Any]
) -> None:
    assert receipt["here"]["log_entries_without_names"] >= 1
    for command in (("refresh",), ("privacy", "verify"), ("audiences", "sync")):
        done = place.run(*command, "--dir", place.workspace)
        assert done.returncode == 0, (command, done.stderr[-2_000:])

    assert found(place.workspace, theirs, [place.workspace / "input", place.workspace / "sandbox"]) == []


def test_the_same_files_bring_them_back_no_more(
    place: Place, theirs: Needles, receipt: dict[str, Any], tmp_path: Path
) -> None:
    assert receipt["complete"]
    for kind, name in (("crm", "crm"), ("web", "web_events"), ("transactions", "transactions")):
        file = tmp_path / f"{name}.csv"
        # Another file with the same people: one line more.
        content = (place.workspace / "input" / f"{name}.csv").read_text("utf-8")
        file.write_text(f"{content}{content.splitlines()[1]}\n", "utf-8")
        done = place.run("ingest", kind, file, "--dir", place.workspace)
        assert done.returncode == 0, (kind, done.stderr[-2_000:])

    assert found(place.lake, theirs) == []
