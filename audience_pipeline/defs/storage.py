"""Tables as Parquet files: one per asset, or one per as-of date."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import polars as pl

Frame = pl.DataFrame | pl.LazyFrame


def table_path(lake: Path, key: dg.AssetKey | str, partition: str | None = None) -> Path:
    """Where a table lies: ``lake/orders.parquet``, ``lake/customer_features/2026-01-31.parquet``."""
    base = lake.joinpath(*dg.AssetKey.from_coercible(key).path)
    return base.with_name(base.name + ".parquet") if partition is None else base / f"{partition}.parquet"


def write_table(path: Path, frame: Frame) -> None:
    """Write a table whole, then rename it: nobody ever reads half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    if isinstance(frame, pl.LazyFrame):
        frame.sink_parquet(partial)
    else:
        frame.write_parquet(partial)
    partial.replace(path)


def _partitions(context: dg.InputContext | dg.OutputContext) -> Sequence[str | None]:
    return list(context.asset_partition_keys) if context.has_asset_partitions else [None]


class ParquetIOManager(dg.ConfigurableIOManager):
    """Stores what an asset returns as Parquet under ``lake`` and scans it for the assets that follow."""

    lake: str

    def handle_output(self, context: dg.OutputContext, obj: Frame) -> None:
        """Write one table and describe it: rows, columns, place. Never its contents."""
        partitions = _partitions(context)
        if len(partitions) != 1:
            raise ValueError(
                f"{context.asset_key.to_user_string()}: one output for {len(partitions)} partitions; "
                "launch the backfill with one run per partition"
            )
        [partition] = partitions
        path = table_path(Path(self.lake), context.asset_key, partition)
        write_table(path, obj)
        written = pl.scan_parquet(path)
        context.add_output_metadata(
            {
                ("dagster/partition_row_count" if partition else "dagster/row_count"): written.select(
                    pl.len()
                )
                .collect()
                .item(),
                "dagster/uri": str(path.relative_to(Path(self.lake).parent)),
                "dagster/column_schema": dg.TableSchema(
                    columns=[
                        dg.TableColumn(name, str(dtype)) for name, dtype in written.collect_schema().items()
                    ]
                ),
            }
        )

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
