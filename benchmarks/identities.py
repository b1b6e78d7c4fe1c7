"""How long it takes to see who is who: ``python benchmarks/identities.py``; 1,000,000 links are the bar."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from audience_pipeline.customers.identities import resolve
from audience_pipeline.customers.identities_links import Landed, said
from audience_pipeline.identifiers.source_ids import EMAIL, hashed_id

BAR_LINKS, BAR_SECONDS = 1_000_000, 30.0
RESULTS = Path(__file__).parent / "results" / "identities.json"
AS_OF = date(2025, 12, 31)
LANDINGS = {"contacts": 1, "visits": 2, "letters": 3}
FIRST_NAMES = 2_000


def make_landed(links: int, folder: Path, seed: int = 7) -> None:
    """Contacts, visits and newsletter readers that say about so many links.

    Of 100 people 12 have a second customer id, a third share a phone number with one other person, and as
    many came by newsletter; each has two browsers, and one in a thousand browsers stands in a shop.
    """
    rng = np.random.default_rng(seed)
    people = max(links // 7, 1)
    second = np.flatnonzero(rng.random(people) < 0.12)
    who = np.concatenate([np.arange(people), second])
    number = np.arange(len(who))
    family = np.where(rng.random(people) < 0.33, rng.integers(0, people, people), np.arange(people))
    loyal = rng.random(len(who)) < 0.4
    day = pl.Series(rng.integers(19_000, 20_400, len(who)).astype(np.int32)).cast(pl.Date)
    pl.DataFrame(
        {
            "customer_id": _texts("C", number),
            "updated_at": day.cast(pl.Datetime("us")),
            "meta_email": _hashes(who),
            "meta_phone": _hashes(family[who] + 2**40),
            "meta_first_name": _hashes(who * 7919 % FIRST_NAMES + 2**41),
            "loyalty_id": pl.Series(np.where(loyal, who, -1)).replace(-1, None),
            "landing_id": ["contacts"] * len(who),
            "line": number + 2,
        }
    ).with_columns(pl.format("L{}", "loyalty_id").alias("loyalty_id")).write_parquet(folder / "crm.parquet")
    browser = np.arange(2 * people)
    public = rng.random(2 * people) < 0.001
    browser = np.where(public, browser // 1000, browser + 10**6)
    visits = np.repeat(browser, 2)
    logged_in = np.tile([True, False], 2 * people)
    pl.DataFrame(
        {
            "customer_id": pl.Series(np.where(logged_in, np.repeat(np.arange(2 * people) // 2, 2), -1)),
            "anonymous_id": _texts("a", visits),
            "click_id": _texts("g", np.arange(len(visits)) // 2),
            "event_date": pl.Series(rng.integers(19_000, 20_400, len(visits)).astype(np.int32)).cast(pl.Date),
            "landing_id": ["visits"] * len(visits),
            "line": np.arange(len(visits)) + 2,
        }
    ).with_columns(
        pl.when(pl.col("customer_id") >= 0).then(pl.format("C{}", "customer_id")).alias("customer_id"),
        pl.when(pl.col("customer_id") % 3 == 0).then("click_id").alias("click_id"),
    ).write_parquet(folder / "web.parquet")
    readers = _hashes(rng.permutation(people)[: people // 3])
    pl.DataFrame(
        {
            "meta_email": readers,
            "event_date": [date(2025, 3, 1)] * len(readers),
            "landing_id": ["letters"] * len(readers),
            "line": np.arange(len(readers)) + 2,
        }
    ).with_columns(hashed_id(EMAIL, "meta_email").alias("customer_id")).write_parquet(
        folder / "engagement.parquet"
    )


def naive(links: pl.DataFrame) -> int:
    """Connected components of the same links without any guard, by union-find over dictionaries."""
    parent: dict[tuple[int, str], tuple[int, str]] = {}

    def find(node: tuple[int, str]) -> tuple[int, str]:
        root = node
        while parent.setdefault(root, root) != root:
            root = parent[root]
        while parent[node] != root:
            parent[node], node = root, parent[node]
        return root

    for source, kind, value in links.select("source_id", "kind", "value").iter_rows():
        parent[find((-1, source))] = find((kind, value))
    return len({find(node) for node in list(parent)})


def main() -> int:
    """Make tables, resolve them from Parquet, and print and write what it took."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--links", type=int, nargs="+", default=[100_000, 1_000_000])
    options.add_argument("--made", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.made:
        return _measured(given.made)
    rows = []
    for links in given.links:
        with tempfile.TemporaryDirectory(prefix="identities-") as folder:
            make_landed(links, Path(folder))
            rows.append(json.loads(_in_its_own_process(Path(folder))))
    print(f"{'links':>10} {'customers':>10} {'seconds':>8} {'CPU':>6} {'GiB':>6} {'naive':>8} {'CPU':>6}")
    for row in rows:
        print(
            f"{row['links']:>10,} {row['customers']:>10,} {row['seconds']:>8.1f} "
            f"{row['cpu_seconds']:>6.1f} {row['peak_gib']:>6.2f} {row['naive_seconds']:>8.1f} "
            f"{row['naive_cpu_seconds']:>6.1f}"
        )
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    late = [row for row in rows if row["links"] <= 1.2 * BAR_LINKS and row["seconds"] > BAR_SECONDS]
    return 1 if late else 0


def _measured(folder: Path) -> int:
    landed = Landed(
        **{name: pl.scan_parquet(folder / f"{name}.parquet") for name in ("crm", "web", "engagement")}
    )
    begun, worked = time.perf_counter(), time.process_time()
    resolved = resolve(landed, AS_OF, LANDINGS)
    seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    links = said(landed, AS_OF, LANDINGS).links
    begun, worked = time.perf_counter(), time.process_time()
    naive(links)
    naive_seconds, naive_cpu_seconds = time.perf_counter() - begun, time.process_time() - worked
    refused = resolved.decisions.filter(pl.col("decision") == "refused")
    json.dump(
        {
            "links": links.height,
            "source_ids": resolved.identities.height,
            "customers": resolved.identities["customer_id"].n_unique(),
            "merges": resolved.decisions.height - refused.height,
            "refused": dict(refused["reason"].value_counts(sort=True).iter_rows()),
            "seconds": round(seconds, 2),
            "cpu_seconds": round(cpu_seconds, 2),
            "peak_gib": round(peak, 3),
            "naive_seconds": round(naive_seconds, 2),
            "naive_cpu_seconds": round(naive_cpu_seconds, 2),
            "naive": "union-find over dictionaries of the links that were read, without guards or decisions",
        },
        sys.stdout,
    )
    return 0


def _in_its_own_process(folder: Path) -> str:
    import subprocess

    command = [sys.executable, __file__, "--made", str(folder)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _texts(prefix: str, numbers: np.ndarray) -> pl.Series:
    return pl.select(pl.format(prefix + "{}", pl.Series(numbers))).to_series()


def _hashes(numbers: np.ndarray) -> pl.Series:
    """Thirty-two bytes each, equal where the numbers are."""
    words = np.repeat(numbers.astype(np.uint64)[:, None], 4, axis=1) * np.array(
        [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5], dtype=np.uint64
    )
    return pl.Series([row.tobytes() for row in words], dtype=pl.Binary)


if __name__ == "__main__":
    sys.exit(main())
