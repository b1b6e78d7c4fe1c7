"""100,000 people to three platforms beside a bare loop that pushes the same payloads; 1 % on later days."""

from __future__ import annotations

import argparse
import base64
import json
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import requests
from delivery_common import (
    PLATFORMS,
    audiences_of,
    clients,
    consent_of_all,
    emails_held,
    identifiers,
    in_its_own_process,
    measured,
    middle,
    publish,
    sandbox,
)

PEOPLE, CHANGED, DAYS, ROUNDS = 100_000, 0.01, 3, 3
BAR_SECONDS, BAR_MIB, BAR_RATIO, BAR_DAILY = 60.0, 1_024, 1.3, 5.0
FIRST_DAY = date(2026, 11, 20)
MODULE = "delivery_throughput"
CREATES = ("/userLists", "/customaudiences")
SENDS = (*CREATES, "/users", ":ingest", "/upload/", "/create/")
"""Requests that carry people or make an audience."""


def throughput(people: int = PEOPLE, rounds: int = ROUNDS) -> bool:
    """The whole delivery and the bare loop in turn, each against a sandbox of its own."""
    with tempfile.TemporaryDirectory(prefix="delivery-") as name:
        folder = Path(name)
        prepare(folder, people)
        with sandbox(folder / "recorded") as address:
            in_its_own_process(MODULE, "ours", folder, address, folder / "recording", 0, "record")
        ours, bare = [], []
        for number in range(rounds):
            with sandbox(folder / f"ours_{number}") as address:
                found = in_its_own_process(MODULE, "ours", folder, address, folder / f"home_{number}", 0)
                ours.append(found)
                check(address, folder, 0)
            with sandbox(folder / f"bare_{number}") as address:
                bare.append(in_its_own_process(MODULE, "bare", folder, address, folder / "recording", 0))
                check(address, folder, 0)
    seconds, memory = middle([one["seconds"] for one in ours]), max(one["peak_mib"] for one in ours)
    ratio = middle([one["seconds"] / other["seconds"] for one, other in zip(ours, bare, strict=True)])
    least = middle([one["seconds"] for one in bare])
    rows = [
        ("what", "bar", "measured"),
        (f"{people:,} people to three platforms", f"{BAR_SECONDS:.0f} s", f"{seconds:.1f} s"),
        ("peak memory", f"{BAR_MIB:,} MiB", f"{memory:,.0f} MiB"),
        ("the same payloads in a bare loop", "", f"{least:.1f} s, {bare[0]['requests']} requests"),
        ("ratio, median of the pairs", f"{BAR_RATIO}", f"{ratio:.2f}"),
    ]
    met = seconds <= BAR_SECONDS and memory <= BAR_MIB and ratio <= BAR_RATIO
    return publish(
        "throughput", rows, {"people": people, "ours": ours, "bare": bare, "ratio": ratio}, met=met
    )


def daily(people: int = PEOPLE, days: int = DAYS) -> bool:
    """One in a hundred leaves and one comes, some days in a row."""
    with tempfile.TemporaryDirectory(prefix="delivery-") as name:
        folder, found = Path(name), []
        prepare(folder, people)
        with sandbox(folder / "sandbox") as address:
            in_its_own_process(MODULE, "ours", folder, address, folder / "home", 0)
            for day in range(1, days + 1):
                begun = time.perf_counter()
                one = in_its_own_process(MODULE, "ours", folder, address, folder / "home", day)
                found.append({**one, "whole_process_seconds": round(time.perf_counter() - begun, 2)})
                check(address, folder, day)
    seconds = middle([one["seconds"] for one in found])
    whole = middle([one["whole_process_seconds"] for one in found])
    rows = [
        ("what", "bar", "measured"),
        (f"1 % of {people:,} people on three platforms", f"{BAR_DAILY:.0f} s", f"{seconds:.1f} s"),
        ("the whole process, with its start", "", f"{whole:.1f} s"),
        ("people sent and removed a day", "", f"{found[0]['sent']:,} and {found[0]['removed']:,}"),
    ]
    return publish("daily", rows, {"people": people, "days": found}, met=seconds <= BAR_DAILY)


