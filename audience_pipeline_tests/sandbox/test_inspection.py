"""What people and tests see of the platforms' insides, and how they move time."""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl
import pytest
import requests

from audience_pipeline.sandbox.server import process, running, serving

HEADERS = {
    "meta": {"Authorization": "Bearer sandbox-meta-token"},
    "google": {"Authorization": "Bearer sandbox-google-token"},
}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def ask(base: str, what: str) -> dict:
    return requests.get(f"{base}/_sandbox/{what}", timeout=10).json()


def test_members_are_found_by_the_name_of_their_audience(sandbox):
    name = f"by name {sandbox.account}"
    audience = sandbox.meta_audience(name=name)
    sandbox.meta_users(audience, [sha("person1@example.com")])

    found = ask(sandbox.base, f"members?platform=meta&name={name}")

    assert found == sandbox.members("meta", audience)
    assert (found["audience_id"], found["name"], found["account"]) == (audience, name, sandbox.account)


def test_a_name_that_several_audiences_have_needs_an_account_or_an_id(sandbox):
    name = f"twice {sandbox.account}"
    first = sandbox.meta_audience(name=name)
    mine, sandbox.account = sandbox.account, f"{sandbox.account}9"
    sandbox.meta_audience(name=name)

    both = requests.get(f"{sandbox.base}/_sandbox/members?platform=meta&name={name}", timeout=10)

    assert both.status_code == 400
    assert "audience_id" in both.json()["error"]
    assert ask(sandbox.base, f"members?platform=meta&name={name}&account={mine}")["audience_id"] == first


def test_each_row_tells_whom_it_was_matched_to(sandbox):
    audience = sandbox.meta_audience()
    rows = [[sha("person1@example.com"), ""], ["", sha("14150000001")], [sha("nobody@example.com"), ""]]
    sandbox.meta_users(audience, rows, ["EMAIL", "PHONE"])

    held = sandbox.members("meta", audience)

    assert held["members"] == [[cell for cell in row if cell] for row in rows]
    assert held["people"] == [1, 1, None]
    assert (held["size"], held["matched"]) == (3, 1)


def test_people_have_the_names_that_the_population_gives_them(tmp_path: Path):
    population = pl.DataFrame(
        {
            "id": ["anna", "ben", "carl"],
            "email": ["a@x.example", None, "c@x.example"],
            "phone": [None, "+4915112345678", None],
            "first_name": ["Anna", "Ben", "Carl"],
            "last_name": ["A", "B", "C"],
            "country": ["DE"] * 3,
            "postal_code": ["10115"] * 3,
            "on_meta": [True, True, False],
            "on_google": [True, True, True],
            "on_tiktok": [False, False, False],
        }
    )
    population.write_parquet(tmp_path / "people.parquet")
    names = [sha("ben"), sha("b"), sha("10115"), sha("de")]
    rows = [
        [sha("a@x.example"), "", "", "", "", ""],
        ["", "", *names],
        ["", sha("4915112345678"), "", "", "", ""],
        [sha("c@x.example"), "", "", "", "", ""],
        ["", "", *names[:3], ""],
    ]
    with running(tmp_path / "state", tmp_path / "people.parquet") as base:
        body = {"name": "a", "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY"}
        made = requests.post(
            f"{base}/v26.0/act_1/customaudiences", json=body, headers=HEADERS["meta"], timeout=10
        ).json()["id"]
        payload = {"schema": ["EMAIL", "PHONE", "FN", "LN", "ZIP", "COUNTRY"], "data": rows}
        requests.post(
            f"{base}/v26.0/{made}/users", json={"payload": payload}, headers=HEADERS["meta"], timeout=10
        )

        # Without its country a name is nobody, and Carl is not on Meta.
        assert ask(base, f"members?platform=meta&audience_id={made}")["people"] == [
            "anna",
            "ben",
            "ben",
            None,
            None,
        ]
        assert ask(base, "people?platform=meta")["people"] == ["anna", "ben"]
        assert ask(base, "people?platform=google")["people"] == ["anna", "ben", "carl"]
        assert ask(base, "people?platform=tiktok")["people"] == []


def test_the_clock_is_read_and_moved_forward_only(sandbox):
    before = ask(sandbox.base, "clock")["time"]

    moved = sandbox.control("clock", {"advance_seconds": 3_600}).json()

    assert 3_600 <= moved["time"] - before < 3_660
    assert ask(sandbox.base, "clock")["iso"] >= moved["iso"]
    assert sandbox.control("clock", {"advance_seconds": -1}).status_code == 400


def test_faults_limits_and_their_counts_survive_a_kill(tmp_path: Path):
    with process(tmp_path, faults=7) as (base, child):
        for _ in range(40):
            try:
                requests.get(f"{base}/v26.0/act_1/customaudiences", headers=HEADERS["meta"], timeout=10)
            except requests.RequestException:
                continue
        before = ask(base, "faults")
        child.kill()
        child.wait()

    with running(tmp_path, faults=7) as base:
        again = ask(base, "faults")

    assert again == before
    assert again["calls"] == {"meta": 40}
    with running(tmp_path) as base:
        assert ask(base, "faults")["seed"] is None


def test_who_serves_a_folder_is_found_and_nobody_else(tmp_path: Path):
    assert serving(tmp_path / "one") is None
    with process(tmp_path / "one") as (base, child):
        assert serving(tmp_path / "one") == serving(tmp_path / "one", child.pid) == base
        assert serving(tmp_path / "one", child.pid + 1) is None
        (tmp_path / "two").mkdir()
        (tmp_path / "two" / "address").write_text(base)
        assert serving(tmp_path / "two") is None
        with pytest.raises(RuntimeError, match="stop the other sandbox"), running(tmp_path / "one"):
            pass
        assert serving(tmp_path / "one") == base
    assert serving(tmp_path / "one") is None


def test_a_state_of_another_version_is_named(tmp_path: Path):
    import sqlite3

    with sqlite3.connect(tmp_path / "sandbox.sqlite3") as connection:
        connection.execute("CREATE TABLE members (x)")

    with pytest.raises(RuntimeError, match="another version"), running(tmp_path):
        pass
