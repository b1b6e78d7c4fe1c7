"""Every address that customers ever had, from what has landed. Loads no Dagster until somebody is erased."""

from __future__ import annotations

from datetime import date

import polars as pl

from audience_pipeline.customers import identity
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import LANDED, Kind
from audience_pipeline.sources.tombstones import tombstones_path


def addresses(settings: Settings, as_of: date) -> pl.LazyFrame:
    """``customers.identity.addresses`` of a workspace up to a date."""
    return identity.addresses(_landed(settings, Kind.CRM), _landed(settings, Kind.ENGAGEMENT), as_of)


def addresses_of_opted_out(
    settings: Settings, as_of: date, consent: pl.DataFrame, identities: pl.DataFrame | None
) -> pl.DataFrame:
    """The addresses, of any time, of everybody who has opted out anywhere, and those that erased people had.

    Args:
        settings: the workspace.
        as_of: the day up to which statements and events are seen; :attr:`date.max` for all there are.
        consent: one row per customer: ``customer_id`` and ``opted_out...``.
        identities: ``source_id`` and ``customer_id``.

    Returns:
        ``customer_id`` (empty where somebody was erased) and ``identity.ADDRESSES``, each row once.
    """
    gone = consent.filter(pl.any_horizontal("^opted_out.*$")).select("customer_id")
    names = gone.with_columns(_name="customer_id")
    if identities is not None:
        theirs = identities.join(gone, on="customer_id", how="semi")
        names = pl.concat([names, theirs.select("customer_id", _name="source_id")]).unique()
    found = (
        addresses(settings, as_of)
        .rename({"customer_id": "_name"})
        .join(names.lazy(), on="_name", how="inner")
        .select("customer_id", *identity.ADDRESSES)
        .unique()
        .collect(engine="streaming")
    )
    if not tombstones_path(settings.lake).is_file():
        return found
    from audience_pipeline.defs.erased_addresses import never_sent

    return pl.concat([found, never_sent(settings, as_of).select(found.columns)]).unique()


def _landed(settings: Settings, kind: Kind) -> pl.LazyFrame:
    """What has landed of a kind: as ``defs.lake.dataset``, which would load Dagster."""
    files = list((settings.lake / kind.dataset).glob("*.parquet"))
    schema = LANDED[kind]
    if not files:
        return pl.LazyFrame(schema=schema)
    return pl.scan_parquet(files, schema=schema, missing_columns="insert", extra_columns="ignore")
