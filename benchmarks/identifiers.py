"""Hashing e-mail addresses and phone numbers for three platforms: seconds and peak memory.

    python benchmarks/identifiers.py                   10 million identifiers of 5 million people
    python benchmarks/identifiers.py --people 500000   1 million

The promise is 10 million identifiers in under 60 s on 2 cores, in memory that does not grow with them. The
people are made from a seed: a third have Gmail addresses, some with dots and tags; numbers of four countries
are written in eight ways; one in fifty of either cannot be used.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SECONDS, GIGABYTES = 60.0, 1.0
BATCH, CHECKED = 200_000, 2_000
RESULTS = Path(__file__).parent / "results"
KINDS = {"e-mail addresses": ["email"], "phone numbers": ["phone"], "both": ["email", "phone"]}


def write_people(path: Path, people: int, seed: int) -> None:
    """Write ``customer_id, email, phone, country`` as a CRM would have them, a batch at a time."""
    import numpy as np
    import polars as pl
    import pyarrow.parquet as pq

    generator = np.random.default_rng(seed)
    writer = None
    for first in range(0, people, BATCH):
        n = min(BATCH, people - first)
        draw = {name: generator.random(n) for name in ("domain", "tag", "case", "bad_email", "bad_phone")}
        frame = pl.DataFrame(draw).with_columns(
            pl.int_range(first, first + n).cast(pl.String).alias("number"),
            pl.Series("way", generator.integers(0, 8, n)),
            pl.Series("line", generator.integers(2_000_000, 9_999_999, n)).cast(pl.String),
        )
        number, line = pl.col("number"), pl.col("line")
        domain = (
            pl.when(pl.col("domain") < 0.33)
            .then(pl.lit("gmail.com"))
            .when(pl.col("domain") < 0.6)
            .then(pl.lit("outlook.com"))
            .otherwise(pl.lit("shop") + (pl.col("domain") * 1000).cast(pl.Int64).cast(pl.String) + ".example")
        )
        tag = pl.when(pl.col("tag") < 0.1).then(pl.lit("+news")).otherwise(pl.lit(""))
        email = pl.lit("ann.smith.") + number + tag + "@" + domain
        email = pl.when(pl.col("case") < 0.2).then(email.str.to_uppercase() + " ").otherwise(email)
        ways = {
            0: pl.format("+1 212 {}-{}", line.str.slice(0, 3), line.str.slice(3)),
            1: pl.format("(415) {}-{}", line.str.slice(0, 3), line.str.slice(3)),
            2: pl.format("303{}", line),
            3: pl.format("+49 1512 {}", line),
            4: pl.format("0049 1512 {}", line),
            5: pl.format("+44 (0) 7400 {}", line.str.slice(0, 6)),
            6: pl.format("+447400{}", line.str.slice(0, 6)),
            7: pl.format("+33 6 12 {}", line.str.slice(0, 6)),
        }
        phone = pl.coalesce(pl.when(pl.col("way") == way).then(written) for way, written in ways.items())
        made = frame.select(
            (pl.lit("C") + number).alias("customer_id"),
            pl.when(pl.col("bad_email") < 0.02).then(pl.lit("none")).otherwise(email).alias("email"),
            pl.when(pl.col("bad_phone") < 0.02).then(pl.lit("0000000")).otherwise(phone).alias("phone"),
        ).to_arrow(compat_level=pl.CompatLevel.oldest())
        writer = writer or pq.ParquetWriter(path, made.schema)
        writer.write_table(made)
    if writer is not None:
        writer.close()


def hash_once(folder: Path, columns: list[str]) -> None:
    """Hash the people's columns into a file; runs in a process of its own and prints what it measured."""
    import polars as pl
    import pyarrow.parquet as pq

    from audience_pipeline.identifiers import contact_hashes

    started = time.perf_counter()
    identifiers = hashes = 0
    writer = None
    with pq.ParquetFile(folder / "people.parquet") as people:
        for batch in people.iter_batches(BATCH, columns=["customer_id", *columns]):
            contacts = pl.DataFrame(pl.from_arrow(batch))
            hashed = contact_hashes(contacts, "US")
            wanted = [name for name in hashed.columns if name.rpartition("_")[2] in columns]
            identifiers += contacts.height * len(columns)
            hashes += sum(hashed[name].len() - hashed[name].null_count() for name in wanted)
            table = hashed.select("customer_id", *wanted).to_arrow(compat_level=pl.CompatLevel.oldest())
            writer = writer or pq.ParquetWriter(folder / "hashed.parquet", table.schema)
            writer.write_table(table)
    if writer is not None:
        writer.close()
    measured = {"seconds": time.perf_counter() - started, "identifiers": identifiers, "hashes": hashes}
    print(json.dumps(measured))


