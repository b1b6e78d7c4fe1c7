"""Addresses that are not sent although somebody has them: an erased person had them, too."""

from datetime import date

import polars as pl

from audience_pipeline.customers.identity import ADDRESSES, addresses
from audience_pipeline.defs.lake import dataset, ensure_dataset
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.erased import ADDRESSES as KINDS
from audience_pipeline.sources.tombstones import KEY_NAME, Tombstones


def never_sent(settings: Settings, as_of: date) -> pl.DataFrame:
    """Addresses that an erased person shared with somebody who was not: a platform that is sent one of them
    may find the erased person by it.

    Args:
        settings: the workspace.
        as_of: the day up to which statements and events are seen; :attr:`date.max` for all there are.

    Returns:
        ``customer_id`` (empty) and ``identity.ADDRESSES``, one address in each row.

    Raises:
        KeyMissingError: the key of the workspace is lost, so that nobody can tell.
    """
    nothing = pl.DataFrame(schema={"customer_id": pl.String, **dict.fromkeys(ADDRESSES, pl.Binary)})
    tombstones = Tombstones.of(settings.lake, settings.home / KEY_NAME)
    if tombstones is None or not tombstones.shares:
        return nothing
    for kind in (Kind.CRM, Kind.ENGAGEMENT):
        ensure_dataset(settings.lake, kind)
    known = addresses(dataset(settings.lake, Kind.CRM), dataset(settings.lake, Kind.ENGAGEMENT), as_of)
    found = []
    for named, columns in KINDS.items():
        for column in columns:
            values = known.select(column).drop_nulls().unique().collect(engine="streaming")[column]
            found.append(values.filter(tombstones.is_shared(named, values)).to_frame())
    return pl.concat([nothing, *found], how="diagonal").with_columns(pl.lit("").alias("customer_id"))
