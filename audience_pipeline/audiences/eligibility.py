"""Who of an audience may be sent to a platform. This is decided here and nowhere else."""

from __future__ import annotations

from functools import reduce
from operator import and_, or_

import polars as pl

from audience_pipeline.platforms.contract import Capabilities

REASONS = ("holdout", "opted_out", "no_consent", "no_identifier")
"""Why somebody is not sent, in the order in which the reasons are looked for.

``no_consent`` also holds of those who agreed to advertising and said nothing of another purpose that the
platform asks for (``Capabilities.purposes``: Google takes people as consenting to personalisation, too); who
denied one of the purposes has ``opted_out``.
"""
STANDING = REASONS[1:]
"""The reasons that hold of a person on a platform whatever the audience; holdout is one of an audience."""
_EVERYWHERE = ("meta_email", "meta_phone")


def opted_out(
    identifiers: pl.DataFrame,
    consent: pl.DataFrame,
    capabilities: Capabilities,
    addresses: pl.DataFrame | None = None,
) -> pl.Series:
    """Customers who may not be anywhere on a platform: they said so, or share an address with one.

    A platform knows people by single identifiers: whoever opted out would come back through the row of a
    customer with the same e-mail address or phone number, also one that they moved away from: the platform
    still has it. So the opt-out wins.

    Args:
        identifiers: one row per customer, with the columns that ``capabilities`` names.
        consent: one row per customer: ``opted_out``, ``opted_out_<platform>``.
        capabilities: the platform.
        addresses: what those who opted out were ever known by: ``customer_id``, ``meta_email``,
            ``meta_phone`` and others of the columns that a platform knows people by; without it, only what
            they are known by now. An empty ``customer_id`` stands for somebody who was erased.

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
    if addresses is not None:
        erased = pl.DataFrame({"customer_id": [""]})
        told = addresses.join(pl.concat([denied, erased]), on="customer_id", how="semi")
        # An event of a reader tells only Meta's hash; whoever has that has the same address everywhere.
        single = {group[0] for group in capabilities.reachable_by if len(group) == 1} | set(_EVERYWHERE)
        refused += [
            identifiers.join(told.select(column).drop_nulls(), on=column, how="semi").select("customer_id")
            for column in sorted(single & set(told.columns) & set(identifiers.columns))
        ]
    return pl.concat(refused)["customer_id"].unique().sort()


def standing(
    identifiers: pl.DataFrame,
    consent: pl.DataFrame,
    capabilities: Capabilities,
    addresses: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Where everybody stands with a platform, whatever the audience.

    Whoever is missing in ``consent`` has not consented; whoever is missing in ``identifiers`` cannot be
    reached.

    Args:
        identifiers: one row per customer, with the columns that ``capabilities`` names.
        consent: one row per customer: ``opted_out``, ``advertising_<platform>``, ``opted_out_<platform>``.
        capabilities: the platform.
        addresses: as for :func:`opted_out`.

    Returns:
        ``customer_id, reason`` of everybody in one of the tables; ``reason`` is the first of ``STANDING``
        that applies, null for those who may be sent.
    """
    refused = opted_out(identifiers, consent, capabilities, addresses)
    reachable = reduce(
        or_,
        (
            reduce(and_, (pl.col(column).is_not_null() for column in group))
            for group in capabilities.reachable_by
        ),
    )
    allowed = consent.select("customer_id", _allowed=f"advertising_{capabilities.platform.value}")
    known = identifiers.select("customer_id", _reachable=reachable)
    reason = (
        pl.when(pl.col("customer_id").is_in(refused.implode()))
        .then(pl.lit("opted_out"))
        .when(~pl.col("_allowed").fill_null(value=False))
        .then(pl.lit("no_consent"))
        .when(~pl.col("_reachable").fill_null(value=False))
        .then(pl.lit("no_identifier"))
    )
    return allowed.join(known, on="customer_id", how="full", coalesce=True, validate="1:1").select(
        "customer_id", reason=reason
    )


def sendable(standing: pl.DataFrame) -> pl.DataFrame:
    """Whom a platform may get in every audience that selects them and does not hold them out.

    Returns:
        ``customer_id``.
    """
    return standing.filter(pl.col("reason").is_null()).select("customer_id")


def without_consent(standing: pl.DataFrame) -> pl.DataFrame:
    """Who may not be on the platform at all, and is removed where they are.

    Returns:
        ``customer_id``. Somebody who only cannot be reached is none of them.
    """
    return standing.filter(pl.col("reason").is_in(["opted_out", "no_consent"])).select("customer_id")


def decided(members: pl.DataFrame, standing: pl.DataFrame) -> pl.DataFrame:
    """Decide for every member of an audience, given where everybody stands with the platform.

    Args:
        members: ``customer_id, holdout`` of one audience.
        standing: what :func:`standing` says of the platform.

    Returns:
        ``customer_id, eligible, reason`` in the order of ``members``; ``reason`` is the first of
        ``REASONS`` that applies, null for the eligible. Whoever has no standing has not consented.
    """
    known = standing.select("customer_id", _reason="reason", _known=pl.lit(value=True))
    reason = (
        pl.when(pl.col("holdout").fill_null(value=True))
        .then(pl.lit("holdout"))
        .when(pl.col("_known").is_null())
        .then(pl.lit("no_consent"))
        .otherwise("_reason")
    )
    return (
        members.select("customer_id", "holdout")
        .join(known, on="customer_id", how="left", maintain_order="left", validate="m:1")
        .select("customer_id", eligible=reason.is_null(), reason=reason)
    )


def eligibility(
    members: pl.DataFrame,
    identifiers: pl.DataFrame,
    consent: pl.DataFrame,
    capabilities: Capabilities,
    addresses: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Decide for every member of an audience whether a platform may get them.

    Args:
        members: ``customer_id, holdout`` of one audience.
        identifiers: one row per customer, with the columns that ``capabilities`` names.
        consent: one row per customer: ``opted_out``, ``advertising_<platform>``, ``opted_out_<platform>``.
        capabilities: the platform.
        addresses: as for :func:`opted_out`.

    Returns:
        ``customer_id, eligible, reason`` in the order of ``members``; ``reason`` is the first of
        ``REASONS`` that applies, null for the eligible.
    """
    return decided(members, standing(identifiers, consent, capabilities, addresses))
