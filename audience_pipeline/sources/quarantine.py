"""The rows that cannot be used: where they are and why, never what is in them."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.faults import reason
from audience_pipeline.sources.options import ReadOptions, ShopFacts
from audience_pipeline.sources.plan import RECORD
from audience_pipeline.sources.report import QuarantineCount
from audience_pipeline.sources.staging import BATCH, Staged

SCHEMA = pl.Schema({"file": pl.String, "line": pl.Int64, "field": pl.String, "reason": pl.String})
_SHOWN = 3


def counts(
    connection: Any, staged: Staged, kind: Kind, options: ReadOptions, facts: ShopFacts
) -> tuple[QuarantineCount, ...]:
    """Rows by field and reason, most frequent first."""
    found: list[QuarantineCount] = []
    for field in staged.plan.faults:
        column = f"fault_{field}"
        by_fault = (
            f"SELECT {column}, count(*), min(row, {_SHOWN}) FROM {staged.relation} "
            f"WHERE {column} > 0 GROUP BY 1"
        )
        for fault, rows, first in connection.execute(by_fault).fetchall():
            lines = staged.table.line_map.lines(np.array(first, dtype=np.int64))
            sentence = reason(fault, field, kind, options, facts)
            found.append(QuarantineCount(field, sentence, rows, tuple(lines.tolist())))
    rejected = staged.table.rejected
    places: defaultdict[int, list[int]] = defaultdict(list)
    for line, code in zip(rejected.lines, rejected.codes, strict=True):
        if len(places[code]) < _SHOWN:
            places[code].append(line)
    found += [
        QuarantineCount(RECORD, reason(code, RECORD, kind, options, facts), rows, tuple(places[code]))
        for code, rows in Counter(rejected.codes).items()
    ]
    return tuple(sorted(found, key=lambda count: (-count.rows, count.field, count.reason)))


def write(
    connection: Any,
    staged: Staged,
    kind: Kind,
    options: ReadOptions,
    facts: ShopFacts,
    file: str,
    target: Path,
) -> None:
    """Write ``file, line, field, reason``, one row per faulty field, in the order of the file."""
    rejected = pl.DataFrame(
        {"line": np.array(staged.table.rejected.lines), "fault": np.array(staged.table.rejected.codes)},
        schema={"line": pl.Int64, "fault": pl.Int64},
    ).with_columns(field=pl.lit(RECORD))
    columns = [f"fault_{field}" for field in staged.plan.faults]
    bad = connection.sql(f"SELECT row, {', '.join(columns)} FROM {staged.relation} WHERE {staged.plan.bad}")
    sentences: dict[tuple[str, int], str] = {}

    def finished(frame: pl.DataFrame) -> Any:
        for field, fault in frame.select("field", "fault").unique().iter_rows():
            sentences.setdefault((field, fault), reason(fault, field, kind, options, facts))
        texts = pl.DataFrame(
            [(field, fault, text) for (field, fault), text in sentences.items()],
            schema={"field": pl.String, "fault": pl.Int64, "reason": pl.String},
            orient="row",
        )
        return (
            frame.join(texts, on=["field", "fault"], how="left", maintain_order="left")
            .select(pl.lit(file).alias("file"), "line", "field", "reason")
            .sort("line", "field", maintain_order=True)
            .to_arrow(compat_level=pl.CompatLevel.oldest())
        )

    empty = SCHEMA.to_frame().to_arrow(compat_level=pl.CompatLevel.oldest())
    with pq.ParquetWriter(target, empty.schema, compression="zstd") as writer:
        for batch in bad.to_arrow_reader(BATCH):
            frame = pl.DataFrame(pl.from_arrow(batch))
            lines = staged.table.line_map.lines(frame["row"].to_numpy())
            faults = (
                frame.with_columns(pl.Series("line", lines))
                .unpivot(columns, index="line", variable_name="field", value_name="fault")
                .filter(pl.col("fault") > 0)
                .with_columns(pl.col("field").str.strip_prefix("fault_"), pl.col("fault").cast(pl.Int64))
            )
            last = int(lines[-1])
            before = rejected.filter(pl.col("line") <= last)
            rejected = rejected.filter(pl.col("line") > last)
            writer.write_table(finished(pl.concat([faults, before.select(faults.columns)])))
        if rejected.height:
            writer.write_table(finished(rejected))
