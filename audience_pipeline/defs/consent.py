"""Who may be advertised to, as of a date."""

from datetime import date

import dagster as dg
import polars as pl

from audience_pipeline.customers import consent as consents
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.lake import dataset, ensure_dataset, newest_landing
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.defs.storage import LANDING_SEQUENCE
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind


def consent_asset(settings: Settings, calendar: AsOfCalendar) -> dg.AssetsDefinition:
    """consent, one partition per as-of date."""

    @dg.asset(
        group_name="customers",
        partitions_def=calendar.daily,
        deps=[Kind.CRM.dataset, Kind.CONSENT.dataset],
        kinds={"polars", "parquet"},
        owners=["team:privacy"],
    )
    def consent(
        context: dg.AssetExecutionContext, orders: pl.LazyFrame, ledger: LedgerResource
    ) -> dg.MaterializeResult[pl.LazyFrame]:
        """Whether each customer may be advertised to, and on which platform. The latest statement wins;
        silence means no in the EEA, the UK and Switzerland.
        """
        for kind in (Kind.CRM, Kind.CONSENT):
            ensure_dataset(settings.lake, kind)
        with ledger.open() as opened:
            seen = newest_landing(opened)
        stated = consents.consent(
            dataset(settings.lake, Kind.CONSENT),
            dataset(settings.lake, Kind.CRM),
            date.fromisoformat(context.partition_key),
            customers=orders.select("customer_id").unique(),
        )
        return dg.MaterializeResult(value=stated, metadata={LANDING_SEQUENCE: seen})

    return consent
