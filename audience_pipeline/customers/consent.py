"""Who may be advertised to, as of a date: the latest statement wins, silence is a setting."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

import polars as pl

from audience_pipeline.customers.identity import identifiers, known, link_consent
from audience_pipeline.platforms.contract import Platform

EEA = frozenset({
    "AT", "AX", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GF", "GP", "GR", "HR", "HU",
    "IE", "IS", "IT", "LI", "LT", "LU", "LV", "MF", "MQ", "MT", "NL", "NO", "PL", "PT", "RE", "RO", "SE",
    "SI", "SK", "YT",
})  # fmt: skip
CONSENT_NEEDED = EEA | {"GB", "UK", "CH"}
"""Countries where silence means no: the EEA (overseas regions too), the United Kingdom, Switzerland."""


def consent(
    events: pl.LazyFrame,
    contacts: pl.LazyFrame,
    as_of: date,
    *,
    customers: pl.LazyFrame,
    consent_needed: Collection[str] = CONSENT_NEEDED,
    unknown_country_needs_consent: bool = True,
) -> pl.LazyFrame:
    """Whether each customer may be advertised to, overall and on each platform.

    The latest statement wins; of statements of the same instant a denial wins. A statement for one platform
    counts on that platform alone. A denial for everything stands until a grant for everything: a grant for
    one platform does not lift it. Statements for other purposes than advertising say nothing here.

    Args:
        events: the landed ``consent_events``; those after ``as_of`` are not read.
        contacts: the landed ``crm_contacts`` (then every address a customer ever had links a statement to
            it), or the ``identifiers`` of a date.
        as_of: the day up to which statements are seen.
        customers: ``customer_id`` of everybody who should have a row; customers of ``contacts`` have one too.
        consent_needed: ISO codes of countries where silence means no.
        unknown_country_needs_consent: whether silence means no where the country is not known.

    Returns:
        ``customer_id, advertising, advertising_<platform>..., opted_out, opted_out_<platform>..., decided_by
        ('statement' | 'default'), statement_at``, sorted by ``customer_id``. ``opted_out`` is an explicit
        denial for everything, ``opted_out_<platform>`` one that holds on that platform.
    """
    if "updated_at" in contacts.collect_schema().names():
        contacts = known(contacts, as_of)
        countries = identifiers(contacts, as_of).select("customer_id", "country")
    else:
        countries = contacts.select("customer_id", "country")
    statements = _statements(events, contacts, as_of)
    everybody = (
        pl.concat([customers.select("customer_id"), countries.select("customer_id")]).drop_nulls().unique()
    )
    needed = (
        pl.col("country")
        .str.to_uppercase()
        .is_in(sorted(consent_needed))
        .fill_null(value=unknown_country_needs_consent)
    )
    overall = pl.col("_granted").fill_null(~needed)
    denied = (~pl.col("_granted")).fill_null(value=False)
    return (
        everybody.join(countries, on="customer_id", how="left")
        .join(statements, on="customer_id", how="left")
        .select(
            "customer_id",
            overall.alias("advertising"),
            *(
                (~denied & pl.col(f"_granted_{platform}").fill_null(~needed)).alias(f"advertising_{platform}")
                for platform in Platform
            ),
            denied.alias("opted_out"),
            *(
                (denied | (~pl.col(f"_granted_{platform}")).fill_null(value=False)).alias(
                    f"opted_out_{platform}"
                )
                for platform in Platform
            ),
            pl.when(pl.col("_granted").is_null())
            .then(pl.lit("default"))
            .otherwise(pl.lit("statement"))
            .alias("decided_by"),
            pl.col("_at").alias("statement_at"),
        )
        .sort("customer_id")
    )


def _statements(events: pl.LazyFrame, contacts: pl.LazyFrame, as_of: date) -> pl.LazyFrame:
    """Per customer the latest statement for everything (``_granted``, ``_at``) and on each platform."""
    about_advertising = events.filter(
        (pl.col("event_at").dt.date() <= as_of)
        & (pl.col("purpose").fill_null("advertising") == "advertising")
    )
    granted = pl.col("status") == "granted"
    general = pl.col("platform").is_null()
    # False sorts before true, so a denial is put last among the statements of one instant.
    ordered = link_consent(about_advertising, contacts).select(
        "customer_id", "event_at", "platform", granted.alias("granted")
    )
    ordered = ordered.sort("customer_id", "event_at", "granted", descending=[False, False, True])
    return ordered.group_by("customer_id").agg(
        pl.col("granted").filter(general).last().alias("_granted"),
        pl.col("event_at").filter(general).last().alias("_at"),
        *(
            pl.col("granted")
            .filter(general | (pl.col("platform") == platform.value))
            .last()
            .alias(f"_granted_{platform}")
            for platform in Platform
        ),
    )
