"""Who of an audience may be sent to a platform. This is decided here and nowhere else."""

from __future__ import annotations

from functools import reduce
from operator import and_, or_

import polars as pl

from audience_pipeline.platforms.contract import Capabilities

REASONS = ("holdout", "opted_out", "no_consent", "no_identifier")
"""Why somebody is not sent, in the order in which the reasons are looked for."""


def opted_out(identifiers: pl.DataFrame, consent: pl.DataFrame, capabilities: Capabilities) -> pl.Series:
    """Customers who may not be anywhere on a platform: they said so, or share an address with one.

    A platform knows people by single identifiers: whoever opted out would come back through the row of a
    customer with the same e-mail address or phone number. So the opt-out wins.

    Args:
        identifiers: one row per customer, with the columns that ``capabilities`` names.
        consent: one row per customer: ``opted_out``, ``opted_out_<platform>``.
        capabilities: the platform.

    Returns:
        Customer ids, each once, sorted.
    """
    platform = capabilities.platform.value
    denied = consent.filter(pl.col("opted_out") | pl.col(f"opted_out_{platform}")).select("customer_id")
    refused = [denied]
    for group in capabilities.reachable_by:
        if len(group) == 1:
            known = identifiers.select("customer_id", *group).drop_nulls()
            theirs = known.join(denied, on="customer_id", how="semi")
            refused.append(known.join(theirs, on=list(group), how="semi").select("customer_id"))
    return pl.concat(refused)["customer_id"].unique().sort()


def eligibility(
    members: pl.DataFrame, identifiers: pl.DataFrame, consent: pl.DataFrame, capabilities: Capabilities
) -> pl.DataFrame:
    """Decide for every member of an audience whether a platform may get them.

    Whoever is missing in ``consent`` has not consented; whoever is missing in ``identifiers`` cannot be
    reached.

    Args:
        members: ``customer_id, holdout`` of one audience.
        identifiers: one row per customer, with the columns that ``capabilities`` names.
        consent: one row per customer: ``opted_out``, ``advertising_<platform>``, ``opted_out_<platform>``.
        capabilities: the platform.

    Returns:
        ``customer_id, eligible, reason`` in the order of ``members``; ``reason`` is the first of
        ``REASONS`` that applies, null for the eligible.
    """
    platform = capabilities.platform.value
    refused = opted_out(identifiers, consent, capabilities)
    columns = sorted({column for group in capabilities.reachable_by for column in group})
    reachable = reduce(
        or_,
        (
            reduce(and_, (pl.col(column).is_not_null() for column in group))
            for group in capabilities.reachable_by
        ),
    )
    allowed = consent.select(
        "customer_id",
        pl.col(f"advertising_{platform}").alias("_allowed"),
    )
    found = identifiers.select("customer_id", *columns)
    reason = (
        pl.when(pl.col("holdout").fill_null(value=True))
        .then(pl.lit("holdout"))
        .when(pl.col("customer_id").is_in(refused.implode()))
        .then(pl.lit("opted_out"))
        .when(~pl.col("_allowed").fill_null(value=False))
        .then(pl.lit("no_consent"))
        .when(~reachable)
        .then(pl.lit("no_identifier"))
    )
    return (
        members.select("customer_id", "holdout")
        .join(allowed, on="customer_id", how="left", maintain_order="left", validate="m:1")
        .join(found, on="customer_id", how="left", maintain_order="left", validate="m:1")
        .select("customer_id", reason.is_null().alias("eligible"), reason.alias("reason"))
    )
