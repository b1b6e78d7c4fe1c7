"""One file of transactions without a lake, for commands that work on a file."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from audience_pipeline.sources.boundary import guarded
from audience_pipeline.sources.contract import LANDED, Kind
from audience_pipeline.sources.files import source_file
from audience_pipeline.sources.options import ReadOptions, ShopFacts
from audience_pipeline.sources.process import Earlier, nothing_usable, process
from audience_pipeline.sources.report import LandingReport
from audience_pipeline.sources.scratch import private_folder
from audience_pipeline.sources.staging import Progress


def read_transactions(
    path: Path,
    options: ReadOptions,
    facts: ShopFacts,
    workdir: Path,
    *,
    progress: Progress | None = None,
) -> tuple[pl.LazyFrame, LandingReport]:
    """Read a file of transactions by the rules of landing, quarantine and repeated days included.

    Args:
        path: CSV, JSON or Parquet, plain or gzip.
        options: how it is written.
        facts: about the shop.
        workdir: existing folder; ``landed.parquet`` (which the frame reads) and ``quarantine.parquet`` are
            written there.
        progress: told what is being done and how many rows are done.

    Returns:
        The rows in the columns of ``LANDED[Kind.TRANSACTIONS]``, in the order of the file, and the report.

    Raises:
        SourceError: the file cannot be read, no row of it can be used, or something unexpected happened; no
            value of a row is told.
    """

    def act() -> tuple[pl.LazyFrame, LandingReport]:
        file = source_file(path)
        with private_folder() as scratch:
            result = process(
                Kind.TRANSACTIONS,
                file,
                options=options,
                facts=facts,
                earlier=Earlier(),
                scratch=scratch,
                work=workdir,
                progress=progress or (lambda _what, _rows: None),
            )
        error = nothing_usable(result.report)
        if error is not None:
            raise error
        return pl.scan_parquet(result.landed).select(list(LANDED[Kind.TRANSACTIONS])), result.report

    return guarded(act, path, workdir, elsewhere="set TMPDIR to a folder on another disk")
