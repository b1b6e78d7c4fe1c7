"""How long audiences take: ``python benchmarks/audiences.py``; the bar is 1,000 over a million customers.

Profile and activity are read from Parquet, the activity stored for previews, all audiences evaluated, stored,
and compared with the day before.
Beside it, what one query per audience over the same tables in DuckDB takes; both find the same members.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import duckdb
import polars as pl
from audiences_data import AS_OF, make_definitions, write_activity, write_profile

from audience_pipeline.audiences.activity import EVENTS, WEEKDAYS
from audience_pipeline.audiences.activity_counts import asked_by
from audience_pipeline.audiences.activity_files import read_activity_files, write_activity_files
from audience_pipeline.audiences.definition import Definition, Definitions
from audience_pipeline.audiences.evaluation import rules_of
from audience_pipeline.audiences.membership import attempts
from audience_pipeline.audiences.rules import (
    AllOf,
    AnyOf,
    Did,
    In,
    InList,
    InSegment,
    Not,
    Rule,
    Where,
    leaves,
)
from audience_pipeline.audiences.stored import People, differences, stored, stored_sizes
from audience_pipeline.customers.mapped import rows_of

CUSTOMERS, ACTIVITY_ROWS = 1_000_000, 20_000_000
SIZES = (10, 100, 1_000)
COMPARED = 100
BAR_SECONDS, BAR_MIB, BAR_DIFFERENCES = 60.0, 2048, 0.1
RESULTS = Path(__file__).parent / "results" / "audiences.json"
SEED = 5


def main() -> int:
    """Make the tables, measure each number of audiences, and print and write what it took."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--customers", type=int, default=CUSTOMERS)
    options.add_argument("--activity-rows", type=int, default=ACTIVITY_ROWS)
    options.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.step:
        step, folder, audiences = given.step
        found = {"day": _day, "compare": _compare, "queries": _queries}[step](Path(folder), int(audiences))
        print(json.dumps(found))
        return 0
    with tempfile.TemporaryDirectory(prefix="audiences-") as name:
        folder = Path(name)
        write_profile(folder / "profile_before.parquet", given.customers, 1, changed=0.02)
        write_profile(folder / "profile.parquet", given.customers, 1)
        rows = write_activity(folder / "activity.parquet", given.customers, given.activity_rows, 2)
        measured = []
        for audiences in SIZES:
            (folder / "2026-06-29.parquet").unlink(missing_ok=True)
            _in_its_own_process("day", folder, audiences)
            (folder / "2026-06-30.parquet").replace(folder / "2026-06-29.parquet")
            (folder / "profile.parquet").rename(folder / "profile_today.parquet")
            (folder / "profile_before.parquet").rename(folder / "profile.parquet")
            today = _in_its_own_process("day", folder, audiences)
            (folder / "profile.parquet").rename(folder / "profile_before.parquet")
            (folder / "profile_today.parquet").rename(folder / "profile.parquet")
            measured.append(today | _in_its_own_process("compare", folder, audiences))
            if audiences == COMPARED:
                queries = _in_its_own_process("queries", folder, audiences)
    figures = {"customers": given.customers, "activity_rows": rows, "runs": measured, "queries": queries}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    _print(measured, queries)
    last = measured[-1]
    bars = {
        f"{BAR_SECONDS:.0f} s": last["seconds"] <= BAR_SECONDS,
        f"{BAR_MIB:,} MiB": last["peak_mib"] <= BAR_MIB,
        f"{BAR_DIFFERENCES} s for the differences": last["differences_seconds"] <= BAR_DIFFERENCES,
    }
    missed = [bar for bar, met in bars.items() if not met]
    if missed and given.customers == CUSTOMERS:
        print(f"Bars that are missed: {', '.join(missed)}.")
        return 1
    return 0


def _print(measured: list[dict[str, float]], queries: dict[str, float]) -> None:
    print(
        f"{'audiences':>10}{'memberships':>14}{'conditions':>12}{'profile+activity':>18}{'evaluated':>11}"
        f"{'all':>8}{'CPU':>8}{'MiB':>8}{'differences':>13}"
    )
    for row in measured:
        print(
            f"{row['audiences']:>10,}{row['memberships']:>14,}{row['conditions']:>12,}"
            f"{row['loaded_seconds']:>18.1f}{row['evaluated_seconds']:>11.1f}{row['seconds']:>8.1f}"
            f"{row['cpu_seconds']:>8.1f}{row['peak_mib']:>8,}{row['differences_seconds']:>13.3f}"
        )
    print(
        f"One query per audience in DuckDB, {queries['audiences']:,} audiences: {queries['seconds']:.1f} s, "
        f"{queries['peak_mib']:,} MiB; {queries['equal']:,} of them hold as many members."
    )


