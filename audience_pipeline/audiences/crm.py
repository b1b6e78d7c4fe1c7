"""What CRM files say of customers beyond identifiers: the columns that the workspace keeps, loyalty cards."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from audience_pipeline.audiences.fields import crm_field_name
from audience_pipeline.customers.identity import known
from audience_pipeline.identifiers.source_ids import LOYALTY
from audience_pipeline.sources.kept import safe_name


def crm_fields(
    contacts: pl.LazyFrame, as_of: date, columns: Sequence[str], *, landings: Sequence[str] = ()
) -> pl.LazyFrame:
    """The kept CRM columns of each customer: per field the newest statement that has a value.

    Args:
        contacts: the landed ``crm_contacts``, with customer ids after identity resolution; ``extra`` is a
            JSON object of texts.
        as_of: the day up to which statements are seen.
        columns: names of the columns in the files; in ``extra`` each has its ``safe_name``.
        landings: the landing ids in the order in which they landed: of statements of the same instant, or
            without one, the later landing wins.

    Returns:
        ``customer_id`` and ``crm_<name>`` (text) for each column, a row per customer who has a statement.
    """
    order = {landing: place for place, landing in enumerate(landings)}
    landing = (
        pl.col("landing_id").replace_strict(order, default=-1, return_dtype=pl.Int64) if order else pl.lit(0)
    )
    names = {safe_name(column): crm_field_name(column) for column in columns}
    said = pl.col("extra").str.json_decode(pl.Struct(dict.fromkeys(names, pl.String)))
    values = [
        said.struct.field(key).str.strip_chars().replace("", None).alias(name) for key, name in names.items()
    ]
    return (
        known(contacts, as_of)
        .filter(pl.col("extra").is_not_null())
        # Every column is a key, so that the order of the rows in the files decides nothing.
        .sort("customer_id", "updated_at", landing, "landing_id", "extra")
        .select("customer_id", *values)
        .group_by("customer_id")
        .agg(pl.all().drop_nulls().last())
    )


def loyalty_members(contacts: pl.LazyFrame, identities: pl.LazyFrame, as_of: date) -> pl.LazyFrame:
    """Customers of whom a loyalty card is known.

    Args:
        contacts: as in :func:`crm_fields`; ``loyalty_id``.
        identities: ``source_id, customer_id``; a card may be all that a sale says of its buyer.
        as_of: the day up to which statements are seen.

    Returns:
        ``customer_id``, each once.
    """
    by_card = identities.filter(pl.col("source_id").str.starts_with(LOYALTY)).select("customer_id")
    in_crm = known(contacts, as_of).filter(pl.col("loyalty_id").is_not_null()).select("customer_id")
    return pl.concat([by_card, in_crm]).unique()
