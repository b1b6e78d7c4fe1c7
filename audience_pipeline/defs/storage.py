"""Tables as Parquet files: one per asset, or one per as-of date."""

import contextlib
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import polars as pl

Frame = pl.DataFrame | pl.LazyFrame


def table_path(lake: Path, key: dg.AssetKey | str, partition: str | None = None) -> Path:
    """Where a table lies: ``lake/orders.parquet``, ``lake/customer_features/2026-01-31.parquet``."""
    base = lake.joinpath(*dg.AssetKey.from_coercible(key).path)
    return base.with_name(base.name + ".parquet") if partition is None else base / f"{partition}.parquet"


LANDING_SEQUENCE = "landing_sequence"
"""Key in the metadata of an output and of its file: up to which landing the table has seen the data."""


LEFT_BEHIND_SECONDS = 24 * 3600
"""After that long, half a table belongs to a process that was killed."""


def write_table(
    path: Path,
    frame: Frame,
    landing_sequence: int | None = None,
    *,
    said: Mapping[str, str] | None = None,
    compression: Literal["zstd", "uncompressed"] = "zstd",
) -> None:
    """Write a table whole, then rename it: nobody ever reads half of one, nor of two runs at once.

    Args:
        path: where it will lie.
        frame: the table.
        landing_sequence: up to which landing it has seen the data.
        said: what else the metadata of the file say.
        compression: none where bytes do not get smaller by it and are read often.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*.partial"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > LEFT_BEHIND_SECONDS:
                left.unlink()
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    seen = {} if landing_sequence is None else {LANDING_SEQUENCE: str(landing_sequence)}
    metadata = {**(said or {}), **seen}
    try:
        if isinstance(frame, pl.LazyFrame):
            frame.sink_parquet(partial, metadata=metadata, compression=compression)
        else:
            frame.write_parquet(partial, metadata=metadata, compression=compression)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def landing_sequence(lake: Path, partition: str, *tables: str) -> int:
    """The newest landing that all of these tables of an as-of date have seen; 0 where one does not say."""
    files = [table_path(lake, table, partition) for table in tables]
    return min(int(pl.read_parquet_metadata(file).get(LANDING_SEQUENCE, "0")) for file in files)


def table_metadata(lake: Path, path: Path, partition: str | None) -> Mapping[str, Any]:
    """Rows, columns and place of a table, under the names that Dagster knows. Never its contents."""
    written = pl.scan_parquet(path)
    columns = [dg.TableColumn(name, str(dtype)) for name, dtype in written.collect_schema().items()]
    return {
        ("dagster/partition_row_count" if partition else "dagster/row_count"): written.select(pl.len())
        .collect()
        .item(),
        "dagster/uri": str(path.relative_to(lake.parent)),
        "dagster/column_schema": dg.TableSchema(columns=columns),
    }


def _partitions(context: dg.InputContext | dg.OutputContext) -> Sequence[str | None]:
    return list(context.asset_partition_keys) if context.has_asset_partitions else [None]


class ParquetIOManager(dg.ConfigurableIOManager):
    """Stores what an asset returns as Parquet under ``lake`` and scans it for the assets that follow."""

    lake: str

    def handle_output(self, context: dg.OutputContext, obj: Frame) -> None:
        """Write one table and describe it."""
        partitions = _partitions(context)
        if len(partitions) != 1:
            raise ValueError(
                f"{context.asset_key.to_user_string()}: one output for {len(partitions)} partitions; "
                "launch the backfill with one run per partition"
            )
        [partition] = partitions
        path = table_path(Path(self.lake), context.asset_key, partition)
        said = context.output_metadata.get(LANDING_SEQUENCE) if context.output_metadata else None
        write_table(path, obj, None if said is None else int(str(getattr(said, "value", said))))
        context.add_output_metadata(table_metadata(Path(self.lake), path, partition))

    def load_input(self, context: dg.InputContext) -> Frame:
        """Scan one or several partitions as one table; collected when the asset asks for a DataFrame."""
        partitions = _partitions(context)
        paths = [table_path(Path(self.lake), context.asset_key, partition) for partition in partitions]
        if missing := [path.name for path in paths if not path.is_file()]:
            raise FileNotFoundError(
                f"{context.asset_key.to_user_string()}: {missing[0]} is not there yet; materialise it first"
            )
        frame = pl.scan_parquet(paths)
        return frame if context.dagster_type.typing_type is pl.LazyFrame else frame.collect()
