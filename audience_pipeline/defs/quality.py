"""Great Expectations as asset checks: runs a suite and reports shares, never values."""

import os
from collections.abc import Sequence
from typing import Any

import dagster as dg
import polars as pl

from audience_pipeline.defs.expectations import Expectation


def validate(
    frame: pl.DataFrame,
    suite: Sequence[Expectation],
    *,
    check_name: str | None = None,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """Validate a small table. Metadata says which expectation failed for what share of the rows."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    expectations = gx.ExpectationSuite(
        name="suite",
        expectations=[getattr(gx.expectations, name)(**arguments) for name, arguments in suite],
    )
    batch = (
        context.data_sources.add_pandas("memory")
        .add_dataframe_asset("frame")
        .add_batch_definition_whole_dataframe("all")
        .get_batch(batch_parameters={"dataframe": frame.to_pandas()})
    )
    outcome = batch.validate(expectations, result_format="BASIC")
    failed = [result for result in outcome.results if not result.success]
    rows = [
        dg.TableRecord(
            {
                "expectation": _sentence(result.expectation_config.type),
                "column": str(result.expectation_config.kwargs.get("column", "")),
                "passed": bool(result.success),
                "unexpected_percent": round(float(result.result.get("unexpected_percent") or 0.0), 3),
            }
        )
        for result in outcome.results
    ]
    return dg.AssetCheckResult(
        check_name=check_name,
        severity=severity,
        passed=bool(outcome.success),
        description="; ".join(map(_failure, failed))
        or f"{len(rows)} expectations hold for {frame.height} rows",
        metadata={"expectations": dg.MetadataValue.table(rows), "failed_expectations": len(failed)},
    )


def _failure(result: Any) -> str:
    column = result.expectation_config.kwargs.get("column", "table")
    return f"{column}: {_sentence(result.expectation_config.type)}"


def _sentence(kind: str) -> str:
    return kind.removeprefix("expect_").replace("_", " ")
