"""1,000 audiences on three platforms, 20 million memberships on each, and a day that changes 1 % of them.

What was delivered before is written into ledger and snapshots directly, and every audience exists in the
sandbox: one in fifty with all of its people, the others empty (on TikTok with enough people to be changed at
all), for the sandbox keeps people one by one and is not what is measured. What must be held afterwards is
checked in all of them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
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
    publish,
    sandbox,
)
from delivery_quotas import Sent, class_of, waits

CUSTOMERS, AUDIENCES, MEMBERS, CHANGED = 1_000_000, 1_000, 20_000, 0.01
BAR_SECONDS, BAR_MIB = 600.0, 4_096
FULL = 50
"""One audience in so many is in the sandbox with all its people."""
ACCOUNTS = {"meta": 3, "google": 1, "tiktok": 3}
ENOUGH = 3_000
"""People with whom an audience on TikTok keeps more than 1,000 matched ones, whatever leaves."""
FIRST_DAY = date(2026, 11, 19)
MODULE = "delivery_many"
Numbers = npt.NDArray[np.int32]


def many(customers: int = CUSTOMERS, audiences: int = AUDIENCES, members: int = MEMBERS) -> bool:
    """Prepare everything, then measure the day after."""
    with tempfile.TemporaryDirectory(prefix="many-") as name:
        folder = Path(name)
        begun = time.perf_counter()
        prepare(folder, customers, audiences, members)
        with sandbox(folder / "sandbox") as address:
            in_its_own_process(MODULE, "before", folder, address)
            prepared = time.perf_counter() - begun
            figures = in_its_own_process(MODULE, "day", folder, address)
            checked = check(folder, address)
            again = in_its_own_process(MODULE, "again", folder, address)
    quotas = figures["quotas"]
    slowest = max(quotas, key=lambda name: quotas[name]["seconds"])
    rows = [
        ("what", "bar", "measured"),
        (
            f"1 % of {figures['memberships']:,} memberships in {audiences:,} audiences on three platforms",
            f"{BAR_SECONDS / 60:.0f} min",
            f"{figures['seconds'] / 60:.1f} min",
        ),
        ("peak memory", f"{BAR_MIB:,} MiB", f"{figures['peak_mib']:,.0f} MiB"),
        ("sent and removed", "", f"{figures['sent']:,} and {figures['removed']:,} people"),
        (
            "requests",
            "",
            ", ".join(f"{name} {sum(one['requests'].values()):,}" for name, one in quotas.items()),
        ),
        ("audiences as they should be afterwards", "all", f"{checked:,} of {audiences * len(PLATFORMS):,}"),
        (
            "the same day once more: nothing to do",
            "",
            f"{again['seconds']:.0f} s, {again['requests']:,} requests",
        ),
        (
            "under the published quotas (computed)",
            "",
            ", ".join(f"{name} {one['seconds'] / 60:.1f} min" for name, one in quotas.items())
            + f"; the slowest waits for {', '.join(quotas[slowest]['waited_for']) or 'nothing'}",
        ),
        ("preparation, not counted", "", f"{prepared / 60:.1f} min"),
    ]
    met = (
        figures["seconds"] <= BAR_SECONDS
        and figures["peak_mib"] <= BAR_MIB
        and checked == audiences * len(PLATFORMS)
    )
    return publish("many", rows, {**figures, "again": again, "checked": checked}, met=met)


def prepare(folder: Path, customers: int, audiences: int, members: int) -> None:
    """Who is in which audience on two days: numbers of customers, sorted, one audience after the other."""
    table = identifiers(customers, 1)
    table.write_parquet(folder / "identifiers.parquet")
    consent_of_all(table["customer_id"]).write_parquet(folder / "consent.parquet")
    draw = np.random.default_rng(2)
    sizes = draw.lognormal(0.0, 0.6, audiences)
    sizes = np.clip((sizes * members / sizes.mean()).astype(np.int64), 5_000, customers // 4)
    days: tuple[list[Numbers], list[Numbers]] = ([], [])
    for size in sizes:
        few = max(1, int(size * CHANGED))
        drawn = np.unique(draw.integers(0, customers, int(size * 1.2) + few, dtype=np.int32))
        chosen = draw.permutation(drawn)[: size + few]
        days[0].append(np.sort(chosen[:-few]))
        days[1].append(np.sort(chosen[few:]))
    for number, day in enumerate(days):
        np.save(folder / f"members_{number}.npy", np.concatenate(day))
        np.save(folder / f"ends_{number}.npy", np.cumsum([len(one) for one in day]))


def members_of(folder: Path, day: int) -> Iterator[Numbers]:
    """The audiences of a day, one after the other, from the disk."""
    everybody = np.load(folder / f"members_{day}.npy", mmap_mode="r")
    ends = np.load(folder / f"ends_{day}.npy")
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        yield everybody[start:end]


def before(folder: Path, address: str) -> dict[str, Any]:
    """What was there before: ledger and snapshots of all people, and the audiences in the sandbox."""
    from audience_pipeline.delivery.recipients import recipients
    from audience_pipeline.ledger import Ledger, deliveries
    from audience_pipeline.ledger.members import MemberStore
    from audience_pipeline.ledger.records import (
        AudienceKey,
        AudienceState,
        Batch,
        BatchState,
        Delivery,
        DeliveryState,
        PlatformAudience,
    )
    from audience_pipeline.platforms.contract import Platform

    yesterday = datetime.now(UTC) - timedelta(days=1)
    table = pl.read_parquet(folder / "identifiers.parquet")
    audiences = len(np.load(folder / "ends_0.npy"))

    def one_platform(name: str) -> None:
        platform, known = Platform(name), recipients(Platform(name), table)
        people = known.select("customer_id", "fingerprint")
        store.variants(platform).remember(known)
        made = clients(address, ACCOUNTS[name], unpaced=True)[name]
        for number, numbers in enumerate(members_of(folder, 0)):
            client, audience = made[number * len(made) // audiences], f"audience {number:04}"
            key = AudienceKey(platform, client.account, audience)
            remote_id = _make(client, audience, known, numbers, full=number % FULL == 0)
            delivery = Delivery(f"{name}-{number:04}", key, FIRST_DAY, yesterday, wanted=len(numbers))
            batch = Batch(
                f"{delivery.delivery_id}-1",
                delivery.delivery_id,
                1,
                "add",
                len(numbers),
                BatchState.PLANNED,
                yesterday,
            )
            with ledger.begin() as connection:
                deliveries.put_audience(
                    connection, PlatformAudience(key, audience, AudienceState.ACTIVE, yesterday, remote_id)
                )
                deliveries.start(connection, delivery)
            store.plan_batch(key, batch, people[numbers], people.clear())
            settled = _with(
                batch, state=BatchState.SETTLED, accepted=len(numbers), rejected=0, sent_at=yesterday
            )
            store.settle_batch(key, settled)
            store.compact(key)
            done = _with(delivery, state=DeliveryState.SETTLED, finished_at=yesterday, sent=len(numbers))
            with ledger.begin() as connection:
                deliveries.finish(connection, done)

    with Ledger.open(f"sqlite:///{folder}/ledger.db") as ledger:
        store = MemberStore(ledger, folder / "delivered")
        with ThreadPoolExecutor(len(PLATFORMS)) as threads:
            list(threads.map(one_platform, PLATFORMS))
    return {}


def _with(record: Any, **changes: Any) -> Any:
    from dataclasses import replace

    return replace(record, **changes)


def _make(client: Any, audience: str, known: pl.DataFrame, numbers: Numbers, *, full: bool) -> str:
    """The audience in the sandbox."""
    from audience_pipeline.platforms.contract import Member, UploadSession

    columns = client.capabilities.identifiers

    def as_members(some: Numbers) -> list[Member]:
        sent = known[some].select("customer_id", *(_on_the_wire(known, name) for name in columns))
        return [Member(who, dict(zip(columns, values, strict=True))) for who, *values in sent.iter_rows()]

    if not client.capabilities.creates_empty:
        first = numbers if full else numbers[-ENOUGH:]
        return str(client.create_with(audience, as_members(first)).remote_id)
    remote_id: str = client.create(audience, "")
    size = client.capabilities.batch_rows
    for start in range(0, len(numbers) if full else 0, size):
        some = as_members(numbers[start : start + size])
        client.send(
            remote_id,
            "add",
            some,
            UploadSession(
                int(remote_id) % 10**9 * 10**6 + start + 1, 1, last=True, estimated_total=len(some)
            ),
        )
    return remote_id


def _on_the_wire(table: pl.DataFrame, name: str) -> pl.Expr:
    return pl.col(name).bin.encode("hex") if table.schema[name] == pl.Binary else pl.col(name)


def day(folder: Path, address: str) -> dict[str, Any]:
    """The day that is measured: from the stored tables to three platforms."""
    from audience_pipeline.audiences import eligibility
    from audience_pipeline.delivery.recipients import recipients
    from audience_pipeline.delivery.run import Task, sync_all
    from audience_pipeline.ledger import Ledger
    from audience_pipeline.ledger.members import MemberStore
    from audience_pipeline.platforms.contract import CAPABILITIES, Platform

    counter = _Counter()
    with measured() as figures, Ledger.open(f"sqlite:///{folder}/ledger.db") as ledger:
        store = MemberStore(ledger, folder / "delivered")
        table = pl.read_parquet(folder / "identifiers.parquet")
        consent = pl.read_parquet(folder / "consent.parquet")

        def to(name: str) -> list[Any]:
            platform = Platform(name)
            standing = eligibility.standing(table, consent, CAPABILITIES[platform])
            allowed = standing.filter(pl.col("reason").is_null()).select("customer_id")
            # Everybody is reachable and has agreed, so that a customer's number is the place of the row.
            known = recipients(platform, table).join(
                allowed, on="customer_id", how="semi", maintain_order="left"
            )

            def task(number: int, numbers: Numbers) -> Task:
                return Task(f"audience {number:04}", lambda: known[numbers])

            tasks = (task(number, numbers) for number, numbers in enumerate(members_of(folder, 1)))
            made = clients(address, ACCOUNTS[name], unpaced=True)[name]
            return sync_all(store, made, tasks, as_of=FIRST_DAY + timedelta(days=1)).reports

        with ThreadPoolExecutor(len(PLATFORMS)) as threads:
            reports = [report for found in threads.map(to, PLATFORMS) for report in found]
    troubled = [report.text() for report in reports if not report.ok]
    assert not troubled, troubled[:3]
    return {
        **figures,
        "memberships": int(np.load(folder / "ends_1.npy")[-1]) * len(PLATFORMS),
        "sent": sum(one.sent for one in reports),
        "removed": sum(one.removed for one in reports),
        "requests": len(counter.sent),
        "quotas": waits(counter.sent),
    }


class _Counter:
    """Counts the requests of this process by platform and class."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        lock, send = threading.Lock(), requests.Session.send

        def counted(session: requests.Session, request: requests.PreparedRequest, **named: Any) -> Any:
            with lock:
                self.sent.append(Sent(*class_of(request.method or "", request.path_url)))
            return send(session, request, **named)

        requests.Session.send = counted  # type: ignore[method-assign, assignment]


