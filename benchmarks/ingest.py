"""Landing a large CSV file of transactions: seconds and peak memory of a process of its own.

    python benchmarks/ingest.py                      10 million rows, 5 columns (1 million customers)
    python benchmarks/ingest.py --customers 100000   1 million rows

The promise is 10 million rows in under 20 s and 1 GiB on 2 cores. The file is made from a seed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ORDERS_EACH = 10
SECONDS, GIGABYTES = 20.0, 1.0
RESULTS = Path(__file__).parent / "results"
CATEGORIES = ("home", "garden", "toys", "books", "shoes", "sport", "food", "beauty")


def write_csv(path: Path, customers: int, seed: int) -> int:
    """Write the file, a year at a time so that making it needs little memory; the number of its rows."""
    import numpy as np
    import polars as pl

    generator = np.random.default_rng(seed)
    parts, rows = 20, customers * ORDERS_EACH
    with path.open("wb") as stream:
        for part in range(parts):
            n = rows * (part + 1) // parts - rows * part // parts
            first = dt.date(2022, 1, 1) + dt.timedelta(days=54 * part)
            frame = pl.DataFrame(
                {
                    "customer_id": generator.integers(1, customers + 1, n),
                    "transaction_date": generator.integers(0, 54, n),
                    "transaction_amount": generator.lognormal(3.5, 0.9, n).round(2),
                    "product_category": generator.choice(CATEGORIES, n),
                    "order_id": np.arange(n) + rows * part // parts,
                }
            )
            frame.select(
                pl.concat_str(pl.lit("C"), pl.col("customer_id").cast(pl.String).str.zfill(7)).alias(
                    "customer_id"
                ),
                (pl.lit(first) + pl.duration(days="transaction_date"))
                .cast(pl.Date)
                .alias("transaction_date"),
                "transaction_amount",
                "product_category",
                pl.concat_str(pl.lit("O"), pl.col("order_id").cast(pl.String)).alias("order_id"),
            ).write_csv(stream, include_header=part == 0, float_precision=2)
    return rows


def land_once(folder: Path, name: str) -> None:
    """Land one file; runs in a process of its own and prints what it measured."""
    from audience_pipeline.ledger.database import Ledger
    from audience_pipeline.sources.contract import Kind
    from audience_pipeline.sources.landing import land

    started = time.perf_counter()
    with Ledger.open(f"sqlite:///{folder / 'ledger.db'}") as ledger:
        report = land(Kind.TRANSACTIONS, folder / name, lake=folder / "lake", ledger=ledger)
    measured = {"seconds": time.perf_counter() - started, "read": report.rows_read, "landed": report.landed}
    print(json.dumps(measured | {"known": report.known}))


def measured(folder: Path, name: str) -> dict[str, float]:
    """Land a file in a new process; its figures, with peak memory and processor time from the system."""
    command = [sys.executable, __file__, "--land", name, "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        answer = process.stdout.read() if process.stdout else ""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"landing failed with {process.returncode}")
    unit = 1 if platform.system() == "Darwin" else 1024
    return json.loads(answer) | {
        "peak_gib": used.ru_maxrss * unit / 2**30,
        "cpu_seconds": used.ru_utime + used.ru_stime,
    }


def main() -> None:
    """Make the file, land it, land it again with a row more, and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--customers", type=int, default=1_000_000, help="ten transactions each")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--land", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.land:
        land_once(given.folder, given.land)
        return
    with tempfile.TemporaryDirectory(prefix="ingest-benchmark-") as made:
        folder = Path(made)
        rows = write_csv(folder / "orders.csv", given.customers, given.seed)
        megabytes = (folder / "orders.csv").stat().st_size / 1e6
        figures = {"first landing": measured(folder, "orders.csv")}
        (folder / "orders.csv").rename(folder / "again.csv")
        figures["same file again"] = measured(folder, "again.csv")
        with (folder / "again.csv").open("ab") as stream:
            stream.write(b"C0000001,2024-12-01,1.00,home,late\n")
        figures["same rows and one more"] = measured(folder, "again.csv")
    print(f"\n{rows:,} rows, {megabytes:,.0f} MB of CSV, {os.cpu_count()} cores\n")
    print(f"{'':24}{'seconds':>9}{'CPU s':>9}{'peak GiB':>10}{'landed':>14}{'known':>14}")
    for name, each in figures.items():
        print(
            f"{name:24}{each['seconds']:9.1f}{each['cpu_seconds']:9.1f}{each['peak_gib']:10.2f}"
            f"{each['landed']:14,}{each['known']:14,}"
        )
    first = figures["first landing"]
    kept = first["seconds"] < SECONDS and first["peak_gib"] < GIGABYTES
    print(f"\nUnder {SECONDS:.0f} s and {GIGABYTES:.0f} GiB: {'yes' if kept else 'NO'}")
    RESULTS.mkdir(exist_ok=True)
    summary = {
        "rows": rows,
        "megabytes": megabytes,
        "cores": os.cpu_count(),
        "kept": kept,
        "figures": figures,
    }
    (RESULTS / "ingest.json").write_text(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    main()