def _in_its_own_process(step: str, folder: Path, audiences: int) -> dict[str, float]:
    """Measured apart, so that the peak is that of the step."""
    command = [sys.executable, __file__, "--step", step, str(folder), str(audiences)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def _day(folder: Path, audiences: int) -> dict[str, float]:
    definitions = make_definitions(audiences, SEED)
    start, cpu = time.perf_counter(), time.process_time()
    profile = folder / "profile.parquet"
    people = pl.read_parquet(profile, columns=["customer_id", "person_key", "customer_no"])
    dids = [leaf for leaf in _leaves(definitions) if isinstance(leaf, Did)]
    with tempfile.TemporaryDirectory(dir=folder) as name:
        # As a refresh does: all of it is stored for previews, and what is asked for is read of that.
        places = rows_of(people["customer_id"])
        write_activity_files(
            Path(name), folder / "activity.parquet", places, AS_OF, rows=people.height, made={}
        )
        del places
        activity = read_activity_files(Path(name), **asked_by(dids))
    loaded = time.perf_counter()
    table, failed = stored(attempts(profile, definitions, activity=activity), People.of(people), "benchmark")
    assert not failed
    evaluated = time.perf_counter()
    table.write_parquet(folder / f"{AS_OF}.parquet", compression="uncompressed")
    end = time.perf_counter()
    return {
        "audiences": audiences,
        "with_did": sum(audience.asks_for_events for audience in definitions),
        "conditions": len(set(_leaves(definitions))),
        "memberships": int(table["size"].sum()),
        "held_out": int(table["held_out"].sum()),
        "stored_mib": round((folder / f"{AS_OF}.parquet").stat().st_size / 2**20),
        "loaded_seconds": round(loaded - start, 2),
        "evaluated_seconds": round(evaluated - loaded, 2),
        "seconds": round(end - start, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _leaves(definitions: Definitions) -> list[Where | In | InSegment | InList | Did]:
    return [leaf for rule in rules_of(definitions) for leaf in leaves(rule)]


def _compare(folder: Path, audiences: int) -> dict[str, float]:  # noqa: ARG001
    yesterday, today = folder / f"{AS_OF - timedelta(days=1)}.parquet", folder / f"{AS_OF}.parquet"
    times = []
    for _ in range(5):
        start = time.perf_counter()
        changes = differences(yesterday, today)
        times.append(time.perf_counter() - start)
    changed = changes.filter((pl.col("added") > 0) | (pl.col("removed") > 0))
    return {"differences_seconds": round(sorted(times)[2], 4), "changed_audiences": changed.height}


def _queries(folder: Path, audiences: int) -> dict[str, float]:
    """One query per audience, each with all that it asks; the audiences it is made of are in line."""
    definitions = make_definitions(audiences, SEED)
    start = time.perf_counter()
    with duckdb.connect(":memory:") as connection:
        for name in ("profile", "activity"):
            path = folder / f"{name if name == 'activity' else 'profile_before'}.parquet"
            connection.execute(f"create table {name} as select * from read_parquet('{path}')")
        connection.execute(
            "create view events as select *, [" + ", ".join(f"'{day}'" for day in WEEKDAYS) + "]"
            f"[isodow(activity_date)] as weekday from activity where activity_date <= date '{AS_OF}'"
        )
        counts = {
            audience.name: connection.execute(
                f"select count(*) from profile where {_members(audience, definitions)}"
            ).fetchone()[0]
            for audience in definitions
        }
    seconds = round(time.perf_counter() - start, 2)
    sizes = dict(stored_sizes(folder / f"{AS_OF}.parquet").select("audience", "size").iter_rows())
    return {
        "audiences": audiences,
        "seconds": seconds,
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "equal": sum(counts[name] == size for name, size in sizes.items()),
    }


def _members(audience: Definition, definitions: Definitions) -> str:
    sql = _sql(audience.include, definitions)
    if audience.exclude:
        sql += f" and not {_sql(audience.exclude, definitions)}"
    for rule in definitions.suppressions_of(audience):
        sql += f" and not {_sql(rule.include, definitions)}"
    return f"({sql})"


def _sql(rule: Rule, definitions: Definitions) -> str:
    match rule:
        case Where(criterion):
            return f"coalesce({criterion.sql}, false)"
        case Did(event, at_least, _, within_days, where):
            conditions = [f"activity = '{EVENTS[event]}'"]
            if within_days is not None:
                conditions.append(f"activity_date > date '{AS_OF - timedelta(days=within_days)}'")
            if where is not None:
                conditions.append(where.sql)
            return (
                f"(customer_id in (select customer_id from events where {' and '.join(conditions)} "
                f"group by customer_id having sum(events) >= {at_least}))"
            )
        case In(audience):
            return _members(definitions[audience], definitions)
        case AllOf(rules):
            return f"({' and '.join(_sql(one, definitions) for one in rules)})"
        case AnyOf(rules):
            return f"({' or '.join(_sql(one, definitions) for one in rules)})"
        case Not(inner):
            return f"(not {_sql(inner, definitions)})"
    raise AssertionError(rule)


if __name__ == "__main__":
    sys.exit(main())