def prepare(folder: Path, people: int) -> None:
    """Half as many again are known as are wanted."""
    table = identifiers(people + people // 2, 1)
    table.write_parquet(folder / "identifiers.parquet")
    consent_of_all(table["customer_id"]).write_parquet(folder / "consent.parquet")
    (folder / "people").write_text(str(people))


def wanted_on(folder: Path, day: int) -> pl.DataFrame:
    """``customer_id, holdout`` of a day: each day the first of the row leave and new ones queue up behind."""
    people = int((folder / "people").read_text())
    gone = int(people * CHANGED) * day
    customers = pl.read_parquet(folder / "identifiers.parquet", columns=["customer_id"])
    return customers.slice(gone, people).with_columns(holdout=pl.lit(value=False))


def check(address: str, folder: Path, day: int) -> None:
    """Each platform holds exactly the wanted people.

    Raises:
        AssertionError: it does not.
    """
    who = wanted_on(folder, day)
    table = pl.read_parquet(folder / "identifiers.parquet", columns=["customer_id", "meta_email"])
    hashes = table.join(who, on="customer_id", how="semi")["meta_email"].bin.encode("hex")
    for name in PLATFORMS:
        (one,) = audiences_of(address, name)
        held = emails_held(address, name, one["id"])
        assert held == set(hashes), f"{name} holds {len(held):,} people, {len(hashes):,} are wanted"


def ours(folder: Path, address: str, home: Path, day: int, record: str = "") -> dict[str, Any]:
    """From the stored tables to three platforms that hold the audience."""
    from audience_pipeline.audiences import eligibility
    from audience_pipeline.delivery.recipients import recipients
    from audience_pipeline.delivery.run import Task, sync_all
    from audience_pipeline.ledger import Ledger
    from audience_pipeline.ledger.members import MemberStore
    from audience_pipeline.platforms.contract import CAPABILITIES, Platform

    home.mkdir(parents=True, exist_ok=True)
    # A workspace has its ledger long before the first delivery.
    Ledger.open(f"sqlite:///{home}/ledger.db").close()
    recorder = _Recorder(home) if record else None
    members = wanted_on(folder, day)
    with measured() as figures, Ledger.open(f"sqlite:///{home}/ledger.db") as ledger:
        store = MemberStore(ledger, home / "delivered")
        table = pl.read_parquet(folder / "identifiers.parquet")
        consent = pl.read_parquet(folder / "consent.parquet")
        made = clients(address)

        def to(name: str) -> list[Any]:
            platform = Platform(name)
            standing = eligibility.standing(table, consent, CAPABILITIES[platform])
            who = eligibility.decided(members, standing).filter("eligible")
            reachable = recipients(platform, table)
            wanted = reachable.join(who, on="customer_id", how="semi", maintain_order="left")
            tasks = [Task("best", lambda: wanted)]
            return sync_all(store, made[name], tasks, as_of=FIRST_DAY + timedelta(days=day)).reports

        with ThreadPoolExecutor(1 if record else len(PLATFORMS)) as threads:
            reports = [report for found in threads.map(to, PLATFORMS) for report in found]
    for report in reports:
        assert report.state == "settled", report.text()
    if recorder is not None:
        recorder.save()
    return {
        **figures,
        "sent": sum(one.sent for one in reports),
        "removed": sum(one.removed for one in reports),
    }


@dataclass
class _Recorder:
    """Keeps what is sent that carries people or makes an audience."""

    folder: Path

    def __post_init__(self) -> None:
        self._kept: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        send = requests.Session.send

        def kept(session: requests.Session, request: requests.PreparedRequest, **named: Any) -> Any:
            answer = send(session, request, **named)
            path = (request.path_url or "").partition("?")[0]
            if request.method == "POST" and path.endswith(SENDS):
                body = request.body if isinstance(request.body, bytes) else (request.body or "").encode()
                headers = {
                    name: value for name, value in request.headers.items() if name.lower() != "content-length"
                }
                with self._lock:
                    self._kept.append(
                        {
                            "path": request.path_url,
                            "headers": headers,
                            "body": base64.b64encode(body).decode(),
                            "answer": answer.json(),
                        }
                    )
            return answer

        requests.Session.send = kept  # type: ignore[method-assign, assignment]

    def save(self) -> None:
        """Write them down in the order in which they were answered."""
        (self.folder / "requests.json").write_text(json.dumps(self._kept))


def bare(folder: Path, address: str, recording: Path, day: int) -> dict[str, Any]:  # noqa: ARG001
    """Push what was recorded, a thread per platform: no ledger, no plan, no question what became of it."""
    kept = json.loads((recording / "requests.json").read_text())
    for one in kept:
        one["body"] = base64.b64decode(one["body"])
    made = [one for one in kept if one["path"].endswith(CREATES)]
    queues = [
        [one for one in kept if one not in made and _platform_of(one["path"]) == name] for name in PLATFORMS
    ]
    with measured() as figures, ThreadPoolExecutor(len(PLATFORMS)) as threads:
        # In the recorded order, so that the audiences get the ids which the payloads name.
        _push(address, made)
        list(threads.map(lambda queue: _push(address, queue), queues))
    return {**figures, "requests": len(kept), "mib": round(sum(len(one["body"]) for one in kept) / 2**20, 1)}


def _platform_of(path: str) -> str:
    return "tiktok" if path.startswith("/open_api") else "google" if path.startswith("/v1/") else "meta"


def _push(address: str, queue: list[dict[str, Any]]) -> None:
    session = requests.Session()
    for one in queue:
        answer = session.post(
            f"{address}{one['path']}", data=one["body"], headers=one["headers"], timeout=120
        )
        assert answer.status_code == 200, answer.text[:500]
        assert _id(answer.json()) == _id(one["answer"]), "the sandbox numbers otherwise than in the recording"


def _id(answer: dict[str, Any]) -> object:
    """What later requests name: an audience or an uploaded file."""
    data = answer.get("data")
    inner = data if isinstance(data, dict) else answer
    return [inner.get(name) for name in ("id", "custom_audience_id", "file_path")]


STEPS: dict[str, Callable[..., dict[str, Any]]] = {"ours": ours, "bare": bare}


def main() -> None:
    """Do one step; its figures are the last line of the output."""
    options = argparse.ArgumentParser()
    options.add_argument("--step", nargs="+", required=True)
    step, folder, address, home, day, *more = options.parse_args().step
    print(json.dumps(STEPS[step](Path(folder), address, Path(home), int(day), *more)))


if __name__ == "__main__":
    main()
