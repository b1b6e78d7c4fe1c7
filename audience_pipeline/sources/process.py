"""One file from text to landed rows, quarantine and report, in a folder of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from audience_pipeline.sources import notices, quarantine, selection
from audience_pipeline.sources.contract import LANDED, Kind, day_column
from audience_pipeline.sources.engine import connect, one, parquet
from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.faults import Fault
from audience_pipeline.sources.files import SourceFile
from audience_pipeline.sources.options import ReadOptions, ShopFacts
from audience_pipeline.sources.report import LandingReport, RepeatedDay
from audience_pipeline.sources.staging import Progress, Staged, stage
from audience_pipeline.sources.survey import Survey, survey
from audience_pipeline.sources.table import quoted
from audience_pipeline.sources.tombstones import Tombstones


@dataclass(frozen=True, slots=True)
class Earlier:
    """What has landed before and can overlap with a file."""

    files: Sequence[Path] = ()
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Processed:
    """The files that came out, in the work folder, and the report."""

    report: LandingReport
    landed: Path
    quarantine: Path | None


def process(
    kind: Kind,
    source: SourceFile,
    *,
    options: ReadOptions,
    facts: ShopFacts,
    earlier: Earlier,
    scratch: Path,
    work: Path,
    progress: Progress,
    tombstones: Tombstones | None = None,
) -> Processed:
    """Turn a file into landed rows.

    Args:
        kind: its contract.
        source: the file.
        options: how it is written.
        facts: about the shop.
        earlier: what it is compared with.
        scratch: private folder outside the lake, for raw text.
        work: folder for what comes out.
        progress: told what is being done.
        tombstones: of erased people, whose rows do not land.

    Raises:
        SourceError: the file cannot be landed; with a report when it was read and no row could be used,
            in which case the quarantine is in ``work`` all the same.
    """
    progress("looking through", 0)
    file = survey(source.path, source.sha256, options, scratch)
    staged = stage(
        file,
        kind,
        options,
        facts,
        earlier.currency,
        scratch=scratch,
        work=work,
        progress=progress,
        tombstones=tombstones,
    )
    if not staged.rows and not len(staged.table.rejected):
        raise SourceError(
            file.name, "there is a header and nothing under it", "export it again, with its rows"
        )
    source.refuse_changed()
    progress("comparing", staged.rows)
    landed = work / "landed.parquet"
    with connect(work / "spill") as connection:
        report = _select_and_report(connection, kind, file, staged, options, facts, earlier, landed)
        bad = None
        if report.quarantined:
            bad = work / "quarantine.parquet"
            progress("writing the quarantine", report.quarantined)
            quarantine.write(connection, staged, kind, options, facts, file.name, bad)
    staged.path.unlink()
    return Processed(report, landed, bad)


def nothing_usable(report: LandingReport) -> SourceError | None:
    """The error of a file of which no row can be used."""
    usable = report.landed + report.known + report.repeated - report.repeated_and_quarantined
    if usable + report.erased > 0:
        return None
    reasons = "; ".join(f"{count.field}: {count.reason} ({count.rows:,})" for count in report.quarantine[:3])
    return SourceError(
        report.file,
        f"none of its {report.rows_read:,} rows can be used: {reasons}",
        "nothing was landed; the quarantine lists every row",
        report=report,
    )


def _select_and_report(
    connection: Any,
    kind: Kind,
    file: Survey,
    staged: Staged,
    options: ReadOptions,
    facts: ShopFacts,
    earlier: Earlier,
    target: Path,
) -> LandingReport:
    bad = staged.plan.bad
    repeated_days: tuple[RepeatedDay, ...] = ()
    good = f"SELECT * FROM {staged.relation} WHERE NOT {bad}"
    repeated = both = 0
    if kind is Kind.TRANSACTIONS:
        repeated_days = selection.drop_repeated_days(connection, staged.relation)
    if repeated_days:
        good += " AND row NOT IN (SELECT row FROM repeated_rows)"
        repeated, both = one(
            connection,
            f"SELECT count(*), count(*) FILTER ({bad}) FROM {staged.relation} "
            "WHERE row IN (SELECT row FROM repeated_rows)",
        )
    selection.drop_known(connection, kind, good, earlier.files)
    rows, left_out = selection.fresh(connection, kind, good)
    columns = ", ".join(LANDED[kind])
    order = "ORDER BY row" if left_out or repeated_days else ""
    landing_id = file.sha256[:16]
    connection.execute(
        f"COPY (SELECT {columns}, '{landing_id}' AS landing_id "
        f"FROM ({rows}) {order}) TO {quoted(str(target))} "
        "(FORMAT parquet, COMPRESSION snappy)"
    )
    day = f"CAST({day_column(kind)} AS DATE)"
    known, bad_rows, erased = one(
        connection,
        f"SELECT (SELECT count(*) FROM ({good}) WHERE {day} IN (SELECT day FROM known_days)) "
        f"+ (SELECT count(*) FROM known_rows), (SELECT count(*) FROM {staged.relation} WHERE {bad}), "
        f"(SELECT count(*) FROM {staged.relation} WHERE fault_customer_id = {Fault.ERASED})",
    )
    new = parquet(target)
    customers, first, last, undated = one(
        connection,
        f"SELECT count(DISTINCT customer_id), min({day}), max({day}), count(*) - count({day}) FROM {new}",
    )
    total = None
    if kind is Kind.TRANSACTIONS:
        total = int(one(connection, f"SELECT coalesce(sum(amount_minor), 0) FROM {new}")[0])
    report = LandingReport(
        file=file.name,
        kind=kind,
        landing_id=landing_id,
        file_sha256=file.sha256,
        rows_read=staged.rows + len(staged.table.rejected),
        landed=pq.ParquetFile(target).metadata.num_rows,
        known=known,
        repeated=repeated,
        repeated_days=repeated_days,
        quarantined=bad_rows + len(staged.table.rejected),
        repeated_and_quarantined=both,
        erased=erased,
        quarantine=quarantine.counts(connection, staged, kind, options, facts),
        unit=staged.table.unit,
        customers=customers,
        first_date=first,
        last_date=last,
        undated=undated,
        total_minor=total,
        currency=staged.money.currency,
    )
    return report.with_notices(
        *notices.notices(connection, report, staged, options, good, new, earlier.files)
    )
