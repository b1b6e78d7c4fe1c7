"""Who may be advertised to, as of a date."""

from datetime import date
from zoneinfo import ZoneInfo

import dagster as dg
import polars as pl

from audience_pipeline.customers import consent as consents
from audience_pipeline.customers.consent_policy import CONSENT_NEEDED, ConsentPolicy
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.lake import dataset, ensure_dataset, landing_order, newest_landing
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.defs.storage import LANDING_SEQUENCE, landing_sequence
from audience_pipeline.ledger import landings
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind

_NAMED_BY = (
    (Kind.ENGAGEMENT, "event_date", "meta_email"),
    (Kind.WEB, "event_date", "loyalty_id"),
    (Kind.TRANSACTIONS, "transaction_date", "loyalty_id"),
)
"""What besides contacts and statements says whose an address or a card is, and its day."""


def consent_policy(settings: Settings) -> ConsentPolicy:
    """What silence and signals mean in a workspace: section ``consent`` of ``audience.yaml``."""
    said = settings.config.consent
    return ConsentPolicy(
        consent_needed=CONSENT_NEEDED if said.needed_in is None else frozenset(said.needed_in),
        unknown_country_needs_consent=said.unknown_country_needs_consent,
        signal_countries=frozenset(said.signals_count_in),
        unknown_country_signals=said.unknown_country_signals_count,
        advertising_covers_personalisation=said.advertising_covers_personalisation,
    )


def decided(
    settings: Settings,
    ledger: Ledger,
    as_of: date,
    customers: pl.LazyFrame,
    identities: pl.LazyFrame | None = None,
) -> pl.LazyFrame:
    """Consent of customers with what has landed and was stated up to a day.

    Args:
        settings: the workspace.
        ledger: knows in which order contacts landed.
        as_of: the day; :attr:`date.max` for every statement there is.
        customers: ``customer_id`` of everybody who should have a row.
        identities: which source ids belong to a customer.
    """
    for kind in Kind:
        ensure_dataset(settings.lake, kind)
    events, contacts, web = (dataset(settings.lake, kind) for kind in (Kind.CONSENT, Kind.CRM, Kind.WEB))
    named_by = [
        dataset(settings.lake, kind).filter(pl.col(day) <= as_of).select("customer_id", name)
        for kind, day, name in _NAMED_BY
    ]
    return consents.consent(
        events.with_columns(_landed_at(settings, ledger)),
        contacts,
        as_of,
        customers=customers,
        identities=identities,
        web=web,
        named_by=named_by,
        landings=landing_order(ledger, Kind.CRM),
        policy=consent_policy(settings),
    )


def _landed_at(settings: Settings, ledger: Ledger) -> pl.Expr:
    """When each statement has landed, in the time of the shop as it is itself."""
    zone = ZoneInfo(settings.config.shop.time_zone)
    times = {
        landing.landing_id: landing.landed_at.astimezone(zone).replace(tzinfo=None)
        for landing in landings.committed(ledger, Kind.CONSENT)
    }
    moment = pl.Datetime("us")
    landed = (
        pl.col("landing_id").replace_strict(times, default=None, return_dtype=moment)
        if times
        else pl.lit(None, moment)
    )
    return landed.alias("landed_at")


def consent_asset(settings: Settings, calendar: AsOfCalendar) -> dg.AssetsDefinition:
    """consent, one partition per as-of date."""

    @dg.asset(
        group_name="customers",
        partitions_def=calendar.daily,
        deps=[kind.dataset for kind in Kind],
        kinds={"polars", "parquet"},
        owners=["team:privacy"],
    )
    def consent(
        context: dg.AssetExecutionContext, identities: pl.LazyFrame, ledger: LedgerResource
    ) -> dg.MaterializeResult[pl.LazyFrame]:
        """Whether each customer may be advertised to, for what and on which platform, and what decided it.
        The latest statement wins, of merged customers the opt-out of any; silence means no in the EEA, the
        UK and Switzerland, unless the settings say otherwise.
        """
        with ledger.open() as opened:
            seen = newest_landing(opened)
            stated = decided(
                settings,
                opened,
                date.fromisoformat(context.partition_key),
                identities.select("customer_id"),
                identities,
            )
        seen = min(seen, landing_sequence(settings.lake, context.partition_key, "identities"))
        return dg.MaterializeResult(value=stated, metadata={LANDING_SEQUENCE: seen})

    return consent
