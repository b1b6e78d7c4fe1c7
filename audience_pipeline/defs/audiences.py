"""Audience memberships as of a date."""

from datetime import date

import dagster as dg
import polars as pl

from audience_pipeline.audiences.definition import Definitions, load_definitions
from audience_pipeline.audiences.membership import memberships
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.pictures import small_table
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.defs.storage import (
    LANDING_SEQUENCE,
    landing_sequence,
    table_metadata,
    table_path,
    write_table,
)
from audience_pipeline.ledger import refreshes
from audience_pipeline.settings import Settings


def audience_assets(settings: Settings, calendar: AsOfCalendar) -> list[dg.AssetsDefinition]:
    """audience_memberships, one partition per as-of date."""

    @dg.asset(
        group_name="audiences",
        partitions_def=calendar.daily,
        kinds={"duckdb", "parquet"},
        owners=["team:growth"],
        check_specs=[
            dg.AssetCheckSpec(
                "no_audience_is_empty",
                asset="audience_memberships",
                description="An audience without members usually means a condition that nobody can meet.",
            )
        ],
    )
    def audience_memberships(
        context: dg.AssetExecutionContext, customer_profile: pl.DataFrame, ledger: LedgerResource
    ) -> dg.MaterializeResult:
        """Who is in which audience on the as-of date, and who of them is held out so that lift can be
        measured. One row per audience and customer.
        """
        definitions = defined(settings)
        members = memberships(customer_profile, definitions)
        sizes = _sizes(members, definitions.names)
        as_of = context.partition_key
        seen = landing_sequence(settings.lake, as_of, "customer_profile")
        path = table_path(settings.lake, "audience_memberships", as_of)
        # Written here and not by the I/O manager: the refresh is complete only once the table is there.
        write_table(path, members, seen)
        details = {"run_id": context.run_id, "audiences": list(definitions.names)}
        with ledger.open() as opened:
            refreshes.record(opened, date.fromisoformat(as_of), seen, details)
        empty = sizes.filter(pl.col("members") == 0)["audience"].to_list()
        return dg.MaterializeResult(
            metadata={
                **table_metadata(settings.lake, path, as_of),
                LANDING_SEQUENCE: seen,
                "audiences": len(definitions),
                "members": members.height,
                "people": members["customer_id"].n_unique(),
                "sizes": small_table(sizes),
                **{f"members_{row['audience']}": int(row["members"]) for row in sizes.to_dicts()},
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="no_audience_is_empty",
                    passed=not empty,
                    severity=dg.AssetCheckSeverity.WARN,
                    description=f"without members: {', '.join(empty)}" if empty else "all have members",
                    metadata={"empty_audiences": len(empty)},
                )
            ],
        )

    return [audience_memberships]


def defined(settings: Settings) -> Definitions:
    """The audiences of the workspace.

    Raises:
        dg.Failure: there are none; an empty folder must not look like a wish to empty every audience.
    """
    definitions = load_definitions(settings.audiences)
    if not len(definitions):
        raise dg.Failure(
            f"{settings.audiences} defines no audience: check AUDIENCE_DEFINITIONS", allow_retries=False
        )
    return definitions


def _sizes(members: pl.DataFrame, names: tuple[str, ...]) -> pl.DataFrame:
    found = members.group_by("audience").agg(pl.len().alias("members"), pl.col("holdout").sum())
    return (
        pl.DataFrame({"audience": names}, schema={"audience": pl.String})
        .join(found, on="audience", how="left")
        .with_columns(pl.col("members", "holdout").fill_null(0).cast(pl.Int64))
        .sort("audience")
    )
