"""The commands of a working day, on a copy of the demo's workspace."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audience_pipeline.ledger import deliveries
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline_tests.end_to_end.holdings import Held, held_by_the_platforms
from audience_pipeline_tests.end_to_end.raw_files import PLATFORMS
from audience_pipeline_tests.end_to_end.recomputed import Input
from audience_pipeline_tests.end_to_end.runs import CUSTOMERS, Demo, Place, fingerprints, lasting
from audience_pipeline_tests.end_to_end.traces import Needles, found, needles, search

pytestmark = pytest.mark.xdist_group("demo")
ADDRESS, NUMBER = "Anneliese.Oberhuber@webbrief.example", "+43 664 123 45 67"
"""Of somebody whom the shop has never heard of."""


@dataclass(frozen=True)
class Desk:
    """A workspace that somebody works in, and all that was said there."""

    place: Place
    said: list[str] = field(default_factory=list)

    @property
    def papers(self) -> Path:
        """Where the files lie that are given to commands."""
        folder = self.place.root / "papers"
        folder.mkdir(exist_ok=True)
        return folder

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        finished = self.place.run(*arguments, "--dir", self.place.workspace)
        self.said.extend([finished.stdout, finished.stderr])
        return finished

    def answer(self, *arguments: str | Path) -> Any:
        finished = self.run(*arguments, "--json")
        assert finished.returncode == 0, finished.stderr
        return json.loads(finished.stdout)

    def sent(self) -> dict[tuple[str, str], set[str]]:
        """Per audience and platform the customers who were sent and not taken back."""
        with Ledger.open(f"sqlite:///{self.place.workspace / 'ledger.db'}") as ledger:
            store = MemberStore(ledger, self.place.lake / "delivered")
            with ledger.reading() as connection:
                keys = [known.key for known in deliveries.audiences(connection)]
            return {
                (key.audience, key.platform.value): set(store.members(key)["customer_id"]) for key in keys
            }


@pytest.fixture(scope="module")
def desk(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    place = Place(tmp_path_factory.mktemp("copy"))
    shutil.copytree(demo.place.workspace, place.workspace)
    return Desk(place)


def test_status_says_what_the_demo_has_said(desk: Desk, demo: Demo) -> None:
    every = desk.answer("audiences", "status")
    one = [row for row in every if row["audience"] == "new_customers"]

    assert lasting({"deliveries": every})["deliveries"] == lasting(demo.report)["deliveries"]
    assert len(one) == 3
    detailed = desk.answer("audiences", "status", "new_customers")
    assert detailed["audience"] == "new_customers"
    counts = ("platform", "wanted", "sent", "accepted", "rejected")
    assert [{name: row[name] for name in counts} for row in detailed["platforms"]] == [
        {name: row[name] for name in counts} for row in one
    ]


def test_preview_agrees_with_what_was_delivered(desk: Desk, demo: Demo, given: Input) -> None:
    seen = desk.answer("audiences", "preview", "high_predicted_ltv")
    delivered = {
        row["platform"]: row["wanted"]
        for row in demo.report["deliveries"]
        if row["audience"] == "high_predicted_ltv"
    }
    [size] = [row for row in demo.report["audiences"] if row["audience"] == "high_predicted_ltv"]

    assert seen["as_of"] == demo.as_of
    assert seen["customers"] == len(set(given.customer_of.values()))
    assert seen["members"] == size["members"]
    assert {row["platform"]: row["eligible"] for row in seen["platforms"]} == delivered
    for row in seen["platforms"]:
        assert row["eligible"] + sum(row["left_out"].values()) == seen["members"]
        assert row["left_out"]["holdout"] == size["holdout"]


def test_a_dry_run_sends_nothing(desk: Desk) -> None:
    before = fingerprints(desk.place.workspace / "sandbox")

    said = desk.answer("audiences", "sync", "--dry-run", "--platform", "meta")

    assert len(said["deliveries"]) == 6
    assert {(row["plan"]["to_add"], row["plan"]["to_remove"]) for row in said["deliveries"]} == {(0, 0)}
    ours = {"sandbox.sqlite3"}
    after = fingerprints(desk.place.workspace / "sandbox")
    assert {name: after[name] for name in ours} == {name: before[name] for name in ours}


@dataclass(frozen=True)
class Requests:
    """Who asked to be left alone, and what became of it with the next delivery."""

    by_file: str
    by_id: str
    by_email: str
    by_number: str
    erased: str
    receipts: list[dict[str, Any]]
    before: dict[tuple[str, str], set[str]]
    after: dict[tuple[str, str], set[str]]
    held: Held

    @property
    def everybody(self) -> list[str]:
        return [self.by_file, self.by_id, self.by_email, self.by_number, self.erased]


@pytest.fixture(scope="module")
def requests(desk: Desk, given: Input, tmp_path_factory: pytest.TempPathFactory) -> Requests:
    """Five people ask in five ways, all after the as-of date; then there is one delivery.

    Who is erased has agreed at a later time than that of the request, which changes nothing.
    """
    before, today = desk.sent(), datetime.now(UTC).date()
    sharing, alone = _addresses_of_several_and_of_one(given, before)
    by_id, (by_file, erased, by_email, by_number, *_) = sharing[0], alone
    papers = desk.papers
    (papers / "statements.csv").write_text(
        f"event_at,customer_id,status\n{today} 10:00:00,{by_file},denied\n"
        f"{today + timedelta(days=1)} 10:00:00,{erased},granted\n"
    )
    (papers / "opt_outs.csv").write_text(
        f"{by_id}\n{given.people[by_email].email('meta').upper()}\n+{given.people[by_number].phones[-1]}\n"
        f"{ADDRESS}\n"
    )
    desk.answer("ingest", "consent", papers / "statements.csv")
    receipts = [
        desk.answer("privacy", "opt-out", "--file", papers / "opt_outs.csv"),
        desk.answer("privacy", "erase", "--customer-id", erased),
    ]
    desk.answer("audiences", "sync")
    names = {row["remote_id"]: row["audience"] for row in desk.answer("audiences", "status")}
    held = held_by_the_platforms(desk.place, names, tmp_path_factory.mktemp("afterwards") / "state")
    return Requests(by_file, by_id, by_email, by_number, erased, receipts, before, desk.sent(), held)


def _addresses_of_several_and_of_one(
    given: Input, sent: dict[tuple[str, str], set[str]]
) -> tuple[list[str], list[str]]:
    """Of those who were sent: one of each pair that shares an address, and people with addresses of their own
    who are on every platform."""
    everybody = set().union(*sent.values())
    at: dict[str, set[str]] = defaultdict(set)
    for customer in given.people:
        for address in given.addresses(customer, "meta"):
            at[address].add(customer)
    sharing = [min(who) for who in at.values() if len(who) > 1 and who <= everybody]
    everywhere = set.intersection(*(sent["recent_converters", platform] for platform in PLATFORMS))
    alone = [
        one
        for one in everywhere
        if given.people[one].email("meta")
        and given.people[one].phones
        and all(at[address] == {one} for address in given.addresses(one, "meta"))
    ]
    return sorted(sharing), sorted(alone)


def test_an_opt_out_reaches_every_platform_with_the_next_delivery(requests: Requests, given: Input) -> None:
    """By a file of statements or by command, by id, address or number; newer than the as-of date."""
    for one in requests.everybody:
        assert any(one in customers for customers in requests.before.values())
        assert not any(one in customers for customers in requests.after.values())
        for platform in PLATFORMS:
            assert given.addresses(one, platform)
            assert not given.addresses(one, platform) & requests.held.everybody(platform)


def test_nobody_at_the_address_of_who_opted_out_is_left_and_everybody_else_is(
    requests: Requests, given: Input
) -> None:
    asked = {
        platform: frozenset().union(*(given.addresses(one, platform) for one in requests.everybody))
        for platform in PLATFORMS
    }
    gone = set()
    for (audience, platform), customers in requests.before.items():
        theirs = {one for one in customers if given.addresses(one, platform) & asked[platform]}
        assert requests.after[audience, platform] == customers - theirs
        gone |= theirs

    assert len(gone) > len(requests.everybody)


def test_each_request_has_a_receipt_and_is_in_the_log(requests: Requests, desk: Desk, demo: Demo) -> None:
    opted_out, erased = requests.receipts
    log = desk.place.consent_log()
    verified = desk.answer("privacy", "verify")

    assert (opted_out["given"], opted_out["known"], opted_out["unknown_but_kept"]) == (4, 3, 1)
    assert (erased["given"], erased["known"], erased["request"]) == (1, 1, "erase")
    assert log[: len(demo.log)] == demo.log
    # The delivery has let the erased person go everywhere, so what we held of them is deleted by now.
    asked = ["statements", "request", "request", "erasure"]
    assert [origin for _, origin, *_ in log[len(demo.log) :]] == asked
    assert verified["intact"] is True


def test_an_earlier_date_can_be_refreshed_and_nothing_is_sent(desk: Desk) -> None:
    before = desk.answer("audiences", "status")

    said = desk.answer("refresh", "--as-of", "2026-09-30")

    assert (said["as_of"], said["audiences"]) == ("2026-09-30", 6)
    assert 1_000 < said["customers"] < CUSTOMERS
    assert desk.place.table("audience_memberships", "2026-09-30").is_file()
    assert desk.answer("audiences", "status") == before


def test_nothing_personal_is_said_or_kept_by_any_command(desk: Desk, given: Input) -> None:
    """Lists, requests, questions about one person: what is typed in comes out nowhere, found or not."""
    person = next(one for one in given.people.values() if one.phones and one.email("meta"))
    email, number = person.email("meta"), f"+{person.phones[-1]}"
    people = desk.papers / "people.csv"
    people.write_text(f"who\n{email}\n{number}\n{ADDRESS}\n{NUMBER}\nC0000001\n")
    audience = desk.papers / "people_of_the_list.yaml"
    audience.write_text(
        "name: people_of_the_list\ndescription: Whom we know by name.\n"
        "include:\n  in: {list: people}\nplatforms: [meta, google, tiktok]\n"
    )

    uploaded = desk.answer("audiences", "upload", "people", people)
    told = desk.answer("customers", "explain", email)
    unknown = desk.run("customers", "explain", NUMBER)
    desk.run("privacy", "opt-out", "--customer-id", ADDRESS)
    desk.run("audiences", "preview", audience)
    desk.run("profile", "fields")

    assert uploaded["values"] == 5
    assert len(told["customers"]) == 1
    assert unknown.returncode == 1
    assert (desk.place.lake / "lists" / "people.parquet").is_file()
    folder = desk.place.workspace / "input"
    theirs = needles(folder / "crm.csv", folder / "consent.csv", folder / "engagement_events.csv")
    local = ADDRESS.partition("@")[0]
    typed = {ADDRESS, local, NUMBER, "436641234567", "6641234567", email.upper()}
    wanted = Needles(theirs.anywhere | typed, theirs.whole)
    said = [text.encode().decode("latin-1") for text in desk.said]
    assert search(said, sorted(wanted.anywhere)) == []
    assert found(desk.place.root, wanted, leave_out=[folder, desk.papers]) == []