def check(folder: Path, address: str) -> int:
    """How many audiences hold exactly whom they should, given with whom they began."""
    emails = pl.read_parquet(folder / "identifiers.parquet", columns=["meta_email"])["meta_email"]
    hashes = emails.bin.encode("hex")
    remote = {name: {one["name"]: one["id"] for one in audiences_of(address, name)} for name in PLATFORMS}
    right = 0
    days = zip(members_of(folder, 0), members_of(folder, 1), strict=True)
    for number, (first, last) in enumerate(days):
        for name in PLATFORMS:
            there = first[-ENOUGH:] if name == "tiktok" else first[:0]
            if number % FULL == 0:
                there = first
            gone, new = np.setdiff1d(first, last), np.setdiff1d(last, first)
            should = np.union1d(np.setdiff1d(there, gone), new)
            held = emails_held(address, name, remote[name][f"audience {number:04}"])
            right += held == set(hashes.gather(should.tolist()))
    return right


STEPS: dict[str, Callable[[Path, str], dict[str, Any]]] = {"before": before, "day": day, "again": day}


def main() -> None:
    """Do one step; its figures are the last line of the output."""
    options = argparse.ArgumentParser()
    options.add_argument("--step", nargs=3, required=True)
    step, folder, address = options.parse_args().step
    print(json.dumps(STEPS[step](Path(folder), address)))


if __name__ == "__main__":
    main()
