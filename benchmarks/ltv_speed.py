"""How long training and scoring take: ``python benchmarks/ltv_speed.py``; the bars are in ``BARS``.

Files of transactions are made, ten lines a customer, and given to ``audience-pipeline ltv``; the parts of
scoring that come before the model (reading, orders, features) are measured once more by themselves.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

RESULTS = Path(__file__).parent / "results" / "ltv_speed.json"
LAST_DAY = date(2025, 12, 31)
DAYS = 1095
CATEGORIES = ("bags", "beauty", "books", "food", "garden", "home", "kids", "shoes", "sport", "toys")
CHANNELS = ("direct", "email", "organic", "paid_search", "paid_social")
BARS: dict[str, tuple[float, int]] = {"score 1,000,000": (60.0, 4096), "train 100,000": (300.0, 2048)}
"""Seconds and MiB at most, on two cores."""


def make_transactions(customers: int, lines: int, path: Path, seed: int = 7) -> None:
    """Write lines of customers who come at their own pace and drop out; the last day is among them."""
    rng = np.random.default_rng(seed)
    pace = rng.gamma(0.8, 1.0, customers) + 0.05
    who = np.repeat(np.arange(customers), 1 + rng.multinomial(lines - customers, pace / pace.sum()))
    joined = rng.integers(0, DAYS, customers)[who]
    first = np.r_[True, who[1:] != who[:-1]]
    stays = np.minimum(rng.exponential(400, customers)[who], DAYS - 1 - joined)
    day = np.where(first, joined, joined + (rng.random(len(who)) * (stays + 1)).astype(np.int64))
    day[-1] = DAYS - 1
    cents = np.exp(rng.normal(0, 0.6, customers)[who] + rng.normal(8, 0.6, len(who))).astype(np.int64) + 1
    back = (rng.random(len(who)) < 0.05) & ~first
    order = np.argsort(day, kind="stable")
    begin = LAST_DAY.toordinal() - date(1970, 1, 1).toordinal() - DAYS + 1
    pl.DataFrame(
        {
            "who": who[order],
            "day": (begin + day[order]).astype(np.int32),
            "cents": np.where(back, -cents, cents)[order],
            "category": rng.integers(0, len(CATEGORIES), len(who)),
            "channel": rng.integers(0, len(CHANNELS), len(who)),
        }
    ).lazy().select(
        pl.format("C{}", pl.col("who").cast(pl.String).str.zfill(8)).alias("customer_id"),
        pl.col("day").cast(pl.Date).alias("transaction_date"),
        (pl.col("cents") * 0.01).round(2).alias("transaction_amount"),
        _chosen("category", CATEGORIES).alias("product_category"),
        pl.format("O{}", pl.int_range(pl.len())).alias("order_id"),
        _chosen("channel", CHANNELS),
    ).sink_parquet(path)  # fmt: skip


def _chosen(name: str, values: Sequence[str]) -> pl.Expr:
    return pl.col(name).replace_strict(list(range(len(values))), list(values), return_dtype=pl.String)


def measured(what: str, command: Sequence[str | Path]) -> dict[str, Any]:
    """Run a command; its wall time, processor time and greatest memory."""
    begin = time.perf_counter()
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    words = [str(part) for part in command]
    pid = os.posix_spawn(words[0], words, os.environ, file_actions=silent)
    _, status, used = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{what}: the command failed, see above")
    return {
        "what": what,
        "seconds": round(time.perf_counter() - begin, 1),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mib": round(used.ru_maxrss / 1024),
    }


def main() -> int:
    """Make the files, run the commands, print and write what they took; 1 where a bar is missed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--customers", type=int, nargs="+", default=[100_000, 300_000, 1_000_000], help="sizes to score"
    )
    options.add_argument("--largest", action="store_true", help="score 3,000,000 customers too")
    options.add_argument("--train-customers", type=int, default=100_000)
    options.add_argument("--part", choices=("read", "orders"), help=argparse.SUPPRESS)
    options.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.part:
        return _part(given.part, given.file)
    sizes = [*given.customers, *([3_000_000] if given.largest else [])]
    program = Path(sys.executable).with_name("audience-pipeline")
    rows = []
    with tempfile.TemporaryDirectory(prefix="ltv-speed-") as name:
        folder = Path(name)
        model, file = folder / "model", folder / "transactions.parquet"
        make_transactions(given.train_customers, 15 * given.train_customers, file)
        train = (program, "ltv", "train", "--transactions", file, "--model", model)
        rows.append(measured(f"train {given.train_customers:,}", train))
        for customers in sizes:
            make_transactions(customers, 10 * customers, file)
            score = (program, "ltv", "score", "--model", model, "--transactions", file)
            rows.append(measured(f"score {customers:,}", (*score, "--output", folder / "values.parquet")))
            for part in ("read", "orders"):
                command = (Path(sys.executable), __file__, "--part", part, "--file", file)
                rows.append(measured(f"{_PARTS[part]} {customers:,}", command))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({"cores": os.cpu_count(), "runs": rows}, indent=2) + "\n", encoding="utf-8")
    print(f"{'':40}{'seconds':>10}{'processor':>12}{'MiB':>9}")
    for row in rows:
        print(
            f"{row['what']:40}{row['seconds']:>10.1f}{row['processor_seconds']:>12.1f}{row['peak_mib']:>9,}"
        )
    missed = [
        f"{row['what']}: the bar is {bar[0]:.0f} s and {bar[1]:,} MiB."
        for row in rows
        if (bar := BARS.get(row["what"])) and (row["seconds"] > bar[0] or row["peak_mib"] > bar[1])
    ]
    print("\n".join(missed), end="\n" if missed else "")
    return 1 if missed else 0


_PARTS = {"read": "- of it reading", "orders": "- of it reading, orders, features"}


def _part(part: str, file: Path) -> int:
    """Read a file and, if asked, make orders and features of it some customers at a time."""
    from audience_pipeline.customers.parts import orders_in_parts
    from audience_pipeline.features.customer_features import customer_features
    from audience_pipeline.sources.options import ReadOptions, ShopFacts
    from audience_pipeline.sources.single import read_transactions

    with tempfile.TemporaryDirectory(prefix="ltv-speed-") as folder:
        lines, report = read_transactions(file, ReadOptions(), ShopFacts(), Path(folder))
        if part == "orders":
            for orders in orders_in_parts(lines, Path(folder), report.landed):
                customer_features(orders.lazy(), LAST_DAY).collect()
    return 0


if __name__ == "__main__":
    sys.exit(main())
