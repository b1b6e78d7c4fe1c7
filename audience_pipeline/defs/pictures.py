"""Pictures and small tables in Dagster's metadata."""

import base64

import dagster as dg
import polars as pl


def picture(name: str, png: bytes) -> dg.MarkdownMetadataValue:
    """A PNG as metadata: shown in the UI behind *Show Markdown*."""
    return dg.MetadataValue.md(f"![{name}](data:image/png;base64,{base64.b64encode(png).decode()})")


def small_table(frame: pl.DataFrame) -> dg.TableMetadataValue:
    """A table of aggregates as metadata; floats are rounded, dates become text. Never rows of people."""
    shown = frame.with_columns(
        pl.col(pl.Float64, pl.Float32).cast(pl.Float64).round(4), pl.col(pl.Date).cast(pl.String)
    )
    return dg.MetadataValue.table(
        [dg.TableRecord(row) for row in shown.to_dicts()],
        # Without a schema the columns are shown in alphabetical order.
        schema=dg.TableSchema(
            columns=[dg.TableColumn(name, _kind(dtype)) for name, dtype in shown.schema.items()]
        ),
    )


def _kind(dtype: pl.DataType) -> str:
    if dtype.is_integer():
        return "int"
    return "float" if dtype.is_float() else "bool" if dtype == pl.Boolean else "string"
