"""The commands of a working day, on a copy of the demo's workspace."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from audience_pipeline_tests.end_to_end.runs import CUSTOMERS, Demo, Place, fingerprints, lasting

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture(scope="module")
def copy(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("copy"))
    shutil.copytree(demo.place.workspace, place.workspace)
    return place


def run(place: Place, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return place.run(*arguments, "--dir", place.workspace)


def answer(place: Place, *arguments: str | Path) -> Any:
    finished = run(place, *arguments, "--json")
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def test_status_says_what_the_demo_has_said(copy: Place, demo: Demo) -> None:
    every = answer(copy, "audiences", "status")
    one = answer(copy, "audiences", "status", "new_customers")

    assert lasting({"deliveries": every})["deliveries"] == lasting(demo.report)["deliveries"]
    assert [row["audience"] for row in one] == ["new_customers"] * 3


def test_preview_agrees_with_what_was_delivered(copy: Place, demo: Demo) -> None:
    seen = answer(copy, "audiences", "preview", "high_predicted_ltv")
    delivered = {
        row["platform"]: row["wanted"]
        for row in demo.report["deliveries"]
        if row["audience"] == "high_predicted_ltv"
    }
    [size] = [row for row in demo.report["audiences"] if row["audience"] == "high_predicted_ltv"]

    assert seen["as_of"] == demo.as_of
    assert seen["customers"] == CUSTOMERS
    assert seen["members"] == size["members"]
    assert {row["platform"]: row["eligible"] for row in seen["platforms"]} == delivered
    for row in seen["platforms"]:
        assert row["eligible"] + sum(row["left_out"].values()) == seen["members"]
        assert row["left_out"]["holdout"] == size["holdout"]


def test_a_dry_run_sends_nothing(copy: Place) -> None:
    before = fingerprints(copy.workspace / "sandbox")

    said = answer(copy, "audiences", "sync", "--dry-run", "--platform", "meta")

    assert len(said["deliveries"]) == 4
    assert {(row["plan"]["to_add"], row["plan"]["to_remove"]) for row in said["deliveries"]} == {(0, 0)}
    ours = {"sandbox.sqlite3"}
    after = fingerprints(copy.workspace / "sandbox")
    assert {name: after[name] for name in ours} == {name: before[name] for name in ours}


def test_an_opt_out_reaches_every_platform_with_the_next_delivery(copy: Place, demo: Demo) -> None:
    """The statement is newer than the as-of date; who said no is taken off all the same."""
    before = {(row["audience"], row["platform"]): row["sent"] for row in answer(copy, "audiences", "status")}
    chosen = _somebody_who_is_everywhere(copy, demo)
    statement = copy.root / "opt_out.csv"
    statement.write_text(f"event_at,customer_id,status\n2026-11-10 10:00:00,{chosen},denied\n")

    landed = answer(copy, "ingest", "consent", statement)
    answer(copy, "audiences", "sync")

    assert landed["landed"][0]["landed"] == 1
    after = {(row["audience"], row["platform"]): row["sent"] for row in answer(copy, "audiences", "status")}
    fewer = {key for key in before if after[key] == before[key] - 1}
    assert {platform for _, platform in fewer} == {"meta", "google", "tiktok"}
    assert all(after[key] == before[key] for key in set(before) - fewer)


def _somebody_who_is_everywhere(place: Place, demo: Demo) -> str:
    with sqlite3.connect(place.workspace / "ledger.db") as ledger:
        rows = ledger.execute(
            "SELECT customer_id FROM delivered_members WHERE audience = 'recent_converters' "
            "GROUP BY customer_id HAVING count(DISTINCT platform) = 3 ORDER BY customer_id"
        ).fetchall()
    ledger.close()
    return str(rows[0][0])


def test_an_earlier_date_can_be_refreshed_and_nothing_is_sent(copy: Place) -> None:
    before = answer(copy, "audiences", "status")

    said = answer(copy, "refresh", "--as-of", "2026-09-30")

    assert (said["as_of"], said["audiences"]) == ("2026-09-30", 4)
    assert 1_000 < said["customers"] < CUSTOMERS
    assert copy.table("audience_memberships", "2026-09-30").is_file()
    assert answer(copy, "audiences", "status") == before