def wrong(folder: Path) -> int:
    """Of the first identifiers, those whose hashes are not what the rules say of each alone."""
    import polars as pl

    from audience_pipeline.identifiers import hashed

    rules = {
        "meta_email": ("email", "meta", "email"),
        "google_email": ("email", "google", "email"),
        "tiktok_email": ("email", "tiktok", "email"),
        "meta_phone": ("phone", "meta", "phone"),
        "google_phone": ("phone", "tiktok", "phone_streaming"),
    }
    raw = pl.read_parquet(folder / "people.parquet", n_rows=CHECKED)
    made = pl.read_parquet(folder / "hashed.parquet", n_rows=CHECKED)
    return sum(
        (None if found is None else found.hex()) != hashed(owner, identifier, value, "US")
        for column, (source, owner, identifier) in rules.items()
        for value, found in zip(raw[source], made[column], strict=True)
    )


def measured(folder: Path, kind: str) -> dict[str, float]:
    """Hash in a new process; its figures, with peak memory and processor time from the system."""
    command = [sys.executable, __file__, "--hash", kind, "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        answer = process.stdout.read() if process.stdout else ""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"hashing failed with {process.returncode}")
    unit = 1 if platform.system() == "Darwin" else 1024
    figures: dict[str, float] = json.loads(answer)
    return figures | {
        "peak_gib": used.ru_maxrss * unit / 2**30,
        "cpu_seconds": used.ru_utime + used.ru_stime,
    }


def main() -> None:
    """Make the people, hash them, check some one by one, and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=5_000_000, help="an address and a number each")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--hash", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.hash:
        hash_once(given.folder, KINDS[given.hash])
        return
    with tempfile.TemporaryDirectory(prefix="identifiers-benchmark-") as made:
        folder = Path(made)
        write_people(folder / "people.parquet", given.people, given.seed)
        figures = {kind: measured(folder, kind) for kind in KINDS}
        differing = wrong(folder)
    print(f"\n{os.cpu_count()} cores\n")
    print(f"{'':20}{'identifiers':>13}{'hashes':>13}{'seconds':>9}{'CPU s':>8}{'peak GiB':>10}")
    for kind, each in figures.items():
        print(
            f"{kind:20}{each['identifiers']:13,}{each['hashes']:13,}{each['seconds']:9.1f}"
            f"{each['cpu_seconds']:8.1f}{each['peak_gib']:10.2f}"
        )
    both = figures["both"]
    kept = both["seconds"] < SECONDS and both["peak_gib"] < GIGABYTES and not differing
    print(f"\nOf the first {CHECKED:,} people, hashes other than the rules say one by one: {differing}")
    print(f"Under {SECONDS:.0f} s and {GIGABYTES:.0f} GiB: {'yes' if kept else 'NO'}")
    RESULTS.mkdir(exist_ok=True)
    summary = {
        "people": given.people,
        "cores": os.cpu_count(),
        "kept": kept,
        "differing": differing,
        "figures": figures,
    }
    (RESULTS / "identifiers.json").write_text(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    main()
