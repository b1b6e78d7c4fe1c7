"""Profiles and audience memberships as of a date."""

from collections.abc import Iterator
from datetime import date

import dagster as dg
import polars as pl

from audience_pipeline.audiences.definition import load_definitions
from audience_pipeline.audiences.membership import memberships
from audience_pipeline.audiences.profile import customer_profile as profile_of
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.pictures import small_table
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.defs.warehouse import landings_seen
from audience_pipeline.ledger import refreshes
from audience_pipeline.settings import Settings


def audience_assets(settings: Settings, calendar: AsOfCalendar) -> list[dg.AssetsDefinition]:
    """customer_profile and audience_memberships, one partition per as-of date."""

    @dg.asset(
        group_name="audiences",
        partitions_def=calendar.daily,
        kinds={"polars", "parquet"},
        owners=["team:growth"],
    )
    def customer_profile(
        customer_features: pl.LazyFrame,
        ltv_predictions: pl.LazyFrame,
        customer_segments: pl.LazyFrame,
        identifiers: pl.LazyFrame,
        consent: pl.LazyFrame,
    ) -> pl.LazyFrame:
        """Everything an audience may ask of a customer, one row each: value, rhythm, categories, website
        and e-mail behaviour, segment, consent. Money in the shop's currency.
        """
        return profile_of(customer_features, ltv_predictions, customer_segments, identifiers, consent)

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
    ) -> Iterator[dg.MaterializeResult[pl.DataFrame]]:
        """Who is in which audience on the as-of date, and who of them is held out so that lift can be
        measured. One row per audience and customer.
        """
        definitions = load_definitions(settings.audiences)
        members = memberships(customer_profile, definitions)
        sizes = (
            pl.DataFrame({"audience": definitions.names}, schema={"audience": pl.String})
            .join(
                members.group_by("audience").agg(pl.len().alias("members"), pl.col("holdout").sum()),
                on="audience",
                how="left",
            )
            .with_columns(pl.col("members", "holdout").fill_null(0).cast(pl.Int64))
            .sort("audience")
        )
        empty = sizes.filter(pl.col("members") == 0)["audience"].to_list()
        with ledger.open() as opened:
            refreshes.record(
                opened,
                date.fromisoformat(context.partition_key),
                landings_seen(settings.lake),
                {"run_id": context.run_id},
            )
        yield dg.MaterializeResult(
            value=members,
            metadata={
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

    return [customer_profile, audience_memberships]
